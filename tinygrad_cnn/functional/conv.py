"""Convolution: pad, im2col, matmul, add."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from .._core.context import composition
from .._core.tensor import Tensor, as_tensor, raw
from ..errors import ArgumentError, ShapeError
from ..ops import im2col, matmul, pad, reshape, transpose
from ..ops.windows import per_axis, window_of
from ..typing import IntTuple, Shape, TensorLike

__all__ = ["conv2d", "linear"]


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
    _check_bias("linear", bias, weight)
    out = x @ weight.T
    return out if bias is None else out + bias


@composition
def conv2d(
    x: TensorLike,
    weight: TensorLike,
    bias: TensorLike | None = None,
    stride: IntTuple = 1,
    padding: IntTuple = 0,
    dilation: IntTuple = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate images with filters, as every neural-network library does.

    Args:
        x: images, (N, C, H, W).
        weight: filters, (K, C / groups, FH, FW).
        bias: one number for each filter, (K,).
        stride, padding, dilation: a number, or (rows, columns); padding is zeros.
        groups: split channels and filters into groups that do not see each other.

    Returns:
        (N, K, OH, OW) with OH = floor((H + 2 padding - dilation (FH - 1) - 1) / stride) + 1.

    Raises:
        ShapeError: the operands do not fit each other.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.conv2d(tc.ones(1, 1, 3, 3), tc.ones(1, 1, 2, 2))[0, 0]
    tensor([[4., 4.],
            [4., 4.]])
    """
    x, weight = as_tensor(x), as_tensor(weight)
    _check_conv2d(x.shape, weight.shape, groups)
    _check_bias("conv2d", bias, weight)
    k, c, fh, fw = weight.shape
    ph, pw = per_axis(padding, "padding", least=0)
    if ph or pw:
        x = pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    n, _, h, w = x.shape
    window = window_of(x.shape, (fh, fw), stride, dilation, "conv2d")
    oh, ow = window.output_size((h, w))
    x_col = im2col(x, window.kernel, window.stride, window.dilation)  # (C*FH*FW, OH*OW*N)
    if groups == 1:
        w_row = reshape(weight, (k, c * fh * fw))
    else:
        w_row = reshape(weight, (groups, k // groups, c * fh * fw))
        x_col = reshape(x_col, (groups, c * fh * fw, oh * ow * n))
    out = reshape(matmul(w_row, x_col), (k, oh, ow, n))
    if bias is not None:
        out = out + reshape(as_tensor(bias), (k, 1, 1, 1))
    return transpose(out, (3, 0, 1, 2))  # (N, K, OH, OW), the batch innermost in memory


def _check_conv2d(x: Shape, weight: Shape, groups: int) -> None:
    if len(x) != 4 or len(weight) != 4:
        raise ShapeError(
            f"conv2d: expected input (N, C, H, W) and weight (K, C, FH, FW), got {x} and {weight}"
        )
    if not isinstance(groups, Integral) or groups < 1 or weight[0] % groups:
        raise ArgumentError(f"conv2d: groups={groups!r} does not divide the {weight[0]} filters")
    if x[1] != weight[1] * groups:
        channels = f"{weight[1]}" if groups == 1 else f"{groups} groups of {weight[1]}"
        raise ShapeError(
            f"conv2d: input {x} has {x[1]} channels, weight {weight} expects {channels}"
        )


def _check_bias(name: str, bias: TensorLike | None, weight: Tensor) -> None:
    if bias is not None and np.shape(raw(bias)) != weight.shape[:1]:
        raise ShapeError(
            f"{name}: bias {np.shape(raw(bias))} does not fit weight {weight.shape}, which makes"
            f" {weight.shape[0]} outputs"
        )
