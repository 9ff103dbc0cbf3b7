"""Sliding windows over images: padding, im2col, col2im and pooling by switches.

Images have shape (N, C, H, W). These kernels are fast where the batch is innermost in memory,
that is where the axes lie in the order C, H, W, N, and correct for any strides. Everything is
FH * FW copies of shifted slices, whose innermost runs are then whole batches.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..typing import Array


class Window(NamedTuple):
    """The geometry of a window that slides over images: all pairs are (rows, columns)."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """How many windows fit: floor((size - extent) / stride) + 1 along each axis."""
        h, w = (
            (n - d * (f - 1) - 1) // s + 1
            for n, f, s, d in zip(size, self.kernel, self.stride, self.dilation, strict=True)
        )
        return h, w

    def offsets(self, size: tuple[int, int]) -> list[tuple[slice, slice]]:
        """For each place in the window, row-major, the image rows and columns it passes over."""
        out = self.output_size(size)
        rows, columns = (
            [slice(i * d, i * d + (n - 1) * s + 1, s) for i in range(f)]
            for f, s, d, n in zip(self.kernel, self.stride, self.dilation, out, strict=True)
        )
        return [(row, column) for row in rows for column in columns]


def pad(x: Array, *, widths: tuple[tuple[int, int], ...], value: float = 0.0) -> Array:
    """``x`` with ``value`` around it, in the memory order of ``x``."""
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True))
    out = np.empty_like(x, shape=shape)
    out.fill(value)
    inner = tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, widths, strict=True))
    out[inner] = x
    return out


def crop(x: Array, *, widths: tuple[tuple[int, int], ...]) -> Array:
    """``x`` without (before, after) elements along each axis: a view."""
    return x[tuple(slice(a, n - b) for n, (a, b) in zip(x.shape, widths, strict=True))]


def im2col(x: Array, *, window: Window) -> Array:
    """(N, C, H, W) -> (C*FH*FW, OH*OW*N): each column is the content of one window."""
    n, c, h, w = x.shape
    oh, ow = window.output_size((h, w))
    fh, fw = window.kernel
    columns = np.empty((c, fh * fw, oh, ow, n), x.dtype)
    images = x.transpose(1, 2, 3, 0)  # (C, H, W, N)
    for place, (rows, cols) in enumerate(window.offsets((h, w))):
        columns[:, place] = images[:, rows, cols]
    return columns.reshape(c * fh * fw, oh * ow * n)


def col2im(columns: Array, *, window: Window, shape: tuple[int, int, int, int]) -> Array:
    """The adjoint of ``im2col``: add every column back where its window lay."""
    n, c, h, w = shape
    oh, ow = window.output_size((h, w))
    fh, fw = window.kernel
    parts = columns.reshape(c, fh * fw, oh, ow, n)  # (C, FH*FW, OH, OW, N)
    images = np.zeros((c, h, w, n), columns.dtype)
    for place, (rows, cols) in enumerate(window.offsets((h, w))):
        images[:, rows, cols] += parts[:, place]
    return images.transpose(3, 0, 1, 2)  # (N, C, H, W)


def switches(x: Array, *, window: Window) -> Array:
    """For each window the place of its largest element, counted row-major; NaN is largest.

    A tie goes to the first place. Shape (N, C, OH, OW), dtype uint8 where the window is small.
    """
    images = x.transpose(1, 2, 3, 0)  # (C, H, W, N)
    shifted = [images[:, rows, cols] for rows, cols in window.offsets((x.shape[2], x.shape[3]))]
    place = np.uint8 if len(shifted) <= 256 else np.intp
    best = shifted[0].copy()  # (C, OH, OW, N)
    winner = np.zeros(best.shape, place)
    for number, candidate in enumerate(shifted[1:], 1):
        # Places only grow, so a maximum does what a masked copy would, twenty times as fast:
        # masks at random defeat the processor's branch prediction.
        better = candidate > best
        np.maximum(winner, better * place(number), out=winner)
        np.maximum(best, candidate, out=best)
    if np.isnan(best).any():
        winner = np.argmax(np.stack(shifted), axis=0).astype(place)
    return winner.transpose(3, 0, 1, 2)  # (N, C, OH, OW)


def gather_windows(x: Array, *, window: Window, switches: Array) -> Array:
    """From each window the element that its switch names: (N, C, OH, OW)."""
    if np.iscomplexobj(x):
        real = gather_windows(x.real, window=window, switches=switches)
        return real + 1j * gather_windows(x.imag, window=window, switches=switches)
    images = x.transpose(1, 2, 3, 0)  # (C, H, W, N)
    chosen = switches.transpose(1, 2, 3, 0)  # (C, OH, OW, N)
    # Select by bits, since multiplying by a mask would make NaN of the infinities of a padding,
    # and masked copies are slow (see switches): all ones in an integer are -1.
    bits = np.dtype(f"i{x.itemsize}")
    out = np.zeros(chosen.shape, bits)
    for place, (rows, cols) in enumerate(window.offsets((x.shape[2], x.shape[3]))):
        mask = (chosen == place).astype(bits)
        np.negative(mask, out=mask)
        mask &= images[:, rows, cols].view(bits)
        out |= mask
    return out.view(x.dtype).transpose(3, 0, 1, 2)  # (N, C, OH, OW)


def scatter_windows(
    g: Array, *, window: Window, switches: Array, shape: tuple[int, int, int, int]
) -> Array:
    """The adjoint of ``gather_windows``: add each number where its switch points."""
    n, c, h, w = shape
    images = np.zeros((c, h, w, n), g.dtype)
    gradient = g.transpose(1, 2, 3, 0)  # (C, OH, OW, N)
    chosen = switches.transpose(1, 2, 3, 0)  # (C, OH, OW, N)
    disjoint = window.stride == window.kernel and window.dilation == (1, 1)
    for place, (rows, cols) in enumerate(window.offsets((h, w))):
        if disjoint:  # nothing to add to
            np.multiply(gradient, chosen == place, out=images[:, rows, cols])
        else:
            images[:, rows, cols] += gradient * (chosen == place)
    return images.transpose(3, 0, 1, 2)  # (N, C, H, W)
