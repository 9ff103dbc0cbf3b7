"""Makes the plan of a program of one image: its jobs, and the storages that they work on."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from ....typing import Shape
from ..._program import Program
from ..._symbols import Operation, Symbol
from ..expression import Place
from ..kernels.pack import Pack, Unpack
from ..plan import tasks
from ..plan.batch import REDUCED, UNSTORED, reduced_axes, unsupported, viewed
from ..plan.groups import Group
from ..plan.storage import Border, Ref, Storage
from ..plan.views import view
from . import layers
from .jobs import Job, Work, job, share, shifted
from .uses import LAYERS, Uses, by_channels


class ChannelPlan:
    """The jobs of a program, in order.

    Attributes:
        jobs: all of them; first those that no layer takes part in.
        inputs: the number of each input of the program.
        outputs: what the program gives: symbols, which are written to slots, and constants.
        slots: of each slot ("in", the input's number) or ("out", the output's).
        packed, aliases: none, since every input is read as it lies and none is written over.
        constants: arrays that belong to the program.
        seen: storages that are the memory of another, as plain numbers or as vectors.

    Raises:
        UnsupportedError: there are no kernels for the program.
    """

    def __init__(
        self, program: Program, lanes: int, itemsize: int, threads: int, accuracy: str = "default"
    ) -> None:
        self.program, self.lanes, self.itemsize, self.threads = program, lanes, itemsize, threads
        self.accuracy = accuracy
        self.inputs = {symbol: i for i, symbol in enumerate(program.inputs)}
        self.outputs = list(program.outputs)
        self._asked = {o: i for i, o in enumerate(self.outputs) if isinstance(o, Symbol)}
        self.slots: list[tuple[str, int]] = []
        self.constants: list[tuple[Storage, Any]] = []
        self.seen: dict[Storage, Storage] = {}
        self.packed: dict[Symbol, Storage] = {}
        self.aliases: dict[int, int] = {}
        self.uses = Uses(program)
        self._early: list[Job] = []
        self._main: list[Job] = []
        self._plain: dict[Any, Ref] = {}
        self._vectors: dict[Any, Ref] = {}
        self._copies: dict[Any, Ref] = {}
        self._position: dict[Symbol, int] = {}  # of what makes a stored symbol, in _main
        self._borders = layers.borders(self)
        for operation in program.operations:
            self._place(operation)
        self._write_outputs()
        self.jobs = [*self._early, *self._main]

    # -- storages ------------------------------------------------------------------------------

    def slot(self, kind: str, number: int) -> int:
        """The number of the slot for an array that is given or made in each run."""
        if (kind, number) not in self.slots:
            self.slots.append((kind, number))
        return self.slots.index((kind, number))

    def blocks(self, channels: int) -> int:
        """How many vectors so many channels take."""
        return -(-channels // self.lanes)

    def _numbers(self, shape: Shape) -> Ref:
        """Room for a plain array, to whole vectors."""
        storage = Storage("common", (self.blocks(math.prod(shape)) * self.lanes,))
        return Ref(storage, shape, Storage("common", shape).ref.strides)

    def _seen_as(self, storage: Storage, lanes: int) -> Storage:
        """The same memory as plain numbers, or as vectors."""
        alias = Storage(storage.kind, (storage.size // lanes,), lanes)
        self.seen[alias] = self.seen.get(storage, storage)
        return alias

    def _room(self, symbol: Symbol) -> Ref:
        """Where a result is to be written, in its own form."""
        border = self._borders.get(symbol, ())
        if symbol in self.uses.channels:
            shape = (self.blocks(symbol.shape[1]), *symbol.shape[2:])
            ref = Storage("common", shape, self.lanes, border).ref
            self._vectors[symbol] = ref
        else:
            ref = Storage("common", symbol.shape, 1, border).ref
            ref = self._plain[symbol] = ref if border else self._plain_room(symbol)
        return ref

    def _plain_room(self, symbol: Symbol) -> Ref:
        """Where a plain result is to be written: if it is asked for, in the slot."""
        if symbol in self._asked:
            slot = self.slot("out", self._asked[symbol])
            return Storage("slot", symbol.shape, 1, slot=slot).ref
        return self._numbers(symbol.shape)

    # -- where values are ----------------------------------------------------------------------

    def plain(self, operand: Any) -> Ref:
        """An operand as a plain array."""
        key = operand if isinstance(operand, Symbol) else id(operand)
        if key not in self._plain:
            self._plain[key] = self._found(operand)
        return self._plain[key]

    def _found(self, operand: Any) -> Ref:
        if not isinstance(operand, Symbol):
            ref = self._numbers(np.shape(operand))
            self.constants.append((ref.storage, np.asarray(operand)))
            return ref
        operation = operand.operation
        if operation is None:
            slot = self.slot("in", self.inputs[operand])
            return Storage("slot", operand.shape, 1, slot=slot).ref
        if operand in self._vectors and operation.name not in UNSTORED:
            return self._unpacked(operand)
        if operation.name not in UNSTORED:
            raise unsupported(operation, "its result is needed in memory, and is not there")
        if not operation.args:
            return self.plain(np.full((), operation.params["value"])).broadcast(operand.shape)
        sources = (source(operation.args[0]) for source in (self.plain, self.dense))
        views = (view(operation, source, operand.shape) for source in sources)
        return _found(operation, next((ref for ref in views if ref is not None), None))

    def dense(self, operand: Any) -> Ref:
        """An operand as a plain array whose numbers lie side by side."""
        ref = self.plain(operand)
        if ref.dense:
            return ref
        key = operand, None
        if key not in self._copies:
            self._copies[key] = self._numbers(ref.shape)
            self._copy(operand, ref, self._copies[key])
        return self._copies[key]

    def bordered(self, operand: Any, ref: Ref, border: Border) -> Ref:
        """A copy of an image, plain or in lanes, within zeros."""
        key = (operand, border, ref.lanes)
        if key not in self._copies:
            self._copies[key] = Storage("common", ref.shape, ref.storage.lanes, border).ref
            self._copy(operand, ref, self._copies[key])
        return self._copies[key]

    def _copy(self, operand: Any, ref: Ref, to: Ref) -> None:
        shape = (1, *ref.shape) if ref.lanes else ref.shape
        group = Group(shape, ref.lanes, None, self.is_stored)
        group.copy(operand, to, lambda _: ref)
        self.add(job(tasks.loop(group, 0)), self._is_early(operand))

    def vectors(self, operand: Any, axis: int = 1) -> Ref:
        """An operand (…, C, …), whose axes before the ``axis`` have one element, in lanes."""
        if isinstance(operand, Symbol) and operand in self.uses.channels and axis == 1:
            if operand not in self._vectors:
                operation: Any = operand.operation
                source = self.vectors(operation.args[0])
                shape = (source.shape[0], *operand.shape[2:])
                self._vectors[operand] = _found(operation, view(operation, source, shape, 1))
            return self._vectors[operand]
        key = (operand if isinstance(operand, Symbol) else id(operand), axis)
        if key not in self._vectors:
            self._vectors[key] = self._packed(operand, axis)
        return self._vectors[key]

    def _packed(self, operand: Any, axis: int) -> Ref:
        ref = self.plain(operand)
        channels, *plane = ref.shape[axis:]
        if math.prod(plane) == 1:
            dense = ref.storage.kind == "common" and not ref.offset and ref.strides[axis] == 1
            if not dense:
                whole = self._numbers((channels,))
                source = ref._replace(shape=(channels,), strides=(ref.strides[axis],))
                self._copy(operand, source, whole)
                ref = whole
            lanes = self._seen_as(ref.storage, self.lanes)
            ones = [0] * len(plane)
            return Ref(lanes, (self.blocks(channels), *plane), (self.lanes, *ones))
        to = Storage("common", (self.blocks(channels), *plane), self.lanes).ref
        self._exchange(Pack, ref._replace(shape=ref.shape[axis:], strides=ref.strides[axis:]), to,
                       self._is_early(operand))  # fmt: skip
        return to

    def _unpacked(self, symbol: Symbol) -> Ref:
        ref = self._vectors[symbol]
        alone = math.prod(symbol.shape[2:]) == 1 and not ref.storage.border
        if alone and symbol not in self._asked:
            numbers = self._seen_as(ref.storage, 1)
            return Ref(numbers, symbol.shape, Storage("common", symbol.shape).ref.strides)
        to = self._plain_room(symbol)
        self._exchange(Unpack, to._replace(shape=to.shape[1:], strides=to.strides[1:]), ref, False)
        return to

    def _exchange(self, kind: Any, array: Ref, vectors: Ref, early: bool) -> None:
        """Numbers (C, …) to vectors or back."""
        channels, lanes = array.shape[0], self.lanes
        step, *strides = array.strides

        def call(block: int) -> Work:
            images = min(lanes, channels - block * lanes)
            kernel = kind(array.shape[1:], (step, *strides), Place(vectors.strides[1:]), images)
            moved = shifted(vectors, block * vectors.strides[0])
            return Work(kernel, [shifted(array, block * lanes * step), moved])

        blocks, numbers = self.blocks(channels), math.prod(array.shape)

        def calls(thread: int, threads: int) -> list[Work]:
            return [call(block) for block in share(blocks, thread, threads, numbers)]

        self.add(Job(kind.__name__.lower(), calls), early)

    def _is_early(self, operand: Any) -> bool:
        return not isinstance(operand, Symbol) or operand in self.uses.early

    def find(self, shape: Shape, operand: Any) -> Ref:
        """An operand for a loop over vectors that are channels of an array of this shape."""
        given = operand.shape if isinstance(operand, Symbol) else np.shape(operand)
        axis = len(given) - (len(shape) - 1)  # that of the channels
        if isinstance(operand, Symbol) and operand in self.uses.channels:
            if given[1] == shape[1]:
                return self.vectors(operand)
        elif axis >= 0 and given[axis] > 1:
            return self.vectors(operand, axis)
        ref, axis = self.plain(operand), max(axis, 0)
        return ref._replace(shape=ref.shape[axis:], strides=ref.strides[axis:])

    # -- jobs ----------------------------------------------------------------------------------

    def is_stored(self, symbol: Symbol) -> bool:
        """Whether a symbol lies in memory."""
        return symbol in self.uses.stored

    def add(self, job: Job, early: bool = False) -> None:
        """Put a job at the end."""
        (self._early if early else self._main).append(job)

    def group(self, symbol: Symbol, given: Symbol | None = None) -> Group:
        """A loop over the elements of a symbol, or the end of the layer that gives it."""
        if symbol in self.uses.channels:
            shape = (1, self.blocks(symbol.shape[1]), *symbol.shape[2:])
            return Group(shape, True, given, self.is_stored)
        return Group(symbol.shape, False, given, self.is_stored)

    def store(self, group: Group, symbol: Symbol) -> None:
        """Let a group write a symbol."""
        group.store(symbol, self._room(symbol), self._finder(symbol))

    def _finder(self, symbol: Symbol) -> Any:
        return partial(self.find, symbol.shape) if symbol in self.uses.channels else self.plain

    def made(self, symbol: Symbol, job: Job, early: bool = False) -> None:
        """Add the job that makes a symbol."""
        self.add(job, early)
        self._position[symbol] = -1 if early else len(self._main) - 1

    def _place(self, operation: Operation) -> None:
        result, name = operation.result, operation.name
        if name in LAYERS:
            layers.place(self, operation)
        elif name in REDUCED:
            self._reduction(operation)
        elif name in UNSTORED:
            if result in self.uses.channels:
                self.vectors(result)
        elif result in self.uses.stored and result in self.uses.early:
            group = self.group(result)
            self.store(group, result)
            self.made(result, job(tasks.loop(group, 0)), early=True)
        elif result in self.uses.stored:
            self._elementwise(operation)

    def _elementwise(self, operation: Operation) -> None:
        """Join the last loop over the same elements that can compute it as well, or begin one."""
        result = operation.result
        like, leaves = self.group(result), list(self.uses.leaves(operation))
        for index in range(len(self._main) - 1, -1, -1):
            group = self._main[index].group
            if group is None or (group.shape, group.batched) != (like.shape, like.batched):
                continue
            if all(self._known(leaf, result, group, index) for leaf in leaves):
                self.store(group, result)
                self._position[result] = index
                return
        self.store(like, result)
        self.made(result, job(tasks.loop(like, 0)))

    def _known(self, leaf: Symbol, over: Symbol, group: Group, index: int) -> bool:
        """Whether a value is there, as the job of this index needs it."""
        if leaf is group.given or leaf in group.made or leaf in self.uses.early:
            return True
        shown = viewed(leaf)
        if shown is None:
            return True
        if over in self.uses.channels:
            alike = leaf in self._vectors and leaf.shape[:2] == over.shape[:2]
        else:  # and no copy, which may come later than what it was made of
            there = leaf in self._plain and shown in self._plain
            alike = there and self._plain[leaf].storage is self._plain[shown].storage
            alike &= shown not in self.uses.channels
        return alike and self._position.get(shown, index) < index

    def _reduction(self, operation: Operation) -> None:
        x, result = operation.args[0], operation.result
        lanes = x in self.uses.channels and by_channels(operation)
        axes = tuple(a for a in reduced_axes(operation) if a or not lanes)
        group = self.group(x) if lanes else Group(x.shape, False, None, self.is_stored)
        kept = tuple(n for i, n in enumerate(group.lengths) if i + lanes not in axes)
        to = self._room(result)
        if lanes and result not in self.uses.channels:  # a number for each channel
            if to.storage.kind == "slot":
                to = self._plain[result] = self._numbers(result.shape)
            storage = self._seen_as(to.storage, self.lanes)
            to = Ref(storage, kept, (self.lanes, *[0] * (len(kept) - 1)))
        packed = _found(operation, to.reshaped(kept))
        find = partial(self.find, x.shape) if lanes else self.plain
        group.reduce(operation, axes, packed, find)
        self.made(result, job(tasks.loop(group, 0)), self._is_early(result))

    def _write_outputs(self) -> None:
        """What does not lie in its slot yet is copied there."""
        for number, output in enumerate(self.outputs):
            if not isinstance(output, Symbol):
                continue
            ref, slot = self.plain(output), self.slot("out", number)
            if ref.storage.kind != "slot" or ref.storage.slot != slot:
                self._copy(output, ref, Storage("slot", output.shape, 1, slot=slot).ref)


def _found(operation: Operation, ref: Ref | None) -> Ref:
    if ref is None:
        raise unsupported(operation, "it is no view of what lies in memory")
    return ref
