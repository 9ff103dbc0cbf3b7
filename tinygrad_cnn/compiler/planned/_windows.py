"""How operations on windows are carried out: convolutions and pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..._kernels import convolution, windows, winograd
from ..._kernels.convolution import Bands
from ..._kernels.winograd import Tiles
from ...typing import Array
from .._symbols import Operation

if TYPE_CHECKING:
    from ._binding import Binding


def _pad(binding: Binding, operation: Operation) -> Array:
    x = binding.value(operation.args[0])
    out = binding.out(operation.result, order=_batch_last(x))
    widths, value = operation.params["widths"], operation.params["value"]
    binding.add(out.fill, value)
    binding.add(np.copyto, windows.crop(out, widths=widths), x)
    return out


def _im2col(binding: Binding, operation: Operation) -> Array:
    x = binding.value(operation.args[0])
    out = binding.out(operation.result)
    binding.add(windows.im2col, x, window=operation.params["window"], out=out)
    return out


def _col2im(binding: Binding, operation: Operation) -> Array:
    columns, shape = binding.value(operation.args[0]), binding.shape(operation.result)
    out = binding.out(operation.result, order=_batch_last(shape))
    window = operation.params["window"]
    binding.add(windows.col2im, columns, window=window, shape=shape, out=out)
    return out


def _convolve(binding: Binding, operation: Operation) -> Array:
    weight, x = (binding.value(arg) for arg in operation.args)
    out = binding.out(operation.result)
    _convolution(binding, operation, weight, x, out)
    return out


def _convolution(
    binding: Binding, operation: Operation, weight: Array, x: Array, out: Array
) -> None:
    """(K, C*FH*FW) with padded images (N, C, H, W) to (K, OH*OW*N), the shortest way."""
    bands = Bands(x.shape, operation.params["window"], x.itemsize)
    if _in_tiles(bands, len(weight), x):
        tiles = Tiles(x.shape, len(weight), x.itemsize)
        shapes = ((16, len(weight), x.shape[1]), *tiles.memory)
        memory = tuple(binding.scratch(shape, x.dtype) for shape in shapes)
        results = out.reshape(len(weight), *bands.places, len(x))
        calls = winograd.convolve(weight, x, tiles=tiles, scratch=memory, out=results)
    else:
        scratch = binding.scratch((bands.scratch,), x.dtype)
        calls = convolution.convolve(weight, x, bands=bands, scratch=scratch, out=out)
    binding.extend(calls)


def _in_tiles(bands: Bands, filters: int, x: Array) -> bool:
    images, channels = x.shape[:2]
    if x.dtype.kind != "f":
        return False
    return winograd.pays(channels, filters, bands.window, bands.places, images)


def _correlate(binding: Binding, operation: Operation) -> Array:
    g, x = (binding.value(arg) for arg in operation.args)
    bands = Bands(x.shape, operation.params["window"], x.itemsize)
    out = binding.out(operation.result)
    if _in_tiles(bands, len(g), x):
        tiles = Tiles(x.shape, len(g), x.itemsize)
        shapes = (*((16, len(g), x.shape[1]),) * 2, *tiles.memory)
        memory = tuple(binding.scratch(shape, x.dtype) for shape in shapes)
        given = g.reshape(len(g), *bands.places, len(x))
        calls = winograd.correlate(given, x, tiles=tiles, scratch=memory, out=out)
    else:
        scratch = binding.scratch((bands.scratch,), x.dtype)
        part = binding.scratch_like(out, out.dtype)
        calls = convolution.correlate(g, x, bands=bands, scratch=scratch, part=part, out=out)
    binding.extend(calls)
    return out


def _convolve_back(binding: Binding, operation: Operation) -> Array:
    weight, g = (binding.value(arg) for arg in operation.args)
    shape = binding.shape(operation.result)
    bands = Bands(shape, operation.params["window"], g.itemsize)
    scratch = binding.scratch((bands.scratch,), g.dtype)
    out = binding.out(operation.result, order=_batch_last(shape))
    binding.extend(convolution.convolve_back(weight, g, bands=bands, scratch=scratch, out=out))
    return out


def _convolve_turned(binding: Binding, operation: Operation) -> Array:
    weight, g = (binding.value(arg) for arg in operation.args)
    n, c, *size = shape = binding.shape(operation.result)
    window, k = operation.params["window"], len(g)
    wide = (size + reach - 1 for size, reach in zip(size, window.extent, strict=True))
    out = binding.out(operation.result, order=_batch_last(shape))
    kernel = binding.scratch((c, k * window.places), g.dtype)
    padded = windows.batch_first(binding.scratch((k, *wide, n), g.dtype))
    settings = {"widths": operation.params["widths"], "kernel": kernel, "padded": padded}
    binding.extend(convolution.turn(weight, g, **settings))
    _convolution(binding, operation, kernel, padded, windows.batch_last(out).reshape(c, -1))
    return out


def _batch_last(images: Any) -> tuple[int, ...]:
    ndim = images.ndim if isinstance(images, np.ndarray) else len(images)
    return (*range(1, ndim), 0)


def _switches(binding: Binding, operation: Operation) -> Array:
    """With the elements that they name, which are found at the same time."""
    x = binding.value(operation.args[0])
    order = _batch_last(x)
    out = binding.out(operation.result, order=order)
    gather = binding.gathered(operation.result)
    if gather is None:
        largest = binding.scratch_like(out, x.dtype)
    else:
        largest = binding.out(gather.result, order=order)
        binding.prepared[gather.result] = largest
    scratch = binding.scratch_like(out, np.bool_)
    window = operation.params["window"]
    binding.extend(windows.switch(x, window=window, out=out, largest=largest, scratch=scratch))
    return out


def _scatter(binding: Binding, operation: Operation) -> Array:
    g, shape = binding.value(operation.args[0]), binding.shape(operation.result)
    out = binding.out(operation.result, order=_batch_last(shape))
    switches = binding.value(operation.params["switches"])
    scratch = binding.scratch_like(switches, np.bool_), binding.scratch_like(switches, g.dtype)
    settings = {"window": operation.params["window"], "switches": switches}
    binding.extend(windows.scatter(g, **settings, out=out, scratch=scratch))
    return out


WINDOW_MAKERS = {
    "pad": _pad,
    "im2col": _im2col,
    "col2im": _col2im,
    "convolve": _convolve,
    "correlate": _correlate,
    "convolve_back": _convolve_back,
    "convolve_turned": _convolve_turned,
    "pool_switches": _switches,
    "scatter_windows": _scatter,
}
