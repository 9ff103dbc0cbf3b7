"""What is known about a rewritten model: compared with the one that it was made from."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from ... import nn
from ..._core.backprop import consumers_first, gradients
from ..._core.node import Node
from ..._core.tensor import Tensor
from ...errors import ArgumentError, GraphError
from ...nn._volatile import untouched
from ...ops.cost import flops
from ...typing import Array, Shape
from .._chain import result
from ..inspection._calls import batch

TOLERANCE = 1e-10


@dataclass(frozen=True)
class Proof:
    """A comparison of two models in use, in float64, on random images.

    Attributes:
        output_error: the largest difference of outputs, over the largest output; None where the
            rewrite keeps the structure alone, so that outputs have nothing to do with each other.
        gradient_error: the same for the gradient of a random sum of outputs by the image.
        parameters: how many numbers are learned, before and after.
        flops: floating-point operations of the forward pass, before and after.
        input_shape: of the images it was measured with.
        changes: what became of which layer.
    """

    output_error: float | None
    gradient_error: float | None
    parameters: tuple[int, int]
    flops: tuple[int, int]
    input_shape: Shape
    changes: tuple[str, ...]

    def __str__(self) -> str:
        if self.output_error is None:
            equal = "structure only: the new layers have weights of their own, outputs differ"
        else:
            equal = (
                f"outputs equal to {self.output_error:.1e}, input gradients to"
                f" {self.gradient_error:.1e} (relative, float64)"
            )
        return "\n".join(
            [
                *self.changes,
                f"on images {self.input_shape}: {equal}",
                f"parameters {_change(*self.parameters)}",
                f"FLOPs {_change(*self.flops)}",
            ]
        )


@dataclass(frozen=True)
class Rewrite:
    """A rewritten model and what was proved about it; ``print`` shows the proof.

    Attributes:
        model: the new model, which shares no array with the one it was made from.
        proof: how the two compare.
    """

    model: nn.Module
    proof: Proof

    def __str__(self) -> str:
        return str(self.proof)


def proved(
    before: nn.Module,
    after: nn.Module,
    input_shape: Shape,
    changes: Sequence[str],
    what: str,
    structure_only: bool = False,
) -> Rewrite:
    """The rewritten model, back in the dtype of the given one, with its proof.

    Raises:
        ArgumentError: the shape is none, or the model returns other than one Tensor.
        GraphError: the two are not equal to 1e-10, so that the rewrite does not apply.
    """
    shape = batch(input_shape, before, what).shape
    x = np.random.default_rng(0).standard_normal(shape)
    old, new = _measure(before, x, what), _measure(after, x, what)
    errors = _error(old.outputs, new.outputs), _error(old.gradient, new.gradient)
    if not structure_only and not all(error <= TOLERANCE for error in errors):  # as with NaN
        raise GraphError(
            f"{what}: the rewritten model is not equal to the given one: outputs differ by"
            f" {errors[0]:.1e}, input gradients by {errors[1]:.1e} (relative). The model uses"
            f" a layer in a way that its modules do not tell: {'; '.join(changes)}"
        )
    proof = Proof(
        None if structure_only else errors[0],
        None if structure_only else errors[1],
        (_count(before), _count(after)),
        (old.operations, new.operations),
        shape,
        tuple(changes),
    )
    dtype = next((p.dtype for p in before.parameters()), np.dtype(np.float32))
    return Rewrite(after.astype(dtype), proof)


def _count(model: nn.Module) -> int:
    return sum(p.size for p in model.parameters())


def in_float64(model: nn.Module, what: str) -> nn.Module:
    """A copy in which a rewrite is done, so that rounding does not hide what it changes.

    Raises:
        ArgumentError: it is no model.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"{what}: expected a model (nn.Module), got {type(model).__name__}")
    return copy.deepcopy(model).double()


class _Measured(NamedTuple):
    outputs: Array  # a row for each image
    gradient: Array  # of a random sum of outputs, by the images
    operations: int


def _measure(model: nn.Module, values: Array, what: str) -> _Measured:
    """A copy of the model in float64, run forward and backward."""
    x = Tensor(values, requires_grad=True)
    double = in_float64(model, what)
    with untouched(double):
        y = result(double, x, what)
        operations = sum(map(_operations, consumers_first([cast(Node, y.node)])))
        rows = y.reshape(len(values), -1)
        upstream = np.random.default_rng(1).standard_normal(rows.shape)
        [gradient] = gradients(rows, [x], upstream)
    return _Measured(rows.numpy(), np.asarray(gradient), operations)


def _operations(node: Node) -> int:
    """Of one vertex; none where its cost is not known."""
    if node.primitive is None:
        return 0
    shapes = [np.shape(arg) for arg in node.args or ()]
    try:
        return flops(node.primitive.name, shapes, np.shape(cast(Any, node.ans)), node.params)
    except ArgumentError:
        return 0


def _error(old: Array, new: Array) -> float:
    if old.shape != new.shape:
        return np.inf
    largest = float(np.abs(old).max(initial=0.0))
    return float(np.abs(old - new).max(initial=0.0)) / (largest or 1.0)


def _change(before: int, after: int) -> str:
    if before == after:
        return f"{before:,} as before"
    factor = f" ({after / before:.3g} times)" if abs(after - before) > before / 100 > 0 else ""
    return f"{before:,} -> {after:,}{factor}"
