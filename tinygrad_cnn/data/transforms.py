"""Transforms of whole batches: arrays (N, C, H, W) in, new arrays out.

Random ones decide for each image by itself, without a loop over images. They draw from the
generator that they are given, else from the default one, which ``tc.manual_seed`` sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .._arguments import is_real, listed
from ..errors import ArgumentError, DtypeError, ShapeError
from ..random import generator_or_default
from ..typing import Array, IntPair
from .dataset import by_channel

__all__ = [
    "CenterCrop",
    "Compose",
    "Normalize",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomShift",
    "RandomVerticalFlip",
    "Transform",
]


class Transform(Protocol):
    """What a ``DataLoader`` applies to each batch: any function with this signature."""

    def __call__(self, images: Array, generator: np.random.Generator | None = None) -> Array:
        """Images (N, C, H, W) in, N images out, drawing from ``generator`` what is random."""
        ...


class Compose:
    """Several transforms, one after the other.

    >>> import numpy as np
    >>> from tinygrad_cnn.data import Compose, RandomHorizontalFlip, RandomShift
    >>> augment = Compose([RandomHorizontalFlip(), RandomShift(2)])
    >>> augment(np.zeros((5, 3, 8, 8), np.float32), np.random.default_rng(0)).shape
    (5, 3, 8, 8)
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = listed("Compose", "transforms", transforms)
        for transform in self.transforms:
            if not callable(transform):
                raise ArgumentError(f"Compose: {transform!r:.60} is no transform")

    def __call__(self, images: Array, generator: np.random.Generator | None = None) -> Array:
        for transform in self.transforms:
            images = transform(images, generator)
        return images


class _RandomFlip:
    """Mirror along one axis, each image with probability ``p``."""

    _axis: int

    def __init__(self, p: float = 0.5) -> None:
        if not is_real(p, 0.0) or p > 1:
            raise ArgumentError(f"{type(self).__name__}: p={p}, expected a probability")
        self.p = p

    def __call__(self, images: Array, generator: np.random.Generator | None = None) -> Array:
        check_nchw(self, images)
        flipped = generator_or_default(generator).random(len(images)) < self.p
        result = images.copy(order="K")
        result[flipped] = np.flip(images[flipped], self._axis)
        return result


class RandomHorizontalFlip(_RandomFlip):
    """Mirror left and right, each image with probability ``p``.

    Raises:
        ArgumentError: ``p`` is not a probability.
        ShapeError: when called, the images have not four axes.

    >>> import numpy as np
    >>> from tinygrad_cnn.data import RandomHorizontalFlip
    >>> RandomHorizontalFlip(p=1)(np.array([[[[1, 2, 3]]]]))
    array([[[[3, 2, 1]]]])
    """

    _axis = 3


class RandomVerticalFlip(_RandomFlip):
    """Mirror top and bottom, each image with probability ``p``; errors as ``RandomHorizontalFlip``.

    >>> import numpy as np
    >>> from tinygrad_cnn.data import RandomVerticalFlip
    >>> RandomVerticalFlip(p=1)(np.array([[[[1], [2]]]]))
    array([[[[2],
             [1]]]])
    """

    _axis = 2


class RandomCrop:
    """Cut out a window of ``size`` at a random place, another one for each image.

    Args:
        size: height and width of the window.
        padding: pixels added at top and bottom, left and right before.
        fill: the value of the added pixels.

    Raises:
        ArgumentError: a size below 1 or a padding below 0.
        ShapeError: when called, the images have not four axes or are smaller than the window.

    >>> import numpy as np
    >>> from tinygrad_cnn.data import RandomCrop
    >>> RandomCrop(28, padding=2)(np.ones((5, 1, 28, 28))).shape
    (5, 1, 28, 28)
    """

    def __init__(self, size: IntPair, padding: IntPair = 0, *, fill: float = 0) -> None:
        self.size = pair(self, "size", size, 1)
        self.padding = pair(self, "padding", padding, 0)
        self.fill = fill

    def __call__(self, images: Array, generator: np.random.Generator | None = None) -> Array:
        check_nchw(self, images)
        return _random_windows(self, images, self.size, self.padding, self.fill, generator)


class RandomShift:
    """Move each image by up to ``max_shift`` pixels down or up, and right or left.

    Args:
        max_shift: the largest shift along height and width.
        fill: the value of the pixels that come in.

    Raises:
        ArgumentError: a shift below 0.
        ShapeError: when called, the images have not four axes.

    >>> import numpy as np
    >>> from tinygrad_cnn.data import RandomShift
    >>> shifted = RandomShift((0, 1))(np.array([[[[0, 7, 0]]]]))
    >>> shifted.shape, int(shifted.sum())
    ((1, 1, 1, 3), 7)
    """

    def __init__(self, max_shift: IntPair, *, fill: float = 0) -> None:
        self.max_shift = pair(self, "max_shift", max_shift, 0)
        self.fill = fill

    def __call__(self, images: Array, generator: np.random.Generator | None = None) -> Array:
        check_nchw(self, images)
        size: tuple[int, int] = images.shape[2:]
        return _random_windows(self, images, size, self.max_shift, self.fill, generator)


