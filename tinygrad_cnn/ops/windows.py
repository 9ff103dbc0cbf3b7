"""Windows that slide over images: im2col and pooling by switches, each with its adjoint."""

from __future__ import annotations

import math

import numpy as np

from .._arguments import is_whole, sizes
from .._core.primitive import Primitive, apply, primitive
from .._core.symbol import array_of
from .._core.tensor import Tensor, raw
from .._kernels import windows as kernels
from .._kernels.windows import Window
from ..errors import DtypeError, OutOfBoundsError, ShapeError
from ..typing import Array, IntTuple, Shape, TensorLike

__all__ = ["col2im", "gather_windows", "im2col", "pool_switches", "scatter_windows"]

im2col_p = primitive(
    "im2col",
    kernels.im2col,
    (lambda g, ans, x, *, window: apply(col2im_p, g, window=window, shape=x.shape),),
)
col2im_p: Primitive = primitive(
    "col2im",
    kernels.col2im,
    (lambda g, ans, x, *, window, shape: apply(im2col_p, g, window=window),),
)
switches_p = Primitive("pool_switches", kernels.switches, (None,))  # gives integers
gather_windows_p = primitive(
    "gather_windows",
    kernels.gather_windows,
    (
        lambda g, ans, x, *, window, switches: apply(
            scatter_windows_p, g, window=window, switches=switches, shape=x.shape
        ),
    ),
)
scatter_windows_p: Primitive = primitive(
    "scatter_windows",
    kernels.scatter_windows,
    (
        lambda g, ans, x, *, window, switches, shape: apply(
            gather_windows_p, g, window=window, switches=switches
        ),
    ),
)


def per_axis(value: IntTuple, name: str, axes: int = 2, least: int = 1) -> Shape:
    """One integer for each axis in space, from a single one or from as many as there are axes.

    Raises:
        ShapeError: anything else, or an integer below ``least``.
    """
    if type(value) is int and value >= least:
        return (value,) * axes
    each = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    if len(each) != axes or not all(is_whole(v, least) for v in each):
        several = "a pair" if axes == 2 else f"a tuple of {axes}"
        raise ShapeError(f"{name}={value!r}: expected an integer >= {least} or {several} of them")
    return tuple(int(v) for v in each)


def geometry(
    kernel_size: IntTuple, stride: IntTuple, dilation: IntTuple, axes: int, name: str
) -> Window:
    """A window over images with so many axes in space.

    Raises:
        ShapeError: a setting is neither a positive integer nor one for each axis.
    """
    return Window(
        per_axis(kernel_size, f"{name}: kernel_size", axes),
        per_axis(stride, f"{name}: stride", axes),
        per_axis(dilation, f"{name}: dilation", axes),
    )


def window_of(
    shape: Shape, kernel_size: IntTuple, stride: IntTuple, dilation: IntTuple, name: str
) -> Window:
    """The geometry of a window over images of shape (N, C, H, W), or more or fewer axes in space.

    Raises:
        ShapeError: the images have no axis in space, or the window does not fit.
    """
    axes = len(shape) - 2
    if axes < 1:
        raise ShapeError(f"{name}: expected images of shape (N, C, H, W), got {shape}")
    window = geometry(kernel_size, stride, dilation, axes, name)
    check_fits(window, shape[2:], name)
    return window


def check_fits(window: Window, size: Shape, name: str) -> None:
    """Refuse images that are smaller than the window.

    Raises:
        ShapeError: they are.
    """
    if any(f > n for n, f in zip(size, window.extent, strict=True)):
        images = "x".join(map(str, size))
        raise ShapeError(
            f"{name}: a window of {window.kernel} with dilation {window.dilation} does not"
            f" fit into images of {images}: use a smaller one, or padding"
        )


def im2col(
    x: TensorLike, kernel_size: IntTuple, stride: IntTuple = 1, dilation: IntTuple = 1
) -> Tensor:
    """The content of every window as a column: (N, C, H, W) -> (C*FH*FW, OH*OW*N).

    Rows run over C, FH, FW, columns over OH, OW, N, so that ``W_row @ X_col`` with W_row of
    shape (K, C*FH*FW) is the convolution. Pad beforehand. Signals (N, C, L) and volumes
    (N, C, D, H, W) have windows too, as in all of these functions.

    Raises:
        ShapeError: the window does not fit.

    >>> import tinygrad_cnn as tc
    >>> tc.im2col(tc.zeros(1, 3, 227, 227), 11, stride=4).shape  # AlexNet's first layer
    (363, 3025)
    """
    window = window_of(np.shape(raw(x)), kernel_size, stride, dilation, "im2col")
    return apply(im2col_p, x, window=window)


