"""Pooling: the largest or the mean element of every window."""

from __future__ import annotations

import numpy as np

from .._core.context import composition
from .._core.tensor import Tensor, as_tensor
from ..errors import DtypeError, ShapeError
from ..ops import (
    current_conventions,
    gather_windows,
    im2col,
    max,
    pad,
    pool_switches,
    reshape,
    sum,
    transpose,
)
from ..ops.windows import per_axis, window_of
from ..typing import IntTuple, TensorLike

__all__ = ["avg_pool2d", "max_pool2d"]


@composition
def max_pool2d(
    x: TensorLike,
    kernel_size: IntTuple,
    stride: IntTuple | None = None,
    padding: IntTuple = 0,
    dilation: IntTuple = 1,
) -> Tensor:
    """The largest element of every window; the gradient returns by the switches.

    Args:
        x: images, (N, C, H, W).
        kernel_size, stride, padding, dilation: a number, or (rows, columns). The stride is
            by default the window, the padding never wins.

    Returns:
        (N, C, OH, OW) with OH = floor((H + 2 padding - dilation (FH - 1) - 1) / stride) + 1.

    Raises:
        DtypeError: the images are booleans.
        ShapeError: the window does not fit, or the padding exceeds half of it.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.max_pool2d(tc.tensor([[[[1.0, 2.0], [4.0, 3.0]]]]), 2)
    tensor([[[[4.]]]])
    """
    stride = kernel_size if stride is None else stride
    x = as_tensor(x)
    if x.dtype.kind == "b":
        raise DtypeError(
            "max_pool2d: images of booleans have no largest element: use .astype(float)"
        )
    lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    x = _pad_images(x, kernel_size, padding, lowest, "max_pool2d")
    if current_conventions().ties == "split":
        return max(_windows(x, kernel_size, stride, dilation, "max_pool2d"), axis=2)
    window_of(x.shape, kernel_size, stride, dilation, "max_pool2d")  # whose name errors give
    switches = pool_switches(x, kernel_size, stride, dilation)
    return gather_windows(x, switches, kernel_size, stride, dilation)


@composition
def avg_pool2d(
    x: TensorLike,
    kernel_size: IntTuple,
    stride: IntTuple | None = None,
    padding: IntTuple = 0,
    *,  # PyTorch's next argument is ceil_mode
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of every window.

    Args:
        x: images, (N, C, H, W).
        kernel_size, stride, padding: a number, or (rows, columns); the stride is by default
            the window.
        count_include_pad: whether the zeros of the padding count as elements.

    Returns:
        (N, C, OH, OW), sizes as in ``max_pool2d``.

    Raises:
        ShapeError: the window does not fit, or the padding exceeds half of it.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.avg_pool2d(tc.tensor([[[[1.0, 2.0], [4.0, 3.0]]]]), 2)
    tensor([[[[2.5]]]])
    """
    x = as_tensor(x)
    stride = kernel_size if stride is None else stride
    padded = _pad_images(x, kernel_size, padding, 0.0, "avg_pool2d")
    total = sum(_windows(padded, kernel_size, stride, 1, "avg_pool2d"), axis=2)
    if count_include_pad or padded is x:
        fh, fw = per_axis(kernel_size, "kernel_size")
        return total / (fh * fw)
    ones = np.ones((1, 1, *x.shape[2:]), x.dtype)
    inside = _pad_images(as_tensor(ones), kernel_size, padding, 0.0, "avg_pool2d")
    return total / sum(_windows(inside, kernel_size, stride, 1, "avg_pool2d"), axis=2)


def _pad_images(
    x: Tensor, kernel_size: IntTuple, padding: IntTuple, value: float, name: str
) -> Tensor:
    ph, pw = per_axis(padding, "padding", least=0)
    fh, fw = per_axis(kernel_size, "kernel_size")
    if 2 * ph > fh or 2 * pw > fw:
        raise ShapeError(f"{name}: padding {(ph, pw)} is more than half of the window {(fh, fw)}")
    if not ph and not pw:
        return x
    if x.ndim != 4:
        raise ShapeError(f"{name}: expected images (N, C, H, W), got {x.shape}")
    return pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), value)


def _windows(
    x: Tensor, kernel_size: IntTuple, stride: IntTuple, dilation: IntTuple, name: str
) -> Tensor:
    """The windows of every channel: (N, C, FH*FW, OH, OW), the batch innermost in memory."""
    window = window_of(x.shape, kernel_size, stride, dilation, name)
    n, c, h, w = x.shape
    columns = im2col(x, kernel_size, stride, dilation)  # (C*FH*FW, OH*OW*N)
    fh, fw = window.kernel
    oh, ow = window.output_size((h, w))
    parts = reshape(columns, (c, fh * fw, oh, ow, n))  # (C, FH*FW, OH, OW, N)
    return transpose(parts, (4, 0, 1, 2, 3))
