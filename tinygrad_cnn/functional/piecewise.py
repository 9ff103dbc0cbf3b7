"""Activation functions made of straight pieces, and the largest of several."""

from __future__ import annotations

import numpy as np

from .._arguments import is_real, whole
from .._core.context import composition
from .._core.tensor import Tensor, as_tensor, raw
from ..errors import ArgumentError, ShapeError
from ..ops import max, maximum, minimum, reshape, where
from ..ops._axes import normalize_axis
from ..typing import TensorLike

__all__ = ["hardsigmoid", "hardswish", "hardtanh", "maxout", "prelu", "relu6"]


@composition
def prelu(x: TensorLike, weight: TensorLike) -> Tensor:
    """x where it is positive, ``weight`` * x elsewhere, with a learnt slope (He et al. 2015).

    Args:
        x: any shape; (N, C, …) with one slope for each channel.
        weight: one slope, () or (1,), or one for each channel, (C,).

    Raises:
        ShapeError: neither one slope nor one for each channel.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.prelu(tc.tensor([[-1.0, -1.0]]), tc.tensor([0.25, 2.0]))
    tensor([[-0.25, -2.  ]])
    """
    x, slopes = as_tensor(x), np.shape(raw(weight))
    channels = x.shape[1] if x.ndim > 1 else 1
    if slopes not in ((), (1,), (channels,)):
        raise ShapeError(
            f"prelu: weight has shape {slopes}, expected (1,) or one slope for each of the"
            f" {channels} channels of {x.shape}"
        )
    along = (-1,) + (1,) * (x.ndim - 2) if x.ndim > 1 else ()
    return where(x > 0, x, reshape(as_tensor(weight), along) * x)


@composition
def hardtanh(x: TensorLike, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x limited to [min_val, max_val]; the derivative at the two ends is 0 (Collobert 2004).

    Raises:
        ArgumentError: ``min_val`` is not below ``max_val``.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.hardtanh(tc.tensor([-3.0, 0.5, 3.0]))
    tensor([-1. ,  0.5,  1. ])
    """
    check_limits("hardtanh", min_val, max_val)
    return maximum(min_val, minimum(max_val, as_tensor(x)))  # a tie goes to the first operand


def check_limits(owner: str, min_val: float, max_val: float) -> None:
    """Refuse limits with nothing between them."""
    if not (is_real(min_val) and is_real(max_val) and min_val < max_val):
        raise ArgumentError(
            f"{owner}: min_val={min_val!r}, max_val={max_val!r}: expected min_val < max_val"
        )


@composition
def relu6(x: TensorLike) -> Tensor:
    """x limited to [0, 6]; the derivative at the two ends is 0 (Krizhevsky 2010).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.relu6(tc.tensor([-1.0, 2.0, 9.0]))
    tensor([0., 2., 6.])
    """
    return hardtanh(x, 0.0, 6.0)


@composition
def hardsigmoid(x: TensorLike) -> Tensor:
    """relu6(x + 3) / 6: a sigmoid of three straight pieces (Howard et al. 2019).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.hardsigmoid(tc.tensor([-4.0, 0.0, 1.5]))
    tensor([0.  , 0.5 , 0.75])
    """
    return relu6(as_tensor(x) + 3.0) / 6.0


@composition
def hardswish(x: TensorLike) -> Tensor:
    """x * hardsigmoid(x) (Howard et al. 2019).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.hardswish(tc.tensor([-4.0, 1.5, 4.0]))
    tensor([-0.   ,  1.125,  4.   ])
    """
    x = as_tensor(x)
    return x * hardsigmoid(x)


@composition
def maxout(x: TensorLike, pieces: int, axis: int = 1) -> Tensor:
    """The largest of every ``pieces`` neighbouring channels (Goodfellow et al. 2013).

    Args:
        x: any shape; along ``axis`` stand the pieces of the first unit, then of the second, …
        pieces: how many linear functions each unit is the largest of.
        axis: of the channels, which become ``pieces`` times fewer.

    Raises:
        ArgumentError: ``pieces`` is no whole number above 0, or does not divide the channels.
        ShapeError: x has no such axis.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.maxout(tc.tensor([[1.0, 3.0, -2.0, -5.0]]), pieces=2)
    tensor([[ 3., -2.]])
    """
    x, pieces = as_tensor(x), whole("maxout", "pieces", pieces)
    axis = normalize_axis(axis, x.ndim, "maxout")
    channels = x.shape[axis]
    if channels % pieces:
        raise ArgumentError(
            f"maxout: pieces={pieces} does not divide the {channels} channels of {x.shape}"
        )
    units = (*x.shape[:axis], channels // pieces, pieces, *x.shape[axis + 1 :])
    return max(reshape(x, units), axis + 1)
