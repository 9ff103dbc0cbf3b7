"""Which box of the page each vertex lies in: the scopes it was computed in, nested."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from ..._core.context import Scope
from ..._graph import Recording, Vertex

__all__ = ["Group", "Tree"]

_CROWD = 300  # so many boxes side by side are gathered into runs


@dataclass(eq=False)
class Group:
    """A box that folds.

    Attributes:
        kind: a call of a ``"module"`` or a ``"function"``; a ``"run"`` of operations that no
            scope divides; ``"given"``: variables and inputs.
        parent: the group around it, None outermost.
        params: the settings of the call.
    """

    kind: Literal["module", "function", "run", "given"]
    name: str
    parent: Group | None
    params: dict[str, Any]

    @property
    def path(self) -> list[Group]:
        """The groups from the outermost to this one."""
        return [*(self.parent.path if self.parent else ()), self]


class Tree:
    """The groups of a recording, and in which of them each vertex lies.

    What was computed lies in its scope. A constant lies where all lie that use it. A parameter
    or variable lies in the module around those, to be seen beside the function that it is given
    to; so does an input, unless it is all that flows into that module.
    """

    def __init__(self, recording: Recording) -> None:
        self.groups: list[Group] = []
        self.place: dict[Vertex, Group | None] = {}
        self._by_scope: dict[Scope, Group] = {}
        computed = [vertex for vertex in recording if vertex.operation]
        for vertex in computed:
            self.place[vertex] = self._group(vertex.scope)
        self._gather_runs(computed)
        consumers: dict[Vertex, list[Vertex]] = {vertex: [] for vertex in recording}
        for vertex in computed:
            for operand in vertex.operands:
                consumers[operand].append(vertex)
        fed = self._fed(computed)
        for vertex in recording:
            if not vertex.operation:
                self.place[vertex] = self._around(vertex, consumers[vertex], fed)
        self._gather_given(recording)

    def _group(self, scope: Scope | None) -> Group | None:
        if scope is None:
            return None
        if scope not in self._by_scope:
            kind: Any = "module" if scope.kind == "module" else "function"
            group = Group(kind, scope.name, self._group(scope.parent), scope.params)
            self._by_scope[scope] = group
            self.groups.append(group)
        return self._by_scope[scope]

    def _path(self, vertex: Vertex) -> list[Group]:
        place = self.place[vertex]
        return place.path if place else []

    def _fed(self, computed: list[Vertex]) -> set[Group]:
        """The groups into which something flows that was computed before."""
        return {
            group
            for vertex in computed
            for operand in vertex.operands
            if operand.operation
            for group in self._path(vertex)
            if group not in self._path(operand)
        }

    def _around(self, vertex: Vertex, consumers: list[Vertex], fed: set[Group]) -> Group | None:
        shared: list[Group] = []
        for level in zip(*map(self._path, consumers), strict=False):
            if any(group is not level[0] for group in level):
                break
            shared.append(level[0])
        if vertex.kind != "constant":
            while shared and shared[-1].kind == "function":
                shared.pop()
        if not shared or (vertex.kind == "input" and shared[-1] not in fed):
            return None
        return shared[-1]

    def _gather_runs(self, computed: list[Vertex]) -> None:
        """Fold crowds that no scope divides into runs.

        A run is an interval in the order of computation: no two of them depend on each other.
        """
        children: dict[Group | None, dict[Vertex | Group, int]] = {}
        for step, vertex in enumerate(computed, 1):
            child: Vertex | Group = vertex
            for group in reversed(self._path(vertex)):
                children.setdefault(group, {})[child] = step
                child = group
            children.setdefault(None, {})[child] = step
        for parent, steps in children.items():
            if len(steps) > _CROWD:
                self._divide(parent, steps)

    def _divide(self, parent: Group | None, steps: dict[Vertex | Group, int]) -> None:
        """Put members, given with their last steps, into runs of one length."""
        members, length = list(steps), math.isqrt(len(steps))
        first = min(steps.values())
        for start in range(0, len(members), length):
            run = members[start : start + length]
            last = max(steps[member] for member in run)
            self._put_into(Group("run", f"steps {first} to {last}", parent, {}), run)
            first = last + 1

    def _gather_given(self, recording: Recording) -> None:
        given: dict[Group | None, list[Vertex]] = {}
        for vertex in recording:
            if not vertex.operation:
                given.setdefault(self.place[vertex], []).append(vertex)
        for parent, members in given.items():
            if len(members) > _CROWD:
                self._put_into(Group("given", f"{len(members)} given arrays", parent, {}), members)

    def _put_into(self, group: Group, members: Iterable[Vertex | Group]) -> None:
        self.groups.append(group)
        for member in members:
            if isinstance(member, Group):
                member.parent = group
            else:
                self.place[member] = group
