"""Tables of text and HTML, and how numbers are written in them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Cells = tuple[str, ...]


def as_text(rows: Sequence[Cells], left: int, note: str, totals: int = 1) -> str:
    """Columns of equal width between rules.

    Args:
        rows: the header, the rows, and the totals.
        left: how many columns of names come first; the others are numbers.
        note: what is said below.
        totals: how many rows stand below the second rule.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    rule = "-" * max(map(len, lines))
    end = len(lines) - totals
    below = [rule, *lines[end:]] if totals else []
    return "\n".join([lines[0], rule, *lines[1:end], *below, *filter(None, [note])])


def as_html(rows: Sequence[Cells], note: str, totals: int = 1) -> str:
    """The same as notebooks show it."""

    def line(cells: Cells, tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"

    end = len(rows) - totals
    body = "".join(line(row, "td") for row in rows[1:end])
    below = "".join(line(row, "th") for row in rows[end:])
    caption = escape(note).replace("\n", "<br>")
    return f"<table><caption>{caption}</caption>{line(rows[0], 'th')}{body}{below}</table>"


def bytes_text(size: float) -> str:
    """Bytes in the unit that fits."""
    if not size:
        return "0"
    for unit in ("KiB", "MiB"):
        size /= 2**10
        if size < 2**10:
            return f"{size:,.1f} {unit}"
    return f"{size / 2**10:,.2f} GiB"


def count_text(number: int) -> str:
    """Three digits of a large number: 15.2 M."""
    for power, unit in ((12, "T"), (9, "G"), (6, "M"), (3, "K")):
        value = number / 10**power
        if value >= 1:
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f} {unit}"
    return f"{number}"
