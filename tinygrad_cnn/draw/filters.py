"""The weights of a convolution as pictures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import nn
from .._arguments import whole
from .._core.tensor import Tensor, raw
from ..errors import ArgumentError, DtypeError, OutOfBoundsError, ShapeError
from ..typing import Array, Shape
from ._figure import INK, bare, diverging, largest, lengths, mark_not_finite, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["filters"]

_WIDEST, _TALLEST = 9.0, 11.0  # inches of all tiles together
_LARGEST_TILE, _SMALLEST_PIXEL = 0.8, 0.014


def filters(
    layer: nn.Conv2d | Tensor | Array,
    *,
    channel: int | None = None,
    columns: int | None = None,
    normalize: bool = True,
) -> Figure:
    """The filters of a convolution.

    Filters that see three channels are shown in colour, zero as mid-grey. Filters of one channel
    are shown from blue (negative) over white (zero) to orange. Filters of any other number of
    channels have no colour of their own: each is a column, with a picture for each channel. NaN
    and infinities are reddish purple, and the title counts them.

    Args:
        layer: a ``Conv2d``, or weights (K, C, FH, FW); for the templates of a linear classifier
            its weight in the shape of the images, ``fc.weight.reshape(10, 3, 32, 32)``.
        channel: show this channel alone.
        columns: how many filters stand side by side.
        normalize: whether each filter is divided by its largest magnitude, so that the shape of
            weak ones shows too; otherwise all share one scale.

    Raises:
        ShapeError, DtypeError: there are no real weights (K, C, FH, FW).
        OutOfBoundsError: there is no such channel.
        ArgumentError: ``columns`` below 1, or where each column is a filter; ``channel`` no integer
            or below -C; ``normalize`` no bool.
        MissingExtraError: matplotlib is not installed.

    Source: Zeiler and Fergus (2013); Krizhevsky et al. (2012), figure 3.

    >>> import tinygrad_cnn as tc
    >>> figure = tc.draw.filters(tc.nn.Conv2d(3, 8, kernel_size=5))
    >>> figure.axes[0].images[0].get_array().shape  # 2 rows of 4 filters, in colour
    (10, 20, 3)
    """
    name, weight = _weights(layer)
    k, c, fh, fw = weight.shape
    weight = _of_channel(weight, channel)
    by_channel = weight.shape[1] not in (1, 3)
    if by_channel and columns is not None:
        raise ArgumentError(
            f"filters: columns={columns}, but each of the {k} columns is a filter of {c} channels:"
            " choose one with channel="
        )
    wanted = k if by_channel else _columns(k) if columns is None else columns
    across = whole("filters", "columns", wanted)
    weight, scale = _scaled(weight, normalize)
    tiles = weight.swapaxes(0, 1).reshape(c * k, 1, fh, fw) if by_channel else weight
    down = math.ceil(len(tiles) / across)
    tile = _tile_width(across, down, fh, fw)
    figure = new_figure(max(across * tile, 2.6) + 1.2, down * tile * fh / fw + 0.8)
    axes = figure.subplots()
    _show(axes, tiles, (down, across), scale, tile)
    if by_channel:
        _label_grid(axes, (c, k), (fh, fw))
    if not normalize and tiles.shape[1] == 1:
        figure.colorbar(axes.images[0], ax=axes, shrink=0.7, label="weight")
    axes.set_title(plain(name) + _details((k, c, fh, fw), weight, channel), fontsize=10)
    return figure


def _weights(layer: Any) -> tuple[str, Array]:
    """The name of the layer, and its weights in double precision."""
    name = "weights"
    if isinstance(layer, nn.Conv2d):
        layer = layer.weight
    elif isinstance(layer, nn.Module):
        inside = [path for path, part in layer.named_modules() if isinstance(part, nn.Conv2d)]
        found = f"; it holds {', '.join(inside)}" if inside else ""
        raise ShapeError(f"filters: expected a Conv2d, got {type(layer).__name__}{found}")
    if isinstance(layer, Tensor) and layer.name:
        name = layer.name.removesuffix(".weight")
    given = np.asarray(raw(layer)) if isinstance(layer, (Tensor, np.ndarray, list)) else None
    if given is None or given.dtype.kind not in "fiub":
        what = type(layer).__name__ if given is None else f"weights of {given.dtype}"
        raise DtypeError(f"filters: expected a Conv2d, or real weights (K, C, FH, FW), got {what}")
    weight = given.astype(np.float64)
    if weight.ndim != 4 or not weight.size:
        raise ShapeError(f"filters: weights of shape {weight.shape}, expected (K, C, FH, FW)")
    return name, weight


def _of_channel(weight: Array, channel: int | None) -> Array:
    if channel is None:
        return weight
    if whole("filters", "channel", channel, least=-weight.shape[1]) >= weight.shape[1]:
        raise OutOfBoundsError(
            f"filters: channel={channel} of filters with {weight.shape[1]} channels"
        )
    return weight[:, [channel]]


def _scaled(weight: Array, normalize: bool) -> tuple[Array, float]:
    """The weights, and the magnitude that has the strongest colour."""
    if not isinstance(normalize, bool | np.bool_):
        raise ArgumentError(f"filters: normalize={normalize!r:.60}, expected True or False")
    if not normalize:
        return weight, largest(weight)
    finite = np.isfinite(weight)
    of_each = np.abs(weight).max(axis=(1, 2, 3), keepdims=True, initial=0.0, where=finite)
    return weight / np.where(of_each == 0, 1.0, of_each), 1.0


def _details(shape: Shape, weight: Array, channel: int | None) -> str:
    """What the title adds to the name, such as how many weights are not finite."""
    which = "" if channel is None else f", channel {channel}"
    odd = np.count_nonzero(~np.isfinite(weight))
    said = f"\n{odd:,} of {weight.size:,} weights are NaN or infinite" if odd else ""
    return f": {shape[0]} filters of {lengths(shape[1:])}{which}{said}"


def _columns(count: int) -> int:
    """A little wider than high, without gaps if that does not take too long a row."""
    side = math.ceil(math.sqrt(count))
    return next((n for n in range(side, 3 * side) if count % n == 0), side)


def _tile_width(across: int, down: int, fh: int, fw: int) -> float:
    fitting = min(_LARGEST_TILE, _WIDEST / across, _TALLEST / (down * fh / fw))
    return max(fitting, _SMALLEST_PIXEL * fw)


def _mosaic(tiles: Array, down: int, across: int, rest: float = np.nan) -> Array:
    """Tiles (n, C, FH, FW) as one picture (down * FH, across * FW, C), ``rest`` behind the last."""
    n, c, fh, fw = tiles.shape
    cells = np.full((down * across, c, fh, fw), rest)
    cells[:n] = tiles
    rows = cells.reshape(down, across, c, fh, fw).transpose(0, 3, 1, 4, 2)
    return rows.reshape(down * fh, across * fw, c)


def _show(axes: Axes, tiles: Array, counts: tuple[int, int], scale: float, tile: float) -> None:
    """Draw the tiles, and lines between them."""
    mosaic = _mosaic(tiles, *counts)
    if mosaic.shape[2] == 3:
        colours = np.where(np.isfinite(mosaic), 0.5 + 0.5 * mosaic / scale, 1.0)
        bare(axes).imshow(colours, interpolation="none")
    else:
        bare(axes).imshow(
            mosaic[..., 0], cmap=diverging(), vmin=-scale, vmax=scale, interpolation="none"
        )
    odd = np.where(np.isfinite(tiles), 0.0, np.nan)
    mark_not_finite(axes, _mosaic(odd, *counts, rest=0.0).sum(axis=2))
    (height, width), (fh, fw) = mosaic.shape[:2], tiles.shape[2:]
    thick: dict[str, Any] = {"color": "white", "linewidth": 0.8 + 5 * tile}
    axes.hlines(np.arange(0, height + 1, fh) - 0.5, -0.5, width - 0.5, **thick)
    axes.vlines(np.arange(0, width + 1, fw) - 0.5, -0.5, height - 0.5, **thick)


def _label_grid(axes: Axes, counts: tuple[int, int], size: tuple[int, int]) -> None:
    """Number the rows (channels) and columns (filters), or some of them."""
    axes.set_axis_on()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)
    for axis, count, length, label in zip(
        (axes.yaxis, axes.xaxis), counts, size, ("channel", "filter"), strict=True
    ):
        numbers = range(0, count, math.ceil(count / 16))
        axis.set_ticks([n * length + (length - 1) / 2 for n in numbers], list(map(str, numbers)))
        axis.set_label_text(label)
