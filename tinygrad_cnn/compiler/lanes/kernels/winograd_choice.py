"""Where Winograd beats the direct kernels, by a model of costs that was fitted to measurements."""

from __future__ import annotations

from typing import NamedTuple

from ....errors import ArgumentError
from ._tiles import Tiles

# Of each kernel the tiles that an accuracy allows. Tiles of 2 x 2 have rounding errors of the size
# that PyTorch's convolutions have: root mean squares of 2e-7 to 3e-7 for 3 x 3, 5e-7 to 8e-7 for
# 5 x 5 (tests/compiler/lanes/test_winograd.py holds them to that).
_TILES: dict[str, dict[int, tuple[int, ...]]] = {
    "default": {3: (2,), 5: (2,)},
    "fast": {3: (2, 4), 5: (2, 4)},
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

    def winograd(self, m: int, *, weight: bool) -> float:
        """Products, transforms of inputs and of outputs, and reading the filters in each chunk."""
        n = m + self.kernel - 1
        if weight:
            filters = -(-self.filters // self.lanes) * self.lanes
            products, output = self.channels * filters, (2.0 * n - 1) * filters
        else:
            # A sum in registers takes about three products to begin and to end.
            filters = self.filters
            products, output = (self.channels + 3) * filters, (1.5 * n - 3) * filters
        once = self.channels * filters
        chunk = Tiles.of(m, self.kernel, self.size, self.channels + self.filters).most
        reading = 3 * once / chunk if n * n * once >= _LARGE else 0
        height, width = self.size
        tiles = -(-height // m) * -(-width // m)
        a_point = products + (3 * n - 8) * self.channels + output + reading
        return a_point * n * n * tiles / (height * width)


def worthwhile(
    channels: int,
    filters: int,
    size: tuple[int, int],
    kernel: int,
    accuracy: str = "default",
    lanes: int = 8,
) -> dict[str, int]:
    """Which kernels of a convolution are faster as Winograd, and the tile each should have.

    The convolution has stride 1, no dilation, square filters and one group.

    Args:
        channels: of the input.
        filters: how many there are.
        size: (rows, columns) of the output.
        kernel: the length of a filter.
        accuracy: "default": tiles of 2 x 2, with errors like those of direct kernels;
            "fast": about three times as large, seven times with filters of 5 x 5.
        lanes: how many numbers a vector has.

    Returns:
        Tile lengths for some of "forward", "input" and "weight".

    Raises:
        ArgumentError: the accuracy is not known.

    >>> worthwhile(64, 64, (32, 32), 3)
    {'forward': 2, 'input': 2, 'weight': 2}
    >>> worthwhile(3, 64, (32, 32), 3)
    {}
    """
    if accuracy not in _TILES:
        known = " or ".join(map(repr, _TILES))
        raise ArgumentError(f"worthwhile: accuracy={accuracy!r}, expected {known}")
    tiles = [m for m in _TILES[accuracy].get(kernel, ()) if m <= min(size)]
    best = {}
    for role in ("forward", "input", "weight"):
        inputs, outputs = (filters, channels) if role == "input" else (channels, filters)
        sizes, weight = _Sizes(inputs, outputs, size, kernel, lanes), role == "weight"
        costs = {m: sizes.winograd(m, weight=weight) for m in tiles}
        if costs:
            m = min(costs, key=costs.__getitem__)
            if costs[m] <= sizes.direct(weight=weight):
                best[role] = m
    return best
