"""Views of what lies in memory: their shapes, strides and offsets."""

from __future__ import annotations

from ....typing import Shape
from ..._symbols import Operation
from .batch import plain_index
from .storage import Ref


def view(operation: Operation, source: Ref, shape: Shape, cut: int = 0) -> Ref | None:
    """The result of a view, or None where strides cannot say it.

    Args:
        operation: one of ``batch.VIEWS``.
        source: where its operand lies.
        shape: of the result, as it lies.
        cut: how many of the operation's first axes ``source`` has not.
    """
    params = operation.params
    match operation.name:
        case "reshape":
            return source.reshaped(shape)
        case "transpose":
            return source.transposed([a - cut for a in params["axes"][cut:]])
        case "broadcast_to":
            return source.broadcast(shape)
        case "getitem":
            index = plain_index(params["index"], operation.args[0].ndim)
            return None if index is None else source.indexed(index[cut:])
        case "crop":
            parts = zip(source.shape, params["widths"][cut:], strict=True)
            return source.indexed([slice(a, n - b) for n, (a, b) in parts])
        case _:
            axis = params["axis"]
            axes = axis if isinstance(axis, tuple) else (axis,)
            steps = (-1 if i + cut in axes else 1 for i in range(len(shape)))
            return source.indexed([slice(None, None, step) for step in steps])
