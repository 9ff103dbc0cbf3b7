"""A model recorded on two batches of different size: what differs depends on the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from ... import nn
from ..._core.context import no_grad
from ..._core.tensor import Tensor
from ...compiler._signature import flatten
from ...compiler._symbols import Operation, Symbol, UntraceableError
from ...compiler._trace import Trace
from ...errors import ArgumentError, GraphError
from ...typing import Array, Shape
from ._layers import SWAPS

__all__ = ["Dims", "Pair", "Recorded", "record"]

_BATCHES = (2, 3)  # not 1, which broadcasts


class Dims(NamedTuple):
    """A setting with its values in the two recordings."""

    first: Any
    second: Any

    @property
    def is_fixed(self) -> bool:
        """Whether the batch has no influence on it."""
        return _alike(self.first, self.second)


class Pair(NamedTuple):
    """The same operation in the two recordings."""

    first: Operation
    second: Operation

    def setting(self, name: str) -> Dims:
        """A setting of the operation."""
        return Dims(self.first.params[name], self.second.params[name])


class Recorded(NamedTuple):
    """What a model does, in two programs that correspond line by line.

    Attributes:
        batches: the number of examples in the two.
        traces: the two.
        pairs: of their operations.
        shapes: for each symbol of the first program its shape in both.
    """

    batches: Shape
    traces: tuple[Trace, Trace]
    pairs: list[Pair]
    shapes: dict[Symbol, Dims]


class _Recording(Trace):
    """A trace for now alone: arrays that the model makes may be others in a later call."""

    def _check_captured(self) -> None:
        pass


@contextmanager
def _in_use(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and back to that of each module."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def record(model: nn.Module, examples: Sequence[Array], batch_is_free: bool) -> Recorded:
    """Record a model as it is used, not as it is trained.

    Raises:
        GraphError: what it does cannot be recorded.
        ArgumentError: it does other things for another number of examples.
    """
    sizes = _BATCHES if batch_is_free else (examples[0].shape[0] if examples[0].ndim else 1,) * 2
    traces = []
    with _in_use(model), no_grad():
        for size in sizes:
            given = [np.resize(x, (size, *x.shape[1:])) for x in examples] if batch_is_free else (
                list(examples)
            )  # fmt: skip
            leaves: list[Any] = []
            structure = flatten((tuple(map(Tensor, given)), {}), leaves)
            try:
                traces.append(_Recording(model, structure, leaves, SWAPS))
            except UntraceableError as error:
                raise GraphError(f"export_onnx: the model can't be recorded: {error}") from None
    return Recorded(sizes, (traces[0], traces[1]), *_matched(traces[0], traces[1]))


def _matched(first: Trace, second: Trace) -> tuple[list[Pair], dict[Symbol, Dims]]:
    """The operations of two programs side by side.

    Raises:
        ArgumentError: the programs do not correspond.
    """
    mine, other = first.program, second.program
    same = len(mine.operations) == len(other.operations) and len(mine.inputs) == len(other.inputs)
    pairs = [Pair(*ab) for ab in zip(mine.operations, other.operations, strict=False)]
    odd = next((a for a, b in pairs if a.name != b.name), None)
    if not same or odd is not None or len(mine.outputs) != len(other.outputs):
        where = "" if odd is None else f", at {odd.source}"
        raise ArgumentError(
            "export_onnx: the model does different things for different numbers of images"
            f"{where}: a graph can't say that; free_batch=False exports it for the example's"
        )
    _check_arrays(first, second)
    inputs = zip(mine.inputs, other.inputs, strict=True)
    shapes = {a: Dims(a.shape, b.shape) for a, b in inputs}
    shapes |= {a.result: Dims(a.result.shape, b.result.shape) for a, b in pairs}
    return pairs, shapes


def _check_arrays(first: Trace, second: Trace) -> None:
    """Refuse arrays from outside that are not the same in both.

    Raises:
        ArgumentError: there is one.
    """
    for pairs in (
        zip(first.tracer.constants.values(), second.tracer.constants.values(), strict=True),
        zip(first.tracer.parameters.values(), second.tracer.parameters.values(), strict=True),
    ):
        for a, b in pairs:
            mine, other = (x.data if isinstance(x, Tensor) else x for x in (a, b))
            if mine is not other and not _alike(mine, other):
                raise ArgumentError(
                    f"export_onnx: the model makes an array of shape {np.shape(mine)} that is"
                    " another one for another number of images"
                )


def _alike(a: Any, b: Any) -> bool:
    """Whether two settings, or constants, are the same."""
    if isinstance(a, Symbol) or isinstance(b, Symbol):  # before arrays, for which they pass
        return isinstance(a, Symbol) and isinstance(b, Symbol)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_alike, a, b))
    if isinstance(a, slice) and isinstance(b, slice):
        return (a.start, a.stop, a.step) == (b.start, b.stop, b.step)
    return type(a) is type(b) and bool(a == b or (a != a and b != b))
