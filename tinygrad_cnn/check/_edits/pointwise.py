"""Mistakes at elementwise operations: masks, saved values and factors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..._core.node import Node
from .edit import (
    Change,
    Graph,
    Kind,
    Mistake,
    constant_number,
    edges,
    fit,
    is_operation,
    parent,
    scaled,
    unsummed,
    upstream_times,
    values,
)

_BOTH_SIDES = "values on both sides of the threshold"
_GENERIC = "values other than 0 and 1, of both signs"
_DIVISORS = "divisors other than 1"
_MASKED = "a mask that zeroes something"


def mask(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """An operation that passes each element on to one of its operands."""
    if is_operation(node, "clip") and index:
        return
    passing = upstream_times(node, index, 1.0)
    yield Mistake("missing_mask", "the mask is left out", passing, _BOTH_SIDES)
    yield Mistake(
        "wrong_mask",
        "the mask is inverted",
        lambda right, g: passing(right, g) - right,
        _BOTH_SIDES,
    )


def rectifier_mask(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """A comparison with a constant number, as in relu."""
    if constant_number(node, 1 - index) is None:
        return
    yield Mistake(
        "wrong_mask",
        "the mask is taken from the upstream gradient",
        lambda right, g: g * (g > 0),
        "an upstream gradient of both signs",
    )
    own = graph.number[node]
    for side in (graph.nodes[:own][::-1], graph.nodes[own + 1 :]):
        for other in side:
            if other.primitive is node.primitive and np.shape(other.ans) == np.shape(node.ans):
                yield _mask_of(other)
                break


def _mask_of(other: Node) -> Mistake:
    index = next(edges(other))
    return Mistake(
        "wrong_mask",
        f"the mask is that of {other.scope.path if other.scope else other.source}",
        lambda right, g: unsummed(other, index, g),
        "values whose signs differ between the two layers",
    )


def one_bound(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """clip: the gradient passes between two bounds."""
    if index:
        return
    x, low, high = values(node)
    for bound, inside in (("lower", x >= low), ("upper", x <= high)):
        yield Mistake(
            "wrong_mask",
            f"only the {bound} bound is masked",
            upstream_times(node, index, inside),
            "values below and above the bounds",
        )


def absolute_sign(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """|x|: the factor is the sign of x."""
    change = upstream_times(node, index, 1.0)
    yield Mistake("missing_mask", "the sign of the operand is left out", change, "negative values")


def tied_operands(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """Both operands of a tie may be given the whole gradient."""
    tied = np.equal(*values(node))
    if np.any(tied):
        yield Mistake(
            "tie_convention",
            "a tie passes the whole gradient",
            lambda right, g: fit(node, index, np.where(tied, g, unsummed(node, index, g))),
            "tied values",
        )


def constant_mask(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """A factor that is a constant mask, as dropout's: 0, or one other number."""
    factor = values(node)[1 - index]
    if node.parents[1 - index] is not None or not np.ndim(factor) or not np.size(factor):
        return
    factor = np.asarray(factor, np.float64)
    kept = np.max(factor)
    if not kept or not np.all((factor == 0) | (factor == kept)):
        return
    full, alone = upstream_times(node, index, kept), upstream_times(node, index, factor != 0)
    if kept != 1:
        scaleless = upstream_times(node, index, 1.0)
        yield Mistake(
            "missing_dropout_scale",
            f"the mask lacks its scale ({kept:g})",
            alone,
            "a dropout probability above 0",
        )
        yield Mistake("missing_mask", "mask and scale are left out", scaleless, _MASKED)
    yield Mistake("missing_mask", "the mask is left out", full, _MASKED)
    inverted = upstream_times(node, index, kept - factor)
    yield Mistake("wrong_mask", "the mask is inverted", inverted, _MASKED)


