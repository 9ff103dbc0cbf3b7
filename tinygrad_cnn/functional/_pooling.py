"""What the functions that pool share: how their window lies, and what becomes of its elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._core.primitive import apply
from .._core.symbol import any_of, fixed
from .._core.tensor import Tensor, as_tensor, raw
from .._kernels.windows import Window
from ..errors import ArgumentError, DtypeError, ShapeError
from ..ops import current_conventions, max, reshape, transpose
from ..ops.windows import check_fits, gather_windows_p, geometry, im2col_p, switches_p
from ..typing import Array, IntTuple, Shape, TensorLike
from ._sliding import Fit, Padding, Widths, fitted, numbers, padded, widths

_EXPECTED = {
    1: "signals of shape (N, C, L)",
    2: "images of shape (N, C, H, W)",
    3: "volumes of shape (N, C, D, H, W)",
}


class Layout(NamedTuple):
    """How the window of a pool lies over images.

    Attributes:
        size: of the images, without batch and channels.
        window: its geometry.
        around: the padding that was asked for.
        padding: the same with what the fit adds at the end or cuts off there.
    """

    size: Shape
    window: Window
    around: Widths
    padding: Widths

    def starts(self) -> list[Array]:
        """For each axis where the windows start, counted from the first element of the images."""
        padded = tuple(n + a + b for n, (a, b) in zip(self.size, self.padding, strict=True))
        axes = zip(self.window.output_size(padded), self.window.stride, self.padding, strict=True)
        return [np.arange(count) * s - before for count, s, (before, _) in axes]


def checked(x: TensorLike, axes: int, name: str, *, ordered: bool = False) -> Tensor:
    """``x`` as Tensor, if it can be pooled.

    Args:
        axes: how many axes in space it must have.
        ordered: whether a largest element is asked for.

    Raises:
        ShapeError: it has other axes, or one without elements.
        DtypeError: its elements are booleans, which have no largest one.
    """
    x = as_tensor(x)
    if x.ndim != axes + 2:
        raise ShapeError(f"{name}: expected {_EXPECTED[axes]}, got {x.shape}")
    if 0 in x.shape[2:]:
        raise ShapeError(f"{name}: an input of shape {x.shape} has no elements to pool")
    if ordered and x.dtype.kind == "b":
        raise DtypeError(f"{name}: images of booleans have no largest element: use .astype(float)")
    return x


def fit_rule(ceil_mode: bool, fit: Fit | None, name: str) -> Fit:
    """What happens where the stride does not fit, by PyTorch's argument or by ours.

    Raises:
        ArgumentError: they contradict each other.
    """
    if ceil_mode and fit not in (None, "pad"):
        raise ArgumentError(f"{name}: ceil_mode=True is fit='pad', not fit={fit!r}: give one")
    return fit or ("pad" if ceil_mode else "floor")


def too_wide(padding: Widths, kernel: Shape) -> bool:
    """Whether a padding is more than half of the window: PyTorch's bound."""
    return any(2 * p > f for pair, f in zip(padding, kernel, strict=True) for p in pair)


def layout(
    x: Tensor,
    kernel_size: IntTuple,
    stride: IntTuple | None,
    padding: Padding,
    dilation: IntTuple,
    ceil_mode: bool,
    fit: Fit | None,
    *,
    name: str,
) -> Layout:
    """How a window lies over ``x``.

    Raises:
        ArgumentError: ``ceil_mode`` and ``fit`` contradict each other.
        ShapeError: the window does not fit, or the padding exceeds half of it.
    """
    fit = fit_rule(ceil_mode, fit, name)
    size = x.shape[2:]
    stride = kernel_size if stride is None else stride
    window = geometry(kernel_size, stride, dilation, len(size), name)
    extent = window.extent
    around = widths(size, extent, window.stride, padding, name)
    if too_wide(around, window.kernel):
        raise ShapeError(
            f"{name}: padding {numbers(around)} is more than half of the window {window.kernel}"
        )
    if fit == "pad":
        axes = zip(size, extent, window.stride, around, strict=True)
        found = tuple((before, ceiled(n, f, s, before, after)) for n, f, s, (before, after) in axes)
    else:
        found = fitted(size, extent, window.stride, around, fit, name)
    total = tuple(n + a + b for n, (a, b) in zip(size, found, strict=True))
    check_fits(window, total, name)
    return Layout(size, window, around, found)


