"""Normalisation by the neighbouring channels, as AlexNet has it."""

from __future__ import annotations

import math

from .._arguments import number, whole
from .._core.context import composition
from .._core.tensor import Tensor
from ..errors import ShapeError
from ..ops import broadcast_to, col2im, crop, moveaxis, reshape
from ..typing import TensorLike
from ._numbers import in_floats

__all__ = ["local_response_norm"]


@composition
def local_response_norm(
    x: TensorLike, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha * m)**beta, with m the mean square of ``size`` neighbouring channels.

    Channels beyond the first and the last count as zeros, of an even size one more lies before
    the channel than behind it. Krizhevsky et al. (2012), section 3.3, write alpha times the *sum*
    of the squares: their n = 5, alpha = 1e-4, beta = 0.75, k = 2 are ``size=5, alpha=5e-4,
    beta=0.75, k=2.0`` here, in PyTorch and in Caffe.

    Args:
        x: (N, C) or (N, C, …).
        size: how many channels, the middle one included.
        alpha, beta, k: as in the formula.

    Raises:
        ShapeError: there is no channel axis.
        ArgumentError: ``size`` is no whole number above 0.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([[3.0, 4.0, 0.0]])
    >>> tc.functional.local_response_norm(x, 3, alpha=3.0, beta=0.5, k=0.0)
    tensor([[0.6, 0.8, 0. ]])
    """
    size = whole("local_response_norm", "size", size)
    for name, value in (("alpha", alpha), ("beta", beta), ("k", k)):
        number("local_response_norm", name, value)
    x = in_floats(x)
    if x.ndim < 2:
        raise ShapeError(f"local_response_norm: expected (N, C, …), got {x.shape}")
    if not x.size:  # no window fits into nothing
        return x
    reach = min(size, 2 * x.shape[1])  # beyond that there is no channel
    return x / (k + alpha / size * _over_neighbours(x * x, reach)) ** beta


def _over_neighbours(x: Tensor, size: int) -> Tensor:
    """The sum over the channels c - size // 2 to c + (size - 1) // 2, of the shape of x.

    Adding every channel at ``size`` places is what ``col2im`` does. Its columns are all the same,
    so that ``broadcast_to`` needs no memory for them; a sum of slices or of windows keeps
    ``size`` arrays for the backward pass.
    """
    n, c, *space = x.shape
    rows = reshape(moveaxis(x, 0, -1), (1, x.size))  # C*H*W*N, no copy where N is innermost
    spread = (n, 1, c + size - 1, math.prod(space))
    sums = col2im(broadcast_to(rows, (size, x.size)), spread, (size, 1))
    return reshape(crop(sums, ((0, 0), (0, 0), ((size - 1) // 2, size // 2), (0, 0))), x.shape)
