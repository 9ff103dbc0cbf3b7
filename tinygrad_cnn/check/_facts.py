"""What the checks know of each primitive: where it is analytic, and where it decides.

A primitive that decides (which operand is larger, which element wins) has kinks where the
decision flips. One that is analytic has a complex derivative that the real one is part of; a
decision in between does no harm as long as it does not flip. What a user defines is in neither
table: it is differenced like a black box.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core.node import Node
from ..ops.reduce import argmax, argmin

ANALYTIC = frozenset(
    (
        "add", "broadcast_to", "col2im", "concatenate", "cos", "crop", "cumsum", "divide",
        "einsum", "exp", "flip", "gather_windows", "getitem", "im2col", "log", "matmul", "max",
        "maximum", "min", "minimum", "multiply", "negative", "pad", "power", "prod", "reshape",
        "scatter_add", "scatter_windows", "sigmoid", "sin", "sqrt", "stack", "subtract", "sum",
        "sum_to", "tanh", "transpose", "where",
    )
)  # fmt: skip

Decision = Callable[..., Any]


def _winner(find: Callable[..., Any]) -> Decision:
    def decide(x: Any, *, axis: tuple[int, ...], **_: Any) -> Any:
        kept = tuple(i for i in range(x.ndim) if i not in axis)
        moved = x.transpose(*kept, *axis)
        return find(moved.reshape(*(x.shape[i] for i in kept), -1), -1)

    return decide


DECISIONS: dict[str, Decision] = {
    "abs": lambda x: np.sign(x),
    "clip": lambda x, low, high: np.sign(x - low) + np.sign(x - high),
    "gather_windows": lambda x, *, window, switches: switches,
    "max": _winner(argmax),
    "maximum": lambda x, y, *, ties: np.sign(x - y),
    "min": _winner(argmin),
    "minimum": lambda x, y, *, ties: np.sign(x - y),
    "sign": lambda x: np.sign(x),
    "where": lambda condition, x, y: condition,
}


def decision(node: Node) -> Any:
    """Which way each element of a recorded operation went; None where there is no choice."""
    decide = DECISIONS.get(node.primitive.name) if node.primitive else None
    return None if decide is None or node.args is None else decide(*node.args, **node.params)
