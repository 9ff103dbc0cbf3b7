"""Smooth activation functions made of exponentials, without overflow for any x."""

from __future__ import annotations

from .._arguments import is_real
from .._core.context import composition
from .._core.tensor import Tensor, as_tensor
from ..errors import ArgumentError
from ..ops import exp, log, sigmoid, tanh, where
from ..typing import TensorLike
from ._numbers import in_floats

__all__ = ["elu", "log_sigmoid", "mish", "selu", "silu", "softplus"]

# Klambauer et al. (2017), equation 14: with these, mean 0 and variance 1 are a fixed point.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


@composition
def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """x where it is positive, ``alpha`` * (exp(x) - 1) elsewhere (Clevert et al. 2016).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.elu(tc.tensor([-1000.0, 2.0]))
    tensor([-1.,  2.])
    """
    x = as_tensor(x)
    positive = x > 0
    below = where(positive, 0.0, x)  # exp of what is not used would overflow
    return where(positive, x, alpha * (exp(below) - 1.0))


@composition
def selu(x: TensorLike) -> Tensor:
    """The self-normalising ``elu``, 1.0507 elu(x, alpha=1.6733) (Klambauer et al. 2017).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.selu(tc.tensor([-1000.0, 2.0]))
    tensor([-1.75809934,  2.10140197])
    """
    return _SELU_SCALE * elu(x, _SELU_ALPHA)


@composition
def silu(x: TensorLike) -> Tensor:
    """x * sigmoid(x), called swish too (Elfwing et al. 2018).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.silu(tc.tensor([-1.0, 2.0]))
    tensor([-0.26894142,  1.76159416])
    """
    x = as_tensor(x)
    return x * sigmoid(x)


@composition
def softplus(x: TensorLike, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta, a smooth ``relu`` (Dugas et al. 2001).

    Args:
        x: any shape.
        beta: how sharp the bend is.
        threshold: where beta * x lies above it the result is x.

    Raises:
        ArgumentError: ``beta`` is not positive.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.softplus(tc.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0.00000000e+00, 6.93147181e-01, 1.00000000e+03])
    """
    if not (is_real(beta) and beta > 0):
        raise ArgumentError(f"softplus: beta={beta!r}, expected a number above 0")
    x = as_tensor(x)
    scaled = x * beta
    return where(scaled > threshold, x, log_one_plus_exp(scaled) / beta)


def log_one_plus_exp(x: Tensor) -> Tensor:
    """log(1 + exp(x)) as x + log(1 + exp(-x)) where x is positive, so that exp can't overflow."""
    positive = x > 0
    tail = log(1.0 + exp(where(positive, -x, x)))
    return where(positive, x, 0.0) + tail


@composition
def log_sigmoid(x: TensorLike) -> Tensor:
    """The logarithm of ``sigmoid``, stable for x of any size.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.log_sigmoid(tc.tensor([-1000.0, 1000.0]))
    tensor([-1000.,    -0.])
    """
    return -log_one_plus_exp(-in_floats(x))


@composition
def mish(x: TensorLike) -> Tensor:
    """x * tanh(log(1 + exp(x))) (Misra 2020).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.mish(tc.tensor([-1.0, 2.0]))
    tensor([-0.30340146,  1.94395896])
    """
    x = in_floats(x)
    return x * tanh(log_one_plus_exp(x))
