"""Statistics composed of sums: mean, variance, norms."""

from __future__ import annotations

import math

import numpy as np

from .._arguments import is_real
from .._core.context import composition
from .._core.symbol import any_of
from .._core.tensor import Tensor, as_tensor, raw
from ..errors import ArgumentError, ShapeError
from ..ops import abs, exp, log, max, reshape, sqrt, squeeze, sum, where
from ..ops._axes import normalize_axes
from ..typing import Axis, TensorLike
from ._numbers import in_floats

__all__ = ["logsumexp", "mean", "norm", "std", "var"]


def _count(x: Tensor, axis: Axis, name: str) -> int:
    count = math.prod(x.shape[i] for i in normalize_axes(axis, x.ndim, name))
    if not count:
        raise ShapeError(f"{name} of no elements: shape {x.shape} over axis {axis}")
    return count


@composition
def mean(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean over the axes, by default over all.

    Raises:
        ShapeError: there is no element.

    >>> import tinygrad_cnn as tc
    >>> tc.mean(tc.tensor([[1.0, 2.0], [3.0, 6.0]]), axis=1)
    tensor([1.5, 4.5])
    """
    x = as_tensor(x)
    count = _count(x, axis, "mean")
    return sum(x, axis, keepdims) / count


@composition
def var(x: TensorLike, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """The variance over the axes: the mean square distance from the mean.

    Divides by n - ``ddof``, as NumPy: 0 is the variance of the values, 1 (PyTorch's default)
    the unbiased estimate from a sample.

    Raises:
        ShapeError: there are not more than ``ddof`` elements.

    >>> import tinygrad_cnn as tc
    >>> tc.var(tc.tensor([1.0, 3.0]))
    tensor(1.)
    """
    x = as_tensor(x)
    count = _count(x, axis, "var")
    if count <= ddof:
        raise ShapeError(f"var: ddof={ddof} of {count} elements: shape {x.shape} over axis {axis}")
    centered = x - mean(x, axis, keepdims=True)
    return sum(centered * centered, axis, keepdims) / (count - ddof)


@composition
def std(x: TensorLike, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
    """The standard deviation over the axes, the square root of ``var``.

    The gradient is taken as 0 where all elements are equal.

    >>> import tinygrad_cnn as tc
    >>> tc.std(tc.tensor([1.0, 3.0]))
    tensor(1.)
    """
    return root(var(x, axis, ddof, keepdims), 2)


@composition
def logsumexp(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over the axes, without overflow.

    The largest element is taken out first: log(sum(exp(x - m))) + m holds for every m.

    >>> import tinygrad_cnn as tc
    >>> tc.logsumexp(tc.tensor([1000.0, 1000.0]))
    tensor(1000.69314718)
    """
    x = in_floats(x)
    _count(x, axis, "logsumexp")
    # m is a constant: the formula holds for every m, so that no gradient goes through it.
    largest = np.max(raw(x), normalize_axes(axis, x.ndim, "logsumexp"), keepdims=True)
    shift = np.where(np.isfinite(largest), largest, 0.0).astype(largest.dtype)
    total = log(sum(exp(x - shift), axis, keepdims=True)) + shift
    return total if keepdims else _drop(total, axis)


def _drop(x: Tensor, axis: Axis) -> Tensor:
    return reshape(x, ()) if axis is None else squeeze(x, normalize_axes(axis, x.ndim, "squeeze"))


@composition
def norm(x: TensorLike, axis: Axis = None, ord: float = 2.0, keepdims: bool = False) -> Tensor:
    """The vector norm over the axes, ``(sum |x|**ord)**(1/ord)``; for ``inf`` the largest ``|x|``.

    The gradient at x = 0 is taken as 0.

    Raises:
        ArgumentError: ``ord`` is not positive.

    >>> import tinygrad_cnn as tc
    >>> tc.norm(tc.tensor([3.0, 4.0]))
    tensor(5.)
    """
    x = in_floats(x)
    if not (is_real(ord) and ord > 0):
        raise ArgumentError(f"norm: ord={ord!r}: expected a positive number, or inf")
    if ord == math.inf:
        return max(abs(x), axis, keepdims)
    if ord == 1:
        return sum(abs(x), axis, keepdims)
    total = sum(x * x if ord == 2 else abs(x) ** ord, axis, keepdims)
    return root(total, ord)


def root(x: Tensor, ord: float) -> Tensor:
    """x**(1 / ord), with gradient 0 at 0, where the derivative is infinite."""
    zero = x == 0
    safe = where(zero, 1.0, x) if any_of(zero) else x
    root = sqrt(safe) if ord == 2 else safe ** (1 / ord)
    return where(zero, 0.0, root) if any_of(zero) else root
