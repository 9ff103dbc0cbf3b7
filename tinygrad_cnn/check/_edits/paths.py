"""Mistakes in the chain rule itself: paths left out, counted twice, cut short or negated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ..._core.backprop import local_gradients
from ..._core.context import Scope
from ..._core.node import Leaf, Node
from ...typing import Array
from .edit import (
    Graph,
    Kind,
    Mistake,
    Place,
    WideKind,
    WideMistake,
    constant_number,
    drop,
    edge_said,
    edges,
    is_operation,
    listed,
    parent,
    said,
    scaled,
    scopes,
    unsummed,
    values,
)

# Operations that only move or join numbers: a mistake in sign or upstream gradient is one of
# the operation before or after.
_MOVING = frozenset(
    (
        "astype", "broadcast_to", "col2im", "concatenate", "crop", "flip", "gather_windows",
        "getitem", "im2col", "pad", "reshape", "scatter_add", "scatter_windows", "stack",
        "sum_to", "transpose",
    )
)  # fmt: skip
_REDUCTIONS = frozenset(("logsumexp", "mean", "norm", "std", "var"))
_UPSTREAM = "an upstream gradient that is not all ones"
_ANY = "inputs for which this path matters"


# -- single edges ------------------------------------------------------------------------------


def negated(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """The sign of a local gradient."""
    if not is_operation(node, *_MOVING):
        yield Mistake("sign", "the sign is wrong", scaled(-1.0), _ANY)


def without_upstream(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """The chain rule multiplies by what arrives."""
    if is_operation(node, *_MOVING) or (not np.ndim(node.ans) and node is graph.nodes[-1]):
        return

    def change(right: Any, g: Any) -> Any:
        return dict(local_gradients(node, np.ones_like(g)[()]))[index]

    yield Mistake("ignores_upstream", "the upstream gradient is left out", change, _UPSTREAM)


def lost(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """One of the contributions to a gradient, and whether it counts once."""
    vertex = parent(node, index)
    uses = graph.consumers[vertex]
    factors = [place for user, place in uses if user is node]
    if len(factors) > 1:  # a square
        if index == factors[-1]:
            yield Mistake("scale", "one of two equal factors is differentiated", drop, _ANY)
        return
    if len(uses) > 1 or isinstance(vertex, Leaf) or is_operation(node, "add", "subtract"):
        yield Mistake("missing_path", "nothing is passed on", drop, _ANY)
    if len(uses) > 1:
        yield Mistake("repeated_term", "what it passes on is added twice", scaled(2.0), _ANY)


# -- vertices and scopes -----------------------------------------------------------------------


def last_use_only(graph: Graph) -> Iterator[WideMistake]:
    """A gradient that is assigned by each consumer instead of added up."""
    for vertex, uses in graph.consumers.items():
        users = {node for node, _ in uses}
        inside_of_formula = vertex.scope and all(node.scope is vertex.scope for node in users)
        if len(users) > 1 and not inside_of_formula:
            yield WideMistake(
                "overwritten",
                said(vertex),
                f"used {len(uses)} times, it keeps what {edge_said(*uses[-1])} passes on,"
                " = where += belongs",
                tuple(Place(node, index, drop) for node, index in uses[:-1]),
                _ANY,
            )


def lost_scopes(graph: Graph) -> Iterator[WideMistake]:
    """A whole function that passes nothing on to one of its operands, used elsewhere too."""
    leaving: dict[tuple[Scope, Node], list[tuple[Node, int]]] = {}
    for node in graph.nodes:
        for index in edges(node):
            vertex = parent(node, index)
            for scope in scopes(node):
                if scope in scopes(vertex):
                    break
                leaving.setdefault((scope, vertex), []).append((node, index))
    # of scopes that pass the same on, such as std and the var inside of it, the outer one
    outermost = {tuple(found): (scope, vertex) for (scope, vertex), found in leaving.items()}
    for found, (scope, vertex) in outermost.items():
        if 1 < len(found) < len(graph.consumers[vertex]):
            places = tuple(Place(node, index, drop) for node, index in found)
            clause = "the path through it is left out"
            yield WideMistake("missing_path", scope.path, clause, places, _ANY)


# -- statistics --------------------------------------------------------------------------------


class Statistic(NamedTuple):
    """A sum that is used against its own operands, as in softmax and normalisation."""

    summed: Node
    chain: list[tuple[Node, int]]  # from the sum to the value that is repeated
    uses: list[tuple[Node, int]]  # where that value meets the operands again


def statistics(graph: Graph) -> Iterator[WideMistake]:
    """Every element counts in the sum: its gradient passes through it to all others."""
    groups: dict[Scope | None, list[Statistic]] = {}
    for node in graph.nodes:
        if [scope.name for scope in scopes(node)][:2] == ["mean", "var"]:
            continue  # the deviations sum to zero: it passes on nothing anyway
        found = _statistic(node, graph) if is_operation(node, "sum") else None
        if found is not None:
            groups.setdefault(_function(node), []).append(found)
    shifts = _shifts(graph)
    for scope, group in groups.items():
        for mistake in (*_diagonal(scope, group), *_other_axes(scope, group)):
            yield mistake._replace(places=mistake.places + shifts)


def _statistic(summed: Node, graph: Graph) -> Statistic | None:
    """A sum, if it or what is made of it is repeated along the axes that it summed."""
    axes, full = summed.params["axis"], values(summed)[0].shape
    if not summed.params["keepdims"] and axes != tuple(range(len(axes))):
        return None  # only leading axes come back by broadcasting
    chain: list[tuple[Node, int]] = []
    vertex = summed
    while full != summed.ans.shape:
        uses = graph.consumers.get(vertex, [])
        if any(is_operation(node, "einsum", "matmul", *_MOVING) for node, _ in uses):
            return None
        if uses and all(node.ans.shape == full for node, _ in uses):
            return Statistic(summed, chain, uses)
        if len(uses) != 1 or uses[0][0].ans.shape != summed.ans.shape:
            return None
        chain.append(uses[0])
        vertex = uses[0][0]
    return None


def _shifts(graph: Graph) -> tuple[Place, ...]:
    """The largest element that softmax subtracts: a constant to who derives its gradient."""
    return tuple(
        Place(node, 0, drop)
        for node in graph.nodes
        if is_operation(node, "max") and list(edges(node))
        for use in [graph.only_consumer(node)]
        if use is not None and is_operation(use[0], "subtract") and use[1] == 1
    )


def _function(node: Node) -> Scope | None:
    """The scope of the function that a statistic belongs to."""
    return next((scope for scope in scopes(node) if scope.name not in _REDUCTIONS), None)


def _diagonal(scope: Scope | None, found: list[Statistic]) -> Iterator[WideMistake]:
    where = scope.path if scope else said(found[0].summed)
    remedy = "an upstream gradient that differs between the elements"
    dropped = tuple(Place(one.summed, 0, drop) for one in found)
    clause = "only the elementwise path, nothing passes through the sums"
    yield WideMistake("diagonal_only", where, clause, dropped, remedy)
    own = tuple(place for one in found for place in _resummed(one, ()))
    clause = "only the diagonal, each element passes through the sums to itself alone"
    yield WideMistake("diagonal_only", where, clause, own, remedy)


def _other_axes(scope: Scope | None, found: list[Statistic]) -> Iterator[WideMistake]:
    where = scope.path if scope else said(found[0].summed)
    axes = tuple(found[0].summed.params["axis"])
    rest = tuple(axis for axis in range(np.ndim(found[0].summed.ans)) if axis not in axes)
    for other in (rest, *((axis,) for axis in axes if len(axes) > 1)):
        if other:
            places = tuple(place for one in found for place in _resummed(one, other))
            clause = f"the gradient is summed over axis {listed(other)} instead of {listed(axes)}"
            remedy = "axes of different lengths, none of them 1"
            yield WideMistake("wrong_axis", where, clause, places, remedy)


def _resummed(one: Statistic, axes: tuple[int, ...]) -> tuple[Place, ...]:
    """The sum's rule, given a sum over other axes of what arrives where it is repeated.

    Its edges work together: the walk meets those where the statistic is repeated first.
    """
    shape = values(one.summed)[0].shape
    averaged = any(
        is_operation(node, "divide") and constant_number(node, 1) is not None
        for node, _ in (*one.chain, *one.uses)
    )
    # s (g - sum of g s) for softmax: what is summed is g x / y, the divisor comes after
    [use, *more] = [node for node, _ in one.uses]
    divisor = values(use)[1] if is_operation(use, "divide") and not more else 1.0
    seen: dict[tuple[Node, int], Array] = {}

    def remember(node: Node, index: int) -> Place:
        def change(right: Any, g: Any) -> Any:
            seen[node, index] = unsummed(node, index, g) * divisor
            return right

        return Place(node, index, change)

    def resum(right: Any, g: Any) -> Any:
        factor: Any = 1.0 / (np.ones(one.summed.ans.shape) * divisor)
        for node, index in reversed(one.chain):
            factor = dict(local_gradients(node, factor))[index]
        total = np.add.reduce([*seen.values()]).sum(axes, keepdims=True)
        if averaged and axes:  # by the count of what is summed
            factor = factor * (total.size / one.summed.ans.size)
        return np.broadcast_to(total * factor, shape)

    return (*(remember(*use) for use in one.uses), Place(one.summed, 0, resum))


EVERYWHERE: tuple[Kind, ...] = (lost, negated, without_upstream)
WIDE: tuple[WideKind, ...] = (statistics, lost_scopes, last_use_only)
