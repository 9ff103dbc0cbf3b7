"""Several views of each image, for predictions that are averaged over them."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..typing import Array, IntPair
from .transforms import check_nchw, pair, room

__all__ = ["FiveCrop", "Mirrored", "TenCrop", "Views"]


class Views(Protocol):
    """What ``train.predict(…, views=…)`` takes: any function with this signature."""

    def __call__(self, images: Array) -> tuple[Array, ...]:
        """Images (N, C, H, W) in; as many images out for each view, all of one shape."""
        ...


class FiveCrop:
    """The four corners and the middle of each image: five batches of windows of ``size``.

    Raises:
        ArgumentError: a size below 1.
        ShapeError: when called, the images have not four axes or are smaller than the window.

    >>> import numpy as np
    >>> from tinygrad_cnn.data import FiveCrop
    >>> [crop.item() for crop in FiveCrop(1)(np.arange(9).reshape(1, 1, 3, 3))]
    [0, 2, 6, 8, 4]
    """

    def __init__(self, size: IntPair) -> None:
        self.size = pair(self, "size", size, 1)

    def __call__(self, images: Array) -> tuple[Array, ...]:
        check_nchw(self, images)
        bottom, right = room(self, images, self.size)
        corners = [(0, 0), (0, right), (bottom, 0), (bottom, right)]
        height, width = self.size
        return tuple(
            images[:, :, top : top + height, left : left + width]
            for top, left in (*corners, (bottom // 2, right // 2))
        )


class TenCrop(FiveCrop):
    """``FiveCrop`` and the mirror image of each; errors as there.

    AlexNet was tested so: 224x224 from images of 256x256 (Krizhevsky, Sutskever and Hinton 2012,
    section 4.1).

    >>> import numpy as np
    >>> from tinygrad_cnn.data import TenCrop
    >>> len(TenCrop(224)(np.zeros((2, 3, 256, 256), np.float32)))
    10
    """

    def __call__(self, images: Array) -> tuple[Array, ...]:
        crops = super().__call__(images)
        return crops + tuple(np.flip(crop, 3) for crop in crops)


class Mirrored:
    """Each image, and its mirror image.

    Raises:
        ShapeError: when called, the images have not four axes.

    >>> import numpy as np
    >>> from tinygrad_cnn.data import Mirrored
    >>> [view.ravel().tolist() for view in Mirrored()(np.array([[[[1, 2, 3]]]]))]
    [[1, 2, 3], [3, 2, 1]]
    """

    def __call__(self, images: Array) -> tuple[Array, ...]:
        check_nchw(self, images)
        return images, np.flip(images, 3)
