"""Transforms of pixel values: statistics of the training images, random colours, holes.

As in ``transforms``: whole batches in, new arrays out, and every image draws for itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arguments import number
from ..errors import ArgumentError, DtypeError, ShapeError
from ..random import generator_or_default
from ..typing import Array, IntPair
from .dataset import ArrayDataset
from .transforms import check_array, check_nchw, pair

__all__ = ["ColorJitter", "ColorPCA", "Cutout", "SubtractMeanImage"]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # of R, G, B: ITU-R BT.601


class SubtractMeanImage:
    """Subtract the mean image, pixel by pixel, in float32.

    Args:
        mean: (C, H, W); ``ArrayDataset.mean_image`` of the training images computes it. Test
            images are shifted by the same: nothing may be learned from them.

    Raises:
        ShapeError: the mean has not three axes, or the images are not of its shape.
        ArgumentError: the mean is not finite.

    >>> from tinygrad_cnn.data import Digits, SubtractMeanImage
    >>> train = Digits("train")
    >>> images, _ = train.batch(slice(None))
    >>> bool(abs(SubtractMeanImage(train.mean_image)(images).mean(0)).max() < 1e-6)
    True
    """

    def __init__(self, mean: Any) -> None:
        self.mean: Array = np.array(mean, np.float32)
        if self.mean.ndim != 3:
            raise ShapeError(
                f"SubtractMeanImage: a mean of shape {self.mean.shape}, expected (C, H, W): for"
                " one number for each channel there is Normalize"
            )
        if not np.isfinite(self.mean).all():
            raise ArgumentError("SubtractMeanImage: the mean image has NaN or infinite pixels")

    def __call__(self, images: Array, generator: np.random.Generator | None = None) -> Array:
        if images.shape[1:] != self.mean.shape:
            raise ShapeError(
                f"SubtractMeanImage: images {images.shape}, but a mean image {self.mean.shape}:"
                " subtract it before images are cropped"
            )
        return np.subtract(images, self.mean, dtype=np.float32)


class ColorJitter:
    """Change brightness, contrast and saturation, each image by factors of its own.

    Each factor is drawn from 1 - a to 1 + a, where a is the argument. Brightness scales the
    pixels; contrast scales their distance from the mean luma of the image; saturation scales
    their distance from the luma of the pixel (ITU-R BT.601). After each, pixels are cut off at
    0 and 1.

    Args:
        brightness, contrast, saturation: how far a factor may be from 1, from 0 to 1.

    Raises:
        ArgumentError: an argument is not from 0 to 1.
        DtypeError: when called, the images are not floating point, as ``DataLoader`` gives them.
        ShapeError: when called, the images are no batch of grey or RGB images.

    >>> import numpy as np
    >>> from tinygrad_cnn.data import ColorJitter
    >>> jitter = ColorJitter(brightness=0.5)
    >>> grey = jitter(np.full((3, 3, 1, 1), 0.5), np.random.default_rng(0))
    >>> grey[:, 0].ravel().round(2)
    array([0.57, 0.26, 0.55])
    """

    def __init__(
        self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0
    ) -> None:
        for name, value in (
            ("brightness", brightness),
            ("contrast", contrast),
            ("saturation", saturation),
        ):
            number("ColorJitter", name, value, 0.0, 1.0)
        self.brightness, self.contrast, self.saturation = brightness, contrast, saturation

    def __call__(self, images: Array, generator: np.random.Generator | None = None) -> Array:
        _check_colours(self, images, (1, 3))
        generator = generator_or_default(generator)
        # (N, 3 factors), drawn even where one is 1: what is drawn next does not depend on it
        amounts = np.array([self.brightness, self.contrast, self.saturation])
        factors = 1 + amounts * generator.uniform(-1, 1, (len(images), 3))
        brightness, contrast, saturation = factors.T.astype(images.dtype).reshape(3, -1, 1, 1, 1)
        result = np.clip(images * brightness, 0, 1)
        middle = _luma(result).mean(axis=(2, 3), keepdims=True)
        result = np.clip(middle + contrast * (result - middle), 0, 1)
        grey = _luma(result)
        return np.asarray(np.clip(grey + saturation * (result - grey), 0, 1))


class ColorPCA:
    """Move all pixels of an image along the principal components of the training colours.

    After Krizhevsky, Sutskever and Hinton (2012, section 4.1): to each pixel is added the sum of
    the components, each times its size and a normal number of deviation ``sigma``, drawn once
    for an image. The size of a component is taken to be its standard deviation, so that the
    change does not depend on the scale of the pixels.

    Args:
        components: (3, 3), one in each column, times its standard deviation;
            ``ColorPCA.from_data(train)`` computes them.
        sigma: the deviation of what is drawn.

    Raises:
        ShapeError: components of another shape; when called, images that are not RGB.
        ArgumentError: ``sigma`` is negative or not finite.
        DtypeError: when called, the images are not floating point.
    """

    def __init__(self, components: Any, sigma: float = 0.1) -> None:
        self.components: Array = np.array(components, np.float64)
        if self.components.shape != (3, 3):
            raise ShapeError(f"ColorPCA: components {self.components.shape}, expected (3, 3)")
        if not 0 <= sigma < np.inf:
            raise ArgumentError(f"ColorPCA: sigma={sigma}, expected a number from 0 up")
        self.sigma = sigma

    @classmethod
    def from_data(cls, dataset: ArrayDataset, sigma: float = 0.1) -> ColorPCA:
        """The components of all pixels of a data set, which is the one to train on.

        >>> import numpy as np
        >>> from tinygrad_cnn.data import ArrayDataset, ColorPCA
        >>> reds = np.zeros((4, 3, 1, 1), np.float32)
        >>> reds[:, 0, 0, 0] = [0.0, 0.0, 0.5, 0.5]
        >>> abs(ColorPCA.from_data(ArrayDataset(reds, [0, 0, 0, 0])).components[0]).round(2)
        array([0.  , 0.  , 0.25])
        """
        images, _ = dataset.batch(slice(None))
        _check_colours(cls, images, (3,))
        covariance = np.cov(images.swapaxes(0, 1).reshape(3, -1), dtype=np.float64, bias=True)
        variances, directions = np.linalg.eigh(covariance)
        return cls(directions * np.sqrt(np.maximum(variances, 0.0)), sigma)

    def __call__(self, images: Array, generator: np.random.Generator | None = None) -> Array:
        _check_colours(self, images, (3,))
        drawn = generator_or_default(generator).normal(0.0, self.sigma, (len(images), 3))
        shift = (drawn @ self.components.T).astype(images.dtype)  # (N, C)
        return np.asarray(images + shift[:, :, np.newaxis, np.newaxis])


class Cutout:
    """Blank a window of ``size``, centred at a random pixel of each image (DeVries, Taylor 2017).

    Where it reaches over the edge, less is blanked.

    Args:
        size: height and width of the window.
        fill: what is put in its place; after ``Normalize`` 0 is the mean.

    Raises:
        ArgumentError: a size below 1.
        ShapeError: when called, the images have not four axes.

    >>> import numpy as np
    >>> from tinygrad_cnn.data import Cutout
    >>> Cutout((1, 3))(np.ones((2, 1, 1, 3)), np.random.default_rng(0)).reshape(2, 3)
    array([[1., 0., 0.],
           [0., 0., 0.]])
    """

    def __init__(self, size: IntPair, *, fill: float = 0) -> None:
        self.size = pair(self, "size", size, 1)
        self.fill = fill

    def __call__(self, images: Array, generator: np.random.Generator | None = None) -> Array:
        check_nchw(self, images)
        generator = generator_or_default(generator)
        inside = []  # for rows and for columns (N, length): what lies within the window
        for length, side in zip(images.shape[2:], self.size, strict=True):
            start = generator.integers(0, length, (len(images), 1)) - side // 2
            places = np.arange(length)
            inside.append((start <= places) & (places < start + side))
        hole = inside[0][:, np.newaxis, :, np.newaxis] & inside[1][:, np.newaxis, np.newaxis, :]
        return np.where(hole, np.asarray(self.fill, images.dtype), images)


def _luma(images: Array) -> Array:
    """How bright each pixel is, (N, 1, H, W)."""
    if images.shape[1] == 1:
        return images
    weights = _LUMA.astype(images.dtype).reshape(3, 1, 1)
    return np.asarray((images * weights).sum(axis=1, keepdims=True))


def _check_colours(owner: object, images: Array, channels: tuple[int, ...]) -> None:
    """Refuse what is no batch of floating-point images with so many channels."""
    name = owner.__name__ if isinstance(owner, type) else type(owner).__name__
    check_array(owner, images)
    if images.ndim != 4 or images.shape[1] not in channels:
        expected = " or ".join(map(str, channels))
        raise ShapeError(f"{name}: images {images.shape}, expected (N, C, H, W) with C={expected}")
    if images.dtype.kind != "f":
        raise DtypeError(
            f"{name}: images of {images.dtype}, expected floating point from 0 to 1: divide by 255,"
            " or let a DataLoader do it"
        )
