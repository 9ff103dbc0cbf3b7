"""What a model is made of: one row for each layer, in order of execution."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from statistics import median
from time import perf_counter

from ... import nn
from ..._arguments import whole
from ..._core.context import Scope, no_grad
from ..._core.tensor import Tensor
from ...nn._mode import mode
from ...typing import Array, Shape
from ._calls import Call, Operation, batch, run, variable
from ._table import Cells, as_html, as_text, bytes_text, count_text
from .receptive_field import ReceptiveField, fields_by_call
from .training_memory import TrainingMemory, training_memory

__all__ = ["Row", "Summary", "summary"]

_RUNS = 5
_PRODUCTS = ("matmul", "einsum")


@dataclass(frozen=True)
class Row:
    """One call of a layer, of a function outside of the layers, or of a group of them.

    Attributes:
        name: the path of the layer in the model; of a function, its module's and its own name.
        type: the class of the layer; ``"function"`` or ``"operation"`` for what ``forward`` does
            without a layer.
        output_shape: of what it returned.
        activations: how many numbers it made; 0 where its output shares the input's memory.
        activation_bytes: their memory.
        volume: the same number as the CS231n notes count: 0 for elementwise layers, which could
            work in place.
        parameters: how many numbers it learns; 0 where an earlier row has counted them.
        flops: floating-point operations of the forward pass, see ``ops.flops``.
        multiply_adds: how many of them are pairs in matrix products, as in convolutions.
        sees: the receptive field; None if it does not depend on the image, or there is none.
        seconds: how long the layer took; None where it was not measured.
    """

    name: str
    type: str
    output_shape: Shape
    activations: int
    activation_bytes: int
    volume: int
    parameters: int
    flops: int
    multiply_adds: int
    sees: ReceptiveField | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Summary:
    """The rows of a model and their totals; ``print`` shows it as a table.

    Attributes:
        model: the class of the model.
        input_shape: what went in, the batch first. All costs are for the whole batch.
        rows: in order of execution.
        parameters: how many numbers the model learns, shared ones counted once.
        trainable: how many of them are not frozen.
        seconds: how long the model took; None if it was not measured.
        unknown: the primitives whose FLOPs are not known and not counted.
        module: the model itself.
    """

    model: str
    input_shape: Shape
    rows: tuple[Row, ...]
    parameters: int
    trainable: int
    seconds: float | None = None
    unknown: tuple[str, ...] = ()
    module: nn.Module = field(kw_only=True, repr=False, compare=False)

    @property
    def activations(self) -> int:
        """How many numbers all rows made."""
        return sum(row.activations for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """The memory of all outputs."""
        return sum(row.activation_bytes for row in self.rows)

    @property
    def volumes(self) -> int:
        """The numbers that the CS231n notes count: the input and what is not elementwise.

        For VGG-16 15,237,608, of 4 bytes each 58 MiB. The notes' table lists the same volumes
        and prints 24M and 93MB below them. No count gives that: with the ReLUs apart there are
        28.8 million; with a padded copy of what each convolution sees 24.9 million.
        """
        return math.prod(self.input_shape) + sum(row.volume for row in self.rows)

    @property
    def flops(self) -> int:
        """Floating-point operations of the forward pass."""
        return sum(row.flops for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Of all matrix products."""
        return sum(row.multiply_adds for row in self.rows)

    def memory(self, optimizer: str = "sgd", batch: int | None = None) -> TrainingMemory:
        """What a training step would take, see ``training_memory``.

        Args:
            optimizer: "sgd", "momentum", "adam" or another.
            batch: how many examples; by default as many as went in.

        >>> import tinygrad_cnn as tc
        >>> lenet = tc.models.summary(tc.models.LeNet5(), (1, 1, 28, 28))
        >>> print(lenet.memory("momentum", batch=64))
        memory               at the peak
        --------------------------------
        inputs                 196.0 KiB
        activations              2.6 MiB
        workspace               10.3 MiB
        gradients                4.1 MiB
        parameters             241.0 KiB
        parameter gradients    231.1 KiB
        optimizer state        241.0 KiB
        scratch                482.1 KiB
        --------------------------------
        total                   18.3 MiB
        LeNet5, momentum, batch (64, 1, 28, 28)
        the peak: backward through conv2 (Conv2d)
        the recipe of the CS231n notes: 5.2 MiB
        """
        images = self.input_shape[0] if batch is None else whole("memory", "batch", batch)
        return training_memory(self.module, (images, *self.input_shape[1:]), optimizer)

    def _cells(self) -> list[Cells]:
        header = ("layer", "type", "output shape", "activations", "memory", "parameters", "FLOPs")
        rows = [(row.name, row.type, str(row.output_shape), *_numbers(row)) for row in self.rows]
        cells = [header, *rows, ("total", self.model, "", *_numbers(self))]
        if any(row.sees for row in self.rows):
            sees = (str(row.sees) if row.sees else "" for row in self.rows)
            cells = _beside(cells, ["sees", *sees, ""])
        if self.seconds is not None:
            times = (row.seconds for row in self.rows)
            cells = _beside(cells, ["ms", *map(_milliseconds, (*times, self.seconds))])
        return cells

    def _note(self) -> str:
        frozen = self.parameters - self.trainable
        idle = self.parameters - sum(row.parameters for row in self.rows)
        lines = [
            f"input {self.input_shape}, {self.trainable:,} parameters trainable, {frozen:,} frozen"
        ]
        if idle:
            lines.append(f"{idle:,} parameters in layers that did not run")
        lines.append(
            f"FLOPs of the forward pass, {count_text(self.multiply_adds)} multiply-adds counted as"
            " two each"
        )
        if self.unknown:
            lines[-1] += f"; without {', '.join(self.unknown)}, whose cost is not known"
        lines.append(
            f"volumes as the CS231n notes list them, elementwise layers in place:"
            f" {count_text(self.volumes)} numbers with the input"
        )
        return "\n".join(lines)

    def __str__(self) -> str:
        return as_text(self._cells(), 3, self._note())

    def _repr_html_(self) -> str:
        """The table as notebooks show it."""
        return as_html(self._cells(), self._note())


