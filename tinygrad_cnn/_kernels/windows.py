"""Sliding windows over images: padding, im2col, col2im and pooling by switches.

Images have shape (N, C, H, W), signals (N, C, L), volumes (N, C, D, H, W): any number of axes in
space. The comments speak of images. These kernels are fast where the batch is innermost in
memory, that is where the axes lie in the order C, H, W, N, and correct for any strides.
Everything is FH * FW copies of shifted slices, whose innermost runs are then whole batches.
"""

from __future__ import annotations

import math
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..typing import Array, DTypeLike, Shape


class Window(NamedTuple):
    """The geometry of a window that slides over images: one number for each axis in space."""

    kernel: Shape
    stride: Shape
    dilation: Shape

    @property
    def places(self) -> int:
        """How many elements of one channel the window sees."""
        return math.prod(self.kernel)

    @property
    def extent(self) -> Shape:
        """How far the window reaches, its gaps included."""
        return tuple(d * (f - 1) + 1 for f, d in zip(self.kernel, self.dilation, strict=True))

    def output_size(self, size: Shape) -> Shape:
        """How many windows fit: floor((size - extent) / stride) + 1 along each axis."""
        return tuple(
            (n - f) // s + 1 for n, f, s in zip(size, self.extent, self.stride, strict=True)
        )

    def offsets(self, size: Shape) -> list[tuple[slice, ...]]:
        """For each place in the window, row-major, what of each axis it passes over."""
        axes = zip(self.kernel, self.stride, self.dilation, self.output_size(size), strict=True)
        return list(
            product(
                *(
                    [slice(i * d, i * d + (n - 1) * s + 1, s) for i in range(f)]
                    for f, s, d, n in axes
                )
            )
        )


def batch_last(x: Array) -> Array:
    """(N, C, H, W) -> (C, H, W, N): a view."""
    return x.transpose(*range(1, x.ndim), 0)


def batch_first(x: Array) -> Array:
    """(C, H, W, N) -> (N, C, H, W): a view."""
    return x.transpose(-1, *range(x.ndim - 1))


def pad(
    x: Array,
    *,
    widths: tuple[tuple[int, int], ...],
    value: float = 0.0,
    out: Array | None = None,
) -> Array:
    """``x`` with ``value`` around it, in the memory order of ``x``."""
    if out is None:
        shape = tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True))
        out = np.empty_like(x, shape=shape)
    for axis, (before, after) in enumerate(widths):
        along = (slice(None),) * axis
        out[*along, :before] = value
        out[*along, out.shape[axis] - after :] = value
    inner = tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, widths, strict=True))
    out[inner] = x
    return out


def crop(x: Array, *, widths: tuple[tuple[int, int], ...]) -> Array:
    """``x`` without (before, after) elements along each axis: a view."""
    return x[tuple(slice(a, n - b) for n, (a, b) in zip(x.shape, widths, strict=True))]


def im2col(x: Array, *, window: Window, out: Array | None = None) -> Array:
    """(N, C, H, W) -> (C*FH*FW, OH*OW*N): each column is the content of one window."""
    n, c, *size = x.shape
    places = window.output_size(tuple(size))
    if out is None:
        out = np.empty((c * window.places, math.prod(places) * n), x.dtype)
    out.reshape(c, *window.kernel, *places, n)[...] = sliding(batch_last(x), window)
    return out


def sliding(images: Array, window: Window) -> Array:
    """(C, H, W, N) as (C, FH, FW, OH, OW, N): what each window sees, a view."""
    c, *size, n = images.shape
    first, *steps, last = images.strides
    inside = (step * d for step, d in zip(steps, window.dilation, strict=True))
    along = (step * s for step, s in zip(steps, window.stride, strict=True))
    shape = (c, *window.kernel, *window.output_size(tuple(size)), n)
    return as_strided(images, shape, (first, *inside, *along, last))