class CenterCrop:
    """Cut the middle out of each image; where it can't be exact, half a pixel up and left.

    Raises:
        ArgumentError: a size below 1.
        ShapeError: when called, the images have not four axes or are smaller than the window.

    >>> import numpy as np
    >>> from tinygrad_cnn.data import CenterCrop
    >>> CenterCrop((1, 2))(np.array([[[[1, 2, 3, 4]]]]))
    array([[[[2, 3]]]])
    """

    def __init__(self, size: IntPair) -> None:
        self.size = pair(self, "size", size, 1)

    def __call__(self, images: Array, generator: np.random.Generator | None = None) -> Array:
        check_nchw(self, images)
        top, left = room(self, images, self.size)
        height, width = self.size
        rows = slice(top // 2, top // 2 + height)
        return images[:, :, rows, left // 2 : left // 2 + width].copy(order="K")


class Normalize:
    """Subtract a mean and divide by a standard deviation, channel by channel, in float32.

    Args:
        mean: one number, or one for each channel.
        std: likewise; ``ArrayDataset.mean`` and ``.std`` compute both.

    Raises:
        ArgumentError: a standard deviation that is not positive, or a number that is not finite.
        ShapeError: numbers for another count of channels than the images have.

    >>> import numpy as np
    >>> from tinygrad_cnn.data import Normalize
    >>> Normalize(mean=[1.0, 2.0], std=[1.0, 0.5])(np.full((1, 2, 1, 1), 3.0)).ravel()
    array([2., 2.], dtype=float32)
    """

    def __init__(self, mean: Any, std: Any) -> None:
        try:
            self.mean: Array = np.array(mean, np.float32)
            self.std: Array = np.array(std, np.float32)
        except (TypeError, ValueError):
            raise DtypeError(
                f"Normalize: mean={mean!r:.60}, std={std!r:.60}, expected numbers"
            ) from None
        if not self.mean.size or not self.std.size:
            raise ShapeError("Normalize: no mean or no std")
        if self.mean.ndim > 1 or self.std.ndim > 1:
            raise ShapeError(
                f"Normalize: mean {self.mean.shape} and std {self.std.shape}, expected one number"
                " for each channel"
            )
        if not (
            np.isfinite(self.mean).all() and np.isfinite(self.std).all() and self.std.min() > 0
        ):
            raise ArgumentError(
                f"Normalize: mean={mean}, std={std}, expected finite numbers, std above 0"
            )

    def __call__(self, images: Array, generator: np.random.Generator | None = None) -> Array:
        check_array(self, images)
        mean, std = self._for(images, self.mean), self._for(images, self.std)
        result = np.subtract(images, mean, dtype=np.float32)
        result /= std
        return result

    def _for(self, images: Array, values: Array) -> Array:
        """One number, or one for each channel, shaped so that it broadcasts over the images."""
        if values.ndim == 1 and (images.ndim < 2 or len(values) != images.shape[1]):
            raise ShapeError(
                f"Normalize: images {images.shape}, but {len(values)} numbers for the channels"
            )
        return by_channel(values, images.ndim)


def pair(owner: object, name: str, value: IntPair, least: int) -> tuple[int, int]:
    """``value`` for height and width, if whole numbers of at least ``least``."""
    both = value if isinstance(value, tuple) else (value, value)
    if len(both) != 2 or not all(isinstance(v, int) and v >= least for v in both):
        raise ArgumentError(
            f"{type(owner).__name__}: {name}={value!r}, expected an integer of at least {least},"
            " or a pair for height and width"
        )
    return both


def check_array(owner: object, images: Any) -> None:
    """Refuse what is no array of numbers."""
    name = owner.__name__ if isinstance(owner, type) else type(owner).__name__
    if not isinstance(images, np.ndarray):
        raise DtypeError(f"{name}: expected an array of images, got {type(images).__name__}")
    if images.dtype.kind not in "biuf":
        raise DtypeError(f"{name}: expected images of real numbers, got {images.dtype}")


def check_nchw(owner: object, images: Array) -> None:
    """Refuse what are no images with four axes."""
    check_array(owner, images)
    if images.ndim != 4:
        raise ShapeError(
            f"{type(owner).__name__}: images {images.shape}, expected axes (N, C, H, W)"
        )


def room(owner: object, images: Array, size: tuple[int, int]) -> tuple[int, int]:
    """How far a window of ``size`` can move along height and width."""
    rows, columns = (have - want for have, want in zip(images.shape[2:], size, strict=True))
    if min(rows, columns) < 0:
        raise ShapeError(
            f"{type(owner).__name__}: a window of {size} in images of {images.shape[2:]}: choose a"
            " smaller size or more padding"
        )
    return rows, columns


def _random_windows(
    owner: object,
    images: Array,
    size: tuple[int, int],
    padding: tuple[int, int],
    fill: float,
    generator: np.random.Generator | None,
) -> Array:
    """From each image, padded, a window of ``size`` at a place of its own."""
    (n, c, h, w), (ph, pw) = images.shape, padding
    padded = np.full((n, c, h + 2 * ph, w + 2 * pw), fill, images.dtype)
    padded[:, :, ph : ph + h, pw : pw + w] = images
    rows, columns = room(owner, padded, size)
    generator = generator_or_default(generator)
    top, left = generator.integers(0, rows + 1, n), generator.integers(0, columns + 1, n)
    # (N, C, places down, places across, H, W) -> (N, C, H, W): one place for each image
    windows = sliding_window_view(padded, size, axis=(2, 3))
    chosen: Array = windows[np.arange(n), :, top, left]
    return chosen
