"""Blocks of lanes for tests of kernels: aligned buffers, and images in and out of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.compiler.lanes import runtime


def aligned(*shape: int, dtype: Any = np.float64, fill: float = 0.0) -> np.ndarray:
    """An array whose first number lies at a multiple of 64 bytes."""
    made = runtime.aligned(shape, dtype)
    made[...] = fill
    return made


def block(images: np.ndarray, border: tuple[int, int, int, int] = (0, 0, 0, 0)) -> np.ndarray:
    """Images (lanes, ..., H, W) as a block (..., H, W, lanes) within a border of NaN."""
    top, bottom, left, right = border
    *outer, h, w = images.shape[1:]
    shape = (*outer, h + top + bottom, w + left + right, len(images))
    made = aligned(*shape, dtype=images.dtype, fill=np.nan)
    made[..., top : top + h, left : left + w, :] = np.moveaxis(images, 0, -1)
    return made


def strides(array: np.ndarray) -> tuple[int, ...]:
    """Of a block's axes but the last, in numbers."""
    return tuple(s // array.itemsize for s in array.strides[:-1])
