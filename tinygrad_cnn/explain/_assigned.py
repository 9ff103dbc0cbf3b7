"""What the lines of the user's code call the results that they compute."""

from __future__ import annotations

import ast
from collections import Counter

from .._core.context import enclosing
from .._core.node import SourceLine
from .._graph import Recording, Vertex


def assigned_names(recording: Recording) -> dict[Vertex, str]:
    """By vertex the name that its line assigns to, where only that line does."""
    last: dict[SourceLine, Vertex] = {}
    for vertex in recording:
        source = vertex.source if vertex.operation else None
        if source is not None:
            last[source] = vertex
    names = {v: name for line, v in last.items() if (name := _target(line.text, v))}
    often = Counter(names.values())
    return {vertex: name for vertex, name in names.items() if often[name] == 1}


def _target(line: str, vertex: Vertex) -> str:
    """The name that a line gives to the last result that it recorded itself; empty for none.

    In ``y = f(x * 2)`` that is ``y`` only if ``f`` is what recorded the vertex: an operation or
    a scope around it. What a function of the user's computes has lines of its own.
    """
    try:
        [statement] = ast.parse(line).body
    except (SyntaxError, ValueError):  # part of a statement, or several
        return ""
    if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        return ""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    value = statement.value
    called = ""
    if isinstance(value, ast.Call):
        called = getattr(value.func, "attr", getattr(value.func, "id", ""))
    own = isinstance(value, ast.BinOp | ast.UnaryOp | ast.Compare) or called in _made_by(vertex)
    return targets[0].id if own and isinstance(targets[0], ast.Name) and len(targets) == 1 else ""


def _made_by(vertex: Vertex) -> set[str]:
    """The names of the operation and of the scopes around it."""
    return {vertex.operation, *(scope.name for scope in enclosing(vertex.scope))}
