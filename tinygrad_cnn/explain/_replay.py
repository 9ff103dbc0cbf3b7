"""A recorded computation carried out again, on other numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._core.context import per_thread
from .._core.primitive import apply
from .._core.tensor import Tensor, as_tensor, raw
from .._graph import Recording, Vertex
from .._kernels.windows import switches
from ..errors import ShapeError
from ..typing import TensorLike

__all__ = ["replay"]


def replay(recording: Recording, inputs: Sequence[Vertex]) -> Callable[..., Tensor]:
    """The recorded result as a function of some of its vertices, differentiable again.

    What does not depend on ``inputs`` stays as it was recorded: other inputs, labels, a mask
    that dropout drew. Settings stay too, except for the switches of a max-pool, which are those
    of the new values. An input that was computed itself cuts what it was computed from.

    Args:
        recording: with its values.
        inputs: the arguments of the function, in order.

    Returns:
        A function of arrays or Tensors; it raises ShapeError for another shape than the recorded
        one, to which settings such as that of reshape belong.

    >>> import tinygrad_cnn as tc
    >>> from tinygrad_cnn._graph import read
    >>> x = tc.tensor(3.0, requires_grad=True)
    >>> recording = read(x * x + 1.0)
    >>> replay(recording, [recording.vertex(x.node)])(5.0)
    tensor(26.)
    """
    moving = set(inputs)
    for vertex in recording:
        if vertex not in moving and not moving.isdisjoint(vertex.operands):
            moving.add(vertex)
    steps = [v for v in recording if v in moving and v not in set(inputs)]

    def function(*values: TensorLike) -> Tensor:
        made: dict[Vertex, Any] = dict(zip(inputs, values, strict=True))
        for vertex, value in made.items():
            if np.shape(raw(value)) != vertex.shape:
                raise ShapeError(
                    f"replay: recorded with shape {vertex.shape}, got {np.shape(raw(value))}"
                )
        for vertex in steps:
            made[vertex] = again(vertex, made)
        return as_tensor(made.get(recording.result, recording.result.value))

    return function


def again(vertex: Vertex, made: dict[Vertex, Any]) -> Any:
    """One operation on what its operands are now."""
    operands = []
    for operand, flows in zip(vertex.operands, vertex.flows, strict=True):
        value = made.get(operand, operand.value)
        detached = operand.requires_grad and not flows
        operands.append(raw(value) if detached else value)
    params = vertex.params
    if vertex.operation == "gather_windows":
        window, recorded = params["window"], params["switches"]
        # those of a max-pool; others were given by the user, and stay
        if np.array_equal(recorded, switches(vertex.operands[0].value, window=window)):
            params = {**params, "switches": switches(raw(operands[0]), window=window)}
    context = per_thread.context
    before, context.scope = context.scope, vertex.scope
    try:
        found = apply(vertex.node.primitive, *operands, **params)  # type: ignore[union-attr, arg-type]
    finally:
        context.scope = before
    if isinstance(found, Tensor) and found.node is not None and vertex.node is not None:
        found.node.code, found.node.instruction = vertex.node.code, vertex.node.instruction
    return found
