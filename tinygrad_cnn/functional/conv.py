"""Convolution: pad, im2col, matmul, add."""

from __future__ import annotations

import math

from .._core.context import composition
from .._core.primitive import apply
from .._core.tensor import Tensor, as_tensor
from ..errors import ShapeError
from ..ops import flip as mirrored
from ..ops import matmul, moveaxis, reshape
from ..ops.windows import im2col_p
from ..typing import IntTuple, TensorLike
from ._operands import SPACE, check_axes, check_bias, check_channels, check_groups
from ._sliding import Fit, Padding, PaddingMode, slide

__all__ = ["conv1d", "conv2d", "conv3d", "linear"]


@composition
def linear(x: TensorLike, weight: TensorLike, bias: TensorLike | None = None) -> Tensor:
    """``x @ weight.T + bias``: (…, in) times (out, in) gives (…, out).

    Raises:
        ShapeError: the shapes do not fit.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.linear(tc.tensor([[1.0, 2.0]]), tc.tensor([[3.0, 4.0]]), tc.tensor([1.0]))
    tensor([[12.]])
    """
    x, weight = as_tensor(x), as_tensor(weight)
    if weight.ndim != 2 or not x.ndim or x.shape[-1] != weight.shape[1]:
        raise ShapeError(f"linear: input {x.shape} does not fit weight {weight.shape} (out, in)")
    check_bias("linear", bias, weight, weight.shape[:1])
    out = x @ weight.T
    return out if bias is None else out + bias


@composition
def conv1d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: IntTuple = 1,
    padding: Padding = 0,
    dilation: IntTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    flip: bool = False,
    fit: Fit = "floor",
) -> Tensor:
    """Cross-correlate signals with filters: (N, C, L) and (K, C / groups, FL) to (N, K, OL).

    Arguments, sizes and errors are those of ``conv2d``, with one axis in space.

    >>> import tinygrad_cnn as tc
    >>> steps = tc.tensor([[[0.0, 1.0, 3.0, 6.0]]])
    >>> tc.functional.conv1d(steps, tc.tensor([[[-1.0, 1.0]]]))  # how far each one goes
    tensor([[[1., 2., 3.]]])
    """
    settings = (stride, padding, dilation, groups, padding_mode, flip, fit)
    return _convolution("conv1d", 1, x, weight, bias, *settings)


@composition
def conv2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: IntTuple = 1,
    padding: Padding = 0,
    dilation: IntTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    flip: bool = False,
    fit: Fit = "floor",
) -> Tensor:
    """Cross-correlate images with filters, as every neural-network library does.

    Args:
        x: images, (N, C, H, W).
        weight: filters, (K, C / groups, FH, FW).
        bias: one number for each filter, (K,).
        stride: a number, or (rows, columns).
        padding: a number; (rows, columns); ((top, bottom), (left, right)); or "valid" (none),
            "same" (as many outputs as inputs at stride 1, ceil(H / stride) in general; of an odd
            number of rows the last goes to the end, with "same_lower" to the beginning) or
            "full" (H + FH - 1 outputs: each pixel meets each weight).
        dilation: from one weight to the next: a number, or (rows, columns). 1 leaves no gaps,
            which the CS231n notes call dilation 0.
        groups: split channels and filters into groups that do not see each other; as many groups
            as channels is the depthwise convolution.
        padding_mode: "zeros"; "reflect" (mirrored at the outermost pixel), "replicate" (the
            outermost pixel repeated), "circular" (from the other side).
        flip: turn the filters by 180 degrees: the convolution of mathematics, which is
            commutative under "full" padding.
        fit: where the stride does not divide what the window passes over: "floor" leaves the rest
            unseen, "crop" cuts it off, "pad" pads until one more window fits, "exact" raises.

    Returns:
        (N, K, OH, OW) with OH = floor((H + 2 padding - dilation (FH - 1) - 1) / stride) + 1.

    Raises:
        ArgumentError: a name is not among those above, or ``groups`` does not divide.
        ShapeError: the operands do not fit each other, or a setting is too small.

    The course writes the size as (W - F + 2P)/S + 1 (Stanford CS231n, Convolutional Networks);
    the product with ``im2col`` is due to Chellapilla, Puri and Simard (2006).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.conv2d(tc.ones(1, 1, 3, 3), tc.ones(1, 1, 2, 2))[0, 0]
    tensor([[4., 4.],
            [4., 4.]])
    >>> images, filters = tc.zeros(1, 3, 224, 224), tc.zeros(96, 3, 11, 11)
    >>> tc.functional.conv2d(images, filters, stride=4, fit="exact")
    Traceback (most recent call last):
    ...
    tinygrad_cnn.errors.ShapeError: ... (W - F + 2P)/S + 1 = (224 - 11 + 2*0)/4 + 1 = 54.25: ...
    """
    settings = (stride, padding, dilation, groups, padding_mode, flip, fit)
    return _convolution("conv2d", 2, x, weight, bias, *settings)


@composition
def conv3d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: IntTuple = 1,
    padding: Padding = 0,
    dilation: IntTuple = 1,
    groups: int = 1,
    *,
    padding_mode: PaddingMode = "zeros",
    flip: bool = False,
    fit: Fit = "floor",
) -> Tensor:
    """Cross-correlate volumes: (N, C, D, H, W), (K, C / groups, FD, FH, FW) to (N, K, OD, OH, OW).

    Arguments, sizes and errors are those of ``conv2d``, with three axes in space.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.conv3d(tc.zeros(1, 3, 8, 16, 16), tc.zeros(4, 3, 2, 3, 3)).shape
    (1, 4, 7, 14, 14)
    """
    settings = (stride, padding, dilation, groups, padding_mode, flip, fit)
    return _convolution("conv3d", 3, x, weight, bias, *settings)


def _convolution(
    name: str,
    axes: int,
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None,
    stride: IntTuple,
    padding: Padding,
    dilation: IntTuple,
    groups: int,
    padding_mode: PaddingMode,
    flip: bool,
    fit: Fit,
) -> Tensor:
    """The body of all three: ``axes`` in space."""
    x, weight = as_tensor(x), as_tensor(weight)
    check_axes(name, x, weight, ("K", "C", *(f"F{axis}" for axis in SPACE[axes])), axes)
    k, c, *kernel = weight.shape
    check_groups(name, groups, k, "filters")
    check_channels(name, x, weight, c * groups, groups)
    check_bias(name, bias, weight, (k,))
    x, window = slide(x, tuple(kernel), stride, padding, dilation, name, padding_mode, fit)
    if flip:
        weight = mirrored(weight, tuple(range(2, axes + 2)))
    n, size = x.shape[0], window.output_size(x.shape[2:])
    x_col = apply(im2col_p, x, window=window)  # (C*FH*FW, OH*OW*N)
    del x  # inference need not keep the padded copy, nor the columns below
    if groups == 1:
        w_row = reshape(weight, (k, c * window.places))
    else:
        w_row = reshape(weight, (groups, k // groups, c * window.places))
        x_col = reshape(x_col, (groups, c * window.places, math.prod(size) * n))
    out = reshape(matmul(w_row, x_col), (k, *size, n))
    del x_col
    if bias is not None:
        out = out + reshape(as_tensor(bias), (k, *(1,) * axes, 1))
    return moveaxis(out, -1, 0)  # (N, K, OH, OW), the batch innermost in memory
