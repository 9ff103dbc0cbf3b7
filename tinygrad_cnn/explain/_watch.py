"""Code under examination, carried out statement by statement."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["FAILURES", "Attempt", "Watch", "copied", "loaded", "said", "shapes", "watched"]

Values = Mapping[str, Any]
# What somebody's code may raise; an interrupt from the keyboard is none of it.
FAILURES = (Exception, SystemExit)


@dataclass
class Attempt:
    """What an answer says, by the name on the left of an equation.

    Attributes:
        values: ``...`` where nothing was filled in.
        errors: what went wrong instead of giving a value, and where.
        general: what is wrong with the answer as a whole.
    """

    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    general: str = ""


class Watch:
    """What an instrumented function reports to while it runs.

    Attributes:
        found: what it has reported.
        lost: whether it did not come to its end.
        failures: what it catches.
    """

    failures = FAILURES

    def __init__(self, right: Values, where: Callable[[BaseException], str]) -> None:
        self.found, self.lost = Attempt(), False
        self._right, self._where = right, where
        self._missing: dict[str, str] = {}

    def seen(self, name: str, space: Mapping[str, Any]) -> Any:
        """Note what the answer has for a name; what it shall go on with."""
        if name in space and name not in self.found.errors:
            self.found.values[name] = copied(space[name])
        return copied(self._right[name])

    def failed(
        self,
        error: BaseException,
        targets: Sequence[str],
        others: Sequence[str],
        used: Sequence[str],
        space: Mapping[str, Any],
    ) -> None:
        """Note an error where it belongs: with the names that were to be written."""
        message = self._where(error) + shapes(error, used, space)
        if isinstance(error, NameError):  # of a helper value that could not be computed
            known = (m for n, m in self._missing.items() if f"'{n}'" in str(error))
            message = next(known, message)
        for name in targets:
            self.found.errors.setdefault(name, message)
        for name in others:
            self._missing.setdefault(name, message)
        if not targets and not others:
            self.lost = True
            self.found.general = self.found.general or message  # others follow from the first


def watched(body: Sequence[ast.stmt], targets: Sequence[str]) -> Iterator[ast.stmt]:
    """The statements, each telling ``__watch__`` of errors, and of a name when it is complete."""
    written = [_written(statement) for statement in body]
    last = {name: i for i, names in enumerate(written) for name in names}
    for i, statement in enumerate(body):
        names = sorted(written[i])
        own = [name for name in names if name in targets]
        others = [name for name in names if name not in targets]
        used = loaded(statement)
        report = f"__watch__.failed(__error__, {own!r}, {others!r}, {used!r}, locals())"
        [guarded] = ast.parse(
            f"try:\n    pass\nexcept __watch__.failures as __error__:\n    {report}"
        ).body
        assert isinstance(guarded, ast.Try)
        guarded.body = [statement]
        yield guarded
        for name in own:
            if last[name] == i:
                yield from ast.parse(f"{name} = __watch__.seen({name!r}, locals())").body


def _written(statement: ast.stmt) -> set[str]:
    """The names that a statement assigns to, or whose array it changes in place."""
    found = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name | ast.Subscript | ast.Attribute):
            if isinstance(node.ctx, ast.Store):
                found.add(_base(node))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called, arguments = node.value.func, node.value.args
            if isinstance(called, ast.Attribute):  # dx.fill(0), np.add.at(dx, …)
                found.update(map(_base, (called, *arguments[:1])))
        elif isinstance(node, ast.keyword) and node.arg == "out":
            found.add(_base(node.value))
    return found - {"", "np"}


def _base(node: ast.expr) -> str:
    """The name in front of all indices and attributes."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def loaded(tree: ast.AST) -> list[str]:
    """The names that are read."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return list(dict.fromkeys(node.id for node in nodes if isinstance(node.ctx, ast.Load)))


def shapes(error: BaseException, names: Sequence[str], space: Values) -> str:
    """The shapes of the arrays in a line, where they may be what is wrong."""
    if not isinstance(error, ValueError | IndexError):
        return ""
    arrays = [f"{n} {space[n].shape}" for n in names if isinstance(space.get(n), np.ndarray)]
    return f" (shapes: {', '.join(arrays)})" if arrays else ""


def said(error: BaseException, line: int = 0, text: str = "") -> str:
    """An error in one line, with the line of code that it arose in, if that is known."""
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    code = text.partition("  #")[0].strip()
    where = ", ".join(filter(None, (f"line {line}" if line else "", code)))
    return ": ".join(filter(None, (where, type(error).__name__, message)))


def copied(value: Any) -> Any:
    """An array of its own, which may be written to."""
    return value.copy() if isinstance(value, np.ndarray) else value
