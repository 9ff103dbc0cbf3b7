"""Convolution and its adjoints without the whole matrix of columns: some rows of windows at a time.

The columns of ``im2col`` are many times as large as the images. Here those of a few rows of the
output are made, multiplied and forgotten while they are in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..typing import Array, Shape
from .windows import Window, batch_last, sliding

_CACHE = 2**21  # bytes of columns at a time: less makes products of matrices slower


class Bands:
    """The rows of windows over images, band by band.

    Attributes:
        window: its geometry.
        places: how many windows there are along each axis.
        scratch: the number of elements of the columns of a band.
    """

    def __init__(self, shape: Shape, window: Window, itemsize: int) -> None:
        n, c, *size = shape
        self.window = window
        self.places = window.output_size(tuple(size))
        self._offsets = window.offsets(tuple(size))
        self._depth = c * window.places, c, window.places
        self._per_row = math.prod(self.places[1:]) * n
        fitting = _CACHE // max(1, self._depth[0] * self._per_row * itemsize)
        self._rows = min(self.places[0], max(1, fitting))
        self._images = n
        self.scratch = self._depth[0] * self._rows * self._per_row

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return (
            (r, min(r + self._rows, self.places[0])) for r in range(0, self.places[0], self._rows)
        )

    def columns(self, rows: tuple[int, int]) -> slice:
        """Where these rows lie along the columns of all windows."""
        return slice(rows[0] * self._per_row, rows[1] * self._per_row)

    def parts(self, rows: tuple[int, int], scratch: Array) -> tuple[Array, Array]:
        """Memory for the columns of a band: as a matrix, and as (C, FH*FW, rows, OW, N)."""
        depth, c, places = self._depth
        count = rows[1] - rows[0]
        matrix = scratch[: depth * count * self._per_row].reshape(depth, -1)
        return matrix, matrix.reshape(c, places, count, *self.places[1:], self._images)

    def shifted(self, images: Array, rows: tuple[int, int]) -> Iterator[Array]:
        """For each place in the window what of (C, H, W, N) it passes over in these rows."""
        for first, *others in self._offsets:
            step = first.step
            start = first.start + rows[0] * step
            stop = first.start + (rows[1] - 1) * step + 1
            yield images[:, start:stop:step, *others]

    def filled(self, seen: Array, rows: tuple[int, int], scratch: Array) -> Array:
        """The columns of a band, of what all windows see."""
        matrix, parts = self.parts(rows, scratch)
        band = seen[(slice(None),) * (1 + len(self.places)) + (slice(*rows),)]
        parts.reshape(band.shape)[...] = band
        return matrix


def convolve(weight: Array, x: Array, *, bands: Bands, scratch: Array, out: Array) -> None:
    """``weight @ im2col(x)``: (K, C*FH*FW) and (N, C, H, W) to (K, OH*OW*N)."""
    seen = sliding(batch_last(x), bands.window)
    for rows in bands:
        columns = bands.filled(seen, rows, scratch)
        np.matmul(weight, columns, out=out[:, bands.columns(rows)])


def correlate(g: Array, x: Array, *, bands: Bands, scratch: Array, part: Array, out: Array) -> None:
    """``g @ im2col(x).T``, the gradient by the weight; ``part`` is memory like ``out``."""
    seen = sliding(batch_last(x), bands.window)
    for rows in bands:
        columns = bands.filled(seen, rows, scratch)
        target = part if rows[0] else out
        np.matmul(g[:, bands.columns(rows)], columns.T, out=target)
        if rows[0]:
            np.add(out, part, out=out)


def convolve_back(weight: Array, g: Array, *, bands: Bands, scratch: Array, out: Array) -> None:
    """``col2im(weight @ g)``, the gradient by the images: to (N, C, H, W)."""
    out.fill(0)
    images = batch_last(out)
    for rows in bands:
        matrix, parts = bands.parts(rows, scratch)
        np.matmul(weight, g[:, bands.columns(rows)], out=matrix)
        for place, part in enumerate(bands.shifted(images, rows)):
            part += parts[:, place]
