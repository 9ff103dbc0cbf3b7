"""What the recorded operations take: memory kept for backward, time, floating-point operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..._graph import Vertex
from ...errors import ArgumentError
from ...ops import flops as flops_of
from ...typing import Array

__all__ = ["flops", "memory", "seconds"]

_RUNS = 3


def flops(vertices: Iterable[Vertex]) -> int | None:
    """The floating-point operations of the forward pass.

    None with a primitive that ``ops.flops`` does not know, or a product whose constant operand
    backward has let go of.
    """
    total = 0
    for vertex in vertices:
        if not vertex.operation:
            continue
        shapes = [operand.shape for operand in vertex.operands]
        lost = len(shapes) < len(vertex.node.parents)  # type: ignore[union-attr]
        if lost and vertex.operation in ("matmul", "einsum"):
            return None
        try:
            total += flops_of(vertex.operation, shapes, vertex.shape, vertex.params)
        except ArgumentError:
            return None
    return total


def memory(vertices: Iterable[Vertex]) -> int:
    """The bytes that the operations have saved for backward; what they share counts once."""
    ranges: set[tuple[int, int]] = set()
    scalars: dict[int, int] = {}
    for vertex in vertices:
        for saved in _saved(vertex):
            if saved.ndim:
                ranges.add(_range(saved))
            else:
                scalars[id(saved)] = saved.nbytes
    total, end = sum(scalars.values()), 0
    for low, high in sorted(ranges):
        total += max(0, high - max(low, end))
        end = max(high, end)
    return total


def _saved(vertex: Vertex) -> Iterator[Any]:
    """The arrays that the engine holds for one operation."""
    node = vertex.node
    if not vertex.operation or node is None:
        return
    pending = [node.ans, *(node.args or ()), *node.params.values()]
    for value in pending:  # grows while it is walked
        if isinstance(value, (np.ndarray, np.generic)):
            yield value
        elif type(value) is tuple:
            pending.extend(value)


def _range(array: Array) -> tuple[int, int]:
    """The first byte of an array in memory, and the one behind its last."""
    start: int = array.__array_interface__["data"][0]
    if not array.size:
        return start, start
    reach = [stride * (n - 1) for stride, n in zip(array.strides, array.shape, strict=True)]
    below = sum(step for step in reach if step < 0)
    return start + below, start + sum(reach) - below + array.itemsize


def seconds(vertices: Iterable[Vertex]) -> tuple[float, float] | None:
    """The time of the forward functions and of the rules, run anew on what was saved.

    The fastest of three runs of each. None where backward has let go of what was saved.
    """
    forward = backward = 0.0
    for vertex in vertices:
        node = vertex.node
        if not vertex.operation or node is None or node.primitive is None:
            continue
        if node.args is None or vertex.value is None:
            return None
        saved, params = node.args, node.params
        g = np.ones(vertex.shape, vertex.spec.dtype)[()]
        rules = [
            partial(rule, g, vertex.value, *saved, **params)
            for i, parent in enumerate(node.parents)
            if parent is not None and (rule := node.primitive.rule(i)) is not None
        ]
        with np.errstate(all="ignore"):
            forward += _fastest([partial(node.primitive.forward, *saved, **params)])
            backward += _fastest(rules)
    return forward, backward


def _fastest(calls: Sequence[Callable[[], Any]]) -> float:
    times = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        for call in calls:
            call()
        times.append(time.perf_counter() - start)
    return min(times)
