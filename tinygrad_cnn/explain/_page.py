"""A derivation as one HTML page: equations as MathML, nothing fetched."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable

from ..draw._html import page
from ._lines import Line, Program, Section
from ._render import PHASES, TITLE, by_phase, given, results, rows, stacked
from ._symbols import Symbol
from .mathml import STYLE, mathml

__all__ = ["html_of"]

_IDENTIFIER = re.compile(r"(?<![\w.])([^\W\d]\w*)")


def html_of(
    program: Program, *, code: str, shapes: bool = True, title: str = TITLE, task: str = ""
) -> str:
    """A derivation as a page to read, to hand out and to print.

    Args:
        code: the NumPy function, which stands at the end.
        shapes: whether the shape stands below every array.
        title: of the page.
        task: a sentence after the introduction.
    """
    body = "\n".join(_Body(program, shapes).parts(title, task, code))
    folder = files(__package__)
    styles: list[str | Traversable] = [STYLE, folder / "derivation.css"]
    return page(title, body, styles=styles, scripts=[folder / "derivation.js"])


class _Body:
    """What the page shows; every symbol has a class, so that it can be found again."""

    def __init__(self, program: Program, shapes: bool) -> None:
        self.program, self.shapes = program, shapes
        lines = program.lines()
        found = {*program.inputs, *(line.target for line in lines)}.union(
            *(ln.uses() for ln in lines)
        )
        names = sorted(
            s.code for s in found if s.code.isidentifier() and not keyword.iskeyword(s.code)
        )
        self.classes = {name: f"symbol s{number}" for number, name in enumerate(names)}

    def parts(self, title: str, task: str, code: str) -> Iterator[str]:
        """The page from top to bottom."""
        yield f'<main class="derivation">\n<header><h1>{escape(title)}</h1>'
        dx, x = mathml(r"\mathrm{d}X"), mathml("X")
        yield (
            f"<p>{dx} stands for the gradient of {self._symbol(self.program.loss)} by {x}, and has"
            f" the shape of {x}.</p>"
        )
        if task:
            yield f'<p class="task">{escape(task)}</p>'
        yield (
            '<p class="controls"><button id="code" aria-pressed="false">NumPy beside each step'
            "</button></p></header>"
        )
        yield from self._given()
        for phase, sections in by_phase(self.program):
            yield f'<section class="pass"><h2>{PHASES[phase]}</h2>'
            for section, lines in sections:
                yield f'<section class="step">{_heading(section)}'
                yield from (self._line(number, line) for number, line in lines)
                yield "</section>"
            yield "</section>"
        yield from self._results()
        yield (
            "<details><summary>The same in NumPy</summary>"
            f'<button id="copy">Copy</button><pre><code>{escape(code)}</code></pre></details>'
        )
        yield "</main>"

    def _given(self) -> Iterator[str]:
        yield '<section><h2>Given</h2><ul class="given">'
        symbols = self.program.inputs
        for symbol, (_, numbers, name) in zip(symbols, given(self.program), strict=True):
            formula = mathml(rf"{self._marked(symbol).latex} \in {numbers}")
            yield f"<li>{formula} <code>{escape(name)}</code></li>"
        yield "</ul></section>"

    def _line(self, number: int, line: Line) -> str:
        marked = Line(
            self._marked(line.target),
            tuple(
                term._replace(symbols={k: self._marked(s) for k, s in term.symbols.items()})
                for term in line.terms
            ),
            wrt=line.wrt,
        )
        left, right = rows(marked, self.shapes)
        left = mathml(rf"\boxed{{{left}}}" if line.wrt else left)
        equation = mathml(stacked(f"= {right[0]}", right[1:]), display=True)
        note = f'<p class="note">{escape(line.note)}</p>' if line.note else ""
        asked = " asked" if line.wrt else ""
        return (
            f'<div class="line{asked}" id="line-{number}">'
            f'<a class="tag" href="#line-{number}">({number})</a>'
            f'<div class="left">{left}</div><div class="right">{equation}</div>{note}'
            f'<code class="numpy">{self._code(line.to_numpy())}</code></div>'
        )

    def _results(self) -> Iterator[str]:
        if not self.program.outputs:
            return
        yield '<section><h2>The gradients asked for</h2><ul class="given">'
        for name, symbol, number in results(self.program):
            link = f'<a href="#line-{number}">({number})</a>'
            yield f"<li>{self._symbol(symbol)} {link} <code>{escape(name)}</code></li>"
        yield "</ul></section>"

    def _symbol(self, symbol: Symbol) -> str:
        return mathml(self._marked(symbol).latex)

    def _marked(self, symbol: Symbol) -> Symbol:
        """The same symbol with its class."""
        if symbol.code not in self.classes:
            return symbol
        return replace(symbol, latex=rf"\class{{{self.classes[symbol.code]}}}{{{symbol.latex}}}")

    def _code(self, text: str) -> str:
        """Code in which the symbols have their classes too."""
        parts = _IDENTIFIER.split(text)  # every second one is an identifier
        return "".join(
            f'<span class="{self.classes[part]}">{escape(part)}</span>'
            if i % 2 and part in self.classes
            else escape(part)
            for i, part in enumerate(parts)
        )


def _heading(section: Section) -> str:
    source = f"<code>{escape(section.source)}</code>" if section.source else ""
    title = "" if section.title == section.source else f"<span>{escape(section.title)}</span>"
    return f"<h3>{title} {source}</h3>" if title or source else ""
