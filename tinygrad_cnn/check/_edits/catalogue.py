"""The catalogue of broken gradient rules, laid over a recorded graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from ..._core.backprop import local_gradients
from ..._core.node import Node
from ..._core.primitive import Primitive
from ...typing import Array
from .._trace import Trace
from . import paths, pointwise, sums, windows
from .edit import (
    Change,
    Edit,
    Graph,
    Kind,
    Place,
    WideMistake,
    edge_said,
    edges,
    is_operation,
    scopes,
)

__all__ = ["Edit", "edited_gradients", "edits"]

_TABLES = (windows.KINDS, pointwise.KINDS, sums.KINDS)


def edits(trace: Trace) -> Iterator[Edit]:
    """Every mistake that the catalogue knows of the recorded operations.

    The more specific come first. What could not matter for any input of these shapes and
    settings is left out, such as a stride of 1 that is ignored; what merely does not matter for
    the inputs at hand is not.
    """
    graph = Graph(trace.nodes)
    for node in graph.nodes:
        yield from _at(node, _kinds(node), graph)
    for wide in (*windows.WIDE, *paths.WIDE):
        for mistake in wide(graph):
            yield _edit(mistake, graph)
    for node in graph.nodes:
        yield from _at(node, paths.EVERYWHERE, graph)


def _kinds(node: Node) -> list[Kind]:
    """The kinds of mistakes that an operation invites."""
    primitive: Primitive = node.primitive  # type: ignore[assignment]
    kinds = [*chain.from_iterable(table.get(primitive.name, ()) for table in _TABLES)]
    if primitive.unbroadcast is not None or primitive.name == "broadcast_to":
        kinds.append(sums.broadcast_operand)
    return kinds


def _at(node: Node, kinds: Sequence[Kind], graph: Graph) -> Iterator[Edit]:
    """The mistakes of some kinds at one operation."""
    for index in edges(node):
        where = edge_said(node, index)
        for cause, clause, change, remedy in chain.from_iterable(
            kind(node, index, graph) for kind in kinds
        ):
            if not _harmless(cause, node, index):
                places = (Place(node, index, change),)
                yield _edit(WideMistake(cause, where, clause, places, remedy), graph)


def _harmless(cause: str, node: Node, index: int) -> bool:
    """Whether a formula makes up for a mistake, so that no input reveals it."""
    inner, outer = ([scope.name for scope in scopes(node)] + ["", ""])[:2]
    if inner in ("hinge_loss", "nll_loss") and is_operation(node, "multiply", "where"):
        # The margin of the right class against itself is constant, masked or not; a label that
        # is ignored is masked twice.
        return cause == "missing_mask"
    # Deviations from a mean sum to zero: what a variance passes on to its mean is nothing.
    through_mean = (inner, outer) == ("mean", "var") or (
        inner == "var" and is_operation(node, "subtract") and index == 1
    )
    factors = ("mean_for_sum", "missing_mean", "missing_path", "repeated_term", "sign")
    return through_mean and cause in (*factors, "wrong_axis")


def _edit(mistake: WideMistake, graph: Graph) -> Edit:
    """A mistake with the key that tells it from the others of the graph."""
    cause, where, clause, places, remedy = mistake
    numbers = ", ".join(f"{graph.number[node]}.{index}" for node, index, _ in places)
    key = f"{cause} {numbers} {clause.partition(' (')[0]}"
    return Edit(cause, f"{where}: {clause}", places, remedy, key)


def edited_gradients(trace: Trace, edits: Sequence[Edit]) -> list[Array | None]:
    """The gradient by every input with these mistakes made, as ``Trace.gradients`` gives it.

    Where several break one edge, each is given what the one before it made of the gradient.
    """
    changes: dict[Node, dict[int, list[Change]]] = {}
    for node, index, change in chain.from_iterable(edit.places for edit in edits):
        changes.setdefault(node, {}).setdefault(index, []).append(change)

    def local(
        node: Node, g: Any, needed: set[Node] | None, create_graph: bool
    ) -> list[tuple[int, Any]]:
        contributions = local_gradients(node, g, needed, create_graph)
        broken = changes.get(node)
        if broken is None:
            return contributions
        found = []
        for index, gradient in contributions:
            for change in broken.get(index, ()):
                gradient = change(gradient, g)
                if gradient is None:
                    break
            else:
                found.append((index, gradient))
        return found

    with np.errstate(all="ignore"):  # a wrong rule may well divide by zero
        return trace.gradients(local=local)
