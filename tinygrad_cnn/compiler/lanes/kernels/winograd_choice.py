"""Where Winograd beats the direct kernels, by a model of costs that was fitted to measurements."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

from ....errors import ArgumentError
from ._tiles import Tiles
from ._transforms import Form

Tile: TypeAlias = tuple[int, int]

# Of each kernel the tiles that an accuracy allows. The default's rounding errors are root mean
# squares of 2e-7 to 3e-7 for tiles of 2 x 2 with filters of 3 x 3, 4e-7 to 5e-7 for 2 x 4, 5e-7 to
# 8e-7 for filters of 5 x 5 (tests/compiler/lanes/test_winograd.py holds them to that).
_TILES: dict[str, dict[int, tuple[Tile, ...]]] = {
    "default": {3: ((2, 2), (2, 4)), 5: ((2, 2),)},
    "fast": {3: ((2, 2), (2, 4), (4, 4)), 5: ((2, 2), (4, 4))},
}
_LARGE = 1 << 20  # filters of so many numbers do not stay in a core's own cache


class _Sizes(NamedTuple):
    """A convolution as the cost model sees it; costs are in products of vectors a pixel."""

    channels: int
    filters: int
    size: tuple[int, int]
    kernel: int
    lanes: int

    def direct(self, *, weight: bool) -> float:
        """One product for each tap; the gradient of a weight is summed over lanes at the end."""
        pixels = self.size[0] * self.size[1]
        at_the_end = 10 if weight else 0
        return self.kernel**2 * self.channels * self.filters * (1 + at_the_end / pixels)

    def winograd(self, tile: Tile, *, weight: bool) -> float:
        """Products, transforms of inputs and of outputs, and reading the filters in each chunk."""
        form = Form(tile, self.kernel)
        n = math.sqrt(form.points)
        if weight:
            filters = -(-self.filters // self.lanes) * self.lanes
            products, output = self.channels * filters, (2.0 * n - 1) * filters
        else:
            # A sum in registers takes about three products to begin and to end.
            filters = self.filters
            products, output = (self.channels + 3) * filters, (1.5 * n - 3) * filters
        once = self.channels * filters
        tiles = Tiles.of(form, self.size, self.channels + self.filters)
        reading = 2 * once / tiles.most**2 if form.points * once >= _LARGE else 0
        a_point = products + (3 * n - 8) * self.channels + output + reading
        return a_point * form.points * math.prod(tiles.counts) / math.prod(self.size)


def worthwhile(
    channels: int,
    filters: int,
    size: tuple[int, int],
    kernel: int,
    accuracy: str = "default",
    lanes: int = 8,
) -> dict[str, Tile]:
    """Which kernels of a convolution are faster as Winograd, and the tile each should have.

    The convolution has stride 1, no dilation, square filters and one group.

    Args:
        channels: of the input.
        filters: how many there are.
        size: (rows, columns) of the output.
        kernel: the length of a filter.
        accuracy: "default": tiles with errors below 1e-6 (root mean square, of the result's);
            "fast": also tiles of 4 x 4, with about twice these, seven times with filters of 5 x 5.
        lanes: how many numbers a vector has.

    Returns:
        The rows and columns of tiles for some of "forward", "input" and "weight".

    Raises:
        ArgumentError: the accuracy is not known.

    >>> worthwhile(64, 64, (32, 32), 3)
    {'forward': (2, 4), 'input': (2, 4), 'weight': (2, 4)}
    >>> worthwhile(3, 64, (32, 32), 3)
    {}
    """
    tiles = [
        tile for tile in tiles_of(accuracy, kernel) if tile[0] <= size[0] and tile[1] <= size[1]
    ]
    best = {}
    for role in ("forward", "input", "weight"):
        inputs, outputs = (filters, channels) if role == "input" else (channels, filters)
        sizes, weight = _Sizes(inputs, outputs, size, kernel, lanes), role == "weight"
        costs = {tile: sizes.winograd(tile, weight=weight) for tile in tiles}
        if costs:
            tile = min(costs, key=costs.__getitem__)
            if costs[tile] <= sizes.direct(weight=weight):
                best[role] = tile
    return best


def tiles_of(accuracy: str, kernel: int) -> tuple[Tile, ...]:
    """The tiles that an accuracy allows for filters of this length.

    Raises:
        ArgumentError: the accuracy is not known.
    """
    if accuracy not in _TILES:
        known = " or ".join(map(repr, _TILES))
        raise ArgumentError(f"accuracy={accuracy!r}, expected {known}")
    return _TILES[accuracy].get(kernel, ())
