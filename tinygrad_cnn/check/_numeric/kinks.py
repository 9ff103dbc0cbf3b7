"""Kinks: where an operation decides one way on the left of a point, another way on the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from ..._core.node import Node
from .._facts import decision
from .point import Index


@dataclass(frozen=True)
class Kink:
    """An element at which a function has two one-sided derivatives.

    Attributes:
        index: of the element.
        operation: what decides: its name, scope path and source line.
        left, right: the one-sided derivatives.
        recorded: the gradient found by differentiation.
        accepted: whether it lies between the two.
    """

    index: Index
    operation: str
    left: float
    right: float
    recorded: float
    accepted: bool

    def __str__(self) -> str:
        verdict = "between" if self.accepted else "NOT between"
        return (
            f"kink at {self.index}: {self.operation}\n"
            f"  recorded {self.recorded + 0.0:.6g} is {verdict} the one-sided derivatives"
            f" {self.left + 0.0:.6g} and {self.right + 0.0:.6g}"
        )


class Decided(NamedTuple):
    """An operation, the place in the code that called it, and which way it went."""

    operation: str
    place: tuple[Any, int]
    choice: Any


def decisions(nodes: Sequence[Node]) -> list[Decided]:
    """What every operation decided, oldest first."""
    return [
        Decided(node.primitive.name, (node.code, node.instruction), decision(node))
        for node in nodes
        if node.primitive
    ]


def first_flip(before: Sequence[Decided], nodes: Sequence[Node]) -> tuple[int, Node] | None:
    """The oldest operation that goes another way than before, and its place among them.

    It may be another operation altogether, where Python took another branch.
    """
    operations = [node for node in nodes if node.primitive]
    pairs = zip_longest(before, decisions(operations))
    for number, (was, now) in enumerate(pairs):
        if was is None or now is None:
            return (number, operations[-1]) if operations else None
        if was[:2] != now[:2] or not np.array_equal(was.choice, now.choice):
            return number, operations[number]
    return None
