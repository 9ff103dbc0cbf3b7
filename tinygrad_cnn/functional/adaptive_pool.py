"""Pooling to a given size: as many bins as asked for, or one for each whole channel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, overload

import numpy as np

from .._arguments import affordable, is_whole
from .._core.context import composition
from .._core.symbol import fixed
from .._core.tensor import Tensor
from ..errors import ShapeError
from ..ops import max, pad, sum
from ..typing import Array, Shape, TensorLike
from ._pooling import Layout, checked, flat, largest, layout, lowest_of, windows_of, winners

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "global_avg_pool1d",
    "global_avg_pool2d",
    "global_avg_pool3d",
    "global_max_pool1d",
    "global_max_pool2d",
    "global_max_pool3d",
]

OutputSize: TypeAlias = int | Sequence[int | None]


class _AdaptiveMaxPool(Protocol):
    """The type of an adaptive max-pool, whose last argument decides what it returns."""

    __name__: str

    @overload
    def __call__(
        self, x: TensorLike, output_size: OutputSize, return_indices: Literal[False] = False
    ) -> Tensor: ...
    @overload
    def __call__(
        self, x: TensorLike, output_size: OutputSize, return_indices: Literal[True]
    ) -> tuple[Tensor, Tensor]: ...
    @overload
    def __call__(
        self, x: TensorLike, output_size: OutputSize, return_indices: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]: ...


def _adaptive_max_pool(function: Callable[..., Any]) -> _AdaptiveMaxPool:
    """The function itself: only its type is made precise, once for all of them."""
    return function


@composition
def adaptive_avg_pool1d(x: TensorLike, output_size: OutputSize) -> Tensor:
    """``adaptive_avg_pool2d`` over signals, (N, C, L) to (N, C, OL).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.adaptive_avg_pool1d(tc.tensor([[[1.0, 2.0, 4.0]]]), 2)
    tensor([[[1.5, 3. ]]])
    """
    return _mean(checked(x, 1, "adaptive_avg_pool1d"), output_size)


@composition
def adaptive_avg_pool2d(x: TensorLike, output_size: OutputSize) -> Tensor:
    """The mean of every bin, of which there are as many as asked for.

    Along an axis of n elements bin i of m reaches from floor(i n / m) to ceil((i + 1) n / m), as
    in PyTorch: where m does not divide n, bins overlap.

    Args:
        x: images, (N, C, H, W).
        output_size: a number, or (rows, columns), of which None leaves an axis as it is.

    Returns:
        ``(N, C, *output_size)``.

    Raises:
        ShapeError: ``x`` has other axes, or none of its elements lies along one; or
            ``output_size`` is none.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.adaptive_avg_pool2d(tc.ones(1, 512, 13, 10), (7, None)).shape
    (1, 512, 7, 10)
    """
    return _mean(checked(x, 2, "adaptive_avg_pool2d"), output_size)


@composition
def adaptive_avg_pool3d(x: TensorLike, output_size: OutputSize) -> Tensor:
    """``adaptive_avg_pool2d`` over volumes, (N, C, D, H, W) to ``(N, C, *output_size)``.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.adaptive_avg_pool3d(tc.ones(1, 2, 5, 6, 7), (1, 2, None)).shape
    (1, 2, 1, 2, 7)
    """
    return _mean(checked(x, 3, "adaptive_avg_pool3d"), output_size)


@_adaptive_max_pool
@composition
def adaptive_max_pool1d(
    x: TensorLike, output_size: OutputSize, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """``adaptive_max_pool2d`` over signals, (N, C, L) to (N, C, OL).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.adaptive_max_pool1d(tc.tensor([[[1.0, 2.0, 4.0]]]), 2)
    tensor([[[2., 4.]]])
    """
    return _largest(checked(x, 1, "adaptive_max_pool1d", ordered=True), output_size, return_indices)


@_adaptive_max_pool
@composition
def adaptive_max_pool2d(
    x: TensorLike, output_size: OutputSize, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of every bin, of which there are as many as asked for.

    Args:
        x: images, (N, C, H, W).
        output_size: as in ``adaptive_avg_pool2d``, whose bins these are.
        return_indices: whether to return where the winners lie as well, as in ``max_pool2d``.

    Returns:
        ``(N, C, *output_size)``; with ``return_indices`` a pair with the indices, int64.

    Raises:
        DtypeError: the images are booleans.
        ShapeError: ``x`` has other axes, or none of its elements lies along one; or
            ``output_size`` is none.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([[[[1.0, 5.0], [4.0, 3.0]]]])
    >>> tc.functional.adaptive_max_pool2d(x, (1, 2), return_indices=True)
    (tensor([[[[4., 5.]]]]), tensor([[[[2, 1]]]]))
    """
    return _largest(checked(x, 2, "adaptive_max_pool2d", ordered=True), output_size, return_indices)


