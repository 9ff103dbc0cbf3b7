"""What became of the blanks of an exercise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..check import Finding
from ..check._render import Block, Line, Rendered, Table, Tone
from ..errors import OutOfBoundsError

__all__ = ["Assessment", "Verdict"]

Outcome = Literal["right", "wrong", "error", "open", "not used", "not checked"]
_TONES: dict[Outcome, Tone] = {
    "right": "good", "wrong": "bad", "error": "bad", "open": "warn", "not used": "dim",
    "not checked": "warn",
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What became of one blank.

    Attributes:
        number: of the equation.
        target: the name on its left.
        outcome: ``"right"``, ``"wrong"``, ``"error"`` where no value could be computed, ``"open"``
            where nothing was filled in, ``"not used"`` where the gradients came out right without
            it, ``"not checked"`` where the answer as a whole failed before it; a note says how.
        why: in a few words.
        findings: what the doctor says of a wrong gradient.
    """

    number: int
    target: str
    outcome: Outcome
    why: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def causes(self) -> set[str]:
        """The codes of what is wrong, as in ``check.diagnose``."""
        return {finding.cause for finding in self.findings}


@dataclass(frozen=True)
class Assessment(Rendered):
    """The verdicts on all blanks of an exercise.

    Attributes:
        verdicts: in order of the equations.
        notes: what else there is to say of the answer.
    """

    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every blank is right, or was not needed."""
        return all(v.outcome in ("right", "not used") for v in self.verdicts) and not self.notes

    @property
    def causes(self) -> dict[str, set[str]]:
        """The codes found, by the name on the left of the equation."""
        return {v.target: v.causes for v in self.verdicts if v.findings}

    def __getitem__(self, target: str) -> Verdict:
        """The verdict on the equation with this left side."""
        for verdict in self.verdicts:
            if verdict.target == target:
                return verdict
        names = ", ".join(verdict.target for verdict in self.verdicts)
        raise OutOfBoundsError(f"{target!r} is no blank; the blanks are {names}")

    def blocks(self) -> Iterator[Block]:
        """The count, a table of the blanks, then what is wrong with each."""
        right = sum(v.outcome == "right" for v in self.verdicts)
        count = len(self.verdicts)
        verdict = "every blank is right" if self.ok else f"{right} of {count} blanks are right"
        yield Line(f"exercise: {verdict}", "good" if self.ok else "bad")
        for note in self.notes:
            yield Line(note, "bad")
        yield Table(
            ("equation", "left side", "verdict", "why"),
            [(f"({v.number})", v.target, v.outcome, _brief(v)) for v in self.verdicts],
            [_TONES[v.outcome] for v in self.verdicts],
        )
        for v in self.verdicts:
            if v.findings or v.outcome in ("wrong", "error"):
                yield Line("")
                yield Line(f"({v.number}) {v.target}", "bad")
            if not v.findings and v.outcome in ("wrong", "error"):
                yield Line(f"  {v.why}")
            for finding in v.findings:
                yield from finding.blocks()
        if not self.ok:
            yield Line("")
            yield Line("each equation was checked with the right values of all before it", "dim")


def _brief(verdict: Verdict) -> str:
    return "see below" if verdict.outcome == "error" else verdict.why
