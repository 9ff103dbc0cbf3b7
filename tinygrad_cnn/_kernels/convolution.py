"""Convolution and its adjoints without the whole matrix of columns: some rows of windows at a time.

The columns of ``im2col`` are many times as large as the images. Here those of a few rows of the
output are made, multiplied and forgotten while they are in the processor's cache.

A function here gives the calls of NumPy that carry it out, to be made in order, as often as one
likes: what is between them is Python, for which threads wait for each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from ..typing import Array, Shape
from .windows import Call, Window, batch_last, sliding

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

    def columns_of(self, x: Array, scratch: Array) -> Iterator[tuple[Call, Array, slice]]:
        """For each band of (N, C, H, W) the call that fills its columns, they, and where."""
        seen = sliding(batch_last(x), self.window)
        for rows in self:
            matrix, parts = self.parts(rows, scratch)
            band = seen[(slice(None),) * (1 + len(self.places)) + (slice(*rows),)]
            yield partial(np.copyto, parts.reshape(band.shape), band), matrix, self.columns(rows)


def convolve(
    weight: Array, x: Array, *, bands: Bands, scratch: Array, out: Array
) -> Iterator[Call]:
    """``weight @ im2col(x)``: (K, C*FH*FW) and (N, C, H, W) to (K, OH*OW*N)."""
    for fill, columns, where in bands.columns_of(x, scratch):
        yield fill
        yield partial(np.matmul, weight, columns, out=out[:, where])


def correlate(
    g: Array, x: Array, *, bands: Bands, scratch: Array, part: Array, out: Array
) -> Iterator[Call]:
    """``g @ im2col(x).T``, the gradient by the weight; ``part`` is memory like ``out``."""
    for fill, columns, where in bands.columns_of(x, scratch):
        yield fill
        yield partial(np.matmul, g[:, where], columns.T, out=part if where.start else out)
        if where.start:
            yield partial(np.add, out, part, out=out)


def convolve_back(
    weight: Array, g: Array, *, bands: Bands, scratch: Array, out: Array
) -> Iterator[Call]:
    """``col2im(weight @ g)``, the gradient by the images: to (N, C, H, W)."""
    yield partial(out.fill, 0)
    images = batch_last(out)
    for rows in bands:
        matrix, parts = bands.parts(rows, scratch)
        yield partial(np.matmul, weight, g[:, bands.columns(rows)], out=matrix)
        for place, part in enumerate(bands.shifted(images, rows)):
            yield partial(np.add, part, parts[:, place], out=part)


def turn(
    weight: Array, g: Array, *, widths: tuple[tuple[int, int], ...], kernel: Array, padded: Array
) -> Iterator[Call]:
    """Prepare what ``convolve_back`` does for stride 1 as a convolution of the gradient.

    The kernel is turned by half a circle and its channels are exchanged, (C*FH*FW, K) to
    (C, K*FH*FW), and zeros of these ``widths`` lie around the gradient, (K, OH*OW*N) to
    (N, K, H, W). Columns are then read from the gradient instead of being added to the images.

    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning (2016).
    """
    c, k = len(kernel), len(g)
    turned = weight.reshape(c, -1, k)[:, ::-1].swapaxes(1, 2)
    yield partial(np.copyto, kernel.reshape(turned.shape), turned)
    around = zip(padded.shape[2:], widths[2:], strict=True)
    inside = batch_last(padded)[:, *(slice(a, n - b) for n, (a, b) in around)]
    yield partial(padded.fill, 0)
    yield partial(np.copyto, inside, g.reshape(inside.shape))
