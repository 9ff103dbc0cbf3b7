"""Sliding windows over images: padding, im2col, col2im and pooling by switches.

Images have shape (N, C, H, W), signals (N, C, L), volumes (N, C, D, H, W): any number of axes in
space. The comments speak of images. These kernels are fast where the batch is innermost in
memory, that is where the axes lie in the order C, H, W, N, and correct for any strides.
Everything is FH * FW copies of shifted slices, whose innermost runs are then whole batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from .._arguments import affordable
from ..typing import Array, DTypeLike, Shape

Call = Callable[[], Any]


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


def pad(x: Array, *, widths: tuple[tuple[int, int], ...], value: float = 0.0) -> Array:
    """``x`` with ``value`` around it, in the memory order of ``x``."""
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True))
    affordable("pad", shape, x.itemsize)
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
        shape = (c * window.places, math.prod(places) * n)
        affordable("im2col", shape, x.itemsize)
        out = np.empty(shape, x.dtype)
    images = batch_last(x)
    if any(f > s for f, s in zip(window.kernel, window.stride, strict=True)):
        images = np.ascontiguousarray(images)  # each pixel is read for several windows
    out.reshape(c, *window.kernel, *places, n)[...] = sliding(images, window)
    return out


def sliding(images: Array, window: Window) -> Array:
    """(C, H, W, N) as (C, FH, FW, OH, OW, N): what each window sees, a view."""
    c, *size, n = images.shape
    first, *steps, last = images.strides
    # One longer than the image is never taken, and might not fit into NumPy's integers.
    inside = (step * min(d, n) for step, d, n in zip(steps, window.dilation, size, strict=True))
    along = (step * min(s, n) for step, s, n in zip(steps, window.stride, size, strict=True))
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
        affordable("col2im", shape, np.dtype(dtype).itemsize)
        images = np.zeros((*shape[1:], shape[0]), dtype)
        return images, batch_first(images)
    out.fill(0)
    return batch_last(out), out


def switches(x: Array, *, window: Window) -> Array:
    """For each window the place of its largest element, counted row-major; NaN is largest.

    A tie goes to the first place. Shape (N, C, OH, OW), dtype uint8 where the window is small.
    """
    shape = (x.shape[1], *window.output_size(x.shape[2:]), x.shape[0])
    kind = np.uint8 if window.places <= 256 else np.intp
    memory = (batch_first(np.empty(shape, dtype)) for dtype in (kind, x.dtype, np.bool_))
    out, largest, scratch = memory
    for call in switch(x, window=window, out=out, largest=largest, scratch=scratch):
        call()
    return out


def switch(
    x: Array, *, window: Window, out: Array, largest: Array, scratch: Array
) -> Iterator[Call]:
    """The calls that find ``switches``, and the elements themselves; ``scratch`` is of booleans."""
    images = batch_last(x)
    first, *others = (images[:, *inside] for inside in window.offsets(x.shape[2:]))
    winner, best, better = map(batch_last, (out, largest, scratch))  # (C, OH, OW, N)
    yield partial(winner.fill, 0)
    shown = first  # the largest so far
    for number, candidate in enumerate(others, 1):
        # Places only grow, so a maximum does what a masked copy would, twenty times as fast:
        # masks at random defeat the processor's branch prediction.
        yield partial(np.greater, candidate, shown, out=better)
        if winner.itemsize == 1:
            step = better.view(np.uint8)
            yield partial(np.multiply, step, np.uint8(number), out=step)
            yield partial(np.maximum, winner, step, out=winner)
        else:
            yield partial(_note, winner, better, number)
        yield partial(np.maximum, shown, candidate, out=best)
        shown = best
    if not others:
        yield partial(np.copyto, best, first)
    yield partial(_settle_nan, winner, best, better, (first, *others))


def _note(winner: Array, better: Array, number: int) -> None:
    np.maximum(winner, better * np.intp(number), out=winner)


def _settle_nan(winner: Array, best: Array, scratch: Array, shifted: Sequence[Array]) -> None:
    if np.isnan(best, out=scratch).any():
        winner[...] = np.argmax(np.stack(shifted), axis=0)


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


def scatter_windows(g: Array, *, window: Window, switches: Array, shape: Shape) -> Array:
    """The adjoint of ``gather_windows``: add each number where its switch points."""
    out = batch_first(np.empty((*shape[1:], shape[0]), g.dtype))
    scratch = np.empty_like(switches, np.bool_), np.empty_like(g)
    for call in scatter(g, window=window, switches=switches, out=out, scratch=scratch):
        call()
    return out


def scatter(
    g: Array, *, window: Window, switches: Array, out: Array, scratch: tuple[Array, Array]
) -> Iterator[Call]:
    """The calls of ``scatter_windows``; ``scratch`` is like ``g``, of booleans and of numbers."""
    images, gradient, chosen, here, part = map(batch_last, (out, g, switches, *scratch))
    size = out.shape[2:]
    is_disjoint = window.stride == window.extent == window.kernel
    if not is_disjoint or any(n % f for n, f in zip(size, window.kernel, strict=True)):
        yield partial(images.fill, 0)
    for place, inside in enumerate(window.offsets(size)):
        yield partial(np.equal, chosen, place, out=here)
        seen = images[:, *inside]
        if is_disjoint:  # nothing to add to
            yield partial(np.multiply, gradient, here, out=seen)
        else:
            yield partial(np.multiply, gradient, here, out=part)
            yield partial(np.add, seen, part, out=seen)
