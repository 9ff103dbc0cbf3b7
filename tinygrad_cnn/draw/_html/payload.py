# ruff: noqa: RUF001, RUF002  (shapes are written with a multiplication sign)
"""What a page needs to show an array: its numbers where they are few, else a heat map."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

from ..._arguments import whole
from ..._core.tensor import raw
from ...errors import DtypeError
from ...typing import Array, TensorLike

__all__ = ["payload"]

# The bytes of a heat map: levels 0 to 252, so that 126 is the middle exactly, then two marks.
LEVELS = 253
GAP = 254
NOT_FINITE = 255
_TILE = 11  # pixels along an edge that a tile gets at least, if it has so many


def payload(array: TensorLike, *, limit: int = 64, side: int = 48) -> dict[str, Any]:
    """What ``arrayElement`` in arrays.js shows: statistics, and the numbers or a heat map.

    Args:
        array: numbers of any shape; of complex ones the magnitudes are shown.
        limit: up to so many elements all ``values`` are listed, else there is a ``heat`` map.
        side: how many rows and columns a heat map has at most.

    Returns:
        ``shape``, ``dtype``, ``min``, ``max``, ``mean`` (of the finite elements, None without
        any), ``nan`` and ``inf`` (how many), ``note`` (what is not shown as it is), and one of
        ``values``, the elements in row-major order, or ``heat``: ``rows``, ``columns``,
        ``levels`` (bytes as base64; 254 is a gap between tiles, 255 not finite), ``scale``
        ("diverging" about 0 where the signs mix, else "sequential") from ``low`` to ``high``.
        Elements are averaged in blocks to fit; an axis before the last two becomes tiles, of
        further axes the first entry is shown, of an (N, C, H, W) array so the first image.

    Raises:
        ArgumentError: ``limit`` or ``side`` is no integer, or too small.
        DtypeError: the array does not hold numbers.

    >>> payload([[1.0, -2.0]])["values"]
    [1.0, -2.0]
    >>> import numpy as np
    >>> heat = payload(np.zeros((8, 16, 32, 32)))
    >>> heat["note"], heat["heat"]["rows"], heat["heat"]["columns"]
    ('shown: [0, :]; each cell is the mean of 3 × 3', 47, 47)
    """
    whole("payload", "limit", limit, 0)
    whole("payload", "side", side, 4)
    given = np.asarray(raw(array))
    if given.dtype.kind not in "biufc":
        raise DtypeError(f"payload: expected numbers, got dtype {given.dtype}")
    x = np.abs(given) if given.dtype.kind == "c" else given
    finite = x[np.isfinite(x)].astype(np.float64)
    notes = ["magnitudes"] if given.dtype.kind == "c" else []
    result: dict[str, Any] = {
        "shape": list(given.shape),
        "dtype": str(given.dtype),
        "min": float(finite.min()) if finite.size else None,
        "max": float(finite.max()) if finite.size else None,
        "mean": _mean(finite),
        "nan": int(np.isnan(x).sum()),
        "inf": int(np.isinf(x).sum()),
    }
    if x.size <= limit:
        result["values"] = x.ravel().tolist()
    else:
        result["heat"], left_out = _heat(x.astype(np.float64), finite, side)
        notes += left_out
    return result | {"note": "; ".join(notes)}


def _mean(finite: Array) -> float | None:
    """The mean, also where the sum is too large for a float."""
    if not finite.size:
        return None
    scale = float(np.abs(finite).max()) or 1.0
    return float((finite / scale).mean() * scale)


def _heat(x: Array, finite: Array, side: int) -> tuple[dict[str, Any], list[str]]:
    """The heat map of ``x``, and what it leaves out."""
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    diverging = low < 0 < high
    if diverging:
        high = max(-low, high)
        low = -high
    pixels, left_out = _tiles(_unit(x, low, high), side)
    heat = {
        "rows": pixels.shape[0],
        "columns": pixels.shape[1],
        "levels": base64.b64encode(pixels.tobytes()).decode("ascii"),
        "scale": "diverging" if diverging else "sequential",
        "low": low,
        "high": high,
    }
    return heat, left_out


def _unit(x: Array, low: float, high: float) -> Array:
    """``x`` with ``low`` at 0 and ``high`` at 1; all at 0 where they are equal."""
    if low == high:
        return np.where(np.isfinite(x), 0.0, x)
    size = max(-low, high)  # the difference of the largest floats is infinite
    return (x / size - low / size) / (high / size - low / size)


def _tiles(x: Array, side: int) -> tuple[Array, list[str]]:
    """The bytes of the heat map of ``x``, elements from 0 to 1, and what it leaves out."""
    x = x.reshape((1,) * (3 - x.ndim) + x.shape)
    *leading, h, w = x.shape
    # Tiles along an edge, with gaps between them.
    most = max(1, (side + 1) // (min(max(h, w), _TILE) + 1))
    axis = max((i for i, n in enumerate(leading) if n > 1), default=0)
    shown = min(leading[axis], most * most)
    index = [":" if i == axis else "0" for i in range(len(leading))]
    index[axis] += f"{shown}" if shown < leading[axis] else ""
    notes = [f"shown: [{', '.join(index)}]"] if shown < math.prod(leading) else []
    tiles = x[tuple(slice(shown) if i == axis else 0 for i in range(len(leading)))]
    columns = math.ceil(math.sqrt(shown))
    room = (side + 1) // columns - 1
    blocks = math.ceil(h / room), math.ceil(w / room)
    if max(blocks) > 1:
        notes.append(f"each cell is the mean of {blocks[0]} × {blocks[1]}")
    means = _block_means(_block_means(tiles, blocks[0], axis=1), blocks[1], axis=2)
    finite = np.isfinite(means)
    levels = np.where(finite, np.rint(np.where(finite, means, 0) * (LEVELS - 1)), NOT_FINITE)
    return _side_by_side(levels.astype(np.uint8), columns), notes


def _block_means(x: Array, block: int, axis: int) -> Array:
    """Means of ``block`` neighbours; the last block may hold fewer."""
    starts = np.arange(0, x.shape[axis], block)
    counts = np.diff(starts, append=x.shape[axis])
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, which the map marks
        sums: Array = np.add.reduceat(x, starts, axis=axis)
    sums /= np.expand_dims(counts, tuple(i for i in range(x.ndim) if i != axis))
    return sums


def _side_by_side(tiles: Array, columns: int) -> Array:
    """(tiles, rows, columns) as one picture with gaps between the tiles."""
    count, h, w = tiles.shape
    rows = math.ceil(count / columns)
    picture = np.full((rows, h + 1, columns, w + 1), GAP, np.uint8)
    for number, tile in enumerate(tiles):
        picture[number // columns, :h, number % columns, :w] = tile
    return picture.reshape(rows * (h + 1), columns * (w + 1))[:-1, :-1]
