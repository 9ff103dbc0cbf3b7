"""What a hypothesis yields: causes that explain a gradient, with the evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from .view import View


class Claim(NamedTuple):
    """Causes that together explain a gradient, with the evidence.

    ``key`` tells the claim from others when it is tried in another situation.
    """

    causes: tuple[str, ...]
    evidence: str
    key: str


Hypothesis = Callable[[View, str], Iterator[Claim]]


def claim(cause: str, evidence: str, key: str = "") -> Claim:
    """A claim of one cause."""
    return Claim((cause,), evidence, f"{cause}:{key}")
