"""Activation functions."""

from __future__ import annotations

import math

import numpy as np

from .._core.context import composition
from .._core.primitive import apply
from .._core.tensor import Tensor, as_tensor
from ..errors import ArgumentError, ShapeError
from ..ops import current_conventions, erf, exp, log, sum, where
from ..ops import sigmoid as sigmoid
from ..ops import tanh as tanh
from ..ops._axes import normalize_axis
from ..ops.arithmetic import maximum_p
from ..typing import Array, TensorLike
from ._numbers import in_floats

__all__ = ["gelu", "leaky_relu", "log_softmax", "relu", "sigmoid", "softmax", "tanh"]


@composition
def relu(x: TensorLike) -> Tensor:
    """The positive part, max(0, x); its derivative at 0 is 0.

    ``conventions(relu_at_zero=…)`` takes 0.5 or 1 there instead.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.relu(tc.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    x = as_tensor(x)
    at_zero = current_conventions().relu_at_zero
    if at_zero == 1.0:
        return apply(maximum_p, x, 0.0, ties="first")  # a tie goes to the first operand
    return apply(maximum_p, 0.0, x, ties="split" if at_zero else "first")


@composition
def leaky_relu(x: TensorLike, negative_slope: float = 0.01) -> Tensor:
    """x where it is positive, ``negative_slope`` * x elsewhere (Maas et al. 2013).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.leaky_relu(tc.tensor([-1.0, 2.0]))
    tensor([-0.01,  2.  ])
    """
    x = as_tensor(x)
    return where(x > 0, x, x * negative_slope)


@composition
def gelu(x: TensorLike, approximate: str = "none") -> Tensor:
    """x times the normal distribution function at x (Hendrycks and Gimpel 2016).

    ``approximate="tanh"`` uses their formula with tanh.

    Raises:
        ArgumentError: another approximation.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.gelu(tc.tensor([-1.0, 2.0]))
    tensor([-0.15865525,  1.95449974])
    """
    x = as_tensor(x)
    if approximate == "tanh":
        return 0.5 * x * (1.0 + tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))
    if approximate != "none":
        raise ArgumentError(f"gelu: approximate={approximate!r}: expected 'none' or 'tanh'")
    return 0.5 * x * (1.0 + erf(x * math.sqrt(0.5)))


@composition
def softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """exp(x) normalised to sum 1 along ``axis``, without overflow.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.softmax(tc.tensor([1000.0, 1000.0]))
    tensor([0.5, 0.5])
    """
    weights = exp(_shifted(x, axis, "softmax"))
    return weights / sum(weights, axis, keepdims=True)


@composition
def log_softmax(x: TensorLike, axis: int = -1) -> Tensor:
    """The logarithm of softmax, stable for scores of any size.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.log_softmax(tc.tensor([1000.0, -1000.0]))
    tensor([    0., -2000.])
    """
    # x - logsumexp(x) would round small differences away where all scores are large
    shifted = _shifted(x, axis, "log_softmax")
    return shifted - log(sum(exp(shifted), axis, keepdims=True))


def _shifted(x: TensorLike, axis: int, name: str) -> Tensor:
    """x minus its largest element along the axis, which softmax does not change by.

    The shift is a constant: no gradient goes through it.
    """
    x = in_floats(x)
    axis = normalize_axis(axis, x.ndim, name)
    if not x.shape[axis]:
        raise ShapeError(f"{name} of no elements: shape {x.shape} over axis {axis}")
    largest: Array = np.max(x.data, axis=axis, keepdims=True)
    return x - largest
