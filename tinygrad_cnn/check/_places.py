"""Vertices of a graph in words."""

from __future__ import annotations

from .._core.node import Leaf, Node


def operation(node: Node) -> str:
    """What a vertex is: the name of its operation or variable."""
    if isinstance(node, Leaf):
        return node.name or f"a variable of shape {node.ans.shape}"
    return node.primitive.name if node.primitive else "a vertex"


def place(node: Node) -> str:
    """A vertex with its scope and line."""
    scope = f" in {node.scope.path}" if node.scope else ""
    line = f" (line {node.source.line})" if node.source else ""
    return f"{operation(node)}{scope}{line}"
