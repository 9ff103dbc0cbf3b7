"""Filters made by hand, as image processing had them before networks learned theirs.

Each function gives a small array (rows, columns), which ``apply`` slides over every channel of
images. The filters of edges sum to 0, so that even areas become 0; those that blur, sharpen or
emboss sum to 1, so that even areas stay.

>>> import tinygrad_cnn as tc
>>> ramp = tc.arange(5.0).reshape(1, 1, 1, 5) * tc.ones(1, 1, 4, 1)  # brighter to the right
>>> tc.filters.apply(ramp, tc.filters.sobel_x())[0, 0, 0]
tensor([4., 8., 8., 8., 4.])
"""

from __future__ import annotations

from numbers import Real

import numpy as np

from . import functional as F
from ._arguments import affordable, whole
from ._core.tensor import Tensor, as_tensor, raw
from .errors import ArgumentError, ShapeError
from .functional._sliding import PaddingMode
from .ops import broadcast_to
from .typing import Array, TensorLike

__all__ = [
    "apply",
    "box_blur",
    "emboss",
    "gaussian_blur",
    "identity",
    "laplacian",
    "sharpen",
    "sobel_x",
    "sobel_y",
]


def identity() -> Array:
    """The filter that changes nothing: 1 in the middle of 3x3.

    >>> import tinygrad_cnn as tc
    >>> tc.filters.identity()
    array([[0., 0., 0.],
           [0., 1., 0.],
           [0., 0., 0.]])
    """
    return np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])


def sobel_x() -> Array:
    """How much brighter it gets to the right: finds vertical edges (Sobel and Feldman 1968).

    The difference of the neighbours, smoothed by 1, 2, 1 along the edge.

    >>> import tinygrad_cnn as tc
    >>> tc.filters.sobel_x()
    array([[-1.,  0.,  1.],
           [-2.,  0.,  2.],
           [-1.,  0.,  1.]])
    """
    return np.outer([1.0, 2.0, 1.0], [-1.0, 0.0, 1.0])


def sobel_y() -> Array:
    """How much brighter it gets downwards: finds horizontal edges (Sobel and Feldman 1968).

    >>> import tinygrad_cnn as tc
    >>> tc.filters.sobel_y()
    array([[-1., -2., -1.],
           [ 0.,  0.,  0.],
           [ 1.,  2.,  1.]])
    """
    return np.ascontiguousarray(sobel_x().T)


def laplacian(diagonal: bool = False) -> Array:
    """The sum of the second derivatives: finds edges in every direction.

    Args:
        diagonal: whether the neighbours across the corners count as well.

    Source: Gonzalez and Woods, Digital Image Processing, section 3.6.

    >>> import tinygrad_cnn as tc
    >>> tc.filters.laplacian()
    array([[ 0.,  1.,  0.],
           [ 1., -4.,  1.],
           [ 0.,  1.,  0.]])
    """
    corner = float(diagonal)
    middle = -4.0 - 4.0 * corner
    return np.array([[corner, 1.0, corner], [1.0, middle, 1.0], [corner, 1.0, corner]])


def sharpen(amount: float = 1.0) -> Array:
    """The image less ``amount`` times its Laplacian: what differs from its surroundings, more so.

    Raises:
        ArgumentError: the amount is no finite number.

    Source: Gonzalez and Woods, Digital Image Processing, section 3.6.

    >>> import tinygrad_cnn as tc
    >>> tc.filters.sharpen()
    array([[ 0., -1.,  0.],
           [-1.,  5., -1.],
           [ 0., -1.,  0.]])
    """
    if not isinstance(amount, Real) or not np.isfinite(amount):
        raise ArgumentError(f"sharpen: amount={amount!r}, expected a finite number")
    return identity() - float(amount) * laplacian()


def emboss() -> Array:
    """The image plus its slope from the upper left to the lower right, as if lit from there.

    The weights are those of the usual 3x3 emboss filter of image editors.

    >>> import tinygrad_cnn as tc
    >>> tc.filters.emboss()
    array([[-2., -1.,  0.],
           [-1.,  1.,  1.],
           [ 0.,  1.,  2.]])
    """
    return np.array([[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])


def box_blur(size: int = 3) -> Array:
    """The mean of ``size`` x ``size`` pixels.

    Raises:
        ArgumentError: the size is no whole number above 0.

    >>> import tinygrad_cnn as tc
    >>> tc.filters.box_blur(2)
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    size = whole("box_blur", "size", size)
    affordable("box_blur", (size, size), 8)
    return np.full((size, size), 1.0 / size**2)


def gaussian_blur(size: int = 5, sigma: float = 1.0) -> Array:
    """The bell exp(-(x² + y²) / (2 sigma²)) at whole numbers around the middle, scaled to sum 1.

    Args:
        size: rows and columns; beyond three ``sigma`` to each side little is left.
        sigma: the standard deviation, in pixels.

    Raises:
        ArgumentError: the size is no odd number above 0, or ``sigma`` not above 0.

    >>> import tinygrad_cnn as tc
    >>> (16 * tc.filters.gaussian_blur(3, sigma=0.85)).round(1)
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    size = whole("gaussian_blur", "size", size)
    if size % 2 == 0:
        raise ArgumentError(f"gaussian_blur: size={size}, expected an odd number with a middle")
    if not isinstance(sigma, Real) or not 0 < sigma < np.inf:
        raise ArgumentError(f"gaussian_blur: sigma={sigma!r}, expected a number above 0")
    x = np.arange(size) - size // 2
    bell = np.exp(-0.5 * (x / float(sigma)) ** 2)
    return np.outer(bell, bell) / bell.sum() ** 2


def apply(
    images: TensorLike, kernel: TensorLike, *, padding_mode: PaddingMode = "replicate"
) -> Tensor:
    """Slide one filter over each channel of images: a depthwise ``conv2d`` that keeps the size.

    It is a cross-correlation, as all of this package: the filter is not turned around.

    Args:
        images: (N, C, H, W).
        kernel: (FH, FW).
        padding_mode: what lies outside, as in ``conv2d``: "replicate" (the outermost pixel, so
            that the border is no edge), "reflect", "circular" or "zeros".

    Returns:
        (N, C, H, W), in the dtype of the images; float32 or float64 for whole numbers.

    Raises:
        ShapeError: the images or the filter have other axes.

    >>> import tinygrad_cnn as tc
    >>> step = tc.tensor([[[[0.0, 0.0, 6.0, 6.0]]]])
    >>> tc.filters.apply(step, tc.filters.box_blur(3)).round()
    tensor([[[[0., 2., 4., 6.]]]])
    """
    images = as_tensor(images)
    if images.ndim != 4 or np.ndim(raw(kernel)) != 2:
        raise ShapeError(
            "filters.apply: expected images (N, C, H, W) and a filter (FH, FW), got"
            f" {images.shape} and {np.shape(raw(kernel))}"
        )
    if images.dtype.kind != "f":  # bytes would overflow
        images = images.astype(np.result_type(images.dtype, np.float32))
    channels = images.shape[1]
    weight = as_tensor(kernel).astype(images.dtype)
    each = broadcast_to(weight, (channels, 1, *weight.shape))
    return F.conv2d(images, each, padding="same", groups=channels, padding_mode=padding_mode)
