"""What a submission gets: points for each part of each question, and hints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .._render import Block, Code, Line, Rendered, Table

__all__ = ["Grades", "Part", "QuestionGrade"]

_SHOWN_LINES, _SHOWN_COLUMNS = 5, 96


@dataclass(frozen=True)
class Part:
    """One thing that a question asks for.

    Attributes:
        name: such as "gradient of w".
        ok: whether it is right.
        causes: the codes of what is wrong, as ``tc.check.diagnose`` and the checks of values
            name them.
        hints: what to say of it: which part fails; the cause and its evidence; the mathematics
            and the fix.
    """

    name: str
    ok: bool
    causes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class QuestionGrade:
    """What a question gets; its parts share the points equally.

    Attributes:
        stopped: why the question is lost as a whole, if it is: a time limit, a crash, …
        notes: what costs no points.
        printed: the end of what the submission printed.
    """

    name: str
    out_of: float
    parts: tuple[Part, ...]
    stopped: str = ""
    notes: tuple[str, ...] = ()
    printed: str = ""

    @property
    def points(self) -> float:
        """The share of the points for the parts that are right."""
        if self.stopped or not self.parts:
            return 0.0
        return self.out_of * sum(part.ok for part in self.parts) / len(self.parts)


@dataclass(frozen=True)
class Grades(Rendered):
    """All points of a submission; ``print`` shows a table and the hints, up to a level."""

    submission: str
    questions: tuple[QuestionGrade, ...]
    level: int = 2

    @property
    def points(self) -> float:
        """The sum of all questions."""
        return sum(question.points for question in self.questions)

    @property
    def out_of(self) -> float:
        """The most that there is to get."""
        return sum(question.out_of for question in self.questions)

    @property
    def ok(self) -> bool:
        """Whether everything is right."""
        return self.points == self.out_of

    def to_json(self) -> str:
        """The same content as a JSON document."""
        document = {
            "submission": self.submission,
            "points": self.points,
            "out_of": self.out_of,
            "hints": self.level,
            "questions": [self._plain(question) for question in self.questions],
        }
        return json.dumps(document, indent=2) + "\n"

    def _plain(self, question: QuestionGrade) -> dict[str, Any]:
        parts = [
            {
                "name": part.name,
                "ok": part.ok,
                "causes": part.causes if self.level > 1 else (),
                "hints": part.hints[: self.level],
            }
            for part in question.parts
        ]
        return {**vars(question), "points": question.points, "parts": parts}

    def blocks(self) -> Iterator[Block]:
        """A table of the questions, the total, then what was lost and why."""
        rows = [
            (question.name, f"{question.points:.2f}", f"{question.out_of:g}", _verdict(question))
            for question in self.questions
        ]
        tones = ["good" if q.points == q.out_of else "bad" for q in self.questions]
        yield Table(("question", "points", "of", ""), rows, tones)  # type: ignore[arg-type]
        total = f"total {self.points:.2f} of {self.out_of:g} points, {self.submission}"
        yield Line(total, "good" if self.ok else "bad")
        for question in self.questions:
            yield from self._details(question)

    def _details(self, question: QuestionGrade) -> Iterator[Block]:
        wrong = [part for part in question.parts if not part.ok]
        lost = question.points < question.out_of
        if wrong or question.notes or (lost and question.printed.strip()):
            yield Line("")
            yield Line(question.name, "bad" if lost else "dim")
        said: list[str] = []
        for part in wrong:
            which, *more = part.hints[: self.level]
            again = more and more == said
            yield Line(f"  {which}, as above" if again else f"  {which}", "warn")
            yield from (Code(text) for text in more if text and not again)
            said = more
        for note in question.notes:
            yield Line(f"  {note}", "dim")
        if question.printed.strip() and lost:
            yield Line("  it printed, at the end:", "dim")
            lines = question.printed.strip().splitlines()[-_SHOWN_LINES:]
            yield Code("\n".join(line[:_SHOWN_COLUMNS] for line in lines))


def _verdict(question: QuestionGrade) -> str:
    if question.stopped:
        return question.stopped
    wrong = [part.name for part in question.parts if not part.ok]
    return f"wrong: {', '.join(wrong)}" if wrong else ""
