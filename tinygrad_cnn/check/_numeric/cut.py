"""Where a gradient was cut off: a constant in the graph that moves with an input."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._core.backprop import backpropagate
from ..._core.node import Node
from ...typing import Array
from .differences import Differences
from .point import Index, Recording, describe


def cut(
    differences: Differences, recording: Recording, which: int, index: Index, step: float,
    missing: float,
) -> str | None:  # fmt: skip
    """The operation through whose constant the missing part of a derivative flows.

    Each constant's own derivative, times the gradient that its rule would have passed on, is a
    part of what is missing. Nothing is said unless the parts add up to it.
    """
    point = differences.point
    x = point.copies[which][index]
    h = x.dtype.type(step * max(1.0, abs(float(x))))
    low, high = (
        point.at(which, index, amount, lambda: _constants(point.record())) for amount in (-h, h)
    )
    upstream = _upstream(recording, differences.weights)
    parts = []
    for node, below, above in zip(_operations(recording), low, high, strict=False):
        for place in below.keys() & above.keys():
            if below[place].shape == above[place].shape:
                slope = (above[place] - below[place]) / float((x + h) - (x - h))
                parts.append((_through(node, place, upstream.get(node), slope), node))
    parts = [(part, node) for part, node in parts if part]
    total = sum(part for part, _ in parts)
    if not parts or not abs(total - missing) <= 1e-3 * abs(missing):
        return None
    return describe(max(parts, key=lambda pair: abs(pair[0]))[1])


def _operations(recording: Recording) -> list[Node]:
    return [node for node in recording.nodes if node.primitive]


def _constants(recording: Recording) -> list[dict[int, Array]]:
    """For each operation its floating-point arguments that no gradient reaches, as copies."""
    return [
        {
            place: np.array(value)
            for place, (value, parent) in enumerate(zip(node.args or (), node.parents, strict=True))
            if parent is None and np.asarray(value).dtype.kind == "f"
        }
        for node in _operations(recording)
    ]


def _upstream(recording: Recording, weights: Array) -> dict[Node, Any]:
    found: dict[Node, Any] = {}
    root = recording.output.node
    if root is not None:
        backpropagate(
            {root: weights[()]}, retain_graph=True,
            visit=lambda node, g, _: found.__setitem__(node, g),
        )  # fmt: skip
    return found


def _through(node: Node, place: int, g: Any, slope: Array) -> float:
    """How much the result moves by way of one constant."""
    rule = node.primitive.rule(place) if node.primitive and g is not None else None
    if rule is None or not slope.any():
        return 0.0
    # a gradient that is not yet summed over broadcast axes is summed by the product
    return float(np.sum(rule(g, node.ans, *(node.args or ()), **node.params) * slope))
