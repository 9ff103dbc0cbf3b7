"""A caption as Graphviz's HTML-like label; arrays in it as numbers or as maps of colours."""

from __future__ import annotations

import base64
import html
from functools import cache
from typing import Any

import numpy as np

from ...typing import Array
from .._html.payload import GAP, LEVELS, NOT_FINITE, payload
from ._captions import Caption, number_text
from ._style import FAINT, INK

__all__ = ["FULL", "label", "plain"]

FULL = 6  # elements up to which an array is shown in numbers
_IN_A_ROW = 3
_SIDE = 11  # rows and columns that a map has at most
_CELL = 3  # points
# The colours of the HTML pages: base.css.
_STOPS = {
    "diverging": ("#0b3c78", "#4f97d0", "#f7f7f7", "#ee9d45", "#8a3f00"),
    "sequential": ("#00224e", "#414d6b", "#7d7c78", "#bcae6c", "#fee838"),
}
_NOT_FINITE = "#b0178f"


def label(caption: Caption) -> str:
    """The label of a node, between the angle brackets that make it HTML-like."""
    # Beside maps there is room for larger letters; without them the first two lines are one, so
    # that the picture stays low.
    larger = 2 * bool(caption.panels)
    title = f"<B>{_text(caption.title, 11 + larger)}</B>" if caption.title else ""
    lines = [_text(line, 9 + larger, FAINT) for line in caption.lines]
    if lines and not caption.panels:
        title, lines = f"{title} {lines[0]}", lines[1:]
    rows = [f'<TR><TD ALIGN="LEFT">{text}</TD></TR>' for text in (title, *lines) if text]
    cells = [f"<TD>{_open(0)}{''.join(rows)}</TABLE></TD>"] if rows else []
    cells += [_panel(heading, content) for heading, content in caption.panels]
    return f"<{_open(2)}<TR>{''.join(cells) or '<TD></TD>'}</TR></TABLE>>"


def plain(text: str) -> str:
    """Text that every reader of DOT and XML takes: without line ends and control characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _text(text: str, size: int, colour: str = INK) -> str:
    # one backslash with an N behind it would become the name of the node
    escaped = html.escape(plain(text)).replace("\\", "\\\\")
    return f'<FONT POINT-SIZE="{size}" COLOR="{colour}">{escaped}</FONT>'


def _open(spacing: int, more: str = "") -> str:
    return f'<TABLE BORDER="0" CELLPADDING="0" CELLSPACING="{spacing}"{more}>'


def _panel(heading: str, content: Any) -> str:
    """Two cells: the heading, and the array or a text in its place."""
    inner = _text(content, 9) if isinstance(content, str) else _array(np.asarray(content))
    return f'<TD CELLPADDING="3">{_text(heading, 9, FAINT)}</TD><TD>{inner}</TD>'


def _array(array: Array) -> str:
    if array.size <= FULL:
        return _numbers(array) if array.size else _text("empty", 9)
    heat = payload(array, limit=FULL, side=_SIDE)["heat"]
    levels = np.frombuffer(base64.b64decode(heat["levels"]), np.uint8)
    finite = levels[levels < LEVELS]
    # Between two cells a hair of what is behind them is seen.
    behind = _background(int(finite.mean()) if finite.size else NOT_FINITE, heat["scale"])
    rows = levels.reshape(heat["rows"], -1).tolist()
    body = "".join(f"<TR>{''.join(_cell(x, heat['scale']) for x in row)}</TR>" for row in rows)
    size = f' FIXEDSIZE="TRUE" WIDTH="{_CELL * len(rows[0])}" HEIGHT="{_CELL * len(rows)}"'
    return f"{_open(0, behind + size)}{body}</TABLE>"


@cache
def _cell(level: int, scale: str) -> str:
    return f'<TD{_background(level, scale)} WIDTH="{_CELL}" HEIGHT="{_CELL}" FIXEDSIZE="TRUE"></TD>'


def _background(level: int, scale: str) -> str:
    """The colour of a byte of ``payload``."""
    if level == GAP:
        return ' BGCOLOR="white"'
    if level == NOT_FINITE:
        return f' BGCOLOR="{_NOT_FINITE}"'
    stops = _STOPS[scale]
    place = level / (LEVELS - 1) * (len(stops) - 1)
    first = min(int(place), len(stops) - 2)
    low, high = (bytes.fromhex(stop[1:]) for stop in stops[first : first + 2])
    mixed = bytes(round(a + (place - first) * (b - a)) for a, b in zip(low, high, strict=True))
    return f' BGCOLOR="#{mixed.hex()}"'


def _numbers(array: Array) -> str:
    """Rows as NumPy prints them; one row alone is wrapped."""
    digits = 3 if array.ndim else 4
    rows = [
        ",\n".join(number_text(x, digits) for x in row).split("\n")
        for row in array.reshape(-1, array.shape[-1] if array.ndim else 1).tolist()
    ]
    if len(rows) == 1:
        rows = [rows[0][i : i + _IN_A_ROW] for i in range(0, len(rows[0]), _IN_A_ROW)]
    cells = ("".join(f"<TD>{_text(x, 10)}</TD>" for x in row) for row in rows)
    return f"{_open(2)}{''.join(f'<TR>{row}</TR>' for row in cells)}</TABLE>"
