"""Mistakes at sums: reductions, broadcasting, matrix products, and elements read by index."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..._core.node import Node
from ...ops import scatter_add
from .edit import (
    Change,
    Graph,
    Kind,
    Mistake,
    constant_number,
    fit,
    is_operation,
    listed,
    scaled,
    unsummed,
    values,
)

_NOT_SYMMETRIC = "a matrix that is not symmetric"
_TERMS = "sums of several terms (N > 1)"
_SEVERAL = "several elements that differ"
_REPEATED_INDEX = "an index that names an element twice"


# -- reductions --------------------------------------------------------------------------------


def averaged_sum(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """The gradient of a sum is spread, that of a mean divided."""
    consumer = graph.only_consumer(node)
    if not node.params["axis"]:
        return
    divided = consumer is not None and is_operation(consumer[0], "divide")
    if divided and constant_number(consumer[0], 1) is not None:  # type: ignore[index]
        return  # it is a mean
    count = np.size(values(node)[0]) / max(np.size(node.ans), 1)
    yield Mistake("mean_for_sum", f"divided by the count ({count:g})", scaled(1 / count), _TERMS)


def other_axis(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """The gradient of a sum is repeated along the axis that was summed."""
    axes = node.params["axis"]
    shape = values(node)[0].shape
    for other, length in enumerate(shape):
        if len(axes) == 1 and other not in axes and length == shape[axes[0]] > 1:
            yield Mistake(
                "wrong_axis",
                f"spread along axis {other} instead of {axes[0]}",
                _swapped(axes[0], other),
                "axes of different lengths",
            )


def _swapped(one: int, other: int) -> Change:
    return lambda right, g: np.swapaxes(right, one, other)


def winners(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """max, min: the gradient goes to the winner."""
    [x] = values(node)
    axes = node.params["axis"]
    if not axes:
        return
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    won = x == np.reshape(node.ans, kept)
    yield Mistake(
        "missing_mask",
        "every element gets the gradient, not the winner alone",
        lambda right, g: np.broadcast_to(np.reshape(g, kept), x.shape),
        _SEVERAL,
    )
    if won.sum() > np.size(node.ans):
        yield Mistake(
            "tie_convention",
            "every winner of a tie gets the whole gradient",
            lambda right, g: np.reshape(g, kept) * won,
            "tied values",
        )


def unflipped_cumsum(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """The gradient of a running sum runs backwards."""
    axis = node.params["axis"]
    yield Mistake(
        "wrong_axis",
        "the running sum of the gradient goes forwards, not backwards",
        lambda right, g: np.cumsum(g, axis),
        _SEVERAL,
    )


# -- broadcasting ------------------------------------------------------------------------------


def broadcast_operand(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """An operand that was repeated gets the sum over the axes along which it was."""
    if is_operation(node, "einsum", "matmul", "scatter_add"):
        return  # their results have other shapes than their operands for other reasons
    shape, result = np.shape(values(node)[index]), np.shape(node.ans)
    axes = _repeated(shape, result)
    for some in dict.fromkeys((tuple(axes), *((axis,) for axis in axes))) if axes else ():
        clause = f"averaged over axis {listed(some)} where to sum"
        count = math.prod(result[axis] for axis in some)
        yield Mistake("mean_for_sum", clause, scaled(1 / count), _TERMS)
    for axis in axes:
        if _is_rectified(node, graph):
            clause = f"= where += belongs: of the terms along axis {axis} the last stays"
            yield Mistake("overwritten", clause, _last_term_passed(node, index, axis), _TERMS)
        for place, name in ((0, "first"), (-1, "last")):
            clause = f"only the {name} element along axis {axis} counts, nothing is summed"
            change = _one_slice(node, index, axis, place)
            yield Mistake("missing_broadcast_sum", clause, change, _TERMS)
        for other, length in enumerate(result):
            if other not in axes and length == result[axis] > 1:
                clause = f"summed over axis {other} instead of {axis}"
                change = _summed_over(node, index, axis, other)
                yield Mistake("wrong_axis", clause, change, "axes of different lengths")


def _repeated(shape: tuple[int, ...], result: tuple[int, ...]) -> list[int]:
    """The axes of a result along which an operand was repeated, were they longer than 1.

    An axis that both have at length 1 counts if the operand is repeated along another one: a
    bias of shape (K, 1, 1, 1) meets a batch of one image.
    """
    added = len(result) - len(shape)
    ones = [axis for axis in range(added, len(result)) if shape[axis - added] == 1]
    if added or any(result[axis] > 1 for axis in ones):
        return [*range(added), *ones]
    return []


def _one_slice(node: Node, index: int, axis: int, place: int) -> Change:
    def change(right: Any, g: Any) -> Any:
        full = _full(node, index, g)
        return fit(node, index, np.take(full, [place], axis))

    return change


def _is_rectified(node: Node, graph: Graph) -> bool:
    """Whether its result, a constant added perhaps, is the margin of a hinge."""
    use = graph.only_consumer(node)
    while use is not None and is_operation(use[0], "add", "subtract"):
        use = graph.only_consumer(use[0])
    return use is not None and is_operation(use[0], "maximum", "where")


def _last_term_passed(node: Node, index: int, axis: int) -> Change:
    """The last element along an axis that is not zero, as in a loop with an ``if``.

    What is compared with itself, as a class with itself, takes no part.
    """

    def change(right: Any, g: Any) -> Any:
        full = _full(node, index, g)
        others = np.where(node.ans == 0, 0.0, full)
        last = full.shape[axis] - 1 - np.argmax(np.flip(others != 0, axis), axis, keepdims=True)
        stays = np.where(np.arange(full.shape[axis]) == np.moveaxis(last, axis, -1), 1.0, 0.0)
        return fit(node, index, full - others + others * np.moveaxis(stays, -1, axis))

    return change


def _summed_over(node: Node, index: int, axis: int, other: int) -> Change:
    return lambda right, g: fit(node, index, np.swapaxes(_full(node, index, g), axis, other))


def _full(node: Node, index: int, g: Any) -> Any:
    return g if is_operation(node, "broadcast_to") else unsummed(node, index, g)


# -- matrix products ---------------------------------------------------------------------------


def untransposed(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """x @ y: the gradients are g @ yᵀ and xᵀ @ g."""
    x, y = values(node)
    other, own = values(node)[1 - index], values(node)[index]
    if other.shape[-1] == other.shape[-2] > 1:
        yield Mistake(
            "transposed",
            "the other factor is not transposed",
            lambda right, g: fit(node, index, x @ g if index else g @ y),
            _NOT_SYMMETRIC,
        )
    if own.shape[-1] == own.shape[-2] > 1:
        yield Mistake("transposed", "the result is transposed", _swapped(-1, -2), _NOT_SYMMETRIC)
    if np.ndim(node.ans) > 1 and node.ans.shape[-1] == node.ans.shape[-2] > 1:
        clause = "the upstream gradient is transposed"
        change = _of_transposed(node, index)
        yield Mistake("transposed", clause, change, "a result that is not square")


def _of_transposed(node: Node, index: int) -> Change:
    return lambda right, g: fit(node, index, unsummed(node, index, np.swapaxes(g, -1, -2)))


def contraction(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """The gradient of a factor is a sum over what the result has from the other one."""
    consumer = graph.only_consumer(node)
    after = consumer[0] if consumer else None
    if is_operation(after, "reshape") and np.ndim(after.ans) < np.ndim(node.ans):  # type: ignore[union-attr]
        return  # a factor was a vector: there is nothing to sum over
    count = np.shape(node.ans)[-2 if index else -1]
    clause = f"averaged where to sum ({count} terms)"
    yield Mistake("mean_for_sum", clause, scaled(1 / count), _TERMS)
    yield Mistake("overwritten", "only the last term counts", _last_term(node, index), _TERMS)


def _last_term(node: Node, index: int) -> Change:
    x, y = values(node)

    def change(right: Any, g: Any) -> Any:
        if index:
            return fit(node, index, np.swapaxes(x[..., -1:, :], -1, -2) @ g[..., -1:, :])
        return fit(node, index, g[..., -1:] @ np.swapaxes(y[..., -1:], -1, -2))

    return change


def rearranged(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """The gradient of a transposition is transposed back."""
    shape = values(node)[index].shape
    forth = node.params["axes"]
    if tuple(forth) == tuple(range(len(shape))):
        return
    yield Mistake(
        "transposed",
        "the gradient is reshaped where to transpose it",
        lambda right, g: np.reshape(g, shape),
        "several elements along each axis (N > 1)",
    )
    if np.shape(node.ans) == shape and tuple(np.argsort(forth)) != tuple(forth):
        yield Mistake(
            "transposed",
            "the axes are permuted forth, not back",
            lambda right, g: np.transpose(g, forth),
            "axes of different lengths",
        )


# -- elements by index -------------------------------------------------------------------------


def repeated_index(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """An element that was read twice gets the sum."""
    [x], chosen = values(node), node.params["index"]
    arrays = [part for part in _parts(chosen) if _is_integer(part) and np.size(part) > 1]
    if not arrays or any(_counts(part) for part in arrays):
        return  # no element can be named twice

    def change(right: Any, g: Any) -> Any:
        out = np.zeros(x.shape)
        out[chosen] = g
        return out

    yield Mistake("overwritten", "= where += belongs", change, _REPEATED_INDEX)


def wrong_place(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """The gradient returns to the element that was read."""
    [x], parts = values(node), _parts(node.params["index"])
    axes = [i for i, part in enumerate(parts) if _is_integer(part) and not _counts(part)]
    if not axes or not all(_is_integer(part) or isinstance(part, slice) for part in parts):
        return
    axis = axes[-1]
    length, labels = x.shape[axis], parts[axis]
    others = {"one further": (labels + 1) % length, "one before": (labels - 1) % length}
    if np.ndim(labels):
        others["the first"] = labels * 0
        others["the last"] = labels * 0 + length - 1
    if x.ndim == 2 and np.ndim(labels) and np.size(labels) == x.shape[1 - axis]:
        others["the largest"] = np.argmax(x, axis).reshape(np.shape(labels))
    for name, other in others.items():
        change = _scattered((*parts[:axis], other, *parts[axis + 1 :]), x.shape)
        clause = f"it goes to another element than the one read: {name}"
        yield Mistake("wrong_index", clause, change, "labels of every class")


def _scattered(where: Any, shape: tuple[int, ...]) -> Change:
    return lambda right, g: scatter_add(g, where, shape)


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _is_integer(part: Any) -> bool:
    return isinstance(part, (int, np.integer, np.ndarray)) and np.asarray(part).dtype.kind in "iu"


def _counts(part: Any) -> bool:
    """Whether an index runs along its axis as arange does, and so names nothing twice."""
    return np.size(part) > 1 and np.array_equal(np.ravel(part), np.arange(np.size(part)))


def other_operand(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """Joined operands: each gets its own part of the gradient."""
    operands = values(node)
    other = (index + 1) % len(operands)
    if other == index or operands[other].shape != operands[index].shape:
        return
    yield Mistake(
        "wrong_index",
        "it gets the part of its neighbour",
        lambda right, g: unsummed(node, other, g),
        "operands that are used differently",
    )


KINDS: dict[str, tuple[Kind, ...]] = {
    "concatenate": (other_operand,),
    "cumsum": (unflipped_cumsum,),
    "getitem": (repeated_index, wrong_place),
    "matmul": (untransposed, contraction),
    "max": (winners,),
    "min": (winners,),
    "stack": (other_operand,),
    "sum": (averaged_sum, other_axis),
    "transpose": (rearranged,),
}
