"""Elementwise functions of one operand."""

from __future__ import annotations

import math

import numpy as np

from .._core.primitive import apply, primitive
from .._core.tensor import Tensor
from .._kernels import special
from ..typing import TensorLike

__all__ = ["cos", "erf", "exp", "log", "sigmoid", "sin", "sqrt", "tanh"]

exp_p = primitive("exp", np.exp, (lambda g, ans, x: g * ans,))
log_p = primitive("log", np.log, (lambda g, ans, x: g / x,))
sqrt_p = primitive("sqrt", np.sqrt, (lambda g, ans, x: g / (2.0 * ans),))
tanh_p = primitive("tanh", np.tanh, (lambda g, ans, x: g * (1.0 - ans * ans),))
sigmoid_p = primitive("sigmoid", special.sigmoid, (lambda g, ans, x: g * (ans * (1.0 - ans)),))
erf_p = primitive(
    "erf", special.erf, (lambda g, ans, x: g * (2.0 / math.sqrt(math.pi) * exp(-(x * x))),)
)
sin_p = primitive("sin", np.sin, (lambda g, ans, x: g * cos(x),))
cos_p = primitive("cos", np.cos, (lambda g, ans, x: -g * sin(x),))


def exp(x: TensorLike, /) -> Tensor:
    """e**x.

    >>> import tinygrad_cnn as tc
    >>> tc.exp(tc.tensor(0.0))
    tensor(1.)
    """
    return apply(exp_p, x)


def log(x: TensorLike, /) -> Tensor:
    """The natural logarithm.

    >>> import tinygrad_cnn as tc
    >>> tc.log(tc.tensor(1.0))
    tensor(0.)
    """
    return apply(log_p, x)


def sqrt(x: TensorLike, /) -> Tensor:
    """The square root; its derivative at 0 is infinite.

    >>> import tinygrad_cnn as tc
    >>> tc.sqrt(tc.tensor(9.0))
    tensor(3.)
    """
    return apply(sqrt_p, x)


def tanh(x: TensorLike, /) -> Tensor:
    """The hyperbolic tangent.

    >>> import tinygrad_cnn as tc
    >>> tc.tanh(tc.tensor(0.0))
    tensor(0.)
    """
    return apply(tanh_p, x)


def sigmoid(x: TensorLike, /) -> Tensor:
    """1 / (1 + exp(-x)), without overflow for any x.

    >>> import tinygrad_cnn as tc
    >>> tc.sigmoid(tc.tensor([-1000.0, 0.0]))
    tensor([0. , 0.5])
    """
    return apply(sigmoid_p, x)


def erf(x: TensorLike, /) -> Tensor:
    """The error function, 2/sqrt(pi) times the integral of exp(-t**2) from 0 to x.

    >>> import tinygrad_cnn as tc
    >>> round(tc.erf(tc.tensor(1.0)).item(), 6)
    0.842701
    """
    return apply(erf_p, x)


def sin(x: TensorLike, /) -> Tensor:
    """The sine; x in radians.

    >>> import tinygrad_cnn as tc
    >>> tc.sin(tc.tensor(0.0))
    tensor(0.)
    """
    return apply(sin_p, x)


def cos(x: TensorLike, /) -> Tensor:
    """The cosine; x in radians.

    >>> import tinygrad_cnn as tc
    >>> tc.cos(tc.tensor(0.0))
    tensor(1.)
    """
    return apply(cos_p, x)
