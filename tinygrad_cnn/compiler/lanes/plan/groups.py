"""Elementwise operations that share one loop: what they load, compute, reduce and store."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ....typing import Shape
from ..._symbols import Operation, Symbol
from ..elementwise import OPERATIONS
from ..expression import Expression, Place, Step
from ..kernels._nest import Reduction
from .batch import is_elementwise, unsupported
from .storage import Ref

Find = Callable[[Any], Ref]


class Group:
    """An expression that grows.

    Attributes:
        shape: of the values, with the batch axis if they have one.
        batched: whether they are lanes of a block.
        given: the symbol that a layer's kernel computes, or None.
        reduced: the axes that reductions work along, or None while there is none.
        pointers: what the loads, stores and reductions lie in, in the expression's order.
    """

    def __init__(
        self, shape: Shape, batched: bool, given: Symbol | None, stored: Callable[[Symbol], bool]
    ) -> None:
        self.shape, self.batched, self.given = tuple(shape), batched, given
        self.reduced: tuple[int, ...] | None = None
        self.made: set[Symbol] = set()  # computed and written here
        self._stored = stored
        self._values: set[Any] = set()  # the keys of what has been loaded or computed
        self._loads: list[Ref] = []
        self._steps: list[tuple[str, tuple[Any, ...]]] = []
        self._stores: list[tuple[Any, Ref]] = []
        self._reductions: list[tuple[str, Any, Ref, bool]] = []

    @property
    def lengths(self) -> Shape:
        """The axes of the loop, in the values' own order."""
        return self.shape[1:] if self.batched else self.shape

    @property
    def steps(self) -> int:
        """How many loads and operations there are."""
        return len(self._steps)

    # -- growing -------------------------------------------------------------------------------

    def store(self, symbol: Symbol, ref: Ref, find: Find) -> None:
        """Compute a symbol and write it."""
        key = symbol if symbol is self.given else self._value(symbol, find, made=True)
        if symbol.dtype.kind == "b":
            key = self._step(("number", symbol), "number", (key,))
        self._stores.append((key, ref))
        self.made.add(symbol)

    def copy(self, symbol: Symbol, ref: Ref, find: Find) -> None:
        """Read a symbol that lies in memory and write it elsewhere."""
        self._stores.append((self._load(symbol, find(symbol)), ref))

    def reduce(self, operation: Operation, axes: tuple[int, ...], ref: Ref, find: Find) -> None:
        """Reduce the operand of an operation; ``ref`` has the kept axes alone."""
        name = "sum" if operation.name == "sum_to" else operation.name
        over_batch = self.batched and 0 in axes
        inner = tuple(a - 1 for a in axes if a > 0) if self.batched else axes
        self.reduced = inner
        value = self._value(operation.args[0], find)
        self._reductions.append((name, value, ref, over_batch))

    # -- values --------------------------------------------------------------------------------

    def _value(self, operand: Any, find: Find, *, made: bool = False) -> Any:
        """The key of a value: of a symbol, or a constant as float."""
        if not isinstance(operand, Symbol):
            if np.ndim(operand):
                return self._load(id(operand), find(operand))
            return float(operand)
        if operand in self._values or operand is self.given:
            return operand
        operation = operand.operation
        computed = operation is not None and is_elementwise(operation)
        if not made and (self._stored(operand) or not computed):
            return self._load(operand, find(operand))
        assert operation is not None
        operands = [self._value(arg, find) for arg in operation.args]
        if all(arg.dtype == np.float32 for arg in operation.operands()):  # as NumPy does
            operands = [float(np.float32(o)) if isinstance(o, float) else o for o in operands]
        self._compute(operation, operands)
        self._values.add(operand)
        return operand

    def _load(self, key: Any, ref: Ref) -> Any:
        if key not in self._values:
            self._values.add(key)
            self._loads.append(ref)
            self._steps.append(("load", (key, len(self._loads) - 1)))
        if isinstance(key, Symbol) and key.dtype.kind == "b":
            mask = ("mask", key)
            if mask not in self._values:
                self._values.add(mask)
                self._steps.append(("step", (mask, "not_equal", (key, 0.0))))
            return mask
        return key

    def _compute(self, operation: Operation, operands: list[Any]) -> None:
        """The steps of an operation; the last one is its value."""
        result, name = operation.result, operation.name
        boolean = result.dtype.kind == "b"
        if name == "astype" or name == "item":
            source = operation.args[0].dtype.kind
            if result.dtype.kind not in "fb" and source == "f":
                raise unsupported(operation, "floats become integers")
            same = ("add", 0.0) if source == "b" else ("multiply", 1.0)
            self._step(result, same[0], (operands[0], same[1]))
        elif name in ("isfinite", "isinf"):
            size = self._step((result, 0), "abs", (operands[0],))
            self._step(result, "less" if name == "isfinite" else "equal", (size, math.inf))
        elif name == "square":
            self._step(result, "multiply", (operands[0], operands[0]))
        elif name in _BITWISE and boolean:
            self._step(result, _BITWISE[name], tuple(operands))
        elif name == "round" and operation.params.get("decimals"):
            raise unsupported(operation, "decimals are rounded")
        elif name in OPERATIONS:
            self._step(result, name, tuple(operands))
        else:
            raise unsupported(operation, "there is no kernel for it")

    def _step(self, key: Any, name: str, operands: tuple[Any, ...]) -> Any:
        self._steps.append(("step", (key, name, operands)))
        return key

    # -- as data -------------------------------------------------------------------------------

    @property
    def permutation(self) -> tuple[int, ...]:
        """The axes in the order of the loop: the reduced ones last."""
        axes = range(len(self.lengths))
        gone = self.reduced or ()
        return (*(a for a in axes if a not in gone), *(a for a in axes if a in gone))

    @property
    def loop_lengths(self) -> Shape:
        """The lengths of the loop's axes."""
        return tuple(self.lengths[a] for a in self.permutation)

    def expression(self) -> Expression:
        """What is computed, as the kernels take it."""
        order = self.permutation
        number: dict[Any, int] = {}
        if self.given is not None:
            number[self.given] = 0
        loads = [parts for kind, parts in self._steps if kind == "load"]
        for key, _ in loads:
            number[key] = len(number)
        steps = []
        for kind, parts in self._steps:
            if kind == "step":
                key, name, operands = parts
                steps.append(
                    Step(name, tuple(o if isinstance(o, float) else number[o] for o in operands))
                )
                number[key] = len(number)
        places = tuple(self._place(self._loads[i], order) for _, i in loads)
        stores = []
        for key, ref in self._stores:
            if isinstance(key, float):
                steps.append(Step("add", (key, 0.0)))
                number[key] = len(number)
            stores.append((number[key], self._place(ref, order)))
        self._number = number
        given = int(self.given is not None)
        return Expression(given, places, tuple(steps), tuple(stores))

    def reductions(self, images: int | None) -> tuple[Reduction, ...]:
        """The reductions; call ``expression`` before."""
        found = []
        for name, key, ref, over_batch in self._reductions:
            place = Place(ref.strides, lanes=ref.lanes)
            counted = images if over_batch else None
            found.append(Reduction(name, self._number[key], place, over_batch, counted))
        return tuple(found)

    @property
    def pointers(self) -> list[Ref]:
        """What the pointers of the expression and of the reductions point to."""
        return [
            *self._loads,
            *(ref for _, ref in self._stores),
            *(ref for _, _, ref, _ in self._reductions),
        ]

    @property
    def written(self) -> list[Ref]:
        """What is written."""
        return [*(ref for _, ref in self._stores), *(ref for _, _, ref, _ in self._reductions)]

    def _place(self, ref: Ref, order: Sequence[int]) -> Place:
        """The strides of an operand along the loop's axes; its offset is in its pointer."""
        lengths = self.lengths
        shape, strides = ref.shape, ref.strides
        if len(shape) == len(lengths) + 1:  # a shared operand with an axis for the batch
            shape, strides = shape[1:], strides[1:]
        missing = len(lengths) - len(shape)
        own = [0] * missing + [0 if n == 1 else s for n, s in zip(shape, strides, strict=True)]
        return Place(tuple(own[a] for a in order), 0, lanes=ref.lanes or not self.batched)


_BITWISE = {
    "bitwise_and": "logical_and",
    "bitwise_or": "logical_or",
    "invert": "logical_not",
    "logical_and": "logical_and",
    "logical_not": "logical_not",
    "logical_or": "logical_or",
}
