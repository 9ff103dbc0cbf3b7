"""Whether the generated function computes what autograd computes: in float64, up to rounding.

Of a float32 model both are run in float64, so that a wrong formula can't hide in rounding. What
rounding may do is not guessed but measured, for each gradient by itself: backpropagation runs a
second time with every contribution changed by a random factor 1 + d*u, abs(u) < 1. It is linear
in what is passed on, so the result moves by d times a sum over the paths, and rounding moves it by
the unit roundoff times such a sum. A gradient that is 0 because large terms cancel moves much, a
small one beside large ones only in proportion to itself. The loss moves by at most the sum over
all values v of abs(dv * v), times the relative change (the a-posteriori bound of adjoint error
analysis: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.3).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import numpy as np

from .._core.backprop import backpropagate, local_gradients
from .._core.context import enable_grad
from .._core.node import Node
from .._core.primitive import apply
from .._core.tensor import Tensor, raw
from .._graph import Recording, Vertex
from ..errors import GraphError
from ..typing import Array
from ._replay import again

TOLERANCE = 1e-10  # of the largest element
_CHANGE = 1e-8  # the relative change by which the effect of rounding is measured
# Other sums round otherwise, some worse than at random, and forward values have errors too.
_ROUNDING = 1000 * np.finfo(float).eps
_SAME = 1000  # units in the last place by which one operation may differ when it is repeated


def widened(value: Any) -> Any:
    """A copy; of a float16 or float32 array in float64.

    >>> import numpy as np
    >>> widened(np.ones(2, np.float32)).dtype, widened(np.ones(2, int)).dtype
    (dtype('float64'), dtype('int64'))
    """
    array = np.array(value)
    return array.astype(float) if array.dtype in (np.float16, np.float32) else array


def in_double(source: str) -> str:
    """Generated code without the conversions to less than float64."""
    return re.sub(r"\.astype\(np\.float(16|32)\)", ".astype(np.float64)", source)


class Reference:
    """The loss and its gradients as autograd has them in float64.

    Attributes:
        loss, gradients: the right values.
        noise: what rounding can change in each of them; under None that of the loss.

    Raises:
        GraphError: a value was changed in place since it was recorded.
    """

    def __init__(self, recording: Recording, wanted: Collection[Vertex]) -> None:
        with np.errstate(all="ignore"):
            _check_unchanged(recording)
            made = _replayed(recording)
            result: Tensor = made[recording.result]
            seeds: dict[Node, Any] = {result.node: np.ones(result.shape)[()]}  # type: ignore[dict-item]
            nodes = {vertex: made[vertex].node for vertex in wanted}
            moved = 0.0

            def visit(node: Node, g: Any, passed: list[tuple[int, Any]]) -> None:
                nonlocal moved
                value = node.ans if node.parents else values[node]
                moved += float(np.nansum(np.abs(g * value)))

            values = {t.node: t.data for t in made.values() if isinstance(t, Tensor)}
            right = backpropagate(seeds, {*nodes.values()}, retain_graph=True, visit=visit)
            changed = backpropagate(
                seeds, {*nodes.values()}, retain_graph=True, local=_with_changes()
            )
            self.loss = np.asarray(result.data)
            self.gradients = {v: np.asarray(right[node]) for v, node in nodes.items()}
            self.noise: dict[Vertex | None, float] = {None: moved * _ROUNDING}
            for vertex, node in nodes.items():
                distance = largest(changed[node] - right[node])
                self.noise[vertex] = distance / _CHANGE * _ROUNDING


def error(found: Any, right: Array, noise: float) -> float:
    """The largest difference, relative to the largest element.

    Of an array that is 0 but for rounding it is relative to what rounding can make of it, such
    that an error above ``TOLERANCE`` is a mistake.
    """
    found = np.asarray(found)
    if found.shape != right.shape or not np.array_equal(np.isnan(found), np.isnan(right)):
        return float("inf")
    with np.errstate(invalid="ignore"):
        differences = np.where(found == right, 0.0, np.abs(found - right))
    worst = float(np.nanmax(differences, initial=0.0))
    return worst / (largest(right) + noise / TOLERANCE + np.finfo(float).tiny)


def largest(values: Any) -> float:
    """The largest absolute value of all that are finite."""
    finite = np.abs(values)[np.isfinite(values)]
    return float(finite.max(initial=0.0))


def _check_unchanged(recording: Recording) -> None:
    """Each operation on what its operands are now gives what was recorded."""
    for vertex in recording:
        if vertex.node is None or vertex.node.primitive is None or vertex.node.args is None:
            continue
        found = np.asarray(vertex.node.primitive.forward(*vertex.node.args, **vertex.params))
        value = np.asarray(vertex.value)
        if np.array_equal(found, value):
            continue
        eps = np.finfo(value.dtype).eps if value.dtype.kind in "fc" else 0.0
        least = _SAME * float(eps) * largest(value)
        if not np.allclose(found, value, rtol=0.0, atol=least, equal_nan=True):
            raise GraphError(
                f"derive: {vertex.operation!r} of shape {vertex.shape} is not what was recorded:"
                " values were changed in place since; compute the loss again"
            )


def _replayed(recording: Recording) -> dict[Vertex, Any]:
    """The computation in float64: by vertex a Tensor, or an array where none was recorded."""
    made: dict[Vertex, Any] = {}
    with enable_grad():
        for vertex in recording:
            if not vertex.operation:
                value = widened(vertex.value)
                made[vertex] = Tensor(value, requires_grad=True) if vertex.node else value
            elif vertex.operation == "astype" and vertex.params["dtype"].kind == "f":
                [operand] = vertex.operands
                given = made[operand] if vertex.flows[0] else raw(made[operand])
                made[vertex] = apply(vertex.node.primitive, given, dtype=np.dtype(float))  # type: ignore[union-attr, arg-type]
            else:
                made[vertex] = again(vertex, made)
    return made


def _with_changes() -> Any:
    """``local_gradients`` with all that is passed on changed at random, the same each time."""
    rng = np.random.default_rng(0)

    def local(
        node: Node, g: Any, needed: set[Node] | None, create_graph: bool
    ) -> list[tuple[int, Any]]:
        return [
            (index, gradient * (1.0 + _CHANGE * rng.uniform(-1.0, 1.0, np.shape(gradient))))
            for index, gradient in local_gradients(node, g, needed, create_graph)
        ]

    return local
