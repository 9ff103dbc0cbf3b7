"""What an operation does to the gradient on its way back, taken apart: upstream times local."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..._graph import Vertex
from ...typing import Array, Shape

__all__ = ["Passage", "passage"]

_REDUCTIONS = {"sum", "max", "min", "prod"}

Form = Literal["product", "spread", "matmul", "moved"]


@dataclass(frozen=True)
class Passage:
    """How one operand gets its gradient from the gradient of the result.

    Attributes:
        form: ``"product"``: upstream times factor, element for element; ``"spread"``: the same,
            upstream repeated along the axes that were reduced; ``"matmul"``: matrix product with
            the other operand, transposed; ``"moved"``: what the rule does besides.
        factor: the local gradient; a number where it is the same everywhere; None for "moved".
        whole: the product before it is summed over ``axes``, None where nothing is summed.
        axes: those of ``whole`` along which the operand was broadcast.
    """

    form: Form
    factor: Array | None = None
    whole: Array | None = None
    axes: tuple[int, ...] = ()


def passage(vertex: Vertex, index: int, upstream: Array) -> Passage:
    """How the operand ``index`` of a recorded operation gets its gradient."""
    operand = vertex.operands[index]
    with np.errstate(all="ignore"):  # the walk itself has said what there is to say
        if vertex.operation == "matmul":
            return _of_matmul(vertex, index, upstream)
        if vertex.operation in _REDUCTIONS:
            return _of_reduction(vertex, upstream)
        whole = _pulled_back(vertex, index, upstream)
        factor = _pulled_back(vertex, index, np.ones_like(upstream))
        probe = _probe(upstream)
        if not (
            _equal(whole, upstream, factor)
            and _equal(_pulled_back(vertex, index, probe), probe, factor)
        ):
            return Passage("moved")
    axes = _broadcast_axes(whole.shape, operand.shape)
    return Passage("product", _simplest(factor), whole if axes else None, axes)


def _of_matmul(vertex: Vertex, index: int, upstream: Array) -> Passage:
    other = np.asarray(vertex.operands[1 - index].value)
    factor = np.swapaxes(other, -1, -2)
    whole = factor @ upstream if index else upstream @ factor
    axes = _broadcast_axes(whole.shape, vertex.operands[index].shape)
    return Passage("matmul", factor, whole if axes else None, axes)


def _of_reduction(vertex: Vertex, upstream: Array) -> Passage:
    """Each result goes back to all that it was made of, in shares."""
    shape, axes = vertex.operands[0].shape, vertex.params["axis"]
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    factor = _pulled_back(vertex, 0, np.ones_like(upstream))
    found = _pulled_back(vertex, 0, upstream)
    if not _equal(found, np.broadcast_to(upstream.reshape(kept), shape), factor):
        return Passage("moved")
    return Passage("spread", _simplest(factor), axes=axes)


def _pulled_back(vertex: Vertex, index: int, g: Array) -> Array:
    """What the rule makes of an upstream gradient, before a sum over broadcast axes."""
    node: Any = vertex.node
    rule = node.primitive.rule(index)
    return np.asarray(rule(g[()], node.ans, *node.args, **node.params))


def _probe(like: Array) -> Array:
    """Numbers that tell an elementwise product from another linear map."""
    numbers = np.random.default_rng(0).uniform(0.5, 1.5, like.shape)
    return np.asarray(numbers, like.dtype)


def _equal(found: Array, upstream: Array, factor: Array) -> bool:
    """Whether ``found`` is upstream times factor, element for element, but for rounding."""
    if not found.shape == upstream.shape == factor.shape:
        return False
    limits = np.finfo(upstream.dtype)
    right = upstream * factor
    return bool(np.allclose(found, right, 16 * limits.eps, limits.tiny, equal_nan=True))


def _simplest(factor: Array) -> Array:
    """A factor that is the same everywhere, as a number."""
    first = factor.ravel()[:1]
    return first[0] if factor.size and np.all(factor == first) else factor


def _broadcast_axes(whole: Shape, operand: Shape) -> tuple[int, ...]:
    added = len(whole) - len(operand)
    stretched = (i + added for i, n in enumerate(operand) if n == 1 and whole[i + added] != 1)
    return (*range(added), *stretched)