@_adaptive_max_pool
@composition
def adaptive_max_pool3d(
    x: TensorLike, output_size: OutputSize, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """``adaptive_max_pool2d`` over volumes, (N, C, D, H, W) to ``(N, C, *output_size)``.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.adaptive_max_pool3d(tc.ones(1, 2, 5, 6, 7), 3).shape
    (1, 2, 3, 3, 3)
    """
    return _largest(checked(x, 3, "adaptive_max_pool3d", ordered=True), output_size, return_indices)


class _Bins(NamedTuple):
    """Images in which every bin is a window.

    Attributes:
        images: as they are along axes where equal bins follow each other at equal distances;
            along others the elements of one bin after those of the other, all filled up to the
            same length.
        placed: the window over them.
        names: for each axis which element of the original stands where.
        lengths: for each axis how many elements each bin has.
    """

    images: Tensor
    placed: Layout
    names: list[Array]
    lengths: list[Array]


def _binned(x: Tensor, output_size: OutputSize, filling: float, name: str) -> _Bins:
    size, images = x.shape[2:], x
    names, lengths, kernel, stride = [], [], [], []
    for n, m in zip(size, bins(output_size, size, name), strict=True):
        affordable(name, (m, -(-n // m) + 1), np.dtype(np.intp).itemsize)
        start = np.arange(m) * n // m
        length = -(-(np.arange(m) + 1) * n // m) - start
        steps, most = np.diff(start), int(length.max())
        if m <= n and np.all(length == most) and np.all(steps == steps[:1]):
            names.append(np.arange(n))
            stride.append(int(steps[0]) if m > 1 else most)
        else:  # behind the end lies the filling
            within = np.arange(most)
            each = np.where(within < length[:, None], start[:, None] + within, n)
            names.append(each.ravel())
            stride.append(most)
        kernel.append(most)
        lengths.append(length)
    filled = [int(np.any(places == n)) for places, n in zip(names, size, strict=True)]
    if any(filled):
        images = pad(images, ((0, 0), (0, 0), *((0, fill) for fill in filled)), filling)
    for axis, (places, n) in enumerate(zip(names, size, strict=True), 2):
        if not np.array_equal(places, np.arange(n)):
            images = images[(slice(None),) * axis + (fixed(places),)]
    placed = layout(images, tuple(kernel), tuple(stride), 0, 1, False, None, name=name)
    return _Bins(images, placed, names, lengths)


def bins(output_size: OutputSize, size: Shape, name: str) -> Shape:
    """How many bins there are along each axis."""
    each = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * len(size)
    if len(each) != len(size) or not all(m is None or is_whole(m) for m in each):
        raise ShapeError(
            f"{name}: output_size={output_size!r}: expected an integer >= 1, or for each of the"
            f" {len(size)} axes in space one or None, which leaves it as it is"
        )
    return tuple(n if m is None else int(m) for m, n in zip(each, size, strict=True))


def _mean(x: Tensor, output_size: OutputSize) -> Tensor:
    name = f"adaptive_avg_pool{x.ndim - 2}d"
    if set(bins(output_size, x.shape[2:], name)) == {1}:
        return _whole_mean(x, keepdims=True)  # a tenth of the time
    images, placed, _, lengths = _binned(x, output_size, 0.0, name)
    total = sum(windows_of(images, placed, name), axis=2)
    counts: Array = math.prod(np.ix_(*lengths))  # type: ignore[assignment]
    places = placed.window.places
    same = np.all(counts == places)
    return total / (places if same else fixed(counts.astype(total.dtype)))


def _largest(
    x: Tensor, output_size: OutputSize, return_indices: bool
) -> Tensor | tuple[Tensor, Tensor]:
    name = f"adaptive_max_pool{x.ndim - 2}d"
    images, placed, names, _ = _binned(x, output_size, lowest_of(x), name)
    out, switches = largest(images, placed, name)
    if not return_indices:
        return out
    there = winners(switches, placed)
    return out, flat([each[place] for each, place in zip(names, there, strict=True)], x.shape[2:])


@composition
def global_avg_pool1d(x: TensorLike, keepdims: bool = False) -> Tensor:
    """``global_avg_pool2d`` over signals, (N, C, L) to (N, C).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.global_avg_pool1d(tc.tensor([[[1.0, 2.0, 6.0]]]))
    tensor([[3.]])
    """
    return _whole_mean(checked(x, 1, "global_avg_pool1d"), keepdims)


@composition
def global_avg_pool2d(x: TensorLike, keepdims: bool = False) -> Tensor:
    """The mean of every channel: (N, C, H, W) to (N, C), which a classifier can take.

    Args:
        x: images, (N, C, H, W).
        keepdims: whether the result is (N, C, 1, 1), as of ``adaptive_avg_pool2d`` to size 1.

    Raises:
        ShapeError: ``x`` has other axes, or none of its elements lies along one.

    Source: Lin, Chen and Yan (2013), Network in network, which feeds it to the softmax.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.global_avg_pool2d(tc.ones(2, 10, 7, 7)).shape
    (2, 10)
    """
    return _whole_mean(checked(x, 2, "global_avg_pool2d"), keepdims)


@composition
def global_avg_pool3d(x: TensorLike, keepdims: bool = False) -> Tensor:
    """``global_avg_pool2d`` over volumes, (N, C, D, H, W) to (N, C).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.global_avg_pool3d(tc.ones(1, 2, 3, 4, 5))
    tensor([[1., 1.]])
    """
    return _whole_mean(checked(x, 3, "global_avg_pool3d"), keepdims)


@composition
def global_max_pool1d(x: TensorLike, keepdims: bool = False) -> Tensor:
    """``global_max_pool2d`` over signals, (N, C, L) to (N, C).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.global_max_pool1d(tc.tensor([[[1.0, 2.0, 6.0]]]))
    tensor([[6.]])
    """
    return _whole_max(checked(x, 1, "global_max_pool1d", ordered=True), keepdims)


@composition
def global_max_pool2d(x: TensorLike, keepdims: bool = False) -> Tensor:
    """The largest element of every channel: (N, C, H, W) to (N, C).

    Args:
        x: images, (N, C, H, W).
        keepdims: whether the result is (N, C, 1, 1), as of ``adaptive_max_pool2d`` to size 1.

    Raises:
        DtypeError: the images are booleans.
        ShapeError: ``x`` has other axes, or none of its elements lies along one.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.global_max_pool2d(tc.tensor([[[[1.0, 2.0], [4.0, 3.0]]]]))
    tensor([[4.]])
    """
    return _whole_max(checked(x, 2, "global_max_pool2d", ordered=True), keepdims)


@composition
def global_max_pool3d(x: TensorLike, keepdims: bool = False) -> Tensor:
    """``global_max_pool2d`` over volumes, (N, C, D, H, W) to (N, C).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.global_max_pool3d(tc.ones(1, 2, 3, 4, 5))
    tensor([[1., 1.]])
    """
    return _whole_max(checked(x, 3, "global_max_pool3d", ordered=True), keepdims)


def _whole_mean(x: Tensor, keepdims: bool) -> Tensor:
    return sum(x, tuple(range(2, x.ndim)), keepdims) / math.prod(x.shape[2:])


def _whole_max(x: Tensor, keepdims: bool) -> Tensor:
    return max(x, tuple(range(2, x.ndim)), keepdims)
