"""A derivation with blanks, and a checker that says why an answer is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from os import PathLike as OsPathLike
from pathlib import Path
from typing import Any, Literal, TypeAlias, overload

import numpy as np

from .._arguments import whole
from .._files import write_text
from .._graph import Recording
from ..check import Finding
from ..check._compare import NOTHING, error, not_finite, tolerance_for
from ..errors import ArgumentError, DtypeError
from ..typing import Array
from ._answers import Answer, Attempt, Entries, Steps, kind_of, numbers, read_answer
from ._examiner import Examiner
from ._lines import Line, Program, Term
from ._page import html_of
from ._render import latex_of, markdown_of
from ._source import source_of
from .assessment import Assessment, Verdict

__all__ = ["Blanks", "Exercise"]

PathLike: TypeAlias = str | OsPathLike[str]
Blanks = Literal["backward", "gradients"] | int | Iterable[int]

_BLANK = Term(r"\boxed{\quad ? \quad}", "...", {})
_TITLE = "Exercise"
_TASK = "Fill in what is missing."
_NOTHING = "the right value is 0 up to rounding"
_OTHER_CONVENTION = "up to rounding, or by another convention at ties and kinks"
_HEAD = (
    "# Replace every ... and pass the function, or the name of this file, to exercise.check().\n"
)


class Exercise:
    """The derivation of some gradients with blanks to fill in.

    Made by ``Derivation.exercise``.

    Args:
        program: the derivation.
        recording: what it is the derivation of.
        blanks: ``"backward"``, the right side of every equation of the backward pass;
            ``"gradients"``, those of the gradients asked for alone; or numbers of equations.

    Attributes:
        blanks: by number of the equation, the name on its left.

    Raises:
        ArgumentError: no such equations.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([3.0, 4.0], requires_grad=True)
    >>> y = (x * x).sum()
    >>> exercise = tc.explain.derive(y).exercise("gradients")
    >>> exercise.check({"dx": "-2 * x"}).causes
    {'dx': {'sign'}}
    """

    def __init__(self, program: Program, recording: Recording, blanks: Blanks = "backward") -> None:
        self._program, self._recording = program, recording
        self._lines = dict(enumerate(program.lines(), 1))
        chosen = _chosen(program, self._lines, blanks)
        self.blanks = {number: self._lines[number].target.code for number in chosen}
        self._steps = Steps(program)
        self._inputs = {symbol.code: _precise(array) for symbol, array in program.inputs.items()}
        self._right = self._steps.values(self._inputs, {})
        gradients = [np.abs(self._right[t.target.code]) for t in program.lines("backward")]
        # What is left where gradients cancel, as those by a bias before batch norm.
        self._nothing = NOTHING * max((float(g.max(initial=0.0)) for g in gradients), default=0.0)

    # -- to hand out -------------------------------------------------------------------------

    def latex(self, *, shapes: bool = True) -> str:
        """The equations with an empty box in each blank, for a document with amsmath."""
        return latex_of(self._blanked(), shapes=shapes, title=_TITLE, task=_TASK)

    def markdown(self, *, shapes: bool = True) -> str:
        """The equations with an empty box in each blank, and the function to fill in."""
        return markdown_of(
            self._blanked(), shapes=shapes, title=_TITLE, task=_TASK, code=self.numpy()
        )

    @overload
    def html(self, path: None = None, *, shapes: bool = ...) -> str: ...
    @overload
    def html(self, path: PathLike, *, shapes: bool = ...) -> Path: ...
    def html(self, path: PathLike | None = None, *, shapes: bool = True) -> str | Path:
        """A page to read on a screen or on paper.

        Args:
            path: a file to write; without it the text is returned.
            shapes: whether the shape stands below every array.

        Raises:
            ArgumentError: the folder of ``path`` does not exist.
        """
        text = html_of(self._blanked(), shapes=shapes, title=_TITLE, task=_TASK, code=self.numpy())
        return text if path is None else write_text(path, text, ".html")

    def numpy(self) -> str:
        """The NumPy function with ``...`` in each blank.

        Called with any of them still there, it raises NotImplementedError that names them.
        """
        program = self._blanked("your turn")
        program.helpers = (*program.helpers, "filled")
        return _HEAD + _guarded(source_of(program), list(self.blanks.values()))

    def _repr_latex_(self) -> str:
        return self.latex()

    def __repr__(self) -> str:
        return f"<Exercise: {len(self.blanks)} of {len(self._lines)} equations are blank>"

    def _blanked(self, note: str = "") -> Program:
        """The derivation with blanks; ``note`` stands beside each before what stood there."""
        sections, number = [], 0
        for section in self._program.sections:
            lines = []
            for line in section.lines:
                number += 1
                if number in self.blanks:
                    notes = ", ".join(filter(None, (note, line.note)))
                    line = replace(line, terms=(_BLANK,), note=notes)
                lines.append(line)
            sections.append(replace(section, lines=lines))
        return replace(self._program, sections=sections)

    # -- to check ----------------------------------------------------------------------------

    def check(self, answer: Any) -> Assessment:
        """Which blanks are filled in rightly, and what is wrong with the others.

        Each equation is evaluated with the right values of all before it, so that a mistake costs
        one blank and not all that follow. What somebody wrote runs in this process, with
        all that Python may do: check what you would run.

        Args:
            answer: the function of ``numpy()``, filled in: itself, its source, or the name of a
                ``.py`` file. Or a mapping from the name of a variable (``"W1"``), the left side
                of an equation (``"dscores"``) or its number to an array, or to an expression as
                text, such as ``"X.T @ dscores"``. What the function returned will do as well.

        Raises:
            ArgumentError: the file cannot be read, or the mapping names what is no blank or one
                blank twice.
            DtypeError: the answer is none of these.
        """
        given = self._read(answer)
        attempt = given.attempt(self._right)
        verdicts = {number: self._compared(number, attempt) for number in self.blanks}
        self._explain(verdicts, attempt, given)
        self._excuse(verdicts, attempt, given)
        return Assessment(tuple(verdicts.values()), tuple(self._notes(attempt)))

    def _read(self, answer: Any) -> Answer:
        if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], Mapping):
            answer = answer[1]
        if isinstance(answer, Mapping):
            return Entries(self._entries(answer), self._steps)
        given = read_answer(answer, self._program)
        if given is None:
            raise DtypeError(
                f"check: got {type(answer).__name__}; expected a function, its source, the name of"
                " a .py file, or a mapping from equations to arrays or expressions"
            )
        return given

    def _entries(self, answer: Mapping[Any, Any]) -> dict[str, Any]:
        """The entries of a mapping by the left sides of their equations."""
        keys: dict[str, Any] = {}
        for key in answer:
            target = self._target(key)
            if target in keys:
                raise ArgumentError(f"check: {keys[target]!r} and {key!r} are one blank; give one")
            keys[target] = key
        return {target: answer[key] for target, key in keys.items()}

    def _target(self, key: Any) -> str:
        """The left side of the equation that an entry of a mapping is about."""
        blanks = self.blanks
        if isinstance(key, int) and key in blanks:
            return blanks[key]
        if key in blanks.values():
            return str(key)
        symbol = self._program.outputs.get(key)
        if symbol is not None and symbol.code in blanks.values():
            return symbol.code
        listed = ", ".join(f"{name} ({number})" for number, name in blanks.items())
        raise ArgumentError(f"check: {key!r} is no blank; the blanks are {listed}")

    def _compared(self, number: int, attempt: Attempt) -> Verdict:
        """Whether a value is the right one, up to rounding."""
        target = self.blanks[number]
        if target in attempt.errors:
            return Verdict(number, target, "error", attempt.errors[target])
        value, right = attempt.values.get(target, ...), np.asarray(self._right[target])
        if value is ...:
            if attempt.general and target not in attempt.values:
                return Verdict(number, target, "not checked")
            return Verdict(number, target, "open", "nothing was filled in")
        found = numbers(value)
        if found is None:
            why = f"it is {kind_of(value)}, expected real numbers of shape {right.shape}"
            return Verdict(number, target, "error", why)
        note = _NOTHING if self._is_nothing(number, right) else ""
        both = note and found.shape == right.shape and self._is_nothing(number, found)
        if both or error(found, right) <= tolerance_for(found):
            return Verdict(number, target, "right", note)
        return Verdict(number, target, "wrong", _difference(found, right))

    def _is_nothing(self, number: int, value: Array) -> bool:
        """Whether a value of the backward pass is but the rounding of others."""
        backward = number > len(self._program.lines("forward"))
        return backward and bool(np.all(np.abs(value) <= self._nothing))

    def _explain(self, verdicts: dict[int, Verdict], attempt: Attempt, given: Answer) -> None:
        """Add to the wrong gradients what the doctor says."""
        wrong = {v.target: n for n, v in verdicts.items() if v.outcome == "wrong"}
        examiner = Examiner(self._program, self._recording, self._steps, self._inputs, self._right)
        arrays = {target: numbers(attempt.values[target]) for target in wrong}
        values = {t: a for t, a in arrays.items() if a is not None and examiner.is_gradient(t)}
        findings: dict[str, list[Finding]] = {target: [] for target in values}
        for target, finding in examiner.findings(values, given):
            findings[target].append(finding)
        for target, found in findings.items():
            verdict = verdicts[wrong[target]]
            causes = dict.fromkeys(finding.cause for finding in found)
            if self._is_nothing(verdict.number, np.asarray(self._right[target])):
                causes[_NOTHING] = None
            verdicts[wrong[target]] = (
                replace(verdict, why=", ".join(causes), findings=tuple(found))
                if found
                else replace(verdict, outcome="right", why=_OTHER_CONVENTION)
            )

    def _excuse(self, verdicts: dict[int, Verdict], attempt: Attempt, given: Answer) -> None:
        """Who found all gradients in another way needs no values in between."""
        outputs = {symbol.code for symbol in self._program.outputs.values()}
        right = {v.target for v in verdicts.values() if v.outcome == "right"}
        if not given.whole or not outputs <= right:
            return
        for number, verdict in verdicts.items():
            if verdict.target not in attempt.values and verdict.outcome in ("open", "not checked"):
                verdicts[number] = replace(verdict, outcome="not used", why="")

    def _notes(self, attempt: Attempt) -> Iterator[str]:
        if attempt.general:
            yield attempt.general
        for target, value in attempt.values.items():
            found = None if target in self.blanks.values() else numbers(value)
            if found is not None and error(found, np.asarray(self._right[target])) > 1e-6:
                yield f"{target} was given and has another value now; the right one was used"


def _chosen(program: Program, lines: Mapping[int, Line], blanks: Any) -> list[int]:
    """The numbers of the equations that become blanks."""
    first = 1 + len(program.lines("forward"))
    if blanks == "backward":
        return [number for number in lines if number >= first]
    if blanks == "gradients":
        return [number for number, line in lines.items() if line.wrt]
    listed = [blanks] if isinstance(blanks, int) else blanks
    if isinstance(listed, str) or not isinstance(listed, Iterable):
        raise ArgumentError(
            f"exercise: blanks={blanks!r}: expected 'backward', 'gradients' or numbers of equations"
        )
    found = sorted({whole("exercise", "blanks", number, 1) for number in listed})
    if not found or found[-1] > len(lines):
        raise ArgumentError(
            f"exercise: blanks={blanks!r}: the equations are 1 to {len(lines)}, the backward pass"
            f" begins at {first}"
        )
    return found


def _guarded(source: str, targets: list[str]) -> str:
    """After each run of blanks a call that names those that are still there."""
    rows: list[str] = []
    run: list[str] = []
    for row in source.splitlines():
        name, blank, _ = row.strip().partition(" = ...")
        if blank and name in targets:
            run.append(name)
        elif run:
            rows.append(f"    filled({', '.join(f'{name}={name}' for name in run)})")
            run = []
        rows.append(row)
    return "\n".join(rows) + "\n"


def _precise(array: Array) -> Array:
    """In float64, so that rounding is no matter."""
    array = np.asarray(array)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _difference(found: Array, right: Array) -> str:
    if found.shape != right.shape:
        return f"it has shape {found.shape}, expected {right.shape}"
    undefined = not_finite(found, right)
    if undefined:
        return undefined
    differ = ~np.isclose(found, right, rtol=1e-6, atol=0.0)
    return f"{int(differ.sum())} of {right.size} elements differ"
