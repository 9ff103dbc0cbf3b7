"""Unpooling: the way back from what a max-pool kept to where it was."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .._arguments import affordable
from .._core.context import composition
from .._core.symbol import array_of
from .._core.tensor import Tensor, raw
from .._kernels.windows import batch_last
from ..errors import DtypeError, OutOfBoundsError, ShapeError
from ..ops import reshape, scatter_add, transpose
from ..ops.windows import per_axis
from ..typing import Array, IntTuple, Shape, TensorLike
from ._pooling import checked

__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]


@composition
def max_unpool1d(
    x: TensorLike,
    indices: TensorLike,
    kernel_size: IntTuple,
    stride: IntTuple | None = None,
    padding: IntTuple = 0,
    output_size: IntTuple | None = None,
) -> Tensor:
    """``max_unpool2d`` over signals, (N, C, OL) to (N, C, L).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.max_unpool1d(tc.tensor([[[3.0, 5.0]]]), [[[0, 3]]], 2)
    tensor([[[3., 0., 0., 5.]]])
    """
    x = checked(x, 1, "max_unpool1d")
    return _unpooled(x, indices, kernel_size, stride, padding, output_size)


@composition
def max_unpool2d(
    x: TensorLike,
    indices: TensorLike,
    kernel_size: IntTuple,
    stride: IntTuple | None = None,
    padding: IntTuple = 0,
    output_size: IntTuple | None = None,
) -> Tensor:
    """Put every element back where ``max_pool2d`` found it; all others are 0.

    Where several elements go to one place, as after overlapping windows, the last one stays, and
    gets the gradient.

    Args:
        x: what was pooled, (N, C, OH, OW).
        indices: where each element goes in its channel, counted row-major, as ``max_pool2d``
            returns it; integers of the shape of ``x``.
        kernel_size, stride, padding: those of the pool.
        output_size: (H, W) of the result, or its shape; by default the smallest images that the
            pool makes ``x`` of. It may differ from them by less than the stride.

    Returns:
        (N, C, H, W) with H = (OH - 1) stride - 2 padding + FH.

    Raises:
        DtypeError: the indices are no integers.
        OutOfBoundsError: an index lies outside of the result.
        ShapeError: not one index for each element, or a size that the pool makes no ``x`` of.

    Source: Zeiler and Fergus (2014), Visualizing and understanding convolutional networks.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([[[[1.0, 2.0], [4.0, 3.0]]]])
    >>> pooled, indices = tc.functional.max_pool2d(x, 2, return_indices=True)
    >>> tc.functional.max_unpool2d(pooled, indices, 2)
    tensor([[[[0., 0.],
              [4., 0.]]]])
    """
    x = checked(x, 2, "max_unpool2d")
    return _unpooled(x, indices, kernel_size, stride, padding, output_size)


@composition
def max_unpool3d(
    x: TensorLike,
    indices: TensorLike,
    kernel_size: IntTuple,
    stride: IntTuple | None = None,
    padding: IntTuple = 0,
    output_size: IntTuple | None = None,
) -> Tensor:
    """``max_unpool2d`` over volumes, (N, C, OD, OH, OW) to (N, C, D, H, W).

    >>> import tinygrad_cnn as tc
    >>> pooled, indices = tc.functional.max_pool3d(tc.ones(1, 1, 4, 4, 4), 2, return_indices=True)
    >>> tc.functional.max_unpool3d(pooled, indices, 2).sum()
    tensor(8.)
    """
    x = checked(x, 3, "max_unpool3d")
    return _unpooled(x, indices, kernel_size, stride, padding, output_size)


def _unpooled(
    x: Tensor,
    indices: TensorLike,
    kernel_size: IntTuple,
    stride: IntTuple | None,
    padding: IntTuple,
    output_size: IntTuple | None,
) -> Tensor:
    name = f"max_unpool{x.ndim - 2}d"
    size = _size(x.shape, kernel_size, stride, padding, output_size, name)
    affordable(name, (*x.shape[:2], *size), np.dtype(np.intp).itemsize)
    places = _checked_indices(indices, x.shape, size, name)
    # The batch innermost, as the memory lies: place p of channel c is row c * H * W + p.
    (n, c), total = x.shape[:2], math.prod(size)
    last = (*range(1, x.ndim), 0)
    rows = places + total * np.arange(c).reshape(c, *[1] * (x.ndim - 2))
    targets = batch_last(rows * n + np.arange(n).reshape(n, *[1] * (x.ndim - 1))).ravel()
    values = reshape(transpose(x, last), (x.size,))
    writer = np.full(c * total * n, -1)
    writer[targets] = np.arange(targets.size)  # the last of those with the same target
    stays = writer[targets] == np.arange(targets.size)
    if not stays.all():
        values, targets = values[np.flatnonzero(stays)], targets[stays]
    out = reshape(scatter_add(values, targets, (c * total * n,)), (c, *size, n))
    return transpose(out, (x.ndim - 1, *range(x.ndim - 1)))


def _size(
    shape: Shape,
    kernel_size: IntTuple,
    stride: IntTuple | None,
    padding: IntTuple,
    output_size: IntTuple | None,
    name: str,
) -> Shape:
    """Of the images that are made, without batch and channels."""
    axes = len(shape) - 2
    kernel = per_axis(kernel_size, f"{name}: kernel_size", axes)
    strides = kernel if stride is None else per_axis(stride, f"{name}: stride", axes)
    around = per_axis(padding, f"{name}: padding", axes, least=0)
    usual = tuple(
        (n - 1) * s - 2 * p + f
        for n, f, s, p in zip(shape[2:], kernel, strides, around, strict=True)
    )
    if output_size is None:
        if min(usual) < 1:
            raise ShapeError(f"{name}: padding {around} leaves nothing of an input of {shape}")
        return usual
    if isinstance(output_size, Sequence) and len(output_size) == axes + 2:
        output_size = tuple(output_size)[2:]
    size = per_axis(output_size, f"{name}: output_size", axes)
    if not all(abs(n - m) < s for n, m, s in zip(size, usual, strides, strict=True)):
        ranges = " x ".join(
            f"{max(m - s + 1, 1)} to {m + s - 1}" for m, s in zip(usual, strides, strict=True)
        )
        raise ShapeError(
            f"{name}: output_size={size}: an input of shape {shape} was pooled from {ranges}"
        )
    return size


def _checked_indices(indices: TensorLike, shape: Shape, size: Shape, name: str) -> Array:
    """One index into images of that size for each element."""
    places: Array = array_of(raw(indices))
    if places.shape != shape:
        raise ShapeError(f"{name}: indices of shape {places.shape} for an input of shape {shape}")
    if places.dtype.kind not in "iu":
        raise DtypeError(f"{name}: indices are integers, got {places.dtype}")
    total = math.prod(size)
    if places.size and not 0 <= places.min() <= places.max() < total:
        raise OutOfBoundsError(
            f"{name}: indices from {places.min()} to {places.max()}, an output of"
            f" {'x'.join(map(str, size))} has the places 0 to {total - 1}: give output_size"
        )
    return places.astype(np.int64, copy=False)
