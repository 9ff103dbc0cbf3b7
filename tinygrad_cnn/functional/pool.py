"""Pooling: the largest element, the mean or the norm of every window.

Over signals (1d), images (2d) and volumes (3d), with PyTorch's arguments and rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, overload

import numpy as np

from .._arguments import whole
from .._core.context import composition
from .._core.symbol import fixed
from .._core.tensor import Tensor
from ..errors import ArgumentError
from ..ops import abs, sum
from ..typing import IntTuple, TensorLike
from ._numbers import in_floats
from ._pooling import checked, divisors, flat, largest, layout, windows_of, winners
from ._sliding import Fit, Padding
from .reduction import root

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
]


class _MaxPool(Protocol):
    """The type of a max-pool, whose last argument decides what it returns."""

    __name__: str

    @overload
    def __call__(
        self, x: TensorLike, kernel_size: IntTuple, stride: IntTuple | None = None,
        padding: Padding = 0, dilation: IntTuple = 1, ceil_mode: bool = False,
        return_indices: Literal[False] = False, *, fit: Fit | None = None,
    ) -> Tensor: ...  # fmt: skip
    @overload
    def __call__(
        self, x: TensorLike, kernel_size: IntTuple, stride: IntTuple | None = None,
        padding: Padding = 0, dilation: IntTuple = 1, ceil_mode: bool = False,
        *, return_indices: Literal[True], fit: Fit | None = None,
    ) -> tuple[Tensor, Tensor]: ...  # fmt: skip
    @overload
    def __call__(
        self, x: TensorLike, kernel_size: IntTuple, stride: IntTuple | None = None,
        padding: Padding = 0, dilation: IntTuple = 1, ceil_mode: bool = False,
        return_indices: bool = False, *, fit: Fit | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]: ...  # fmt: skip


def _max_pool(function: Callable[..., Any]) -> _MaxPool:
    """The function itself: only its type is made precise, once for all of them."""
    return function


@_max_pool
@composition
def max_pool1d(
    x: TensorLike,
    kernel_size: IntTuple,
    stride: IntTuple | None = None,
    padding: Padding = 0,
    dilation: IntTuple = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    fit: Fit | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """``max_pool2d`` over signals, (N, C, L) to (N, C, OL).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.max_pool1d(tc.tensor([[[3.0, 1.0, 2.0, 5.0]]]), 2)
    tensor([[[3., 5.]]])
    """
    settings = (kernel_size, stride, padding, dilation, ceil_mode, fit)
    return _largest(checked(x, 1, "max_pool1d", ordered=True), settings, return_indices)


@_max_pool
@composition
def max_pool2d(
    x: TensorLike,
    kernel_size: IntTuple,
    stride: IntTuple | None = None,
    padding: Padding = 0,
    dilation: IntTuple = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    fit: Fit | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of every window; the gradient returns by the switches.

    Args:
        x: images, (N, C, H, W).
        kernel_size, stride, dilation: a number, or (rows, columns). The stride is by default
            the window: 2/2 discards 75 % of the activations, 3/2 overlaps.
        padding: the same, or a pair (before, after) for each of the two, or "same"; it never
            wins, and no side may have more than half of the window.
        ceil_mode: whether a last window may reach beyond the padding. None starts there.
        return_indices: whether to return where in its channel each winner lies as well, counted
            row-major: what ``max_unpool2d`` needs. (``pool_switches`` gives the place in the
            window.)
        fit: what happens where the stride does not fit: "floor" leaves the rest out, "pad" is
            ``ceil_mode``, "crop" cuts the rest off, "exact" raises.

    Returns:
        (N, C, OH, OW) with OH = floor((H + 2 padding - dilation (FH - 1) - 1) / stride) + 1, or
        ceil; with ``return_indices`` a pair with the indices, int64.

    Raises:
        ArgumentError: ``ceil_mode`` and ``fit`` contradict each other.
        DtypeError: the images are booleans.
        ShapeError: the window does not fit, or the padding exceeds half of it.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.max_pool2d(tc.tensor([[[[1.0, 2.0], [4.0, 3.0]]]]), 2)
    tensor([[[[4.]]]])
    >>> tc.functional.max_pool2d(tc.zeros(1, 64, 224, 224), 2).shape
    (1, 64, 112, 112)
    """
    settings = (kernel_size, stride, padding, dilation, ceil_mode, fit)
    return _largest(checked(x, 2, "max_pool2d", ordered=True), settings, return_indices)