def ceiled(n: int, f: int, s: int, before: int, after: int) -> int:
    """The padding at the end with which a last, incomplete window fits.

    PyTorch's rule: there is none that would start in the padding at the end.
    """
    lacking = -(n + before + after - f) % s
    last = n + after + lacking - f  # where it starts, counted from the first element
    return after + lacking if last < n else after


def windows_of(x: Tensor, placed: Layout, name: str, value: float = 0.0) -> Tensor:
    """The windows of every channel: (N, C, FH*FW, OH, OW), the batch innermost in memory."""
    x = padded(x, placed.padding, "zeros", name, value)
    n, c, *size = x.shape
    window = placed.window
    columns = apply(im2col_p, x, window=window)  # (C*FH*FW, OH*OW*N)
    parts = reshape(columns, (c, window.places, *window.output_size(tuple(size)), n))
    return transpose(parts, (parts.ndim - 1, *range(parts.ndim - 1)))


def largest(x: Tensor, placed: Layout, name: str) -> tuple[Tensor, Array]:
    """The largest element of every window, and its place there, counted row-major."""
    lowest = lowest_of(x)
    images, window = padded(x, placed.padding, "zeros", name, lowest), placed.window
    switches: Any = apply(switches_p, raw(images), window=window)
    if images is not x and any_of(raw(x) == lowest):
        switches = _without_padding(switches, placed)
    if current_conventions().ties == "split":
        return max(windows_of(x, placed, name, lowest), axis=2), switches
    return apply(gather_windows_p, images, window=window, switches=switches), switches


def lowest_of(x: Tensor) -> float:
    """What never wins against an element of ``x``."""
    return np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf


def _without_padding(switches: Array, placed: Layout) -> Array:
    """The padding loses the ties against elements that are as low as it is.

    Where it came first, all elements are equal: the first of these wins.
    """
    axes = zip(placed.starts(), placed.window.dilation, strict=True)
    first = np.ix_(*(np.maximum(-(start // d), 0) for start, d in axes))
    inside = np.ravel_multi_index(np.broadcast_arrays(*first), placed.window.kernel)
    return np.where(switches == 0, fixed(inside), switches).astype(switches.dtype)


def winners(switches: Array, placed: Layout) -> list[Array]:
    """Where the chosen element of every window stands along each axis of the images."""
    chosen = np.unravel_index(switches, placed.window.kernel)
    axes = zip(np.ix_(*placed.starts()), chosen, placed.window.dilation, strict=True)
    return [start + place * d for start, place, d in axes]


def flat(places: Sequence[Array], size: Shape) -> Tensor:
    """Places given along each axis as indices into images of that size, counted row-major."""
    index = np.zeros(places[0].shape, np.int64)
    for place, n in zip(places, size, strict=True):
        index = index * n + place
    return Tensor(index)


def divisors(placed: Layout, count_include_pad: bool) -> int | Array:
    """How many elements of each window count: a number if it is the same, else (OH, OW).

    PyTorch's rule: what a window sees beyond the padding that was asked for never counts, the
    padding itself with ``count_include_pad``.
    """
    window, counts = placed.window, []
    counted = placed.around if count_include_pad else ((0, 0),) * len(window.kernel)
    pairs = zip(placed.padding, counted, strict=True)
    if all(a <= most_a and b <= most_b for (a, b), (most_a, most_b) in pairs):
        return window.places  # nothing is seen that does not count
    axes = zip(placed.starts(), window.kernel, placed.size, counted, strict=True)
    for start, f, n, (before, after) in axes:
        counts.append(np.minimum(start + f, n + after) - np.maximum(start, -before))
    found: Array = math.prod(np.ix_(*counts))  # type: ignore[assignment]
    return window.places if np.all(found == window.places) else fixed(found)
