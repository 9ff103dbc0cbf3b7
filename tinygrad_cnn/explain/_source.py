"""A derivation as a NumPy function that needs nothing but NumPy."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator

from . import _standalone
from ._lines import Line, Program
from ._symbols import Symbol

_WIDTH = 96
FUNCTION = "loss_and_gradients"


def source_of(program: Program) -> str:
    """The text of a module with the function ``loss_and_gradients``."""
    helpers = [inspect.getsource(getattr(_standalone, name)).rstrip() for name in program.helpers]
    return "\n\n\n".join(["import numpy as np", *helpers, _function(program)]) + "\n"


def _function(program: Program) -> str:
    arguments = [symbol.code for symbol in program.inputs]
    pairs = [f"{name!r}: {symbol.code}" for name, symbol in program.outputs.items()]
    lines = [
        *_wrapped(f"def {FUNCTION}(", arguments, "):"),
        *textwrap.indent(_docstring(program), "    ").splitlines(),
        *(f"    {line}".rstrip() for line in _body(program)),
        *(f"    {line}" for line in _wrapped(f"return {program.loss.code}, {{", pairs, "}")),
    ]
    return "\n".join(lines)


def _docstring(program: Program) -> str:
    rows = [f"    {_argument(symbol, program)}" for symbol in program.inputs]
    text = [
        '"""The loss, and its gradient by each variable (dX for X, of X\'s shape).',
        "",
        "Args:",
    ]
    return "\n".join([*text, *rows, '"""'])


def _argument(symbol: Symbol, program: Program) -> str:
    label = program.labels[symbol]
    array = program.inputs[symbol]
    called = "" if label == symbol.code else f", {plain(label)}"
    return f"{symbol.code}: {_shape(symbol)}, {array.dtype}{called}"


def _body(program: Program) -> Iterator[str]:
    phase = ""
    for section in program.sections:
        if section.phase != phase:
            phase = section.phase
            yield ""
            yield f"# {'-' * 8} {phase} {'-' * 8}"
        yield f"# {plain(section.title)}"
        for line in section.lines:
            yield from _statement(line)


def _statement(line: Line) -> list[str]:
    text = line.to_numpy()
    comment = f"# {_shape(line.target)}" + (f": {line.note}" if line.note else "")
    if len(text) + len(comment) + 6 <= _WIDTH and "\n" not in text:
        return [f"{text}  {comment}"]
    return [comment, *text.splitlines()]


def _wrapped(head: str, items: list[str], tail: str) -> list[str]:
    """A call, a definition or a dict on one line, or with as many items on a line as fit."""
    joined = ", ".join(items)
    if len(head) + len(joined) + len(tail) + 4 <= _WIDTH:
        return [f"{head}{joined}{tail}"]
    rows: list[str] = []
    for item in items:
        if rows and len(rows[-1]) + len(item) + 6 <= _WIDTH:
            rows[-1] += f" {item},"
        else:
            rows.append(f"    {item},")
    return [head, *rows, tail]


def _shape(symbol: Symbol) -> str:
    return "scalar" if symbol.shape == () else str(symbol.shape)


def plain(text: str) -> str:
    """A user's text as part of a comment: on one line, whatever is in it."""
    return "".join(c if c.isprintable() else " " for c in text).replace('"""', "'''")
