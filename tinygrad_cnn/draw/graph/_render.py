"""DOT text to pictures, by what is installed."""

from __future__ import annotations

import shutil
from importlib import import_module
from typing import Any

from ...errors import GraphError

__all__ = ["REMEDY", "can_render", "render"]

REMEDY = (
    "install Graphviz, so that its program dot is on the PATH (https://graphviz.org/download), or"
    " pip install pygraphviz; .html() needs neither"
)


def can_render() -> bool:
    """Whether Graphviz is here: as a program, or inside of pygraphviz."""
    return shutil.which("dot") is not None or _pygraphviz() is not None


def render(dot: str, kind: str) -> bytes:
    """The picture as ``"svg"`` or ``"png"``.

    Raises:
        GraphError: Graphviz is not installed, or cannot draw this.
    """
    if shutil.which("dot") is not None:
        import graphviz

        try:
            return bytes(graphviz.Source(dot).pipe(format=kind, quiet=True))
        except graphviz.CalledProcessError as error:
            raise GraphError(f"draw.graph: Graphviz's dot failed: {error}") from None
    pygraphviz = _pygraphviz()
    if pygraphviz is None:
        raise GraphError(f"draw.graph: nothing here draws {kind.upper()} pictures: {REMEDY}")
    return bytes(pygraphviz.AGraph(string=dot).draw(format=kind, prog="dot"))


def _pygraphviz() -> Any:
    try:
        return import_module("pygraphviz")
    except ImportError:
        return None
