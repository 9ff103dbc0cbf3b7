"""A derivation as data: lines in sections, each with its mathematics and its NumPy."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from .._graph import Vertex
from ..typing import Array
from ._formula import fill, placeholders
from ._symbols import Symbol
from ._typeset import shown, typeset

_WIDTH = 88  # of a sum on one line
_TERMS = 50  # of one statement: Python's parser goes one level deeper for each
Phase = Literal["forward", "backward"]


class Term(NamedTuple):
    """An expression: two templates, and what their placeholders stand for."""

    latex: str
    numpy: str
    symbols: Mapping[str, Symbol]

    def to_latex(self, shapes: bool) -> str:
        """The mathematics, with the shape under every array if ``shapes``."""
        return typeset(self.latex, self.symbols, shapes)

    def to_numpy(self) -> str:
        """The NumPy expression."""
        return fill(self.numpy, {key: symbol.code for key, symbol in self.symbols.items()})

    def uses(self) -> set[Symbol]:
        """The symbols that occur."""
        names = (*placeholders(self.latex), *placeholders(self.numpy))
        return {self.symbols[name] for name in names}


@dataclass(frozen=True)
class Line:
    """``target = term + term …``

    Attributes:
        note: why, in a few words; the code shows it as a comment.
        wrt: the name under which the gradient is returned, for the gradients asked for.
    """

    target: Symbol
    terms: tuple[Term, ...]
    note: str = ""
    wrt: str = ""

    def to_latex(self, shapes: bool = True) -> str:
        """The equation."""
        texts = [term.to_latex(shapes) for term in self.terms]
        return f"{shown(self.target, shapes)} = {_joined(texts)}"

    def to_numpy(self) -> str:
        """The assignment, without comment and without parentheses that are not needed.

        A long sum stands in several rows, and of very many terms in several statements.
        """
        return self._numpy

    @cached_property
    def _numpy(self) -> str:
        target, texts = self.target.code, [term.to_numpy() for term in self.terms]
        if len(texts) == 1:
            return f"{target} = {ast.unparse(ast.parse(texts[0], mode='eval'))}"
        # each term as it reads behind another one, with its sign
        rows = [ast.unparse(ast.parse(f"_ {added(t)}", mode="eval"))[2:] for t in texts]
        first = rows[0].removeprefix("+ ")
        rows[0] = f"-{first[2:]}" if first.startswith("- ") else first
        if len(text := f"{target} = {' '.join(rows)}") <= _WIDTH:
            return text
        parts = [rows[start : start + _TERMS] for start in range(0, len(rows), _TERMS)]
        parts[1:] = [[target, *part] for part in parts[1:]]
        return "\n".join(_in_rows(target, part) for part in parts)

    def uses(self) -> set[Symbol]:
        """The symbols on the right."""
        return set().union(*(term.uses() for term in self.terms))


def _in_rows(target: str, rows: list[str]) -> str:
    return "\n    ".join([f"{target} = (", *rows]) + "\n)"


def _joined(texts: Iterable[str]) -> str:
    first, *others = texts
    return " ".join([first, *map(added, others)])


def added(text: str) -> str:
    """A term, LaTeX or NumPy, with the sign by which it joins a sum: ``+ a``, ``- a``."""
    return f"- {text[1:].lstrip()}" if text.startswith("-") else f"+ {text}"


@dataclass
class Section:
    """The lines of one call: a layer, a function or an operation.

    Attributes:
        title: ``fc1: linear``, with settings.
        source: the user's line.
    """

    phase: Phase
    title: str
    lines: list[Line] = field(default_factory=list)
    source: str = ""


@dataclass
class Program:
    """A loss and its gradients, step by step.

    Attributes:
        inputs: the arguments of the generated function, with their arrays.
        labels: for each argument what the user calls it.
        loss: its symbol.
        outputs: by the user's name of each variable asked for, the symbol of its gradient.
        helpers: the functions of ``_standalone`` that the code calls.
        vertices: of the recording, what each symbol is the value of or the gradient by; helper
            values of a function written as a whole have none.
    """

    sections: list[Section]
    inputs: dict[Symbol, Array]
    labels: dict[Symbol, str]
    loss: Symbol
    outputs: dict[str, Symbol]
    helpers: tuple[str, ...]
    vertices: Mapping[Symbol, Vertex] = field(default_factory=dict)

    def lines(self, phase: Phase | None = None) -> list[Line]:
        """All lines in order, or those of one phase."""
        return [
            line for section in self.sections if phase in (None, section.phase)
            for line in section.lines
        ]  # fmt: skip
