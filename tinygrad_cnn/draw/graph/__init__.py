"""The recorded graph as a picture: at four zooms, forward and backward."""

from __future__ import annotations

from ._graph import graph
from ._view import GraphView

__all__ = ["GraphView", "graph"]