def constant_factor(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """Multiplication or division by a constant number: it may be forgotten."""
    number = constant_number(node, 1 - index)
    dividing = is_operation(node, "divide")
    if number is None or number == 0 or (dividing and index):
        return
    factor = 1 / number if dividing else number
    operand = parent(node, index)
    if is_operation(operand, "sum") and not operand.params["axis"]:
        return  # the mean of a single number
    if is_operation(operand, "sum") and np.isclose(factor * _terms(operand), 1.0):
        yield Mistake(
            "missing_mean",
            f"the division by the count is left out ({1 / factor:g})",
            scaled(1 / factor),
            "a mean of several elements",
        )
    elif abs(factor) != 1:
        dropout = node.scope is not None and node.scope.name == "dropout"
        cause = "missing_dropout_scale" if dropout else "scale"
        clause = f"the constant factor is left out ({factor:g})"
        yield Mistake(cause, clause, scaled(1 / factor), _GENERIC)


def _terms(node: Node) -> float:
    """How many elements each sum runs over."""
    return float(np.size(values(node)[0]) / max(np.size(node.ans), 1))


_USING_OUTPUT = ("exp", "sigmoid", "sqrt", "tanh")
_USING_INPUT = ("cos", "erf", "log", "sin")


def saved_value(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """Functions y = f(x), whose rule uses x or y."""
    [x], y = values(node), node.ans
    forward: Any = node.primitive.forward  # type: ignore[union-attr]
    if is_operation(node, *_USING_INPUT):
        yield Mistake(
            "wrong_saved_value",
            "the output is used for the input",
            lambda right, g: unsummed(node, 0, g, args=(y,)),
            _GENERIC,
        )
        return
    yield Mistake(
        "wrong_saved_value",
        "the input is used for the output",
        lambda right, g: unsummed(node, 0, g, ans=x),
        _GENERIC,
    )
    yield Mistake(
        "wrong_saved_value",
        "the function is applied to its own output",
        lambda right, g: unsummed(node, 0, g, ans=forward(y)),
        _GENERIC,
    )


def saved_factor(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """x * y: the factor of one operand is the other operand."""
    own, other = values(node)[index], values(node)[1 - index]
    if own is other or constant_number(node, 1 - index) is not None:
        return
    clause = "stands for the other operand"
    for value, name in ((own, "the operand itself"), (node.ans, "the product")):
        change = upstream_times(node, index, value)
        yield Mistake("wrong_saved_value", f"{name} {clause}", change, _GENERIC)
    yield Mistake(
        "wrong_saved_value",
        f"the upstream gradient {clause}",
        lambda right, g: fit(node, index, g * g),
        "an upstream gradient unlike the operands",
    )


def saved_quotient(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """x / y: the rules are g / y and -g x / y²."""
    x, y = values(node)
    variants: tuple[tuple[str, Change], ...]
    if index:
        variants = (
            ("the divisor is not squared", lambda right, g: -g * x / y),
            ("it is not divided again", lambda right, g: -g * node.ans),
        )
    elif node.parents[1] is None:
        return
    else:
        variants = (
            ("multiplied by the divisor", lambda right, g: g * y),
            ("divided by the quotient", lambda right, g: g / node.ans),
        )
    for clause, rule in variants:
        yield Mistake("wrong_saved_value", clause, _fitted(node, index, rule), _DIVISORS)


def _fitted(node: Node, index: int, rule: Change) -> Change:
    return lambda right, g: fit(node, index, rule(right, g))


def root_factor(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """The derivative of the square root has the factor 1/2."""
    yield Mistake("scale", "the factor 1/2 is left out", scaled(2.0), _GENERIC)


def power_rule(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """x ** y: the exponent comes down as a factor and is lowered by one."""
    if index:
        return
    exponent = values(node)[1]
    change = upstream_times(node, index, exponent * node.ans)
    yield Mistake("wrong_saved_value", "the exponent is not lowered", change, _GENERIC)
    if not np.ndim(exponent) and exponent not in (0, 1):
        change = scaled(1 / exponent)
        yield Mistake(
            "scale", f"the exponent as a factor is left out ({exponent:g})", change, _GENERIC
        )


KINDS: dict[str, tuple[Kind, ...]] = {
    "abs": (absolute_sign,),
    "clip": (mask, one_bound),
    "divide": (constant_factor, saved_quotient),
    "maximum": (mask, rectifier_mask, tied_operands),
    "minimum": (mask, tied_operands),
    "multiply": (constant_mask, constant_factor, saved_factor),
    "power": (power_rule,),
    "sqrt": (saved_value, root_factor),
    "where": (mask,),
    **dict.fromkeys(("cos", "erf", "exp", "log", "sigmoid", "sin", "tanh"), (saved_value,)),
}
