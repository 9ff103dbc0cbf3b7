"""The gradients that a function with kinks may rightfully have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..._core.backprop import local_gradients
from ..._core.node import Node
from ...typing import Array
from .._trace import Trace

# The operations that decide element by element, with the distance from the kink.
_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "abs": lambda x: x,
    "maximum": lambda x, y, **_: x - y,
    "minimum": lambda x, y, **_: x - y,
    "where": lambda condition, x, y: np.subtract(x, y),  # where both branches meet
}


def ranges(trace: Trace, nearness: float = 0.0) -> Iterator[tuple[list[Array], list[Array]]]:
    """For each convention on ties the lowest and highest gradient of every input.

    Elements whose distance from a kink is at most ``nearness`` may have the derivative of
    either side, or any value in between.
    """
    for ties in ("first", "last", "split"):
        sides = [
            trace.gradients(local=_Convention(ties, share, nearness)) for share in (0.0, 0.5, 1.0)
        ]
        chosen = [[g for g in side if g is not None] for side in sides]
        stacked = [np.stack(parts) for parts in zip(*chosen, strict=True)]
        yield [s.min(0) for s in stacked], [s.max(0) for s in stacked]


class _Convention:
    """Local gradients under another choice at ties and kinks."""

    def __init__(self, ties: str, share: float, nearness: float) -> None:
        self.ties, self.share, self.nearness = ties, share, nearness

    def __call__(self, node: Node, g: Any, needed: Any, create_graph: bool) -> Any:
        found = local_gradients(node, g, needed, create_graph)
        name = node.primitive.name if node.primitive else ""
        if name in _ELEMENTWISE:
            return [(i, self._at_kink(node, i, g, right)) for i, right in found]
        if name in ("max", "min") and self.ties != "first":
            return [(i, self._tied(node, g, right)) for i, right in found]
        if name == "gather_windows" and self.ties != "first":
            return [(i, self._tied_windows(node, g, right)) for i, right in found]
        return found

    def _at_kink(self, node: Node, index: int, g: Any, right: Any) -> Any:
        name = node.primitive.name  # type: ignore[union-attr]
        distance = _ELEMENTWISE[name](*node.args, **node.params)  # type: ignore[misc]
        near = np.abs(distance) <= self.nearness
        if not np.any(near):
            return right
        share = 2.0 * self.share - 1.0 if name == "abs" else self.share
        if index == len(node.parents) - 1 and index:
            share = 1.0 - share
        other = np.broadcast_to(np.asarray(g) * share, np.shape(near))
        if np.shape(right) != np.shape(near):  # a broadcast operand: its gradient is a sum
            return right
        return np.where(near, other, right)

    def _tied(self, node: Node, g: Any, right: Any) -> Any:
        x, ans = node.args[0], node.ans  # type: ignore[index]
        axis = node.params["axis"]
        kept = tuple(1 if i in axis else n for i, n in enumerate(x.shape))
        wins = x == np.reshape(ans, kept)
        spread = np.broadcast_to(np.reshape(g, kept), x.shape)
        if self.ties == "split":
            return spread * wins / wins.sum(axis, keepdims=True)
        reverse = tuple(slice(None, None, -1) if i in axis else slice(None) for i in range(x.ndim))
        order = (*(i for i in range(x.ndim) if i not in axis), *axis)
        moved = wins[reverse].transpose(order)
        flat = moved.reshape(-1, int(np.prod([x.shape[i] for i in axis])))
        last = np.zeros_like(flat)
        last[np.arange(len(flat)), flat.argmax(1)] = True
        return spread * last.reshape(moved.shape).transpose(np.argsort(order))[reverse]

    def _tied_windows(self, node: Node, g: Any, right: Any) -> Any:
        """The gradient of max-pooling with ties to the last winner, or shared."""
        x = node.args[0]  # type: ignore[index]
        window = node.params["window"]
        out = np.zeros(x.shape)
        offsets = window.offsets(x.shape[2:])
        places = np.stack([x[:, :, *inside] for inside in offsets])
        wins = places == np.asarray(node.ans)
        if self.ties == "split":
            shares = wins / np.maximum(wins.sum(0), 1)
        else:
            last = len(offsets) - 1 - np.argmax(wins[::-1], axis=0)
            shares = np.arange(len(offsets)).reshape(-1, *[1] * x.ndim) == last
        for share, inside in zip(shares, offsets, strict=True):
            out[:, :, *inside] += np.asarray(g) * share
        return out
