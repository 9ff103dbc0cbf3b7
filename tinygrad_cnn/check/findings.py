"""What the doctor says: findings, and the report that holds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ..typing import Array
from ._doctor.causes import CAUSES
from ._render import Block, Code, Line, Rendered, Table, Tone

__all__ = ["Diagnosis", "Finding"]

_SHOWN_ELEMENTS = 4
_MAP_SIZE = 12


@dataclass(frozen=True)
class Element:
    """One element in which two gradients differ."""

    index: tuple[int, ...]
    hand: float
    right: float


@dataclass(frozen=True)
class Finding(Rendered):
    """One cause, proved.

    Attributes:
        input: whose gradient is wrong; None where the whole backward is concerned.
        cause: one of the codes in ``CAUSES``.
        evidence: what was tried and what agreed, in numbers.
        math: the right rule.
        fix: what to change, in a line.
        wrong: the first elements that differ.
        error_map: where the gradient is wrong, a character for each element of a slice.
    """

    input: str | None
    cause: str
    evidence: str
    math: str = ""
    fix: str = ""
    wrong: tuple[Element, ...] = ()
    error_map: str = ""

    def blocks(self) -> Iterator[Block]:
        """Cause, evidence, elements, map, rule and fix."""
        subject = f"gradient of {self.input}" if self.input else "the backward"
        yield Line(f"{subject}: {self.cause}, {CAUSES[self.cause].title}", "bad")
        yield Line(f"  evidence: {self.evidence}")
        if self.wrong:
            rows = [(str(e.index), f"{e.hand:.6g}", f"{e.right:.6g}") for e in self.wrong]
            yield Table(("  element", "yours", "right"), [(f"  {a}", b, c) for a, b, c in rows])
        if self.error_map:
            yield Line("  where it differs (# much, + little, . agrees):", "dim")
            yield Code(self.error_map)
        if self.math:
            yield Line("  the rule:", "dim")
            yield Code(self.math)
        yield Line(f"  fix: {self.fix or CAUSES[self.cause].fix}", "good")


@dataclass(frozen=True)
class Diagnosis(Rendered):
    """The verdict on a hand-derived backward.

    Attributes:
        findings: what is wrong, and why; empty if nothing is.
        errors: for each input the largest relative difference from autograd.
        notes: what was tried besides.
    """

    findings: tuple[Finding, ...]
    errors: dict[str, float]
    notes: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def causes(self) -> dict[str | None, set[str]]:
        """The codes found, by input; the key None holds those of the whole backward."""
        found: dict[str | None, set[str]] = {}
        for finding in self.findings:
            found.setdefault(finding.input, set()).add(finding.cause)
        return found

    def blocks(self) -> Iterator[Block]:
        """The verdict, a table of the inputs, then every finding."""
        verdict = "every gradient is right" if self.ok else f"{len(self.findings)} finding(s)"
        yield Line(f"diagnosis: {verdict}", "good" if self.ok else "bad")
        rows, tones = [], []
        for name, error in self.errors.items():
            causes = sorted(self.causes.get(name, ()))
            rows.append((name, f"{error:.1e}", ", ".join(causes) or "ok"))
            tones.append(_tone(causes))
        if rows:
            yield Table(("gradient of", "relative error", "verdict"), rows, tones)
        for finding in self.findings:
            yield Line("")
            yield from finding.blocks()
        for note in self.notes:
            yield Line(note, "dim")


def _tone(causes: list[str]) -> Tone:
    return "bad" if causes else "good"


def first_wrong(hand: Array, right: Array, tolerance: float) -> tuple[Element, ...]:
    """The first elements, in row-major order, that differ by more than rounding."""
    if hand.shape != right.shape:
        return ()
    limit = tolerance * max(float(np.abs(right).max(initial=0.0)), 1e-300)
    with np.errstate(invalid="ignore"):  # of two infinities
        wrong = np.argwhere(~(np.abs(hand - right) <= limit))[:_SHOWN_ELEMENTS]
    return tuple(
        Element(tuple(map(int, i)), float(hand[tuple(i)]), float(right[tuple(i)])) for i in wrong
    )


def error_map(hand: Array, right: Array) -> str:
    """The slice with the largest difference: ``#`` above a tenth of it, ``+`` less, ``.`` none."""
    if hand.shape != right.shape or hand.ndim == 0:
        return ""
    with np.errstate(invalid="ignore"):
        difference = np.where(hand == right, 0.0, np.abs(hand - right))
    difference[~np.isfinite(difference)] = np.inf
    worst = np.unravel_index(int(np.argmax(difference)), difference.shape)
    plane = np.atleast_2d(difference[worst[:-2]])[:_MAP_SIZE, : 4 * _MAP_SIZE]
    top = float(difference.max(initial=0.0, where=np.isfinite(difference)))
    marks = np.where(plane > 0.1 * top, "#", np.where(plane > 1e-9 * top, "+", "."))
    lines = ["".join(row) for row in marks]
    where = "".join(f"{int(i)}, " for i in worst[:-2])
    return "\n".join([f"[{where}:, :]", *lines]) if worst[:-2] else "\n".join(lines)
