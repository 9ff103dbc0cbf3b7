"""Which box each array of a recording is drawn in, and what then flows from box to box.

Folding loses nothing: every use of an array lies inside of one box or on exactly one edge, which
knows the array, who uses it, and the gradients that come back.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from ..._core.context import Scope
from ..._graph import Gradients, Recording, Vertex
from ...typing import Array

__all__ = ["Box", "Edge", "Key", "Scopes", "boxes_of", "edges_between", "fold"]

# What lies in one box has one key: a scope, or a vertex that is a box by itself.
Key: TypeAlias = Vertex | Scope
Kind = Literal["parameter", "variable", "input", "constant", "operation", "result"]


@dataclass(eq=False)
class Box:
    """One box of the picture.

    Attributes:
        name: of the module, parameter or variable; empty where nobody gave one.
        kind: ``"result"`` for the box that ends in the result, else as its array.
        scope: the call of a module or function that is folded into it, None for one array.
        vertices: the recorded arrays in it, in the order of computation.
        outputs: those of them that are used outside, and the result.
    """

    name: str
    kind: Kind
    scope: Scope | None
    vertices: tuple[Vertex, ...]
    outputs: tuple[Vertex, ...]


@dataclass(eq=False)
class Edge:
    """All that flows from one box to another.

    Attributes:
        start, end: the boxes.
        uses: each use of an array of ``start`` in ``end``, as (consumer, number of its operand).
        detached: a gradient is wanted before, and none returns here.
        returning: the uses for which a gradient comes back.
        contributions: what comes back for each of them, if a backward walk found it.
    """

    start: Box
    end: Box
    detached: bool
    uses: list[tuple[Vertex, int]] = field(default_factory=list)
    returning: list[tuple[Vertex, int]] = field(default_factory=list)
    contributions: dict[tuple[Vertex, int], Array] = field(default_factory=dict)

    @property
    def arrays(self) -> tuple[Vertex, ...]:
        """The arrays that flow, each once."""
        return _operands(self.uses)

    @property
    def differentiated(self) -> tuple[Vertex, ...]:
        """Those of them whose gradients come back."""
        return _operands(self.returning)

    @property
    def gradients(self) -> dict[Vertex, Array]:
        """For each array the gradients that came back along this edge, added up."""
        total: dict[Vertex, Array] = {}
        for (user, i), g in self.contributions.items():
            array = user.operands[i]
            total[array] = total[array] + g if array in total else g
        return total


def _operands(uses: Iterable[tuple[Vertex, int]]) -> tuple[Vertex, ...]:
    return tuple(dict.fromkeys(user.operands[i] for user, i in uses))


class Scopes:
    """In which calls the vertices of a recording were computed.

    Attributes:
        containers: calls in which a module was called: folded, they would have to surround it.
        depth: how many calls are nested at most.
        calls: all of them.
    """

    def __init__(self, recording: Recording) -> None:
        self._paths: dict[Scope | None, tuple[Scope, ...]] = {None: ()}
        self.containers: set[Scope] = set()
        for vertex in recording:
            self.path(vertex.scope)
        for path in self._paths.values():
            for number, scope in enumerate(path):
                if scope.kind == "module":
                    self.containers.update(path[:number])
        self.depth = max(map(len, self._paths.values()))
        self.calls = [scope for scope in self._paths if scope is not None]

    def path(self, scope: Scope | None) -> tuple[Scope, ...]:
        """The calls from the outermost one to ``scope``."""
        if scope is not None and scope not in self._paths:
            self._paths[scope] = (*self.path(scope.parent), scope)
        return self._paths[scope]

    def function(self, vertex: Vertex) -> Key:
        """The outermost function that a vertex lies in, and no module beside it."""
        path = self.path(vertex.scope)
        inner = (s for s in path if s.kind == "function" and s not in self.containers)
        return next(inner, vertex)

    def module(self, vertex: Vertex, depth: int | None = None) -> Key:
        """The outermost call that holds no further module, or lies ``depth`` calls deep."""
        for level, scope in enumerate(self.path(vertex.scope), 1):
            if level == depth or scope not in self.containers:
                return scope
        return vertex


def fold(
    recording: Recording,
    key: Callable[[Vertex], Key],
    inside: Iterable[str] = ("constant",),
) -> dict[Vertex, Key]:
    """The box of every vertex.

    Args:
        recording: the vertices.
        key: the box of what was computed.
        inside: arrays of these kinds go into the folded call that alone uses them.
    """
    keys = {vertex: key(vertex) if vertex.operation else vertex for vertex in recording}
    users: dict[Vertex, set[Key]] = {}
    for vertex in recording:
        for operand in vertex.operands:
            users.setdefault(operand, set()).add(keys[vertex])
    for vertex in recording:
        if vertex.kind in inside and len(users.get(vertex, ())) == 1:
            [user] = users[vertex]
            if isinstance(user, Scope):
                keys[vertex] = user
    return keys


def boxes_of(
    recording: Recording, keys: dict[Vertex, Key], name: Callable[[Key], str]
) -> dict[Key, Box]:
    """The boxes in the order of their last arrays, so that each stands behind what feeds it."""
    members: dict[Key, list[Vertex]] = {}
    for vertex in recording:
        vertices = members.pop(keys[vertex], [])
        vertices.append(vertex)
        members[keys[vertex]] = vertices
    used = {
        operand
        for vertex in recording
        for operand in vertex.operands
        if keys[operand] != keys[vertex]
    } | {recording.result}
    boxes = {}
    for key, vertices in members.items():
        kind: Kind = vertices[0].kind
        if any(vertex.operation for vertex in vertices):
            kind = "result" if recording.result in vertices else "operation"
        outputs = tuple(vertex for vertex in vertices if vertex in used)
        scope = key if isinstance(key, Scope) else None
        boxes[key] = Box(name(key), kind, scope, tuple(vertices), outputs)
    return boxes


def edges_between(
    recording: Recording, keys: dict[Vertex, Key], boxes: dict[Key, Box], back: Gradients | None
) -> list[Edge]:
    """What flows from box to box, in the order in which it is first used."""
    found: dict[Hashable, Edge] = {}
    for user in recording:
        for i, operand in enumerate(user.operands):
            start, end = keys[operand], keys[user]
            if start == end:
                continue
            detached = operand.requires_grad and not user.flows[i]
            edge = found.get((start, end, detached))
            if edge is None:
                edge = found[start, end, detached] = Edge(boxes[start], boxes[end], detached)
            edge.uses.append((user, i))
            if back is None and user.flows[i]:
                edge.returning.append((user, i))
            elif back is not None and (user, i) in back.contributions:
                edge.returning.append((user, i))
                edge.contributions[user, i] = np.asarray(back.contributions[user, i])
    return list(found.values())
