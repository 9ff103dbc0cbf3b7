"""From a file to points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from ...typing import Array
from .._doctor.causes import CAUSES
from ..diagnose import diagnose
from ..findings import Finding
from ._examine import Verdict, examine, hand_written
from ._layers import Case
from ._sandbox import Raised, Sandbox, Stopped
from ._spec import DEFAULT, Question, Spec, read_spec
from .report import Grades, Part, QuestionGrade

_SHOWN_ELEMENTS = 2

_Judged: TypeAlias = tuple[Verdict, tuple[Finding, ...]]


def grade(
    submission: str | Path, spec: str | Path | None = None, hints: int | None = None
) -> Grades:
    """Grade a file of layers, losses and optimiser steps in the style of CS231n.

    Each question runs in a process of its own under limits of time and memory. The process only
    computes: what comes back is compared here. Whatever ends it costs that question alone. It is
    no jail, see docs/grading.md.

    Args:
        submission: a Python file; its functions are found by name.
        spec: a TOML file with questions, points, names and limits; by default
            ``tinygrad_cnn/check/grade/default.toml``.
        hints: 1 says which part fails, 2 also why, 3 also the mathematics and the fix; by
            default what the spec says.

    Raises:
        FileNotFoundError: there is no such submission or spec.
        ArgumentError: the spec has a mistake, or this is not Linux.
    """
    path = Path(submission)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    rules = read_spec(DEFAULT if spec is None else spec)
    rules = rules if hints is None else replace(rules, hints=hints)
    questions = tuple(_grade_question(path, question, rules) for question in rules.questions)
    return Grades(path.name, questions, rules.hints)


def _grade_question(path: Path, question: Question, spec: Spec) -> QuestionGrade:
    verdicts: list[Verdict] = []
    problem = ""
    with Sandbox(path, spec.limits, spec.seed) as sandbox:
        try:
            missing = set(question.functions) - sandbox.names()
            if missing:
                problem = f"there is no function {' or '.join(sorted(missing))}"
            else:
                verdicts.extend(examine(sandbox, question, spec))
        except Raised as error:
            problem = f"it cannot be imported: {error}"
        except Stopped:
            pass  # sandbox.stopped says why
    stopped = sandbox.stopped or problem
    notes = [f"it {v.evidence}; no points lost" for v in verdicts if not v.part]
    by_part: dict[str, list[_Judged]] = {}
    for verdict, findings in _explained(path, question, spec, [] if stopped else verdicts):
        by_part.setdefault(verdict.part, []).append((verdict, findings))
    parts = tuple(_part(name, judged) for name, judged in by_part.items())
    return QuestionGrade(
        question.name, question.points, parts, stopped, tuple(dict.fromkeys(notes)), sandbox.printed
    )


def _explained(
    path: Path, question: Question, spec: Spec, verdicts: list[Verdict]
) -> Iterator[_Judged]:
    """Each verdict on a part, with what the doctor finds where a gradient is wrong."""
    known: dict[int, tuple[tuple[Finding, ...], str]] = {}
    for verdict in filter(lambda verdict: verdict.part, verdicts):
        found: tuple[Finding, ...] = ()
        remark = ""
        if verdict.case is not None:
            call = id(verdict.case)
            if call not in known:
                known[call] = _doctor(path, question, spec, verdict.case, verdict.dout)
            found, remark = known[call]
        findings = tuple(f for f in found if f"gradient of {f.input}" == verdict.part)
        yield replace(verdict, evidence=verdict.evidence + remark), findings


def _doctor(
    path: Path, question: Question, spec: Spec, case: Case, dout: Array | None
) -> tuple[tuple[Finding, ...], str]:
    """Diagnose one call, in a new process: what the doctor tries shall cost nothing.

    Findings, and a remark on why there are none.
    """
    with Sandbox(path, spec.limits, spec.seed) as sandbox:
        try:
            backward, forward = hand_written(sandbox, question, case)
            return diagnose(case.reference, case.inputs, backward, forward, dout).findings, ""
        except Exception as error:  # whatever the submission's answers lead to, grading goes on
            return (), f" (no diagnosis: {type(error).__name__}: {error})"


def _part(name: str, judged: list[_Judged]) -> Part:
    causes, reasons, rules = [], [], []
    for verdict, findings in judged:
        for f in findings:
            causes.append(f.cause)
            reasons.append(f"{f.cause}: {CAUSES[f.cause].title}: {f.evidence}")
            shown = f.wrong[:_SHOWN_ELEMENTS]
            reasons += [f"at {e.index}: yours {e.hand:.6g}, right {e.right:.6g}" for e in shown]
            rules += [f.math, f"fix: {f.fix or CAUSES[f.cause].fix}"]
        if verdict.cause and not findings:
            causes.append(verdict.cause)
            reasons.append(f"{verdict.cause}: {verdict.evidence}")
            rules.append(verdict.help)
    if not causes:
        return Part(name, ok=True)
    texts = ("\n".join(dict.fromkeys(filter(None, lines))) for lines in (reasons, rules))
    return Part(name, False, tuple(dict.fromkeys(causes)), (f"wrong: {name}", *texts))