def _numbers(row: Row | Summary) -> Cells:
    return (
        count_text(row.activations),
        bytes_text(row.activation_bytes),
        f"{row.parameters:,}",
        count_text(row.flops),
    )


def _beside(cells: list[Cells], column: list[str]) -> list[Cells]:
    return [(*row, cell) for row, cell in zip(cells, column, strict=True)]


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{1e3 * seconds:,.2f}"


def summary(
    model: nn.Module,
    inputs: Shape | Array | Tensor,
    *,
    depth: int | None = None,
    time: bool = False,
) -> Summary:
    """Run a model once and tell what each layer made, and at what cost.

    The model runs as in use and is afterwards as it was before. What its ``forward`` does without
    a layer has rows of its own, such as the sum of a residual block, so that the totals are
    complete; what costs nothing, such as a reshape, has none. A layer that is called twice has
    two rows, its parameters count in the first.

    Args:
        model: any module that takes one array.
        inputs: a batch, or its shape, such as (1, 1, 28, 28).
        depth: how many names of a path are shown; what lies deeper is summed up in one row, at 1
            for each child of the model. None shows all layers.
        time: whether to measure how long the layers take as well: the median of 5 runs, without
            recording.

    Raises:
        ArgumentError: ``inputs`` is neither an array nor a shape, ``depth`` no positive integer,
            or a layer returns no array.
        ShapeError: the input does not fit the model.

    >>> import tinygrad_cnn as tc
    >>> net = tc.nn.Sequential(tc.nn.Conv2d(1, 4, 3), tc.nn.ReLU(), tc.nn.MaxPool2d(2))
    >>> print(tc.models.summary(net, (1, 1, 8, 8)))
    layer  type        output shape  activations   memory  parameters   FLOPs  sees
    -------------------------------------------------------------------------------
    0      Conv2d      (1, 4, 6, 6)          144  0.6 KiB          40  2.74 K   3x3
    1      ReLU        (1, 4, 6, 6)          144  0.6 KiB           0     144   3x3
    2      MaxPool2d   (1, 4, 3, 3)           36  0.1 KiB           0       0   4x4
    -------------------------------------------------------------------------------
    total  Sequential                        324  1.3 KiB          40  2.88 K
    input (1, 1, 8, 8), 40 parameters trainable, 0 frozen
    FLOPs of the forward pass, 1.30 K multiply-adds counted as two each
    volumes as the CS231n notes list them, elementwise layers in place: 244 numbers with the input
    """
    x = variable(batch(inputs, model, "summary"))
    if depth is not None:
        whole("summary", "depth", depth)
    ran = run(model, x, "summary")
    fields = fields_by_call(ran, x.shape) if x.ndim > 2 else {}
    seconds, total = _times(model, x, ran.calls) if time else ({}, None)
    parameters = list(model.parameters())
    return Summary(
        type(model).__name__,
        x.shape,
        _rows(ran.calls, fields, seconds, depth),
        parameters=sum(p.size for p in parameters),
        trainable=sum(p.size for p in parameters if p.requires_grad),
        seconds=total,
        unknown=tuple(dict.fromkeys(o.name for o in ran.operations if o.flops is None)),
        module=model,
    )


