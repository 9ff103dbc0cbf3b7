"""The legend: a small box of each kind that the picture holds, and its lines."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from ._style import BOXES, FRAME, LINES

if TYPE_CHECKING:
    import graphviz

__all__ = ["draw_legend"]

_SAMPLES = {"value": "──▶", "gradient": "◀╌╌", "no gradient": "┈┈┤"}


def draw_legend(
    picture: graphviz.Digraph, boxes: Iterable[str], lines: Iterable[str], maps: bool, copies: bool
) -> None:
    """Add a column that tells what the kinds of boxes and lines mean.

    Args:
        picture: what it is added to.
        boxes, lines: the kinds that occur.
        maps: whether numbers are shown as colours.
        copies: whether boxes are drawn again beside far consumers.
    """
    rows = [
        f'<TR><TD ALIGN="LEFT"><FONT COLOR="{LINES[kind]["color"]}">{_SAMPLES[kind]}</FONT></TD>'
        f'<TD ALIGN="LEFT">{kind}</TD></TR>'
        for kind in _SAMPLES
        if kind in set(lines)
    ]
    if maps:
        rows.append(
            '<TR><TD COLSPAN="2">maps: blue &lt; 0 &lt; orange,<BR/>or dark to light</TD></TR>'
        )
    if copies:
        rows.append('<TR><TD ALIGN="LEFT">↑</TD><TD ALIGN="LEFT">same box as above</TD></TR>')
    table = f'<<TABLE BORDER="0" CELLSPACING="0" CELLPADDING="1">{"".join(rows)}</TABLE>>'
    with picture.subgraph(name="cluster_legend") as column:
        column.attr(label="legend", **FRAME)
        column.attr("node", fontsize="8")
        kinds = [kind for kind in BOXES if kind in set(boxes)]
        for kind in kinds:
            column.node(f"legend_{kind}", kind, **BOXES[kind])
        if rows:
            column.node("legend_lines", table, shape="plain", style="")
            kinds.append("lines")
        for above, below in pairwise(kinds):
            column.edge(f"legend_{above}", f"legend_{below}", style="invis")
