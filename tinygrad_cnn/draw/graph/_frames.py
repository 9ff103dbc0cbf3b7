"""Frames around boxes: the calls that are open in the picture."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..._core.context import Scope
from ._fold import Box, Edge, Scopes

__all__ = ["frames_of"]


def frames_of(
    boxes: Collection[Box], edges: Iterable[Edge], scopes: Scopes
) -> dict[Box, list[Scope]]:
    """For each box the open calls around it, outermost first.

    What was computed lies in its calls, what is given in those where all lie that use it. A call
    around a single computed box, or around the same as the call inside of it, has no frame; nor
    has the model itself.
    """
    computed = [box for box in boxes if box.kind in ("operation", "result")]
    around = {box: _calls(box, scopes) for box in computed}
    inside: dict[Scope, set[Box]] = {}
    for box, calls in around.items():
        for scope in calls:
            inside.setdefault(scope, set()).add(box)
    framed = {scope for scope, members in inside.items() if len(members) > 1}
    for scope in framed.copy():
        if scope.parent in framed and inside[scope] == inside[scope.parent]:
            framed.discard(scope.parent)
    frames = {box: [s for s in calls if s in framed] for box, calls in around.items()}
    users: dict[Box, list[list[Scope]]] = {}
    for edge in edges:
        if edge.start not in around:
            users.setdefault(edge.start, []).append(frames[edge.end])
    for box in boxes:
        if box not in around:
            frames[box] = [] if box.kind == "input" else _shared(users.get(box, []))
    return frames


def _calls(box: Box, scopes: Scopes) -> list[Scope]:
    path = list(scopes.path(box.scope.parent if box.scope else box.vertices[0].scope))
    is_model = path and path[0].kind == "module" and path[0].name == path[0].params.get("type")
    return path[1:] if is_model else path


def _shared(paths: list[list[Scope]]) -> list[Scope]:
    shared = []
    for level in zip(*paths, strict=False):
        if any(scope is not level[0] for scope in level):
            break
        shared.append(level[0])
    return shared