def _rows(
    calls: Iterable[Call],
    fields: Mapping[Call, ReceptiveField],
    seconds: Mapping[Call, float],
    depth: int | None,
) -> tuple[Row, ...]:
    counted: set[nn.Parameter] = set()
    groups: dict[Scope | Call, list[tuple[Call, Row]]] = {}
    for call in calls:
        if not call.is_idle:
            row = _row(call, counted, fields.get(call), seconds.get(call))
            groups.setdefault(_group(call, depth), []).append((call, row))
    return tuple(_summed(group, members, depth) for group, members in groups.items())


def _row(
    call: Call, counted: set[nn.Parameter], seen: ReceptiveField | None, seconds: float | None
) -> Row:
    own = set(call.module.parameters(recurse=False)) - counted if call.module else set()
    counted.update(own)
    return Row(
        call.name,
        call.type,
        call.output_shape,
        activations=call.activations,
        activation_bytes=call.nbytes,
        volume=call.volume,
        parameters=sum(parameter.size for parameter in own),
        flops=call.flops,
        multiply_adds=sum(map(_multiply_adds, call.operations)),
        sees=seen,
        seconds=seconds,
    )


def _multiply_adds(operation: Operation) -> int:
    return (operation.flops or 0) // 2 if operation.name in _PRODUCTS else 0


def _group(call: Call, depth: int | None) -> Scope | Call:
    """The call of the module that a row is summed up in; a call itself stands alone."""
    inside = len(call.scopes) - (call.module is not None)
    return call.scopes[depth] if depth is not None and depth < inside else call


def _summed(group: Scope | Call, members: list[tuple[Call, Row]], depth: int | None) -> Row:
    last, row = members[-1]
    if isinstance(group, Call):
        return row
    rows = [row for _, row in members]
    times = [row.seconds for row in rows if row.seconds is not None]
    return replace(
        row,
        name=".".join(scope.name for scope in last.scopes[1 : (depth or 0) + 1]),
        type=str(group.params["type"]),
        seconds=sum(times) if times else None,
        **{name: sum(getattr(row, name) for row in rows) for name in _SUMMED},
    )


_SUMMED = (
    "activations", "activation_bytes", "volume", "parameters", "flops", "multiply_adds",
)  # fmt: skip


def _times(model: nn.Module, x: Tensor, calls: Iterable[Call]) -> tuple[dict[Call, float], float]:
    """The median time of each layer and of the model, without recording."""
    layers = [call for call in calls if call.module is not None]
    modules = {call.module for call in layers if call.module is not None}
    started: list[float] = []
    passed: list[float] = []
    with no_grad(), mode(model, training=False), ExitStack() as stack:
        for module in modules:
            start = module.register_forward_pre_hook(
                lambda module, args: started.append(perf_counter())
            )
            stop = module.register_forward_hook(
                lambda module, args, output: passed.append(perf_counter() - started.pop())
            )
            stack.callback(start.remove)
            stack.callback(stop.remove)
        runs = []
        for _ in range(_RUNS + 1):  # the first one is not counted
            passed.clear()
            start_of_run = perf_counter()
            model(x)
            runs.append((*passed, perf_counter() - start_of_run))
    *each, total = (median(times) for times in zip(*runs[1:], strict=True))
    return dict(zip(layers, each, strict=True)), total
