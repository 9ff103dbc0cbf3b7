"""Pictures of recorded graphs."""

from __future__ import annotations

from .graph import GraphView, graph

__all__ = ["GraphView", "graph"]
