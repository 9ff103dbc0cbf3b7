"""Reports as text, coloured on a terminal, and as HTML in a notebook.

A report is a sequence of blocks; each knows both of its forms. Nothing is printed here.
"""

from __future__ import annotations

import html
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "bad", "warn", "dim", "plain"]

_ANSI: dict[Tone, str] = {"good": "32", "bad": "31;1", "warn": "33", "dim": "2", "plain": "0"}
_CSS: dict[Tone, str] = {
    "good": "color:#1b7837",
    "bad": "color:#b2182b;font-weight:bold",
    "warn": "color:#9a6700",
    "dim": "color:#6b7280",
    "plain": "",
}


def colours_wanted() -> bool:
    """Whether standard output is a terminal that colours are welcome on (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


@dataclass(frozen=True)
class Line:
    """A line of text; HTML wraps it as a paragraph."""

    text: str
    tone: Tone = "plain"

    def to_text(self, colours: bool) -> str:
        """The line, with escape codes for its tone."""
        if not colours or self.tone == "plain":
            return self.text
        return f"\x1b[{_ANSI[self.tone]}m{self.text}\x1b[0m"

    def to_html(self) -> str:
        """The line as a paragraph."""
        return f'<p style="margin:0.2em 0;{_CSS[self.tone]}">{html.escape(self.text)}</p>'


@dataclass(frozen=True)
class Code:
    """Text whose spaces count: code, formulas, maps."""

    text: str

    def to_text(self, colours: bool) -> str:
        """The text, indented."""
        return "\n".join(f"    {line}" for line in self.text.splitlines())

    def to_html(self) -> str:
        """The text, preformatted."""
        return f"<pre>{html.escape(self.text)}</pre>"


@dataclass(frozen=True)
class Table:
    """Rows under a header; numbers to the right. ``tones`` colours whole rows."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    tones: Sequence[Tone] = ()

    def to_text(self, colours: bool) -> str:
        """Columns padded to their widest cell."""
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        tones: list[Tone] = ["dim", *(self.tones or ["plain"] * len(self.rows))]
        lines = []
        for tone, row in zip(tones, [self.header, *self.rows], strict=True):
            cells = [
                cell.rjust(width) if _is_number(cell) else cell.ljust(width)
                for cell, width in zip(row, widths, strict=True)
            ]
            lines.append(Line("  ".join(cells).rstrip(), tone).to_text(colours))
        return "\n".join(lines)

    def to_html(self) -> str:
        """A table element."""
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in self.header)
        body = []
        tones: Sequence[Tone] = self.tones or ["plain"] * len(self.rows)
        for tone, row in zip(tones, self.rows, strict=True):
            cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
            body.append(f'<tr style="{_CSS[tone]}">{cells}</tr>')
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


Block = Line | Code | Table


def _is_number(cell: str) -> bool:
    return bool(cell) and (cell[0].isdigit() or (cell[0] in "+-" and cell[1:2].isdigit()))


class Rendered:
    """A report that shows itself: ``str`` in a terminal, ``_repr_html_`` in Jupyter."""

    def blocks(self) -> Iterable[Block]:
        """What the report says, from top to bottom."""
        return ()

    def to_text(self, colours: bool = False) -> str:
        """The report as text."""
        return "\n".join(block.to_text(colours) for block in self.blocks())

    def __str__(self) -> str:
        return self.to_text(colours_wanted())

    def _repr_html_(self) -> str:
        return "".join(block.to_html() for block in self.blocks())
