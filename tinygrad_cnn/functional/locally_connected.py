"""Locally connected layers, convolutions that share no weights: pad, im2col, matmul, add."""

from __future__ import annotations

import math

from .._core.context import composition
from .._core.primitive import apply
from .._core.tensor import Tensor, as_tensor
from ..errors import ShapeError
from ..ops import matmul, moveaxis, reshape, swapaxes
from ..ops.windows import im2col_p
from ..typing import IntTuple, TensorLike
from ._operands import SPACE, check_axes, check_bias, check_channels
from ._sliding import Padding, slide

__all__ = ["locally_connected1d", "locally_connected2d"]


@composition
def locally_connected1d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: IntTuple = 1,
    padding: Padding = 0,
    dilation: IntTuple = 1,
) -> Tensor:
    """(N, C, L) and weight (K, OL, C, FL), bias (K, OL), to (N, K, OL): see the 2-d one.

    >>> import tinygrad_cnn as tc
    >>> weight = tc.tensor([[[[1.0, 1.0]], [[0.0, 2.0]]]])  # two places, a filter each
    >>> tc.functional.locally_connected1d(tc.tensor([[[1.0, 2.0, 3.0]]]), weight)
    tensor([[[3., 6.]]])
    """
    return _local("locally_connected1d", 1, x, weight, bias, stride, padding, dilation)


@composition
def locally_connected2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: IntTuple = 1,
    padding: Padding = 0,
    dilation: IntTuple = 1,
) -> Tensor:
    """Windows as in ``conv2d``, but each place of the output has filters of its own.

    It fits images whose parts differ, such as centred faces: eyes look unlike mouths. AlexNet's
    first layer would have 105,705,600 parameters instead of 34,944.

    Args:
        x: images, (N, C, H, W).
        weight: a filter for each output number of an image, (K, OH, OW, C, FH, FW).
        bias: (K, OH, OW).
        stride, padding, dilation: as in ``conv2d``, which says what OH and OW are.

    Returns:
        (N, K, OH, OW).

    Raises:
        ArgumentError: an unknown name of a padding.
        ShapeError: the operands do not fit each other, or a setting is too small.

    Source: LeCun (1989), Generalization and network design strategies; Taigman, Yang, Ranzato and
    Wolf (2014), DeepFace.

    >>> import tinygrad_cnn as tc
    >>> x, weight = tc.zeros(1, 3, 11, 11), tc.zeros(4, 4, 4, 3, 5, 5)
    >>> tc.functional.locally_connected2d(x, weight, stride=2).shape
    (1, 4, 4, 4)
    """
    return _local("locally_connected2d", 2, x, weight, bias, stride, padding, dilation)


def _local(
    name: str,
    axes: int,
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    stride: IntTuple,
    padding: Padding,
    dilation: IntTuple,
) -> Tensor:
    """The body of both: ``axes`` in space."""
    x, weight = as_tensor(x), as_tensor(weight)
    outs, filters = ([f"{letter}{axis}" for axis in SPACE[axes]] for letter in "OF")
    check_axes(name, x, weight, ("K", *outs, "C", *filters), axes)
    k, c = weight.shape[0], weight.shape[1 + axes]
    check_channels(name, x, weight, c)
    x, window = slide(x, weight.shape[2 + axes :], stride, padding, dilation, name)
    n, size = x.shape[0], window.output_size(x.shape[2:])
    if weight.shape[1 : 1 + axes] != size:
        raise ShapeError(
            f"{name}: the windows make outputs of {' x '.join(map(str, size))}, weight"
            f" {weight.shape} has filters for {' x '.join(map(str, weight.shape[1 : 1 + axes]))}"
        )
    check_bias(name, bias, weight, (k, *size))
    length, places = c * window.places, math.prod(size)
    x_col = reshape(apply(im2col_p, x, window=window), (length, places, n))
    w_row = reshape(weight, (k, places, length))
    out = matmul(swapaxes(w_row, 0, 1), swapaxes(x_col, 0, 1))  # (OH*OW, K, N)
    out = reshape(swapaxes(out, 0, 1), (k, *size, n))
    if bias is not None:
        out = out + reshape(as_tensor(bias), (k, *size, 1))
    return moveaxis(out, -1, 0)  # (N, K, OH, OW), the batch innermost in memory
