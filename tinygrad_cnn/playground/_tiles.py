"""Small pictures side by side, packed as bytes for the page."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

from ..draw._figure import largest, picture
from ..draw._html.payload import LEVELS, NOT_FINITE, _block_means
from ..typing import Array

SIDE = 32  # pixels of the longer side of a tile, at most


def signed(maps: Array, side: int = SIDE) -> dict[str, Any]:
    """Maps (n, h, w) about zero: blue, white, orange; ``limit`` has the strongest colour.

    >>> packed = signed(np.array([[[-1.0, 0.0, np.nan, 1.0]]]))
    >>> list(base64.b64decode(packed["levels"])), packed["limit"]
    ([0, 126, 255, 252], 1.0)
    """
    limit = largest(maps)
    means = shrunk(maps.astype(np.float64, copy=False), side) / limit
    finite = np.isfinite(means)
    shares = np.clip(np.where(finite, means, 0.0), -1.0, 1.0)
    levels = np.where(finite, np.rint((shares + 1) / 2 * (LEVELS - 1)), NOT_FINITE)
    return {**_packed(levels[..., np.newaxis]), "scale": "diverging", "limit": limit}


def pictures(images: Array) -> dict[str, Any]:
    """Images (n, C, h, w) as people see them: grey, or in colour with three channels."""
    seen = np.stack([picture(image) for image in images])  # (n, h, w) or (n, h, w, 3)
    seen = seen if seen.ndim == 4 else seen[..., np.newaxis]
    small = np.stack([shrunk(seen[..., c]) for c in range(seen.shape[-1])], axis=-1)
    colour = "colour" if small.shape[-1] == 3 else "greys"
    return {**_packed(np.rint(small * (LEVELS - 1))), "scale": colour}


def coloured(filters: Array) -> dict[str, Any]:
    """Filters (n, 3, h, w), each with its largest weight at full colour and zero as mid-grey."""
    limits = np.array([largest(one) for one in filters]).reshape(-1, 1, 1, 1)
    shares = np.nan_to_num(0.5 + filters / (2 * limits), nan=1.0, posinf=1.0, neginf=0.0)
    return pictures(shares)


def shrunk(maps: Array, side: int = SIDE) -> Array:
    """Maps (n, h, w) with neighbours averaged, so that no side has more pixels than ``side``."""
    for axis in (1, 2):
        block = math.ceil(maps.shape[axis] / side)
        if block > 1:
            maps = _block_means(maps, block, axis)
    return maps


def _packed(levels: Array) -> dict[str, Any]:
    """Levels (n, h, w, channels) from 0 to 255."""
    count, rows, columns, _ = levels.shape
    text = base64.b64encode(levels.astype(np.uint8).tobytes()).decode("ascii")
    return {"count": count, "rows": rows, "columns": columns, "levels": text}
