"""Elementwise arithmetic on two operands, with NumPy's broadcasting.

A rule may return a gradient of the result's shape: the engine sums it over the axes that were
broadcast (``unbroadcast=sum_to``).
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .._core.primitive import Rule, apply, primitive
from .._core.symbol import any_of
from .._core.tensor import Tensor, raw
from ..errors import DtypeError
from ..typing import TensorLike
from .conventions import current_conventions
from .shape import sum_to
from .transcendental import log

__all__ = [
    "abs",
    "add",
    "clip",
    "divide",
    "floor",
    "floor_divide",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "power",
    "remainder",
    "round",
    "sign",
    "subtract",
    "where",
]


def _broadcasting(name: str, forward: Any, *rules: Rule | None) -> Any:
    return primitive(name, forward, rules, unbroadcast=sum_to)


# Python's operators are ten times as fast on NumPy scalars as the ufuncs are.
add_p = _broadcasting(
    "add",
    operator.add,
    lambda g, ans, x, y: g,
    lambda g, ans, x, y: g,
)
subtract_p = _broadcasting(
    "subtract",
    operator.sub,
    lambda g, ans, x, y: g,
    lambda g, ans, x, y: -g,
)
multiply_p = _broadcasting(
    "multiply",
    operator.mul,
    lambda g, ans, x, y: g * y,
    lambda g, ans, x, y: g * x,
)
divide_p = _broadcasting(
    "divide",
    operator.truediv,
    lambda g, ans, x, y: g / y,
    lambda g, ans, x, y: -g * ans / y,
)
negative_p = primitive("negative", operator.neg, (lambda g, ans, x: -g,))


def _nonzero_base(x: Any, y: Any) -> Any:
    """``x``, with 1 where x = y = 0: there 0 * 0**-1 is NaN, though the derivative is 0."""
    if isinstance(y, (int, float)) and y:
        return x
    undefined = (x == 0) & (y == 0)
    return where(undefined, 1.0, x) if any_of(undefined) else x


def _log_of_nonzero(x: Any) -> Any:
    """ln x, with 0 where x = 0: there x**y * ln x tends to 0, but 0 * -inf is NaN."""
    zero = x == 0
    return log(where(zero, 1.0, x) if any_of(zero) else x)


power_p = _broadcasting(
    "power",
    operator.pow,
    lambda g, ans, x, y: g * (y * _nonzero_base(x, y) ** (y - 1)),
    lambda g, ans, x, y: g * (ans * _log_of_nonzero(x)),
)


def _wins_or_ties(x: Any, y: Any, ties: str) -> Any:
    """The first operand's share of the gradient where the larger one wins."""
    return x >= y if ties == "first" else (x > y) + 0.5 * (x == y)


def _wins(x: Any, y: Any, ties: str) -> Any:
    """The second operand's share: it does not win a tie."""
    return x > y if ties == "first" else (x > y) + 0.5 * (x == y)


maximum_p = _broadcasting(
    "maximum",
    lambda x, y, *, ties: np.maximum(x, y),
    lambda g, ans, x, y, *, ties: g * _wins_or_ties(x, y, ties),
    lambda g, ans, x, y, *, ties: g * _wins(y, x, ties),
)
minimum_p = _broadcasting(
    "minimum",
    lambda x, y, *, ties: np.minimum(x, y),
    lambda g, ans, x, y, *, ties: g * _wins_or_ties(y, x, ties),
    lambda g, ans, x, y, *, ties: g * _wins(x, y, ties),
)
clip_p = _broadcasting(
    "clip",
    np.clip,
    lambda g, ans, x, low, high: g * ((x >= low) & (x <= high)),
    lambda g, ans, x, low, high: g * ((x < low) & (low <= high)),
    lambda g, ans, x, low, high: g * ((x > high) | (low > high)),
)
where_p = _broadcasting(
    "where",
    np.where,
    None,
    lambda g, ans, condition, x, y: where(condition, g, 0.0),
    lambda g, ans, condition, x, y: where(condition, 0.0, g),
)
sign_p = primitive("sign", np.sign, (None,))
floor_p = primitive("floor", np.floor, (None,))
round_p = primitive("round", lambda x, *, decimals: np.round(x, decimals), (None,))
floor_divide_p = _broadcasting("floor_divide", np.floor_divide, None, None)
abs_p = primitive("abs", np.abs, (lambda g, ans, x: g * sign(x),))


def add(x: TensorLike, y: TensorLike, /) -> Tensor:
    """x + y, broadcast.

    >>> import tinygrad_cnn as tc
    >>> tc.add(tc.tensor([1.0, 2.0]), 1.0)
    tensor([2., 3.])
    """
    return apply(add_p, x, y)


def subtract(x: TensorLike, y: TensorLike, /) -> Tensor:
    """x - y, broadcast.

    >>> import tinygrad_cnn as tc
    >>> tc.subtract(tc.tensor([1.0, 2.0]), 1.0)
    tensor([0., 1.])
    """
    return apply(subtract_p, x, y)


def multiply(x: TensorLike, y: TensorLike, /) -> Tensor:
    """x * y elementwise, broadcast.

    >>> import tinygrad_cnn as tc
    >>> tc.multiply(tc.tensor([1.0, 2.0]), 3.0)
    tensor([3., 6.])
    """
    return apply(multiply_p, x, y)


