"""A schedule bound to memory: for the whole, or for one block of images, the calls to make."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...typing import Array, Shape
from .._symbols import Operation, Symbol
from ._kernels import make
from ._lives import Lives, Value, is_view
from ._memory import Buffers, ordered, shaped
from ._placement import MAPPED, SUM, WHOLE, Place
from ._schedule import COMBINE, LOAD, STORE, Item, Schedule

Step = Callable[[], Any]
Product = Callable[[Array, Array, Array], Step]


class Block(NamedTuple):
    """Some of the images, and the thread that works on them."""

    start: int
    stop: int
    thread: int
    is_first: bool  # of its thread


class Binding:
    """The calls for the whole (``block`` is None) or for a block, level by level.

    Attributes:
        steps: for each level what to call.
        arrays: of each symbol the whole, or the share of the block.
        sums: for each sum the arrays in which the threads add up their parts.
        images: how many.
        prepared: results that an operation before has found at the same time.
    """

    def __init__(
        self,
        schedule: Schedule,
        lives: Lives,
        buffers: tuple[Buffers, Buffers],
        block: Block | None = None,
        main: Binding | None = None,
    ) -> None:
        self.schedule, self.lives, self._buffers = schedule, lives, buffers
        self.block, self._main = block, main
        self.images = schedule.images if block is None else block.stop - block.start
        self.steps: list[list[Step]] = [[] for _ in range(schedule.levels)]
        self.arrays: dict[Symbol, Array] = {}
        self.sums: dict[Symbol, list[Array]] = {}
        self.prepared: dict[Symbol, Array] = {}
        self._owners: dict[Value, tuple[Buffers, int]] = {}
        self._item: Item
        self._number = 0

    # -- the walk through the schedule -------------------------------------------------------

    def bind_whole(self, threads: int, product: Product) -> None:
        """Bind what is done once, and the memory that blocks add to."""
        self._product = product
        for number, item in enumerate(self.schedule.items):
            self._number, self._item = number, item
            if item.kind == STORE:
                self.arrays[item.symbol] = self.out(item.symbol)
            elif item.kind == SUM:
                self.sums[item.symbol] = [self._accumulator(item.symbol) for _ in range(threads)]
            elif item.kind == COMBINE:
                self.arrays[item.symbol] = out = self.out(item.symbol)
                parts = self.sums[item.symbol]
                self.add(np.copyto, out, parts[0])
                for part in parts[1:]:
                    self.add(np.add, out, part, out=out)
            elif item.kind == WHOLE:
                self._make()

    def _make(self) -> None:
        """Bind the operation of the item; a view lies where its operand does."""
        operation, symbol = self._item.operation, self._item.symbol
        assert operation is not None
        self.arrays[symbol] = make(self, operation)
        made = Value(symbol, self.block is None)
        if is_view(operation) and made not in self._owners:
            [operand] = self.lives.operands(self._item)
            if operand in self._owners:
                self._owners[made] = self._owners[operand]

    def _accumulator(self, symbol: Symbol) -> Array:
        combined = next(
            number
            for number, item in enumerate(self.schedule.items)
            if item.kind == COMBINE and item.symbol is symbol
        )
        size = symbol.size * symbol.dtype.itemsize
        birth = self.lives.birth(self._number, whole=True)
        memory, _ = self._buffers[0].request(size, birth, combined)
        return memory.view(symbol.dtype).reshape(symbol.shape)

    def bind_block(self, load: Callable[[Symbol, Block, Array], Step]) -> None:
        """Bind what is done for the block."""
        assert self._main is not None
        assert self.block is not None
        self._product = lambda x, y, out: partial(np.matmul, x, y, out=out)
        for number, item in enumerate(self.schedule.items):
            self._number, self._item, symbol = number, item, item.symbol
            if item.kind == LOAD:
                self.arrays[symbol] = out = self.out(symbol)
                self.steps[item.level].append(load(symbol, self.block, out))
            elif item.kind == STORE:
                place = self.schedule.places[symbol]
                target = self._cut(place, self._main.arrays[symbol])
                self.add(np.copyto, target, self.arrays[symbol].reshape(target.shape))
            elif item.kind == SUM:
                assert item.operation is not None
                found = make(self, item.operation)
                total = self._main.sums[symbol][self.block.thread]
                if self.block.is_first:
                    self.add(np.copyto, total, found)
                else:
                    self.add(np.add, total, found, out=total)
            elif item.kind == MAPPED:
                self._make()

    def _cut(self, place: Place, array: Array) -> Array:
        assert self.block is not None
        return place.cut(array, self.block.start, self.block.stop, self.schedule.images)

    # -- what makers ask for -----------------------------------------------------------------

    def add(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Add a call."""
        self.steps[self._item.level].append(partial(function, *args, **kwargs))

    def extend(self, calls: Iterable[Step]) -> None:
        """Add calls."""
        self.steps[self._item.level].extend(calls)

    def product(self, x: Array, y: Array, out: Array) -> None:
        """Add a product of matrices."""
        self.steps[self._item.level].append(self._product(x, y, out))

    def value(self, value: Any) -> Any:
        """An operand, or a setting, with arrays in the places of symbols."""
        if isinstance(value, Symbol):
            return self._operand(value)
        return tuple(map(self.value, value)) if type(value) is tuple else value

    def _operand(self, x: Symbol) -> Array:
        if self.block is None or self._main is None:
            return self.arrays[x]
        place = self.wanted(x)
        if place is None:
            return self._main.arrays[x]
        if x in self.schedule.places:
            return self.arrays[x]
        share: Array = self._cut(place, self._main.arrays[x])
        return share.reshape(place.local(x.shape, self.images))

    def wanted(self, x: Symbol) -> Place | None:
        """Where the batch lies in an operand of which the share of the block is needed."""
        rule = self._item.rule
        return None if rule is None or self.block is None else rule.wants.get(x)

    def place(self, symbol: Symbol) -> Place | None:
        """Where the batch lies in a result."""
        return None if self.block is None else self.schedule.places.get(symbol)

    def shape(self, symbol: Symbol) -> Shape:
        """The shape of a result here."""
        place = self.place(symbol)
        if place is None or self._item.kind == SUM:
            return symbol.shape
        return place.local(symbol.shape, self.images)

    def gathered(self, switches: Symbol) -> Operation | None:
        """What gathers the elements that these switches name, in the same level."""
        return self.lives.gathered(switches, self._number)

    def out(
        self,
        symbol: Symbol,
        order: Sequence[int] | None = None,
        like: Iterable[Any] = (),
    ) -> Array:
        """Memory for a result, its axes in this order, or in that of an operand of its shape."""
        shape = self.shape(symbol)
        if order is None:
            order = self._order(symbol, shape, like)
        size = math.prod(shape) * symbol.dtype.itemsize
        value = Value(symbol, self.block is None)
        death = self.lives.death(value, self._number)
        if self._item.kind == SUM and self.block is not None:
            death = self._number  # it is added to the thread's total
            buffers = self._buffers[0]
        else:
            buffers = self._buffers[self.lives.leaves_level(value, self._number)]
        birth = self.lives.birth(self._number, self.block is None)
        memory, number = buffers.request(size, birth, death)
        self._owners[value] = buffers, number
        return shaped(memory, shape, symbol.dtype, tuple(order))

    def scratch(self, shape: Shape, dtype: Any) -> Array:
        """Memory that an operation needs while it is carried out."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        memory, _ = self._buffers[0].request(size, self._number, self._number)
        made: Array = memory.view(dtype).reshape(shape)
        return made

    def scratch_like(self, array: Array, dtype: Any) -> Array:
        """The same of the shape of an array, and with its axes in the same order."""
        order = ordered(array)
        return shaped(self.scratch((array.size,), dtype), array.shape, dtype, order)

    def _order(self, symbol: Symbol, shape: Shape, like: Iterable[Any]) -> Sequence[int]:
        for array in like:
            if isinstance(array, np.ndarray) and array.shape == shape and 0 not in array.strides:
                return ordered(array)
        place = self.schedule.places.get(symbol)
        axes = range(len(shape))
        if place is None:
            return axes
        return [*(axis for axis in axes if axis != place.axis), place.axis]

    def out_in_place(self, operation: Operation, args: Sequence[Any]) -> Array:
        """Memory for a result that may overwrite one of the first operands, if it dies here."""
        result, shape = operation.result, self.shape(operation.result)
        made = Value(result, self.block is None)
        if self._item.kind == SUM:
            return self.out(result, like=args)
        for x, array in zip(operation.args, args, strict=False):
            if not isinstance(x, Symbol) or array.shape != shape or array.dtype != result.dtype:
                continue
            value = Value(x, self._is_whole(x))
            owner = self._owners.get(value)
            if (
                owner is None
                or value.whole != made.whole
                or not self.lives.dies(value, self._number)
            ):
                continue
            if 0 in array.strides or array.size != math.prod(shape):
                continue
            stays = owner[0] is self._buffers[0] and self._buffers[0] is not self._buffers[1]
            if stays and self.lives.leaves_level(made, self._number):
                continue
            others = (a for a in args if isinstance(a, np.ndarray) and a is not array)
            if any(np.may_share_memory(a, array) and not _same(a, array) for a in others):
                continue
            owner[0].extend(owner[1], self.lives.death(made, self._number))
            self._owners[made] = owner
            overwritten: Array = array
            return overwritten
        return self.out(result, like=args)

    def _is_whole(self, x: Symbol) -> bool:
        return self.block is None or self.wanted(x) is None or x not in self.schedule.places

    def bind_inputs(self, arrays: Mapping[Symbol, Array]) -> None:
        """Give the arrays of inputs."""
        self.arrays.update(arrays)


def _same(a: Array, b: Array) -> bool:
    same_memory = a.__array_interface__["data"] == b.__array_interface__["data"]
    return same_memory and a.strides == b.strides and a.shape == b.shape
