"""Where sliding windows lie: the index arithmetic that convolution and pooling share.

Images x[n, c, h, w] have a border of ``pad`` pixels added on every side. The window of output
pixel (i, j) begins at row i*S and column j*S of the padded image, S the stride, so its entry
(u, v) lies at row i*S + u and column j*S + v.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


def output_size(size: int, field: int, stride: int) -> int:
    """How many windows of ``field`` pixels fit: the last begins at (OUT-1)*S <= size - field."""
    if not 1 <= field <= size:
        raise ValueError(f"a window of {field} does not fit {size} pixels, padding included")
    return (size - field) // stride + 1


def pad_images(x: Array, pad: int, value: float = 0.0) -> Array:
    """x (N, C, H, W) inside a border of ``value``: (N, C, H + 2 pad, W + 2 pad)."""
    return np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=value)


def crop_images(padded: Array, pad: int) -> Array:
    """Take the border off. The border is constant, so its share of a gradient goes nowhere."""
    height, width = padded.shape[2:]
    return padded[:, :, pad : height - pad, pad : width - pad]


def window_places(shape: tuple[int, ...], fh: int, fw: int, stride: int) -> tuple[Array, Array]:
    """Row i*S + u and column j*S + v of every window entry of padded images of ``shape``.

    The rows have shape (FH, 1, OH, 1), the columns (1, FW, 1, OW): indexing with the pair
    broadcasts them to (FH, FW, OH, OW).
    """
    oh, ow = output_size(shape[2], fh, stride), output_size(shape[3], fw, stride)
    rows = np.arange(fh)[:, None] + stride * np.arange(oh)  # (FH, OH)
    columns = np.arange(fw)[:, None] + stride * np.arange(ow)  # (FW, OW)
    return rows[:, None, :, None], columns[None, :, None, :]
