"""Small steps of one line of the user's joined into one expression: ``X @ W + b``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ._formula import fill, placeholders
from ._lines import Line, Phase, Section, Term
from ._precedence import inserted
from ._symbols import Symbol

_LENGTH = 60  # of an expression that still reads well


def fuse(sections: list[Section], phase: Phase, kept: set[Symbol]) -> list[Section]:
    """Join each value of one phase that is used once, on the same line of the user's.

    Args:
        sections: of the whole derivation, one for each step.
        phase: whose steps to join.
        kept: values that must stay, such as the loss.
    """
    uses = Counter(key for s in sections for line in s.lines for key in _occurrences(line))
    joined: list[Section] = []
    for section in sections:
        before = joined[-1] if joined else None
        if before is None or section.phase != phase or not _same_line(before, section):
            joined.append(section)
            continue
        child, parent = before.lines[-1], section.lines[0]
        if uses[child.target] == 1 and child.target not in kept and _is_simple(child, parent):
            line = _inlined(parent, child)
            if len(line.to_numpy()) <= _LENGTH:
                before.lines[-1:] = [line, *section.lines[1:]]
                continue
        before.lines.extend(section.lines)
    return joined


def _same_line(before: Section, section: Section) -> bool:
    """Whether two steps belong to one line of the user's and none is a whole function."""
    return (before.phase, before.source, before.title) == (
        section.phase, section.source, section.title
    )  # fmt: skip


def _is_simple(child: Line, parent: Line) -> bool:
    """Whether one expression uses the other, and both have no more to say."""
    one_term = len(child.terms) == len(parent.terms) == 1
    return one_term and child.target in parent.uses() and not (child.wrt or child.note)


def _occurrences(line: Line) -> Iterator[Symbol]:
    for term in line.terms:
        yield from (term.symbols[key] for key in placeholders(term.numpy))


def _inlined(parent: Line, child: Line) -> Line:
    """The parent with the child's expression in the place of its value."""
    [outer], [inner] = parent.terms, child.terms
    [key] = [key for key, symbol in outer.symbols.items() if symbol is child.target]
    renamed = {name: f"{key}_{name}" for name in inner.symbols}
    texts = {name: f"${{{new}}}" for name, new in renamed.items()}
    keep = {name: f"${{{name}}}" for name in outer.symbols}
    latex, numpy = fill(inner.latex, texts), fill(inner.numpy, texts)
    symbols = {name: s for name, s in outer.symbols.items() if name != key}
    symbols.update((renamed[name], symbol) for name, symbol in inner.symbols.items())
    term = Term(
        inserted(outer.latex, key, latex),
        fill(outer.numpy, {**keep, key: f"({numpy})"}),  # Line.to_numpy drops what is too much
        symbols,
    )
    return Line(parent.target, (term,), parent.note, parent.wrt)