def col2im(columns: Array, *, window: Window, shape: Shape, out: Array | None = None) -> Array:
    """The adjoint of ``im2col``: add every column back where its window lay."""
    n, c, *size = shape
    places = window.output_size(tuple(size))
    parts = columns.reshape(c, window.places, *places, n)  # (C, FH*FW, OH, OW, N)
    images, out = _zeros(shape, columns.dtype, out)
    for place, inside in enumerate(window.offsets(tuple(size))):
        images[:, *inside] += parts[:, place]
    return out


def _zeros(shape: Shape, dtype: DTypeLike, out: Array | None) -> tuple[Array, Array]:
    """Zeros as (C, H, W, N) and as (N, C, H, W): the same memory, ``out`` if it is given."""
    if out is None:
        images = np.zeros((*shape[1:], shape[0]), dtype)
        return images, batch_first(images)
    out.fill(0)
    return batch_last(out), out


def switches(
    x: Array,
    *,
    window: Window,
    out: Array | None = None,
    largest: Array | None = None,
    scratch: Array | None = None,
) -> Array:
    """For each window the place of its largest element, counted row-major; NaN is largest.

    A tie goes to the first place. Shape (N, C, OH, OW), dtype uint8 where the window is small.
    The elements themselves go to ``largest``; ``scratch`` is memory for booleans of that shape.
    """
    images = batch_last(x)
    shifted = [images[:, *inside] for inside in window.offsets(x.shape[2:])]
    kind = np.uint8 if len(shifted) <= 256 else np.intp
    best, winner, better = (
        np.empty(shifted[0].shape, dtype) if given is None else batch_last(given)
        for given, dtype in ((largest, x.dtype), (out, kind), (scratch, np.bool_))
    )  # (C, OH, OW, N)
    best[...] = shifted[0]
    winner.fill(0)
    for number, candidate in enumerate(shifted[1:], 1):
        # Places only grow, so a maximum does what a masked copy would, twenty times as fast:
        # masks at random defeat the processor's branch prediction.
        np.greater(candidate, best, out=better)
        step = better.view(np.uint8)
        step = np.multiply(step, kind(number), out=step if kind is np.uint8 else None)
        np.maximum(winner, step, out=winner)
        np.maximum(best, candidate, out=best)
    if np.isnan(best, out=better).any():
        winner[...] = np.argmax(np.stack(shifted), axis=0)
    return batch_first(winner)


def gather_windows(x: Array, *, window: Window, switches: Array) -> Array:
    """From each window the element that its switch names: (N, C, OH, OW)."""
    if np.iscomplexobj(x):
        real = gather_windows(x.real, window=window, switches=switches)
        return real + 1j * gather_windows(x.imag, window=window, switches=switches)
    images, chosen = batch_last(x), batch_last(switches)
    # Select by bits, since multiplying by a mask would make NaN of the infinities of a padding,
    # and masked copies are slow (see switches): all ones in an integer are -1.
    bits = np.dtype(f"i{x.itemsize}")
    out = np.zeros(chosen.shape, bits)
    for place, inside in enumerate(window.offsets(x.shape[2:])):
        mask = (chosen == place).astype(bits)
        np.negative(mask, out=mask)
        mask &= images[:, *inside].view(bits)
        out |= mask
    return batch_first(out.view(x.dtype))


def scatter_windows(
    g: Array,
    *,
    window: Window,
    switches: Array,
    shape: Shape,
    out: Array | None = None,
    scratch: tuple[Array, Array] | None = None,
) -> Array:
    """The adjoint of ``gather_windows``: add each number where its switch points.

    ``scratch`` is memory of the shape of ``g``: for booleans, and for numbers.
    """
    images, out = _zeros(shape, g.dtype, out)
    gradient, chosen = batch_last(g), batch_last(switches)
    here, part = (None, None) if scratch is None else map(batch_last, scratch)
    disjoint = window.stride == window.extent == window.kernel
    for place, inside in enumerate(window.offsets(tuple(shape[2:]))):
        here = np.equal(chosen, place, out=here)
        if disjoint:  # nothing to add to
            np.multiply(gradient, here, out=images[:, *inside])
        else:
            part = np.multiply(gradient, here, out=part)
            images[:, *inside] += part
    return out
