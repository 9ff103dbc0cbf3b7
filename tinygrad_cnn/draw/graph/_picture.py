"""The picture in Graphviz's language: boxes, what flows between them, frames, a legend."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..._core.context import Scope
from ...typing import Array, Shape
from ._captions import Caption, Captions, cut, scope_title, shape_text, short_name
from ._fold import Box, Edge
from ._label import FULL, label, plain
from ._legend import draw_legend
from ._style import BOXES, COPY, EDGE, FRAME, GRAPH, LINES, NODE

if TYPE_CHECKING:
    import graphviz

__all__ = ["dot"]

_MOST_SHAPES = 3
_FAR = 15  # boxes between a given array and a consumer that has a copy of it beside itself
_FAR_RESULT = 60  # the same for what was computed


def dot(
    boxes: Sequence[Box],
    edges: Sequence[Edge],
    frames: Mapping[Box, Sequence[Scope]],
    captions: Captions,
    *,
    backward: bool,
    legend: bool,
    note: str,
) -> str:
    """The picture as DOT text.

    Args:
        boxes, edges: what is drawn.
        frames: for each box the open calls around it, outermost first.
        captions: writes on the boxes.
        backward: draw the gradients that return, too.
        legend: draw one.
        note: stands above the picture.
    """
    import graphviz

    picture = graphviz.Digraph(
        "computation",
        graph_attr=GRAPH | {"label": graphviz.escape(note)},
        node_attr=NODE,
        edge_attr=EDGE,
    )
    names = {box: f"n{number}" for number, box in enumerate(boxes)}
    copies = _copies(boxes, edges, names)
    _draw_boxes(picture, boxes, 0, frames, names, captions, copies)
    for edge in edges:
        ends = copies.get(edge, names[edge.start]), names[edge.end]
        kind = "no gradient" if edge.detached else "value"
        text = kind if edge.detached else _carried(edge, captions.show)
        # What the model does runs straight down; what it is given stands beside.
        weight = "8" if edge.start.kind == "operation" else "1"
        picture.edge(*ends, text, weight=weight, **LINES[kind])
        if backward and edge.differentiated:
            text = _returned(edge, captions.show)
            picture.edge(*ends, text, weight="0", **LINES["gradient"])
    for above, below in _below_their_feeds(boxes, edges, frames):
        picture.edge(names[above], names[below], style="invis", weight="0")
    if any(frames.values()):
        picture.attr(newrank="true")  # frames then stand where the edges above want them
    if legend:
        lines = ["no gradient" if edge.detached else "value" for edge in edges]
        if backward and any(edge.differentiated for edge in edges):
            lines.append("gradient")
        maps = not {"value", "gradient"}.isdisjoint(captions.show) and any(
            math.prod(array.shape) > FULL for box in boxes for array in box.outputs
        )
        draw_legend(picture, {box.kind for box in boxes}, lines, maps, bool(copies))
    return str(picture.source)


def _draw_boxes(
    picture: graphviz.Digraph,
    boxes: Sequence[Box],
    depth: int,
    frames: Mapping[Box, Sequence[Scope]],
    names: Mapping[Box, str],
    captions: Captions,
    copies: Mapping[Edge, str],
) -> None:
    """Boxes that lie in the same ``depth`` frames; those that lie in further ones, there."""
    import graphviz

    beside: dict[Box, list[Edge]] = {}
    for edge in copies:
        beside.setdefault(edge.end, []).append(edge)
    framed: dict[Scope, list[Box]] = {}
    for box in boxes:
        if len(frames[box]) > depth:
            framed.setdefault(frames[box][depth], []).append(box)
            continue
        caption = captions.caption(box, frames[box])
        hint = graphviz.escape(plain(caption.hint))
        picture.node(names[box], label(caption), tooltip=hint, **BOXES[box.kind])
        for edge in beside.get(box, ()):
            caption = captions.caption(edge.start, frames[box])
            hint = graphviz.escape(plain(f"again: {caption.hint}"))
            again = Caption(f"↑ {caption.title}")
            picture.node(copies[edge], label(again), tooltip=hint, **BOXES[edge.start.kind] | COPY)
    for scope, members in framed.items():
        with picture.subgraph(name=f"cluster_{names[members[0]]}_{depth}") as frame:
            title = short_name(scope_title(scope), frames[members[0]][:depth])
            text, hint = (graphviz.escape(plain(t)) for t in (cut(title), title))
            frame.attr(label=text, tooltip=hint, **FRAME)
            _draw_boxes(frame, members, depth + 1, frames, names, captions, copies)


def _copies(
    boxes: Sequence[Box], edges: Sequence[Edge], names: Mapping[Box, str]
) -> dict[Edge, str]:
    """Names of small copies: of a box, beside each consumer far from the first one.

    Edges across many screens can be followed by nobody, and take Graphviz minutes to lay out.
    """
    order = {box: number for number, box in enumerate(boxes)}
    first: dict[Box, int] = {}
    copies: dict[Edge, str] = {}
    for edge in edges:
        start, place = edge.start, order[edge.end]
        first[start] = min(place, first.get(start, place))
        far = _FAR_RESULT if start.kind in ("operation", "result") else _FAR
        if place - first[start] > far:
            copies[edge] = f"{names[start]}_{len(copies)}"
    return copies


def _below_their_feeds(
    boxes: Sequence[Box], edges: Sequence[Edge], frames: Mapping[Box, Sequence[Scope]]
) -> Iterator[tuple[Box, Box]]:
    """Pairs (above, below) that hold each frame below what was computed for it last.

    Else its parameters rise beside that, and the frame has to stand to the right of it.
    """
    order = {box: number for number, box in enumerate(boxes)}
    feed: dict[Scope, Box] = {}
    inner: set[tuple[Box, Scope]] = set()
    for edge in edges:
        for scope in frames[edge.end]:
            if scope in frames[edge.start]:
                inner.add((edge.end, scope))
            elif edge.start.kind == "operation":
                feed[scope] = max(edge.start, feed.get(scope, edge.start), key=order.__getitem__)
    for box in boxes:
        for scope in frames[box]:
            if scope in feed and (box, scope) not in inner:
                yield feed[scope], box


def _carried(edge: Edge, show: tuple[str, ...]) -> str:
    """The shapes of what flows, where the box above does not show them."""
    shapes = [array.shape for array in edge.arrays]
    if ("shape" in show and len(edge.start.outputs) == 1) or not any(shapes):
        return ""
    return _list([shape_text(shape) for shape in shapes])


def _returned(edge: Edge, show: tuple[str, ...]) -> str:
    """The shapes of the gradients that come back, or their norms; a single number itself."""
    if not edge.contributions and "norm" in show:
        return "norm: freed"
    gradients = edge.gradients
    return _list(
        [_gradient(array.shape, gradients.get(array), show) for array in edge.differentiated]
    )


def _gradient(shape: Shape, g: Array | None, show: tuple[str, ...]) -> str:
    if g is not None and "norm" in show:
        return f"norm {np.linalg.norm(g.ravel()):.3g}"
    if g is not None and "gradient" in show and g.size == 1:
        return f"{g.item():.4g}"
    return shape_text(shape)


def _list(texts: list[str]) -> str:
    more = [f"and {len(texts) - _MOST_SHAPES:,} more"] if len(texts) > _MOST_SHAPES else []
    return "\n".join([*texts[:_MOST_SHAPES], *more])
