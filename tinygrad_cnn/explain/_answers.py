"""What somebody filled into the blanks of a derivation, and what comes out of it.

Every line is carried out with the right values of all lines before it, so that one mistake
costs one blank.
"""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from itertools import product, takewhile
from linecache import getline
from pathlib import Path
from traceback import walk_tb
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from .._core.tensor import raw
from ..errors import ArgumentError, TinygradCnnError
from ..typing import Array
from . import _standalone
from ._lines import Program
from ._source import FUNCTION
from ._watch import FAILURES, Attempt, Watch, copied, loaded, said, shapes, watched

__all__ = ["Answer", "Attempt", "Entries", "Steps", "kind_of", "numbers", "read_answer"]

Values = Mapping[str, Any]


class Steps:
    """The lines of a program, ready to be carried out."""

    def __init__(self, program: Program) -> None:
        self._helpers = {name: getattr(_standalone, name) for name in program.helpers}
        self._lines = {
            line.target.code: compile(line.to_numpy(), "<derivation>", "exec")
            for line in program.lines()
        }

    def values(self, inputs: Values, fixed: Values) -> dict[str, Any]:
        """What every name stands for at these inputs; values in ``fixed`` are taken as given."""
        space: dict[str, Any] = {"np": np, **self._helpers, **inputs}
        with np.errstate(all="ignore"):
            for target, code in self._lines.items():
                if target in fixed:
                    space[target] = fixed[target]
                else:
                    exec(code, space)
        return space

    def before(self, target: str, values: Values) -> dict[str, Any]:
        """The values without that of a line and of all that follow."""
        later = {*self._lines} - {*self._earlier(target)}
        return {name: value for name, value in values.items() if name not in later}

    def exchanges(self, target: str, values: Values) -> Iterator[tuple[str, str, Values]]:
        """Names that an equation uses, others of the same shape before it (or 1) in their place.

        With each pair the values that are so.
        """
        known = {n: v for n, v in self.before(target, values).items() if isinstance(v, np.ndarray)}
        used = [name for name in known if name in self._lines[target].co_names]
        for one, other in product(used, known):
            if one != other and known[one].shape == known[other].shape:
                yield one, other, {**values, one: known[other]}
        for one in used:
            yield one, "1", {**values, one: np.ones_like(known[one])}

    def value(self, target: str, values: Values) -> Any:
        """The right side of an equation, given all that it uses."""
        space = dict(values)
        with np.errstate(all="ignore"):
            exec(self._lines[target], space)
        return space[target]

    def _earlier(self, target: str) -> Iterator[str]:
        return takewhile(lambda name: name != target, self._lines)


class Answer(ABC):
    """An answer, which can be tried at any values.

    Attributes:
        fixed: names whose answers are mere numbers, for the values of the exercise alone.
        whole: whether it may go its own way from the inputs to the gradients.
        stepwise: whether it makes use of right values that are put in its way.
    """

    fixed: frozenset[str] = frozenset()
    whole = stepwise = True

    @abstractmethod
    def attempt(self, right: Values) -> Attempt:
        """Carry it out, given the right value of every name."""


class Entries(Answer):
    """Arrays and expressions by the name on the left of a line."""

    def __init__(self, entries: Mapping[str, Any], steps: Steps) -> None:
        self._entries, self._steps = dict(entries), steps
        self.fixed = frozenset(n for n, entry in entries.items() if not isinstance(entry, str))
        self.whole = len(self.fixed) == len(entries)

    def attempt(self, right: Values) -> Attempt:
        """Expressions see the right values of all lines before."""
        found = Attempt()
        for target, entry in self._entries.items():
            if not isinstance(entry, str):
                found.values[target] = entry
                continue
            space = {n: copied(v) for n, v in self._steps.before(target, right).items()}
            code = None
            try:
                code = _expression(entry.strip(), target)
                with np.errstate(all="ignore"):
                    found.values[target] = eval(compile(code, "<answer>", "eval"), dict(space))
            except FAILURES as error:
                names = [] if code is None else loaded(code)
                found.errors[target] = (
                    f"{entry.strip()}: {said(error)}{shapes(error, names, space)}"
                )
        return found


def _expression(text: str, target: str) -> ast.Expression:
    """An expression, or the right side of an assignment to the target; nothing is a blank."""
    body = ast.parse(text or "...", "<answer>").body
    match body:
        case []:  # a comment
            return _expression("", target)
        case [ast.Expr(value=value)]:
            return ast.Expression(value)
        case [ast.Assign(targets=[ast.Name(id=name)], value=value)] if name == target:
            return ast.Expression(value)
    raise SyntaxError(f"expected an expression, or {target} = an expression")


class _Function(Answer):
    """A function of the inputs that returns the loss and the gradients."""

    def __init__(self, program: Program) -> None:
        self._inputs = [symbol.code for symbol in program.inputs]
        self._outputs = {name: symbol.code for name, symbol in program.outputs.items()}

    def _arguments(self, right: Values) -> list[Any]:
        return [copied(right[name]) for name in self._inputs]

    def _take(self, result: Any, found: Attempt, right: Values) -> None:
        """Read ``(loss, gradients by name)``, the names with or without a d in front."""
        gradients = result[1] if isinstance(result, tuple) and len(result) == 2 else result
        if not isinstance(gradients, Mapping):
            if any(target not in found.values for target in self._outputs.values()):
                names = ", ".join(map(repr, self._outputs))
                found.general = (
                    f"it returns {_kind(result)}; expected the loss and a dict of gradients with"
                    f" the keys {names}"
                )
            return
        for name, target in self._outputs.items():
            value = gradients.get(name, gradients.get(target, ...))
            if target not in found.values and target not in found.errors:
                if value is not ...:
                    found.values[target] = value
            elif value is not ... and not _equal(value, right[target]):
                found.general = f"what it returns as {name!r} is not {target}"


