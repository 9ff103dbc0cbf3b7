"""Convolutions with 3x3 windows and stride 1 in Winograd's tiles, as calls of NumPy.

Of each tile of 4x4 pixels come 2x2 results by 16 products instead of 36. The products are those
of matrices, one for each of the 16 places, over all channels and tiles; before and after them are
sums. Sums of rows and of columns are taken over long runs of memory: even and odd columns are
parted beforehand.

Source: Lavin and Gray, Fast algorithms for convolutional neural networks (2016): F(2x2, 3x3).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..typing import Array, Shape
from .windows import Call, Window, batch_last

_CACHE = 2**21  # bytes of transformed tiles at a time
_LEAST = 48  # channels, the harmonic mean of both sides, below which sums outweigh products
_RUN = 64  # numbers in a row of all images, below which there are too many short sums
_FILTER = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])


def pays(channels: int, filters: int, window: Window, results: Shape, images: int) -> bool:
    """Whether convolutions with results of this size can be done so, and fast."""
    if window != Window((3, 3), (1, 1), (1, 1)) or any(n % 2 for n in results):
        return False
    is_wide = 2 * channels * filters >= _LEAST * (channels + filters)
    return is_wide and results[1] * images >= _RUN


class Tiles:
    """The tiles of images with zeros around, (N, C, H, W), some rows of them at a time.

    Attributes:
        memory: shapes of scratch memory: the even and the odd columns of the images, sums of
            columns, tiles (16, C, P), and for so many filters tiles of results and sums of their
            rows.
    """

    def __init__(self, shape: Shape, filters: int, itemsize: int) -> None:
        n, c, h, w = shape
        self._high, self._wide = h // 2 - 1, w // 2 - 1
        self._per_row = self._wide * n
        fitting = _CACHE // (16 * max(c, filters) * self._per_row * itemsize)
        self._rows = min(self._high, max(1, fitting))
        most = self._rows * self._per_row
        self.memory = (
            (2, c, h, w // 2, n),
            (4, c, 2 * self._rows + 2, self._wide, n),
            (16, c, most),
            (16, filters, most),
            (2, 4, filters, most),
        )

    def bands(self) -> Iterator[tuple[int, int]]:
        """The first and the last row of tiles of each band."""
        return ((r, min(r + self._rows, self._high)) for r in range(0, self._high, self._rows))

    def parted(self, x: Array, scratch: Array) -> Iterator[Call]:
        """Part even and odd columns."""
        images = batch_last(x)
        for odd in (0, 1):
            yield partial(np.copyto, scratch[odd], images[:, :, odd::2])

    def tiles(
        self, parted: Array, rows: tuple[int, int], sums: Array, out: Array
    ) -> tuple[list[Call], Array]:
        """The calls that transform a band's tiles, and the memory of these: (16, C, P)."""
        first, last = rows
        band = parted[:, :, 2 * first : 2 * last + 2]
        (a, c), (b, d) = ((half[:, :, :-1], half[:, :, 1:]) for half in band)
        columns = sums[:, :, : band.shape[2]]
        calls = [*_differences(a, b, c, d, out=columns)]
        a, b, c, d = (columns[:, :, i : 2 * (last - first) + i : 2] for i in range(4))
        made = out.reshape(-1)[: 4 * a.size].reshape(4, *a.shape)
        calls += _differences(a, b, c, d, out=made)
        return calls, made.reshape(16, sums.shape[1], -1)

    def results(
        self, tiles: Array, sums: Array, rows: tuple[int, int], out: Array
    ) -> Iterator[Call]:
        """The calls that make results of a band's tiles (16, K, P); ``out`` is (K, H, W, N)."""
        k, p = tiles.shape[1:]
        first, last = rows
        four = tiles.reshape(4, 4, k, p)
        halves = sums.reshape(-1)[: 8 * k * p].reshape(2, 4, k, p)
        above, below = halves
        yield partial(np.add, four[0], four[1], out=above)
        yield partial(np.add, above, four[2], out=above)
        yield partial(np.subtract, four[1], four[2], out=below)
        yield partial(np.subtract, below, four[3], out=below)
        n = out.shape[-1]
        for half, row in zip(halves, (0, 1), strict=True):
            a, b, d, e = half.reshape(4, k, last - first, self._wide, n)
            target = out[:, 2 * first + row : 2 * last : 2]
            yield partial(np.add, a, b, out=a)
            yield partial(np.add, a, d, out=target[:, :, 0::2])
            yield partial(np.subtract, b, d, out=b)
            yield partial(np.subtract, b, e, out=target[:, :, 1::2])

    def spread(self, g: Array, sums: Array, rows: tuple[int, int], out: Array) -> Iterator[Call]:
        """The adjoint of ``results``: tiles ``out`` of a band's gradients (K, H, W, N)."""
        k, p = out.shape[1:]
        first, last = rows
        four = out.reshape(4, 4, k, p)
        halves = sums.reshape(-1)[: 8 * k * p].reshape(2, 4, k, p)
        for half, row in zip(halves, (0, 1), strict=True):
            given = g[:, 2 * first + row : 2 * last : 2]
            a, b, d, e = half.reshape(4, k, last - first, self._wide, g.shape[-1])
            yield partial(np.copyto, a, given[:, :, 0::2])
            yield partial(np.negative, given[:, :, 1::2], out=e)
            yield partial(np.subtract, a, e, out=b)
            yield partial(np.add, a, e, out=d)
        above, below = halves
        yield partial(np.copyto, four[0], above)
        yield partial(np.add, above, below, out=four[1])
        yield partial(np.subtract, above, below, out=four[2])
        yield partial(np.negative, below, out=four[3])


