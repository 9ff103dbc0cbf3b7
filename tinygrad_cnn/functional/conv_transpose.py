"""Transposed convolution, the adjoint of convolution: matmul, col2im, crop, add."""

from __future__ import annotations

import math

from .._core.context import composition
from .._core.primitive import apply
from .._core.tensor import Tensor, as_tensor
from .._kernels.windows import Window
from ..errors import ShapeError
from ..ops import matmul, moveaxis, reshape, swapaxes
from ..ops.windows import col2im_p, geometry, per_axis
from ..typing import IntTuple, TensorLike
from ._operands import SPACE, check_axes, check_bias, check_channels, check_groups
from ._sliding import padded

__all__ = ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


@composition
def conv_transpose1d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: IntTuple = 1,
    padding: IntTuple = 0,
    output_padding: IntTuple = 0,
    groups: int = 1,
    dilation: IntTuple = 1,
) -> Tensor:
    """The adjoint of ``conv1d``: (N, C, L) and (C, K / groups, FL) to (N, K, OL).

    Arguments, sizes and errors are those of ``conv_transpose2d``, with one axis in space.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.conv_transpose1d(tc.tensor([[[1.0, 10.0]]]), tc.tensor([[[1.0, 2.0, 3.0]]]))
    tensor([[[ 1., 12., 23., 30.]]])
    """
    settings = (stride, padding, output_padding, groups, dilation)
    return _transposed("conv_transpose1d", 1, x, weight, bias, *settings)


@composition
def conv_transpose2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: IntTuple = 1,
    padding: IntTuple = 0,
    output_padding: IntTuple = 0,
    groups: int = 1,
    dilation: IntTuple = 1,
) -> Tensor:
    """Each pixel puts down a filter, multiplied by itself; where filters overlap, they add up.

    This is what ``conv2d`` of the same weight, stride, padding, dilation and groups does to a
    gradient on its way back: the transposed matrix, not the inverse. It makes images larger.

    Args:
        x: images, (N, C, H, W).
        weight: filters, (C, K / groups, FH, FW): those of a ``conv2d`` from K to C channels.
        bias: one number for each channel that comes out, (K,).
        stride: from the filter of one pixel to that of the next: a number, or (rows, columns).
        padding: how much is cut off on every side: a number, or (rows, columns).
        output_padding: rows and columns that are added at the end, where a convolution with this
            stride comes from images of several sizes; smaller than stride or dilation.
        groups: split channels into groups that do not see each other.
        dilation: from one weight to the next; 1 leaves no gaps.

    Returns:
        (N, K, OH, OW) with
        OH = (H - 1) stride - 2 padding + dilation (FH - 1) + 1 + output_padding.

    Raises:
        ArgumentError: ``groups`` does not divide the channels.
        ShapeError: the operands do not fit each other, or nothing is left of the images.

    Source: Zeiler, Krishnan, Taylor and Fergus (2010), Deconvolutional networks; Dumoulin and
    Visin (2016), A guide to convolution arithmetic for deep learning.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.conv_transpose2d(tc.ones(1, 1, 2, 2), tc.ones(1, 1, 2, 2))[0, 0]
    tensor([[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]])
    """
    settings = (stride, padding, output_padding, groups, dilation)
    return _transposed("conv_transpose2d", 2, x, weight, bias, *settings)


@composition
def conv_transpose3d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: IntTuple = 1,
    padding: IntTuple = 0,
    output_padding: IntTuple = 0,
    groups: int = 1,
    dilation: IntTuple = 1,
) -> Tensor:
    """The adjoint of ``conv3d``: (N, C, D, H, W) to (N, K, OD, OH, OW).

    The weight is (C, K / groups, FD, FH, FW). Arguments, sizes and errors are those of
    ``conv_transpose2d``, with three axes in space.

    >>> import tinygrad_cnn as tc
    >>> x, weight = tc.zeros(1, 2, 4, 8, 8), tc.zeros(2, 3, 2, 2, 2)
    >>> tc.functional.conv_transpose3d(x, weight, stride=2).shape
    (1, 3, 8, 16, 16)
    """
    settings = (stride, padding, output_padding, groups, dilation)
    return _transposed("conv_transpose3d", 3, x, weight, bias, *settings)


def _transposed(
    name: str,
    axes: int,
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    stride: IntTuple,
    padding: IntTuple,
    output_padding: IntTuple,
    groups: int,
    dilation: IntTuple,
) -> Tensor:
    """The body of all three: ``axes`` in space."""
    x, weight = as_tensor(x), as_tensor(weight)
    check_axes(name, x, weight, ("C", "K", *(f"F{axis}" for axis in SPACE[axes])), axes)
    c, k, *kernel = weight.shape
    check_channels(name, x, weight, c)
    check_groups(name, groups, c, "channels")
    check_bias(name, bias, weight, (k * groups,))
    window = geometry(tuple(kernel), stride, dilation, axes, name)
    n, _, *size = x.shape
    covered = tuple(
        (n - 1) * s + f for n, s, f in zip(size, window.stride, window.extent, strict=True)
    )
    border = _border(name, window, covered, padding, output_padding)
    split = () if groups == 1 else (groups,)
    x_row = reshape(moveaxis(x, 0, -1), (*split, c // groups, math.prod(size) * n))
    w_row = reshape(weight, (*split, c // groups, k * window.places))
    columns = matmul(swapaxes(w_row, -1, -2), x_row)  # (K*FH*FW, H*W*N)
    if split:
        columns = reshape(columns, (groups * k * window.places, math.prod(size) * n))
    out = apply(col2im_p, columns, window=window, shape=(n, k * groups, *covered))
    out = padded(out, border, "zeros", name)
    return out if bias is None else out + reshape(as_tensor(bias), (k * groups, *(1,) * axes))


def _border(
    name: str, window: Window, covered: tuple[int, ...], padding: IntTuple, output_padding: IntTuple
) -> tuple[tuple[int, int], ...]:
    """What to add at the ends of each axis of what the filters covered; less than 0 is cut off."""
    axes = len(covered)
    cut = per_axis(padding, f"{name}: padding", axes, least=0)
    added = per_axis(output_padding, f"{name}: output_padding", axes, least=0)
    for extra, s, d in zip(added, window.stride, window.dilation, strict=True):
        if extra >= max(s, d):
            raise ShapeError(
                f"{name}: output_padding={output_padding!r} is not smaller than stride {s} or"
                f" dilation {d}: a convolution leaves less than that unseen"
            )
    for size, p, extra in zip(covered, cut, added, strict=True):
        if size - 2 * p + extra < 1:
            raise ShapeError(
                f"{name}: padding={padding!r} leaves nothing of an axis: the filters cover {size},"
                f" and {p} are cut off at both ends"
            )
    return tuple((-p, extra - p) for p, extra in zip(cut, added, strict=True))