@_max_pool
@composition
def max_pool3d(
    x: TensorLike,
    kernel_size: IntTuple,
    stride: IntTuple | None = None,
    padding: Padding = 0,
    dilation: IntTuple = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    fit: Fit | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """``max_pool2d`` over volumes, (N, C, D, H, W) to (N, C, OD, OH, OW).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.max_pool3d(tc.zeros(1, 3, 8, 8, 8), 2).shape
    (1, 3, 4, 4, 4)
    """
    settings = (kernel_size, stride, padding, dilation, ceil_mode, fit)
    return _largest(checked(x, 3, "max_pool3d", ordered=True), settings, return_indices)


def _largest(
    x: Tensor, settings: tuple[Any, ...], return_indices: bool
) -> Tensor | tuple[Tensor, Tensor]:
    name = f"max_pool{x.ndim - 2}d"
    placed = layout(x, *settings, name=name)
    out, switches = largest(x, placed, name)
    return (out, flat(winners(switches, placed), placed.size)) if return_indices else out


@composition
def avg_pool1d(
    x: TensorLike,
    kernel_size: IntTuple,
    stride: IntTuple | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    fit: Fit | None = None,
) -> Tensor:
    """``avg_pool2d`` over signals, (N, C, L) to (N, C, OL).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.avg_pool1d(tc.tensor([[[3.0, 1.0, 2.0, 5.0]]]), 2)
    tensor([[[2. , 3.5]]])
    """
    settings = (kernel_size, stride, padding, 1, ceil_mode, fit)
    return _mean(checked(x, 1, "avg_pool1d"), settings, count_include_pad, divisor_override)


@composition
def avg_pool2d(
    x: TensorLike,
    kernel_size: IntTuple,
    stride: IntTuple | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    fit: Fit | None = None,
) -> Tensor:
    """The mean of every window.

    Args:
        x: images, (N, C, H, W).
        kernel_size, stride, padding, ceil_mode, fit: as in ``max_pool2d``.
        count_include_pad: whether the zeros of the padding count as elements. What a window of
            ``ceil_mode`` sees beyond the padding never counts.
        divisor_override: what the sum of each window is divided by, whatever counts.

    Returns:
        (N, C, OH, OW), sizes as in ``max_pool2d``.

    Raises:
        ArgumentError: ``ceil_mode`` and ``fit`` contradict each other, or ``divisor_override``
            is no integer above 0.
        ShapeError: the window does not fit, or the padding exceeds half of it.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.avg_pool2d(tc.tensor([[[[1.0, 2.0], [4.0, 3.0]]]]), 2)
    tensor([[[[2.5]]]])
    """
    settings = (kernel_size, stride, padding, 1, ceil_mode, fit)
    return _mean(checked(x, 2, "avg_pool2d"), settings, count_include_pad, divisor_override)


@composition
def avg_pool3d(
    x: TensorLike,
    kernel_size: IntTuple,
    stride: IntTuple | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    fit: Fit | None = None,
) -> Tensor:
    """``avg_pool2d`` over volumes, (N, C, D, H, W) to (N, C, OD, OH, OW).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.avg_pool3d(tc.ones(1, 1, 2, 2, 2), 2)
    tensor([[[[[1.]]]]])
    """
    settings = (kernel_size, stride, padding, 1, ceil_mode, fit)
    return _mean(checked(x, 3, "avg_pool3d"), settings, count_include_pad, divisor_override)


def _mean(
    x: Tensor, settings: tuple[Any, ...], count_include_pad: bool, divisor_override: int | None
) -> Tensor:
    name = f"avg_pool{x.ndim - 2}d"
    if divisor_override is not None:
        divisor_override = whole(name, "divisor_override", divisor_override)
    placed = layout(x, *settings, name=name)
    total = sum(windows_of(x, placed, name), axis=2)
    if divisor_override is not None:
        return total / divisor_override
    counts = divisors(placed, count_include_pad)
    return total / (counts if isinstance(counts, int) else fixed(counts.astype(total.dtype)))


@composition
def lp_pool1d(
    x: TensorLike,
    norm_type: float,
    kernel_size: IntTuple,
    stride: IntTuple | None = None,
    ceil_mode: bool = False,
    *,
    fit: Fit | None = None,
) -> Tensor:
    """``lp_pool2d`` over signals, (N, C, L) to (N, C, OL).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.lp_pool1d(tc.tensor([[[3.0, 4.0, 0.0, 1.0]]]), 2, 2)
    tensor([[[5., 1.]]])
    """
    return _norm(checked(x, 1, "lp_pool1d"), norm_type, (kernel_size, stride, 0, 1, ceil_mode, fit))


@composition
def lp_pool2d(
    x: TensorLike,
    norm_type: float,
    kernel_size: IntTuple,
    stride: IntTuple | None = None,
    ceil_mode: bool = False,
    *,
    fit: Fit | None = None,
) -> Tensor:
    """The norm of every window, (sum x**p)**(1/p): with p = 2 L2-norm pooling.

    As in PyTorch it is x that is raised, not ``|x|``: of negative numbers take ``abs`` before
    where p is not even. Likewise the sum over an incomplete window of ``ceil_mode`` is scaled to
    a whole one. Where the sum is 0, so is the gradient.

    Args:
        x: images, (N, C, H, W).
        norm_type: p, not 0; inf gives the largest ``|x|``, -inf the smallest.
        kernel_size, stride, ceil_mode, fit: as in ``max_pool2d``.

    Returns:
        (N, C, OH, OW), sizes as in ``max_pool2d``.

    Raises:
        ArgumentError: ``norm_type`` is 0 or no number, or ``ceil_mode`` and ``fit`` contradict
            each other.
        ShapeError: the window does not fit.

    Source: Sermanet, Chintala and LeCun (2012), Convolutional neural networks applied to house
    numbers digit classification.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.lp_pool2d(tc.tensor([[[[1.0, 1.0], [3.0, 5.0]]]]), 2, 2)
    tensor([[[[6.]]]])
    """
    return _norm(checked(x, 2, "lp_pool2d"), norm_type, (kernel_size, stride, 0, 1, ceil_mode, fit))


@composition
def lp_pool3d(
    x: TensorLike,
    norm_type: float,
    kernel_size: IntTuple,
    stride: IntTuple | None = None,
    ceil_mode: bool = False,
    *,
    fit: Fit | None = None,
) -> Tensor:
    """``lp_pool2d`` over volumes, (N, C, D, H, W) to (N, C, OD, OH, OW).

    >>> import tinygrad_cnn as tc
    >>> tc.functional.lp_pool3d(2.0 * tc.ones(1, 1, 2, 2, 1), 2, (2, 2, 1))
    tensor([[[[[4.]]]]])
    """
    return _norm(checked(x, 3, "lp_pool3d"), norm_type, (kernel_size, stride, 0, 1, ceil_mode, fit))


def _norm(x: Tensor, p: float, settings: tuple[Any, ...]) -> Tensor:
    name = f"lp_pool{x.ndim - 2}d"
    if not is_power(p):
        raise ArgumentError(f"{name}: norm_type={p!r}: expected a number other than 0, or inf")
    x, placed = in_floats(x), layout(x, *settings, name=name)
    if p in (np.inf, -np.inf):
        sign = 1 if p > 0 else -1
        return sign * largest(sign * abs(x), placed, name)[0]
    total = sum(windows_of(x * x if p == 2 else x**p, placed, name), axis=2)
    counts = divisors(placed, count_include_pad=True)
    if not isinstance(counts, int):
        total = total * (placed.window.places / counts).astype(total.dtype)
    return root(total, p)


def is_power(p: Any) -> bool:
    """Whether there is an Lp norm with this p."""
    return isinstance(p, (int, float, np.integer, np.floating)) and bool(p) and p == p
