"""Makes the plan of a program: its tasks, and the storages that they work on."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ....typing import Shape
from ..._executors import UnsupportedError
from ..._program import Program
from ..._symbols import Operation, Symbol
from . import layers, tasks
from .analysis import COMMON, Analysis
from .batch import (
    HEAVY,
    REDUCED,
    UNSTORED,
    Batch,
    is_elementwise,
    reduced_axes,
    unsupported,
    viewed,
)
from .groups import Group
from .storage import Ref, Storage
from .views import view

_MOST_STEPS = 128  # of a loop that others may join: what it knows must stay in registers or near


class Plan:
    """The tasks of a program, in order within each stage.

    Attributes:
        stages: the tasks of each stage of the analysis.
        inputs: the number of each of the program's inputs.
        packed: inputs with the batch, and where their images are copied to as lanes.
        slots: what the arrays are that are given in each run: ("in", number of the input) or
            ("out", number of the output).
        unpacked: outputs with the batch: the number of each, and where its lanes are.
        aliases: for the numbers of outputs those of the inputs whose arrays they may replace.
        constants: arrays that belong to the program, and where they lie.
        zeroed, written: what each thread has for itself: added to from zero, or written.
        copies: values that were copied into zeros, by the symbol and its border.
        switches: where the winners of a max-pool are noted, by its operand and windows.
        weights: views of parameters, copied so that their numbers lie side by side.
        filters: transformed filters for Winograd's algorithm.
        position: of what is computed the stage, and the place of its task in it.
    """

    def __init__(
        self,
        program: Program,
        arguments: list[Symbol],
        lanes: int,
        itemsize: int,
        threads: int,
        accuracy: str = "default",
        aliases: Mapping[int, int] | None = None,
    ) -> None:
        self.program, self.lanes, self.itemsize = program, lanes, itemsize
        self.accuracy = accuracy
        self.batch = Batch(program, arguments)
        self.threads = max(1, min(threads, -(-self.batch.size // lanes)))
        self.aliases = self._usable(aliases or {})
        late = {program.outputs[number] for number in self.aliases}
        self.analysis = Analysis(program, self.batch, late)
        self.stages: list[list[tasks.Task]] = [[] for _ in self.analysis.stages]
        self.packed: dict[Symbol, Storage] = {}
        self.slots: list[tuple[str, int]] = []
        self.constants: list[tuple[Storage, Any]] = []
        self.zeroed: list[Storage] = []
        self.written: list[Storage] = []
        self._storage: dict[Any, Storage] = {}
        self.copies: dict[tuple[Symbol, Any], Ref] = {}
        self.switches: dict[Any, Storage] = {}
        self.weights: dict[Symbol, Ref] = {}
        self.filters: dict[Any, Ref] = {}
        self.position: dict[Symbol, tuple[int, int]] = {}
        self.inputs = {symbol: i for i, symbol in enumerate(program.inputs)}
        self._borders = layers.borders(self)
        self._output_slots()
        for operation in program.operations:
            self._place(operation)
        self._write_view_outputs()

    def _usable(self, aliases: Mapping[int, int]) -> dict[int, int]:
        """Of the outputs that may replace inputs those that one loop computes."""
        found: dict[int, int] = {}
        seen: set[Symbol] = set()
        for number, source in aliases.items():
            output = self.program.outputs[number]
            made = output.operation if isinstance(output, Symbol) else None
            if made is None or not is_elementwise(made) or output in seen:
                continue
            if output.shape == self.program.inputs[source].shape:
                found[number] = source
                seen.add(output)
        return found

    # -- storages --------------------------------------------------------------------------

    def dims(self, symbol: Symbol) -> Shape:
        """The shape of what a storage of the symbol holds."""
        return symbol.shape[1:] if symbol in self.batch.symbols else symbol.shape

    def storage(self, symbol: Symbol) -> Storage:
        """Where a stored symbol, or an input, lies."""
        found = self._storage.get(symbol)
        if found is not None:
            return found
        batched = symbol in self.batch.symbols
        if symbol in self.inputs and not batched:
            found = Storage("slot", symbol.shape, slot=self.slot("in", self.inputs[symbol]))
        elif batched:
            border = self._borders.get(symbol, ())
            found = Storage("block", self.dims(symbol), self.lanes, border)
            found.apart = len(found.shape) == 3 and layers.may_have_gaps(self, symbol)
            if symbol in self.inputs:
                self.packed[symbol] = found
        else:
            found = Storage("common", symbol.shape)
        self._storage[symbol] = found
        return found

    def slot(self, kind: str, number: int) -> int:
        """The slot of an input ("in") or an output ("out") of the program."""
        if (kind, number) not in self.slots:
            self.slots.append((kind, number))
        return self.slots.index((kind, number))

    def find(self, operand: Any) -> Ref:
        """Where an operand lies: a symbol that is stored, a view of one, or a constant."""
        if not isinstance(operand, Symbol):
            return self._constant(operand)
        operation = operand.operation
        if operand in self._storage or operation is None or operand in self.analysis.stored:
            return self.storage(operand).ref
        if operation.name in UNSTORED:
            return self._view(operation)
        raise unsupported(operation, "its result is needed in memory, and is not there")

    def _constant(self, value: Any) -> Ref:
        key = ("constant", id(value))
        if key not in self._storage:
            array = np.array(value, dtype=np.dtype(f"f{self.itemsize}"), order="C")
            self._storage[key] = Storage("common", array.shape)
            self.constants.append((self._storage[key], array))
        return self._storage[key].ref

    def _view(self, operation: Operation) -> Ref:
        result = operation.result
        batched = result in self.batch.symbols
        shape = self.dims(result)
        if operation.name == "full":
            value = np.full((), operation.params["value"])
            return self._constant(value).broadcast(shape)
        x = operation.args[0]
        source = self.find(x)
        cut = 1 if batched else 0
        shared = not (isinstance(x, Symbol) and x in self.batch.symbols)
        if batched and shared and len(source.shape) == result.ndim:  # its first axis has one row
            source = source._replace(shape=source.shape[1:], strides=source.strides[1:])
        found = view(operation, source, shape, cut)
        if found is None:
            raise unsupported(operation, "it is no view of what lies in memory")
        return found

    # -- tasks -------------------------------------------------------------------------------

    def is_stored(self, symbol: Symbol) -> bool:
        """Whether a symbol lies in memory."""
        return symbol in self.analysis.stored

    def add(self, task: tasks.Task, makes: Symbol | None = None) -> None:
        """Put a task at the end of its stage; ``makes`` is there from then on."""
        self.stages[task.stage].append(task)
        if makes is not None:
            self.position[makes] = (task.stage, len(self.stages[task.stage]) - 1)

    def _place(self, operation: Operation) -> None:
        name, result = operation.name, operation.result
        if name in UNSTORED:
            return
        if name in HEAVY:
            layers.place(self, operation)
        elif name in REDUCED:
            self._reduction(operation)
        elif is_elementwise(operation):
            if result in self.analysis.stored:
                self._elementwise(operation)
        else:
            raise unsupported(operation, "there is no kernel for it")

    def _elementwise(self, operation: Operation) -> None:
        result, stage = operation.result, self.analysis.stage[operation]
        group = self._joinable(operation, stage, result.shape)
        if group is None:
            group = self._group(stage, result.shape, result in self.batch.symbols)
        group.store(result, self.storage(result).ref, self.find)
        self.position[result] = (stage, self._index(group, stage))

    def _group(self, stage: int, shape: Shape, batched: bool) -> Group:
        group = Group(shape, batched, None, self.is_stored)
        self.add(tasks.loop(group, stage))
        return group

    def _index(self, group: Group, stage: int) -> int:
        return next(i for i, task in enumerate(self.stages[stage]) if task.group is group)

    def _joinable(
        self, operation: Operation, stage: int, shape: Shape, reduced: Any = None
    ) -> Group | None:
        """The last group of the stage that can compute an operation as well."""
        for index in range(len(self.stages[stage]) - 1, -1, -1):
            group = self.stages[stage][index].group
            if group is None or group.shape != shape or group.steps > _MOST_STEPS:
                continue
            if reduced is not None and (
                group.given is not None or group.reduced not in (None, reduced)
            ):
                continue
            if group.batched != any(o in self.batch.symbols for o in operation.operands()):
                continue
            leaves = self.analysis.leaves(operation)
            if all(self._known(leaf, group, stage, index) for leaf in leaves):
                return group
        return None

    def _known(self, leaf: Symbol, group: Group, stage: int, index: int) -> bool:
        """Whether a value is there when the group of a task runs."""
        if leaf is group.given or leaf in group.made:
            return True
        shown = viewed(leaf)
        if shown is None or shown.operation is None:
            return True
        return self.position.get(shown, (math.inf, 0)) < (stage, index)

    def _reduction(self, operation: Operation) -> None:
        x, result = operation.args[0], operation.result
        axes, stage = reduced_axes(operation), self.analysis.stage[operation]
        batched = x in self.batch.symbols
        inner = tuple(a - 1 for a in axes if a > 0) if batched else axes
        group = self._joinable(operation, stage, x.shape, inner)
        if group is None:
            group = self._group(stage, x.shape, batched)
        to = self.storage(result).ref
        if batched and 0 in axes:
            if operation.name not in ("sum", "sum_to"):
                raise unsupported(operation, "over the batch there are sums alone")
            to = layers.sum_over_threads(self, result).ref
        kept = [i for i in range(x.ndim) if i not in axes and not (batched and i == 0)]
        shape = tuple(x.shape[i] for i in kept)
        packed = to.reshaped(shape)
        assert packed is not None
        group.reduce(operation, axes, packed, self.find)
        self.position.setdefault(result, (stage, self._index(group, stage)))

    # -- outputs -----------------------------------------------------------------------------

    def _output_slots(self) -> None:
        """Shared results are written where they are asked for."""
        for number, output in enumerate(self.program.outputs):
            made = output.operation if isinstance(output, Symbol) else None
            if made is None or made.name in UNSTORED:
                continue
            if output not in self.batch.symbols and output not in self._storage:
                slot = self.slot("out", number)
                self._storage[output] = Storage("slot", output.shape, slot=slot)

    def _write_view_outputs(self) -> None:
        """Results that are views, or inputs, or asked for twice are copied in the end."""
        last = max(i for i, kind in enumerate(self.analysis.stages) if kind == COMMON)
        self.unpacked: list[tuple[int, Ref]] = []
        for number, output in enumerate(self.program.outputs):
            if not isinstance(output, Symbol):
                continue
            if output in self.batch.symbols:
                self.unpacked.append((number, self.find(output)))
                continue
            storage = self._storage.get(output)
            own = storage is not None and storage.kind == "slot"
            if own and self.slots[storage.slot] == ("out", number):  # type: ignore[union-attr]
                continue
            to = Storage("slot", output.shape, slot=self.slot("out", number))
            group = Group(output.shape, False, None, self.is_stored)
            group.copy(output, to.ref, self.find)
            stage = max(last, self.analysis.ready.get(output, 0))
            if self.analysis.stages[stage] != COMMON:
                self.analysis.stages.append(COMMON)
                self.stages.append([])
                stage = last = len(self.stages) - 1
            self.add(tasks.loop(group, stage))


def check_dtypes(program: Program, draws: Collection[Symbol] = ()) -> int:
    """The size of the program's numbers; random ones are converted to it.

    Raises:
        UnsupportedError: they are of several kinds, or of none that there are kernels for.
    """
    kinds = {s.dtype for s in program.inputs if s.dtype.kind == "f" and s not in draws}
    kinds |= {o.result.dtype for o in program.operations if o.result.dtype.kind == "f"}
    if len(kinds) != 1 or next(iter(kinds)).itemsize not in (4, 8):
        names = ", ".join(sorted(map(str, kinds))) or "no floating point"
        raise UnsupportedError(f"the program has {names}: expected float32 or float64 alone")
    return int(next(iter(kinds)).itemsize)
