"""What a model is made of: one row for each layer, in order of execution."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import nn
from .._core.context import no_grad
from .._core.tensor import Tensor, as_tensor, raw
from ..errors import ArgumentError
from ..nn._mode import mode
from ..typing import Array, Shape

__all__ = ["Row", "Summary", "summary"]


@dataclass(frozen=True)
class Row:
    """One call of a layer.

    Attributes:
        name: the path of the layer in the model.
        type: its class.
        output_shape: of what it returned.
        parameters: how many numbers it learns; 0 where an earlier row has counted them.
        multiply_adds: of a convolution or linear layer, without the bias; else 0.
        activation_bytes: the memory of its output; 0 where that shares the input's.
    """

    name: str
    type: str
    output_shape: Shape
    parameters: int
    multiply_adds: int
    activation_bytes: int


@dataclass(frozen=True)
class Summary:
    """The rows of a model and their totals; ``print`` shows it as a table.

    Attributes:
        model: the class of the model.
        input_shape: what went in, the batch first.
        rows: one for each call of a layer, in order of execution.
        parameters: how many numbers the model learns, shared ones counted once.
        trainable: how many of them are not frozen.
    """

    model: str
    input_shape: Shape
    rows: tuple[Row, ...]
    parameters: int
    trainable: int

    @property
    def multiply_adds(self) -> int:
        """Of all convolutions and linear layers, for the whole batch."""
        return sum(row.multiply_adds for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """The memory of all outputs, for the whole batch."""
        return sum(row.activation_bytes for row in self.rows)

    def _cells(self) -> list[tuple[str, ...]]:
        header = ("layer", "type", "output shape", "parameters", "multiply-adds", "activations")
        rows = [
            (
                row.name,
                row.type,
                str(row.output_shape),
                f"{row.parameters:,}",
                f"{row.multiply_adds:,}",
                _memory(row.activation_bytes),
            )
            for row in self.rows
        ]
        total = (
            "total",
            self.model,
            "",
            f"{self.parameters:,}",
            f"{self.multiply_adds:,}",
            _memory(self.activation_bytes),
        )
        return [header, *rows, total]

    def _note(self) -> str:
        frozen = self.parameters - self.trainable
        return (
            f"input {self.input_shape}, {self.trainable:,} parameters trainable, {frozen:,} frozen"
        )

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if column < 3 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in cells
        ]
        rule = "-" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], self._note()])

    def _repr_html_(self) -> str:
        """The table as notebooks show it."""
        from html import escape

        def line(cells: tuple[str, ...], tag: str) -> str:
            return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

        header, *rows, total = self._cells()
        body = "".join(line(cells, "td") for cells in rows)
        return (
            f"<table><caption>{escape(self._note())}</caption>"
            f"{line(header, 'th')}{body}{line(total, 'th')}</table>"
        )


def summary(model: nn.Module, inputs: Shape | Array | Tensor) -> Summary:
    """Run a model once and tell what each layer made, and at what cost.

    The model runs as in use, without recording, and is afterwards as it was before. What its
    ``forward`` does by functions shows in no row.

    Args:
        model: any module that takes one array.
        inputs: a batch, or its shape, such as (1, 1, 28, 28). Costs are for the whole batch.

    Raises:
        ArgumentError: ``inputs`` is neither an array nor a shape, or a layer returns no array.
        ShapeError: the input does not fit the model.

    >>> import tinygrad_cnn as tc
    >>> net = tc.nn.Sequential(tc.nn.Conv2d(1, 4, 3), tc.nn.ReLU(), tc.nn.MaxPool2d(2))
    >>> print(tc.models.summary(net, (1, 1, 8, 8)))
    layer  type        output shape  parameters  multiply-adds  activations
    -----------------------------------------------------------------------
    0      Conv2d      (1, 4, 6, 6)          40          1,296      0.6 KiB
    1      ReLU        (1, 4, 6, 6)           0              0      0.6 KiB
    2      MaxPool2d   (1, 4, 3, 3)           0              0      0.1 KiB
    -----------------------------------------------------------------------
    total  Sequential                        40          1,296      1.3 KiB
    input (1, 1, 8, 8), 40 parameters trainable, 0 frozen
    """
    parameters = list(model.parameters())
    x = _batch(inputs, parameters)
    rows: list[Row] = []
    with no_grad(), mode(model, training=False), _recording(model, rows):
        model(x)
    return Summary(
        type(model).__name__,
        x.shape,
        tuple(rows),
        parameters=sum(p.size for p in parameters),
        trainable=sum(p.size for p in parameters if p.requires_grad),
    )


def _batch(inputs: Any, parameters: list[nn.Parameter]) -> Tensor:
    """The inputs as they are, or random numbers of their shape in the dtype of the model."""
    if isinstance(inputs, (np.ndarray, Tensor)):
        return as_tensor(inputs)
    lengths = inputs if isinstance(inputs, (tuple, list)) else ()
    if not lengths or not all(isinstance(n, (int, np.integer)) and n > 0 for n in lengths):
        raise ArgumentError(
            f"summary: expected an array or a shape such as (1, 1, 28, 28), got {inputs!r}"
        )
    dtype = parameters[0].dtype if parameters else np.float32
    return Tensor(np.random.default_rng(0).random(lengths).astype(dtype))


@contextmanager
def _recording(model: nn.Module, rows: list[Row]) -> Iterator[None]:
    """Append a row whenever a module that holds parameters, or no modules, has run."""
    counted: set[nn.Parameter] = set()

    def record(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        kind = type(module).__name__
        if not isinstance(output, (Tensor, np.ndarray)):
            raise ArgumentError(
                f"summary: {name or kind} returned a {type(output).__name__}, expected one array"
            )
        own = set(module.parameters(recurse=False)) - counted
        counted.update(own)
        arrays = [raw(arg) for arg in args if isinstance(arg, (Tensor, np.ndarray))]
        shared = any(np.may_share_memory(raw(output), array) for array in arrays)
        row = Row(
            name or kind,
            kind,
            output.shape,
            parameters=sum(parameter.size for parameter in own),
            multiply_adds=_multiply_adds(module, output.shape),
            activation_bytes=0 if shared else raw(output).nbytes,
        )
        rows.append(row)

    handles = [
        module.register_forward_hook(
            lambda module, args, output, name=name: record(name, module, args, output)
        )
        for name, module in model.named_modules()
        if not list(module.children()) or list(module.parameters(recurse=False))
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _multiply_adds(module: nn.Module, output: Shape) -> int:
    """Every output of a convolution or linear layer is a sum over its weights."""
    if not isinstance(module, (nn.Conv2d, nn.Linear)):
        return 0
    return math.prod(output) * math.prod(module.weight.shape[1:])


def _memory(size: int) -> str:
    return f"{size / 2**10:,.1f} KiB" if size < 2**20 else f"{size / 2**20:,.1f} MiB"