def divide(x: TensorLike, y: TensorLike, /) -> Tensor:
    """x / y elementwise, broadcast.

    >>> import tinygrad_cnn as tc
    >>> tc.divide(1.0, tc.tensor([1.0, 2.0]))
    tensor([1. , 0.5])
    """
    return apply(divide_p, x, y)


def negative(x: TensorLike, /) -> Tensor:
    """-x.

    >>> import tinygrad_cnn as tc
    >>> tc.negative(tc.tensor(2.0))
    tensor(-2.)
    """
    return apply(negative_p, x)


def power(x: TensorLike, y: TensorLike, /) -> Tensor:
    """x ** y elementwise, broadcast; differentiable in the base and in the exponent.

    At x = 0 the derivative by the exponent is taken as its limit 0.

    Raises:
        DtypeError: an integer to a negative integer power, which is no integer.

    >>> import tinygrad_cnn as tc
    >>> tc.power(tc.tensor([1.0, 2.0]), 3)
    tensor([1., 8.])
    """
    try:
        return apply(power_p, x, y)
    except ValueError as error:
        if "negative integer powers" not in str(error):
            raise
        raise DtypeError("power: integers to a negative integer power: write -1.0 for -1") from None


def maximum(x: TensorLike, y: TensorLike, /) -> Tensor:
    """The larger of x and y elementwise, broadcast; NaN wins.

    A tie gives its gradient to ``x``, or half to each under ``conventions(ties="split")``.

    >>> import tinygrad_cnn as tc
    >>> tc.maximum(tc.tensor([-1.0, 2.0]), 0.0)
    tensor([0., 2.])
    """
    return apply(maximum_p, x, y, ties=current_conventions().ties)


def minimum(x: TensorLike, y: TensorLike, /) -> Tensor:
    """The smaller of x and y elementwise, broadcast; ties as in ``maximum``.

    >>> import tinygrad_cnn as tc
    >>> tc.minimum(tc.tensor([-1.0, 2.0]), 0.0)
    tensor([-1.,  0.])
    """
    return apply(minimum_p, x, y, ties=current_conventions().ties)


def clip(x: TensorLike, min: TensorLike | None = None, max: TensorLike | None = None) -> Tensor:
    """x limited to [min, max]; the gradient passes where x lies inside, the ends included.

    >>> import tinygrad_cnn as tc
    >>> tc.clip(tc.tensor([-2.0, 0.5, 2.0]), -1.0, 1.0)
    tensor([-1. ,  0.5,  1. ])
    """
    if min is None:
        return _unchanged(x) if max is None else minimum(x, max)
    return maximum(x, min) if max is None else apply(clip_p, x, min, max)


def _unchanged(x: Any) -> Any:
    return x if isinstance(x, Tensor) else raw(x)


def where(condition: TensorLike, x: TensorLike, y: TensorLike, /) -> Tensor:
    """x where the condition holds, y elsewhere, broadcast.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([-1.0, 2.0])
    >>> tc.where(x > 0, x, 0.1 * x)
    tensor([-0.1,  2. ])
    """
    return apply(where_p, raw(condition), x, y)


def sign(x: TensorLike, /) -> Tensor:
    """-1, 0 or 1; piecewise constant, so no gradient passes.

    >>> import tinygrad_cnn as tc
    >>> tc.sign(tc.tensor([-3.0, 0.0]))
    tensor([-1.,  0.])
    """
    return apply(sign_p, x)


def floor(x: TensorLike, /) -> Tensor:
    """The largest whole number up to x; piecewise constant, so no gradient passes.

    >>> import tinygrad_cnn as tc
    >>> tc.floor(tc.tensor([-1.5, 1.5]))
    tensor([-2.,  1.])
    """
    return apply(floor_p, x)


def round(x: TensorLike, decimals: int = 0) -> Tensor:
    """x to so many decimals, halves to the even neighbour; no gradient passes.

    >>> import tinygrad_cnn as tc
    >>> tc.round(tc.tensor([0.5, 1.5, 2.4]))
    tensor([0., 2., 2.])
    """
    return apply(round_p, x, decimals=decimals)


def floor_divide(x: TensorLike, y: TensorLike, /) -> Tensor:
    """The floor of x / y, broadcast; piecewise constant, so no gradient passes.

    >>> import tinygrad_cnn as tc
    >>> tc.floor_divide(tc.tensor([-3.0, 3.0]), 2.0)
    tensor([-2.,  1.])
    """
    return apply(floor_divide_p, x, y)


def remainder(x: TensorLike, y: TensorLike, /) -> Tensor:
    """What ``floor_divide`` leaves of x, broadcast: of the sign of y, as Python's ``%``.

    >>> import tinygrad_cnn as tc
    >>> tc.remainder(tc.tensor([-3.0, 3.5]), 2.0)
    tensor([1. , 1.5])
    """
    return subtract(x, multiply(floor_divide(x, y), y))


def abs(x: TensorLike, /) -> Tensor:
    """``|x|``; the derivative at 0 is taken as 0.

    >>> import tinygrad_cnn as tc
    >>> tc.abs(tc.tensor([-3.0, 2.0]))
    tensor([3., 2.])
    """
    return apply(abs_p, x)