def col2im(
    columns: TensorLike,
    shape: Shape,
    kernel_size: IntTuple,
    stride: IntTuple = 1,
    dilation: IntTuple = 1,
) -> Tensor:
    """Add every column back where its window lay: the adjoint of ``im2col``.

    Raises:
        ShapeError: the columns are not those of images of ``shape``.

    >>> import tinygrad_cnn as tc
    >>> x = tc.ones(1, 1, 3, 3)
    >>> tc.col2im(tc.im2col(x, 2), x.shape, 2)[0, 0]  # how many windows see each pixel
    tensor([[1., 2., 1.],
            [2., 4., 2.],
            [1., 2., 1.]])
    """
    shape = sizes("col2im", shape)
    window = window_of(shape, kernel_size, stride, dilation, "col2im")
    windows = math.prod(window.output_size(shape[2:]))
    expected = (shape[1] * window.places, windows * shape[0])
    given = np.shape(raw(columns))
    if given != expected:
        raise ShapeError(f"col2im: columns of shape {given}, images of {shape} need {expected}")
    return apply(col2im_p, columns, window=window, shape=tuple(shape))


def pool_switches(
    x: TensorLike, kernel_size: IntTuple, stride: IntTuple, dilation: IntTuple = 1
) -> Array:
    """For each window the place of its first largest element, counted row-major: an array.

    >>> import tinygrad_cnn as tc
    >>> tc.pool_switches(tc.tensor([[[[1.0, 2.0], [4.0, 3.0]]]]), 2, 2)
    array([[[[2]]]], dtype=uint8)
    """
    window = window_of(np.shape(raw(x)), kernel_size, stride, dilation, "pool_switches")
    return apply(switches_p, raw(x), window=window)  # type: ignore[return-value]


def gather_windows(
    x: TensorLike,
    switches: Array,
    kernel_size: IntTuple,
    stride: IntTuple,
    dilation: IntTuple = 1,
) -> Tensor:
    """From each window the element that its switch names; the gradient returns to it.

    Raises:
        DtypeError: the switches are no integers.
        OutOfBoundsError: a switch names no place of the window.
        ShapeError: not one switch for each window.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([[[[1.0, 2.0], [4.0, 3.0]]]])
    >>> tc.gather_windows(x, tc.pool_switches(x, 2, 2), 2, 2)
    tensor([[[[4.]]]])
    """
    shape = np.shape(raw(x))
    window = window_of(shape, kernel_size, stride, dilation, "gather_windows")
    switches = _checked_switches("gather_windows", switches, shape, window)
    return apply(gather_windows_p, x, window=window, switches=switches)


def scatter_windows(
    g: TensorLike,
    switches: Array,
    shape: Shape,
    kernel_size: IntTuple,
    stride: IntTuple,
    dilation: IntTuple = 1,
) -> Tensor:
    """Add each number where its switch points: the adjoint of ``gather_windows``.

    Raises:
        DtypeError: the switches are no integers.
        OutOfBoundsError: a switch names no place of the window.
        ShapeError: not one number and one switch for each window.

    >>> import tinygrad_cnn as tc
    >>> import numpy as np
    >>> tc.scatter_windows(tc.ones(1, 1, 1, 1), np.full((1, 1, 1, 1), 2), (1, 1, 2, 2), 2, 2)
    tensor([[[[0., 0.],
              [1., 0.]]]])
    """
    window = window_of(shape, kernel_size, stride, dilation, "scatter_windows")
    _check_windows("scatter_windows: numbers", g, shape, window)
    switches = _checked_switches("scatter_windows", switches, shape, window)
    return apply(scatter_windows_p, g, window=window, switches=switches, shape=tuple(shape))


def _checked_switches(name: str, switches: Array, images: Shape, window: Window) -> Array:
    """The switches, if they name one place in each window over ``images``."""
    switches = array_of(raw(switches))
    _check_windows(f"{name}: switches", switches, images, window)
    if switches.dtype.kind not in "iu":
        raise DtypeError(f"{name}: switches are integers, got {switches.dtype}")
    if switches.size and not 0 <= switches.min() <= switches.max() < window.places:
        raise OutOfBoundsError(
            f"{name}: switches from {switches.min()} to {switches.max()}, a window of"
            f" {window.kernel} has the places 0 to {window.places - 1}"
        )
    return switches


def _check_windows(what: str, values: TensorLike, images: Shape, window: Window) -> None:
    """Refuse anything but one value for each window over ``images``."""
    expected = (*images[:2], *window.output_size(images[2:]))
    given = np.shape(raw(values))
    if given != expected:
        raise ShapeError(f"{what} of shape {given}, images of {images} need {expected}")