def _differences(a: Array, b: Array, c: Array, d: Array, *, out: Array) -> Iterator[Call]:
    yield partial(np.subtract, a, c, out=out[0])
    yield partial(np.add, b, c, out=out[1])
    yield partial(np.subtract, c, b, out=out[2])
    yield partial(np.subtract, b, d, out=out[3])


def _filter_matrix(dtype: object) -> Array:
    """What makes the 16 numbers of a tile of 3x3 weights: (16, 9)."""
    return np.kron(_FILTER, _FILTER).astype(dtype)  # type: ignore[call-overload,no-any-return]


def convolve(
    weight: Array, x: Array, *, tiles: Tiles, scratch: tuple[Array, ...], out: Array
) -> Iterator[Call]:
    """``weight @ im2col(x)``: (K, C*9) and (N, C, H, W) to (K, H-2, W-2, N).

    ``scratch`` is memory for the transformed weights, (16, K, C), and that of the tiles.
    """
    filters, parted, sums, seen, products, halves = scratch
    k, c = filters.shape[1:]
    matrix = _filter_matrix(weight.dtype)
    nines = weight.reshape(k * c, 9)
    if not np.may_share_memory(nines, weight):  # a copy, as the weights are now
        yield partial(np.copyto, nines.reshape(weight.shape), weight)
    yield partial(np.matmul, matrix, nines.T, out=filters.reshape(16, k * c))
    yield from tiles.parted(x, parted)
    for rows in tiles.bands():
        calls, band = tiles.tiles(parted, rows, sums, seen)
        yield from calls
        p = band.shape[2]
        product = products.reshape(-1)[: 16 * k * p].reshape(16, k, p)
        yield partial(np.matmul, filters, band, out=product)
        yield from tiles.results(product, halves, rows, out)


def correlate(
    g: Array, x: Array, *, tiles: Tiles, scratch: tuple[Array, ...], out: Array
) -> Iterator[Call]:
    """The gradient by the weight, (K, C*9), from those of the results (K, H-2, W-2, N).

    ``scratch`` is twice memory for (16, K, C), and that of the tiles.
    """
    total, part, parted, sums, seen, products, halves = scratch
    k, c = total.shape[1:]
    yield from tiles.parted(x, parted)
    for rows in tiles.bands():
        calls, band = tiles.tiles(parted, rows, sums, seen)
        yield from calls
        p = band.shape[2]
        given = products.reshape(-1)[: 16 * k * p].reshape(16, k, p)
        yield from tiles.spread(g, halves, rows, given)
        yield partial(np.matmul, given, band.swapaxes(1, 2), out=part if rows[0] else total)
        if rows[0]:
            yield partial(np.add, total, part, out=total)
    matrix = _filter_matrix(out.dtype)
    turned = part.reshape(-1)[: 9 * k * c].reshape(9, k * c)
    yield partial(np.matmul, matrix.T, total.reshape(16, k * c), out=turned)
    yield partial(np.copyto, out.reshape(k * c, 9), turned.T)
