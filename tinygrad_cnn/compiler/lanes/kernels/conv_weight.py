"""The gradient of a convolution's weights, summed over a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

from ..emit import Builder, Module, Value, i32
from .conv import Filters
from .correlation import Range, best_tile, cost, outer_product

# What a strip of rows may take of the first cache, in bytes.
STRIP = 24 * 1024


@dataclass(frozen=True)
class WeightGradient:
    """Add one block's part of the gradient of a convolution's weights.

    sums[k, c, i, j] += the sum over h, w and lanes of
    gradient[k, h, w] x[c, h stride + i dilation, w stride + j dilation]

    Some taps of some filters have their sums in registers while the rows of a strip pass; the
    lanes are added up at its end. A strip is small enough that the gradients of these filters
    stay in the first cache for all channels.

    Attributes:
        filters: the convolution.
        size: rows and columns of its output.
        x: strides of (channel, row, column); its pointer is at the first padded element.
        gradient: strides of (filter, row, column); its pointer is at the first element of the
            gradient itself.
    """

    filters: Filters
    size: tuple[int, int]
    x: tuple[int, int, int]
    gradient: tuple[int, int, int]

    @property
    def pointers(self) -> tuple[str, ...]:
        """The operands, and an array like the weights."""
        return ("x", "gradient", "sums")

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""
        f, rows = self.filters, self.size[0]
        channels, filters, taps = self._tile(module.registers)
        found = self._taps(channels)
        chunks = [found[n : n + taps] for n in range(0, len(found), taps)]
        line = self.size[1] * module.lanes * module.itemsize
        most = max(1, STRIP // (line * (filters + channels * f.stride[0] * f.stride[1])))
        strip = -(-rows // -(-rows // most))  # as even as can be

        def body(b: Builder, x: Value, g: Value, sums: Value) -> None:
            def some_filters(n: Value, k: Value, count: int) -> None:
                g_in = b.at(g, [(n, f.filters * self.gradient[0]), (k, self.gradient[0])])
                x_in = b.at(x, [(n, f.channels * self.x[0])])
                sums_in = b.at(sums, [(n, f.filters * f.weight[0]), (k, f.weight[0])])

                def some_channels(c: Value, passing: Range) -> None:
                    at = b.at(x_in, [(c, self.x[0])]), g_in, b.at(sums_in, [(c, f.weight[1])])
                    for chunk in chunks:
                        self._chunk(b, at, passing, chunk, count)

                def some_rows(first: Value) -> None:
                    end = b.index([(first, 1), (strip, 1)])
                    whole = b.ir.icmp_signed("<", end, b.index(rows))
                    passing = first, b.ir.select(whole, end, b.index(rows))
                    b.loop(0, f.channels, lambda c, _: some_channels(c, passing), step=channels)

                b.loop(0, rows, lambda first, _: some_rows(first), step=strip)

            def group(n: Value) -> None:
                b.tiles(f.filters, filters, partial(some_filters, n))

            b.loop(0, f.groups, lambda n, _: group(n))

        module.kernel(name, len(self.pointers), body)

    def _tile(self, registers: int) -> tuple[int, int, int]:
        """How many channels are passed over at once; how many filters and taps at a time."""
        f = self.filters

        def tile(channels: int) -> tuple[int, ...]:
            return best_tile(registers, f.filters, channels * f.taps)

        def cost_of_channel(channels: int) -> list[float]:
            sizes = f.filters, channels * f.taps
            return [each / channels for each in cost(sizes, tile(channels))]

        # Kernels of few taps have too few sums to be busy with one channel.
        choices = range(1, max(1, registers // f.taps) + 1)
        channels = min((n for n in choices if f.channels % n == 0), key=cost_of_channel)
        filters, taps = tile(channels)
        return channels, filters, taps

    def _taps(self, channels: int) -> list[tuple[int, int]]:
        """Of all taps of some channels, where they read x and where their weights are."""
        f = self.filters
        i_step, j_step = f.steps
        _, x_h, x_w = self.x
        return [
            (
                c * self.x[0] + i * f.dilation[0] * x_h + j * f.dilation[1] * x_w,
                c * f.weight[1] + i * i_step + j * j_step,
            )
            for c, i, j in product(range(channels), *map(range, f.kernel))
        ]

    def _chunk(
        self,
        b: Builder,
        pointers: tuple[Value, Value, Value],
        rows: Range,
        taps: Sequence[tuple[int, int]],
        filters: int,
    ) -> None:
        """Add the products of some filters' gradients and some taps, over rows and lanes."""
        x, g, sums = pointers
        stride, weight = self.filters.stride, self.filters.weight[0]
        k, h, w = self.gradient

        def row(r: Value, acc: list[Value]) -> list[Value]:
            x_in, g_in = b.at(x, [(r, stride[0] * self.x[1])]), b.at(g, [(r, h)])

            def pixel(q: Value, acc: list[Value]) -> list[Value]:
                at, g_at = (q, stride[1] * self.x[2]), (q, w)
                return outer_product(
                    b,
                    [partial(b.load, g_in, [g_at, (n, k)]) for n in range(filters)],
                    [partial(b.load, x_in, [at, (read, 1)]) for read, _ in taps],
                    acc,
                )

            return b.loop(0, self.size[1], pixel, acc)

        acc = b.loop(*rows, row, [b.zero] * (filters * len(taps)))
        places = [n * weight + place for n in range(filters) for _, place in taps]
        for first in range(0, len(acc), b.lanes):
            part = b.lane_sums(acc[first : first + b.lanes])
            for lane, place in enumerate(places[first : first + b.lanes]):
                total = b.ir.fadd(b.load_number(sums, place), b.ir.extract_element(part, i32(lane)))
                b.store_number(total, sums, place)
