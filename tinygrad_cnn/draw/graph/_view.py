"""A drawn graph: its parts, its DOT text, and ways to see it."""

from __future__ import annotations

import html
import os
from importlib.resources import files
from pathlib import Path
from typing import Any, overload

from ..._files import replacing, write_text
from ...errors import ArgumentError, GraphError
from .._html import page, resource, write_page
from ._fold import Box, Edge
from ._render import render, simplified

__all__ = ["GraphView"]

_PathLike = str | os.PathLike[str]
_SIMPLER = "its layout took too long: lines are straight, and boxes placed with less care"
_BODY = """\
<header>
<h1>Computation graph</h1>
<p class="controls">
<button id="closer" title="closer (+)">+</button>
<button id="farther" title="farther (-)">&minus;</button>
<button id="fit" title="all of it (0)">fit</button>
<span class="muted">drag or arrow keys to move, wheel or + &minus; to zoom, 0 to see all</span>
</p>
</header>
<main id="graph" tabindex="0" role="img" aria-label="Computation graph">{picture}</main>"""
_FRAME = (
    '<iframe sandbox="allow-scripts" style="width:100%;height:600px;border:0" srcdoc="{}"></iframe>'
)


class GraphView:
    """A recorded graph as a picture, folded as it was asked for.

    It holds what was recorded for as long as it lives.

    Attributes:
        dot: the DOT text, which every Graphviz tool reads.
        boxes: in the order of computation; each knows the arrays folded into it.
        edges: each knows all arrays that flow along it, and the gradients that came back.
        note: what is to be said of the picture, such as that it was too large and is folded
            further; it stands above the picture, too.
    """

    def __init__(
        self, dot: str, boxes: tuple[Box, ...], edges: tuple[Edge, ...], note: str
    ) -> None:
        self.dot, self.boxes, self.edges, self.note = dot, boxes, edges, note

    @overload
    def svg(self, path: None = None) -> str: ...
    @overload
    def svg(self, path: _PathLike) -> Path: ...
    def svg(self, path: _PathLike | None = None) -> str | Path:
        """The picture as SVG text; given a path, written there.

        Raises:
            GraphError: Graphviz is not installed, or fails.
            ArgumentError: the folder does not exist, or the name ends in something else.
        """
        target = _target(path, ".svg")
        text = self._drawn("svg").decode("utf-8")
        return text if target is None else write_text(target, text)

    @overload
    def png(self, path: None = None) -> bytes: ...
    @overload
    def png(self, path: _PathLike) -> Path: ...
    def png(self, path: _PathLike | None = None) -> bytes | Path:
        """The picture as PNG; given a path, written there.

        Raises:
            GraphError: Graphviz is not installed, or fails.
            ArgumentError: the folder does not exist, or the name ends in something else.
        """
        target = _target(path, ".png")
        image = self._drawn("png")
        if target is None:
            return image
        with replacing(target) as file:
            file.write(image)
        return target

    @overload
    def html(self, path: None = None) -> str: ...
    @overload
    def html(self, path: _PathLike) -> Path: ...
    def html(self, path: _PathLike | None = None) -> str | Path:
        """A page to zoom and move in; given a path, written there. It needs no network.

        Where Graphviz is not installed or fails, the page brings it along (1.3 MB), compiled to
        WebAssembly by the project Viz.js.

        Raises:
            ArgumentError: the folder does not exist, or the name ends in something else.

        >>> import tempfile, tinygrad_cnn as tc
        >>> x = tc.tensor(2.0, requires_grad=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tc.draw.graph(x * x).html(f"{folder}/square").name
        'square.html'
        """
        target = _target(path, ".html")
        parts: dict[str, Any] = {"scripts": [resource("graph.js")], "data": {}}
        try:
            picture = self.svg()
            body = _BODY.format(picture=picture[picture.index("<svg") :])
        except GraphError:
            body = _BODY.format(picture="<p>Drawing …</p>")
            parts["scripts"].insert(0, files("tinygrad_cnn.draw._vendor") / "viz-global.js")
            parts |= {"data": {"dot": self.dot}, "wasm": True}
        text = page("Computation graph", body, styles=[resource("graph.css")], **parts)
        return text if target is None else write_page(target, text)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """What notebooks show."""
        try:
            return {"image/svg+xml": self.svg(), "text/plain": repr(self)}
        except GraphError as error:
            return {
                "text/html": _FRAME.format(html.escape(self.html())),
                "text/plain": f"{self.dot}\n{error}",
            }

    def _drawn(self, kind: str) -> bytes:
        """The picture; simpler from now on if its layout takes too long."""
        try:
            return render(self.dot, kind)
        except TimeoutError:
            if _SIMPLER not in self.note:
                self.note = f"{self.note}\n{_SIMPLER}".lstrip()
                self.dot = simplified(self.dot, self.note)
                return self._drawn(kind)
            raise GraphError(
                "draw.graph: Graphviz's dot does not get this laid out: choose a coarser zoom or"
                " depth, such as zoom='layers', depth=1"
            ) from None

    def __repr__(self) -> str:
        return f"<GraphView of {len(self.boxes)} boxes and {len(self.edges)} edges>"


def _target(path: _PathLike | None, suffix: str) -> Path | None:
    """Where to write, with the suffix that says what it is."""
    if path is None:
        return None
    # Path("") is the folder "."
    if not isinstance(path, str | os.PathLike) or path == "":
        raise ArgumentError(f"{suffix[1:]}: path={path!r}, expected the name of a file")
    path = Path(path)
    if path.is_dir():
        raise ArgumentError(f"{path}: expected the name of a file, this is a folder")
    if path.suffix.lower() not in ("", suffix):
        raise ArgumentError(f"{path}: {suffix[1:]}() writes files whose names end in {suffix}")
    return path if path.suffix else path.with_suffix(suffix)
