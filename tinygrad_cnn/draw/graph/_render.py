"""DOT text to pictures, by what is installed."""

from __future__ import annotations

import shutil
import subprocess
from importlib import import_module
from typing import Any

from ...errors import GraphError

__all__ = ["render", "simplified"]

PATIENCE = 20  # seconds that a layout may take
REMEDY = (
    "install Graphviz, so that its program dot is on the PATH (https://graphviz.org/download), or"
    " pip install pygraphviz; .html() needs neither"
)


def render(dot: str, kind: str) -> bytes:
    """The picture as ``"svg"`` or ``"png"``.

    Raises:
        TimeoutError: the program takes longer than ``PATIENCE`` to lay this out.
        GraphError: Graphviz is not installed, or cannot draw this.
    """
    program = shutil.which("dot")
    if program is not None:
        try:
            ran = subprocess.run(
                [program, f"-T{kind}"], input=dot.encode(), capture_output=True, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        except OSError as error:
            raise GraphError(f"draw.graph: Graphviz's dot does not run: {error}") from None
        if ran.returncode or not ran.stdout:
            said = ran.stderr.decode(errors="replace").strip() or f"exit {ran.returncode}"
            raise GraphError(f"draw.graph: Graphviz's dot failed: {said}")
        return ran.stdout
    pygraphviz = _pygraphviz()
    if pygraphviz is None:
        raise GraphError(f"draw.graph: nothing here draws {kind.upper()} pictures: {REMEDY}")
    return bytes(pygraphviz.AGraph(string=dot).draw(format=kind, prog="dot"))


def simplified(dot: str, note: str) -> str:
    """The same graph to be laid out with less care, under another note."""
    import graphviz

    label = graphviz.quoting.quote(graphviz.escape(note))
    least = "splines=line nslimit=1 nslimit1=1 mclimit=0.1"
    # what is said last of a graph holds
    return f"{dot.rstrip().removesuffix('}')}\tgraph [label={label} {least}]\n}}\n"


def _pygraphviz() -> Any:
    try:
        return import_module("pygraphviz")
    except ImportError:
        return None
