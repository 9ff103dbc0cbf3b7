"""What one call of a step leaves behind for the checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ... import nn
from ..._core.node import Leaf, Node, SourceLine
from ...typing import Array
from .flow import Flow, Origin


class Access(NamedTuple):
    """The data of some arrays were read or written: how, and where."""

    how: str
    where: SourceLine | None
    arrays: tuple[Any, ...] = ()


class Change(NamedTuple):
    """An array that a node saved is not what it was."""

    node: Node
    what: str
    array: Array
    by: Access | None


@dataclass
class Input:
    """A constant that enters the graph, or that the step holds."""

    name: str
    array: Array
    checksum: int
    where: SourceLine | None  # of its first use
    used: bool = True


class Weights(NamedTuple):
    """The gradient of a variable beside its values: two norms."""

    leaf: Leaf
    gradient: float
    values: float
    axes: int
    where: SourceLine | None


class ModeUse(NamedTuple):
    """A module was called in a mode."""

    module: nn.Module
    training: bool
    recording: bool
    node: Node | None  # of its result
    where: SourceLine | None


@dataclass
class Lost:
    """The gradient of a constant that came out of the graph: it does not flow back."""

    origin: Origin
    node: Node  # where it came back
    gradient: Any
    scale: float  # the largest element that was summed


@dataclass
class Backward:
    """One walk: its graph, what got a gradient, what it found amiss."""

    graph: set[Node]
    where: SourceLine | None
    variables: dict[Leaf, tuple[Any, SourceLine | None]]  # in the order of their last use
    received: set[Node] = field(default_factory=set)
    weights: list[Weights] = field(default_factory=list)
    lost: dict[Any, Lost] = field(default_factory=dict)


@dataclass
class Call:
    """One call of the step."""

    inputs: list[Input]
    flow: Flow = field(default_factory=Flow)
    nodes: list[Node] = field(default_factory=list)
    checksums: dict[Node, tuple[int, ...]] = field(default_factory=dict)
    returned: dict[Node, list[tuple[int, Origin]]] = field(default_factory=dict)  # by argument
    reads: dict[Node, Access] = field(default_factory=dict)
    writes: list[Access] = field(default_factory=list)
    unrecorded: dict[int, SourceLine | None] = field(default_factory=dict)  # by id of the array
    modes: list[ModeUse] = field(default_factory=list)
    walks: list[Backward] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    mutated: list[tuple[Input, SourceLine | None]] = field(default_factory=list)
    accumulated: list[tuple[list[Leaf], SourceLine | None]] = field(default_factory=list)

    @property
    def graph(self) -> set[Node]:
        """All that a backward walked over."""
        return set().union(*(walk.graph for walk in self.walks))


@dataclass
class Units:
    """Which units of a relu were ever above zero."""

    alive: Array
    examples: int
    node: Node
