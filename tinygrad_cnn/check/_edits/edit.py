"""What a broken gradient rule is, and what each kind of it needs to know of the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from os.path import basename, dirname
from typing import Any, NamedTuple

import numpy as np

from ..._core.context import Scope, enclosing
from ..._core.node import Leaf, Node
from ...ops import sum_to

Change = Callable[[Any, Any], Any]

_HERE = dirname(dirname(__file__))


class Place(NamedTuple):
    """An edge of the graph, from an operation to one of its arguments, with another rule.

    ``change(right, g)`` gives, from the right gradient of the argument and the gradient ``g`` of
    the result, the wrong one, of the same shape; None where nothing is passed on.
    """

    node: Node
    argument: int
    change: Change


@dataclass(frozen=True)
class Edit:
    """One mistake in a backward pass.

    Attributes:
        cause: the code of the mistake, such as ``"missing_mask"``.
        what: where and what, in a clause.
        places: the edges that it breaks.
        remedy: inputs that reveal it; those at hand may not.
        key: the same for the same mistake in another recording of the function.
    """

    cause: str
    what: str
    places: tuple[Place, ...]
    remedy: str
    key: str

    @property
    def node(self) -> Node:
        """The first operation that it breaks."""
        return self.places[0].node


class Mistake(NamedTuple):
    """What can be done wrong at one edge.

    The clause ends with what may differ between recordings of a function, in brackets.
    """

    cause: str
    clause: str
    change: Change
    remedy: str


class WideMistake(NamedTuple):
    """What can be done wrong at several edges at once."""

    cause: str
    where: str
    clause: str
    places: tuple[Place, ...]
    remedy: str


class Graph:
    """Recorded operations, and who uses what.

    Attributes:
        nodes: the operations, oldest first.
        number: the place of each in ``nodes``.
        consumers: for each vertex the edges that end there, in the order of backpropagation.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes = [node for node in nodes if node.primitive is not None]
        self.number = {node: number for number, node in enumerate(self.nodes)}
        self.consumers: dict[Node, list[tuple[Node, int]]] = {}
        for node in reversed(self.nodes):
            for index in edges(node):
                self.consumers.setdefault(parent(node, index), []).append((node, index))

    def only_consumer(self, node: Node) -> tuple[Node, int] | None:
        """The edge through which alone a vertex is used."""
        found = self.consumers.get(node, ())
        return found[0] if len(found) == 1 else None


Kind = Callable[[Node, int, Graph], Iterator[Mistake]]
WideKind = Callable[[Graph], Iterator[WideMistake]]


def edges(node: Node) -> Iterator[int]:
    """The arguments that a gradient is passed on to."""
    for index, found in enumerate(node.parents):
        if found is not None and node.primitive.rule(index) is not None:  # type: ignore[union-attr]
            yield index


def parent(node: Node, index: int) -> Node:
    """The vertex of an argument that a gradient is passed on to."""
    return node.parents[index]  # type: ignore[return-value]


def values(node: Node) -> tuple[Any, ...]:
    """The saved arguments of an operation."""
    return node.args  # type: ignore[return-value]


def is_operation(node: Node | None, *names: str) -> bool:
    """Whether a vertex is an operation of one of these names."""
    return node is not None and node.primitive is not None and node.primitive.name in names


def constant_number(node: Node, index: int) -> Any:
    """An argument that is a number and no variable; None for any other."""
    value = values(node)[index]
    return value if node.parents[index] is None and not np.ndim(value) else None


def unsummed(node: Node, index: int, g: Any, ans: Any = None, args: Any = None) -> Any:
    """The rule's gradient before it is summed over the axes that were broadcast.

    ``ans`` and ``args``: values that the rule is given in the place of the saved ones.
    """
    rule: Any = node.primitive.rule(index)  # type: ignore[union-attr]
    args = node.args if args is None else args
    return np.asarray(rule(g, node.ans if ans is None else ans, *args, **node.params))


def fit(node: Node, index: int, gradient: Any) -> Any:
    """A gradient of the result's shape, summed to the shape of an argument."""
    return sum_to(gradient, np.shape(values(node)[index]))


def drop(right: Any, g: Any) -> None:
    """Nothing is passed on."""


def scaled(factor: Any) -> Change:
    """The right gradient times a constant."""
    return lambda right, g: right * factor


def upstream_times(node: Node, index: int, factor: Any) -> Change:
    """The gradient of the result times a constant, in the shape of the argument."""
    return lambda right, g: fit(node, index, g * factor)


def scopes(node: Node) -> list[Scope]:
    """The scopes of a vertex from the inside out."""
    return list(enclosing(node.scope))


def listed(axes: Iterable[int]) -> str:
    """Axes as words: 0, 2, 3."""
    return ", ".join(map(str, axes))


def said(node: Node) -> str:
    """An operation with its scope and source line, such as ``maximum (relu, net.py:12)``."""
    if node.primitive is None:
        return (node.name if isinstance(node, Leaf) else None) or "a variable"
    details = [node.scope.path] if node.scope else []
    if node.source is not None and not node.source.file.startswith(_HERE):
        details.append(f"{basename(node.source.file)}:{node.source.line}")
    return f"{node.primitive.name} ({', '.join(details)})" if details else node.primitive.name


def edge_said(node: Node, index: int) -> str:
    """An operation and, where it has several, which argument."""
    if len(node.parents) == 1:
        return said(node)
    vertex = node.parents[index]
    while is_operation(vertex, "reshape", "transpose"):
        vertex = parent(vertex, 0)  # type: ignore[arg-type]
    name = vertex.name if isinstance(vertex, Leaf) and vertex.name else f"operand {index + 1}"
    return f"{said(node)} by {name}"