class Called(_Function):
    """A function whose source cannot be had: what it returns is all that is known."""

    stepwise = False

    def __init__(self, function: Callable[..., Any], program: Program) -> None:
        super().__init__(program)
        self._function = function

    def attempt(self, right: Values) -> Attempt:
        """Its gradients; it works with its own values throughout."""
        found = Attempt()
        try:
            with np.errstate(all="ignore"):
                result = self._function(*self._arguments(right))
        except FAILURES as error:
            found.general = said(error)
        else:
            self._take(result, found, right)
        return found


class Written(_Function):
    """A function as source: carried out statement by statement.

    After the last statement that writes to a name of the derivation, its value is noted and
    the right one put in its place.
    """

    def __init__(
        self, text: str, file: str, program: Program, *, space: Values | None = None, first: int = 1
    ) -> None:
        super().__init__(program)
        self._file, self._lines, self._first = file, text.splitlines(), first
        self._space = dict(space or {})
        self._targets = [line.target.code for line in program.lines()]
        self._broken, self._code = "", None
        try:
            self._code = self._compiled(ast.parse(text, file))
        except SyntaxError as error:
            self._broken = said(error, (error.lineno or 1) + first - 1, error.text or "")

    def _compiled(self, tree: ast.Module) -> CodeType | None:
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        wanted = [node for node in functions if node.name == FUNCTION] or functions[-1:]
        if not wanted:
            self._broken = (
                f"there is no function {FUNCTION} in it; for single equations pass a mapping, such"
                f" as {{{self._targets[-1]!r}: 'an expression'}}"
            )
            return None
        [function] = wanted[-1:]
        function.decorator_list = []
        self._name = function.name
        function.body = list(watched(function.body, self._targets))
        ast.fix_missing_locations(tree)
        ast.increment_lineno(tree, self._first - 1)
        return compile(tree, self._file, "exec")

    def attempt(self, right: Values) -> Attempt:
        """Each statement with the right values of the lines before it."""
        if self._code is None:
            return Attempt(general=self._broken)
        watch = Watch(right, self._where)
        space = {**self._space, "__watch__": watch}
        try:
            with np.errstate(all="ignore"):
                exec(self._code, space)
                result = space[self._name](*self._arguments(right))
        except FAILURES as error:
            return Attempt(watch.found.values, watch.found.errors, self._where(error))
        if not watch.lost:
            self._take(result, watch.found, right)
        return watch.found

    def _where(self, error: BaseException) -> str:
        """The error, with the line of the answer that it arose in."""
        places = walk_tb(error.__traceback__)
        own = [line for frame, line in places if frame.f_code.co_filename == self._file]
        number = own[-1] if own else 0
        inside = 0 <= number - self._first < len(self._lines)
        text = self._lines[number - self._first] if inside else getline(self._file, number)
        return said(error, number, text)


def numbers(value: Any) -> Array | None:
    """The numbers of an answer, if it is some."""
    try:
        found = np.asarray(raw(value))
    except (TinygradCnnError, ValueError):  # an object, or a ragged list
        return None
    return found if found.dtype.kind in "biuf" else None


def kind_of(value: Any) -> str:
    """What was given in the place of real numbers: ``a list``, ``an array of complex128``."""
    if isinstance(value, np.ndarray | np.generic):
        return f"an array of {value.dtype}" if np.ndim(value) else f"a {value.dtype}"
    return f"a {type(value).__name__}"


def _equal(value: Any, right: Any) -> bool:
    found = numbers(value)
    return found is not None and np.array_equal(found, right, equal_nan=True)


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{name} of {len(value)}" if isinstance(value, tuple) else name


def read_answer(answer: Any, program: Program) -> Answer | None:
    """The function that somebody filled in, however it is given; None for anything else.

    Raises:
        ArgumentError: the file cannot be read.
    """
    if isinstance(answer, os.PathLike) or (isinstance(answer, str) and _names_a_file(answer)):
        try:
            text = Path(answer).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ArgumentError(f"check: {os.fspath(answer)} cannot be read: {error}") from None
        return Written(text, os.fspath(answer), program)
    if isinstance(answer, str):
        return Written(answer, "<answer>", program)
    if inspect.isfunction(answer):
        return _with_source(answer, program) or Called(answer, program)
    return Called(answer, program) if callable(answer) else None


def _with_source(function: FunctionType, program: Program) -> Answer | None:
    """A function to be carried out stepwise, if its source can be had."""
    try:
        lines, first = inspect.getsourcelines(function)
        text = textwrap.dedent("".join(lines))
        if not any(isinstance(node, ast.FunctionDef) for node in ast.parse(text).body):
            return None  # a lambda
    except (OSError, SyntaxError):
        return None
    space = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    return Written(text, inspect.getfile(function), program, space=space, first=first)


def _names_a_file(text: str) -> bool:
    return text.endswith(".py") and "\n" not in text
