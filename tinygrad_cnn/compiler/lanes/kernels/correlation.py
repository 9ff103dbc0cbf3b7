"""Sums of products of filters and images: what a convolution and its input's gradient share.

The numbers of a tile of outputs, some filters at some pixels, stay in registers: for each channel
and tap the images' vectors and the filters' numbers are loaded once and multiplied all with all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import product
from math import prod
from typing import NamedTuple, TypeAlias

from ..emit import Builder, Value

Terms: TypeAlias = list[tuple[Value, int]]  # an index, as a sum of products
Span: TypeAlias = tuple[Value, int]  # where a tile starts along an axis, and its size
Range: TypeAlias = tuple[Value, Value]  # from, to

# So many taps at most are written out in the body of the loop over channels.
WRITTEN_OUT = 9
# Where more of the tap rows than this meet nothing but zeros, they are left out ...
WORTH_SKIPPING = 0.05
# ... if a tile's weights, in bytes, stay in the first cache while each row passes over them.
RESIDENT = 16 * 1024


class Axis(NamedTuple):
    """How the taps of an axis meet its outputs: tap i of output o reads o stride + first + i step.

    Attributes:
        outputs, taps: how many there are.
        stride, first, step: places in the image.
        weight, weight_step: of the first tap and from tap to tap in the filter, in numbers.
        size: of the image; what is read outside of it is zero.
    """

    outputs: int
    taps: int
    stride: int
    first: int
    step: int
    weight: int
    weight_step: int
    size: int

    @property
    def outside(self) -> float:
        """Which part of the taps meets zeros."""
        starts = range(self.first, self.first + self.outputs * self.stride, self.stride)
        reads = [start + tap * self.step for start in starts for tap in range(self.taps)]
        return sum(not 0 <= read < self.size for read in reads) / max(1, len(reads))

    def inside(self, b: Builder, start: Value, count: int) -> Range:
        """The taps that meet the image from any of ``count`` outputs: one of them at least."""
        if not self.outside:
            return 0, self.taps

        def bounded(value: Value, low: Value, high: Value) -> Value:
            value = b.ir.select(b.ir.icmp_signed("<", value, low), low, value)
            return b.ir.select(b.ir.icmp_signed(">", value, high), high, value)

        def before(place: int, output: int) -> Value:
            """How many taps of an output read what comes before a place in the image."""
            distance = place - self.first - output * self.stride
            ahead = b.index([(start, -self.stride), (distance, 1)])
            ahead = bounded(ahead, b.index(0), b.index(self.taps * self.step))
            return b.ir.udiv(b.index([(ahead, 1), (self.step - 1, 1)]), b.index(self.step))

        low = bounded(before(0, count - 1), b.index(0), b.index(self.taps - 1))
        high = bounded(before(self.size, 0), b.index([(low, 1), (1, 1)]), b.index(self.taps))
        return low, high


class Correlation(NamedTuple):
    """acc[k, h, w] = the sum over c and taps of weight[k, c, tap] x[c, h + …, w + …].

    Attributes:
        filters, channels: how many there are.
        rows, columns: the taps.
        x: strides of (channel, row, column); its pointer is at place (0, 0).
        weight: strides of (filter, channel).
        vectors: which of x and the weights have a vector for each element; the other ones have a
            number. Where the weights have, k counts vectors of filters.
        near: so many channels of x, a power of 2, lie side by side, and its stride is from one
            such group to the next; the sum begins with channel ``first`` of a group.
    """

    filters: int
    channels: int
    rows: Axis
    columns: Axis
    x: tuple[int, int, int]
    weight: tuple[int, int]
    vectors: tuple[bool, bool] = (True, False)
    near: int = 1
    first: int = 0

    def emit(
        self,
        b: Builder,
        x: Value,
        weight: Value,
        finish: Callable[[Terms, Terms, Terms, Value], object],
    ) -> None:
        """``finish(k, h, w, acc)`` takes each sum."""
        taps = self.rows.taps * self.columns.taps
        outputs = self.filters, self.rows.outputs, self.columns.outputs
        k_size, h_size, w_size = best_tile(b.module.registers, *outputs, shared=self.vectors[0])
        width = b.module.itemsize * (b.lanes if self.vectors[1] else 1)
        resident = k_size * self.channels * taps * width <= RESIDENT
        skipping = resident and self.rows.outside > WORTH_SKIPPING
        by_rows = taps > WRITTEN_OUT or skipping

        def tile(h: Span, k: Span, w: Span, tap_rows: Range | None) -> None:
            acc = [b.zero] * (k[1] * h[1] * w[1])
            if taps:
                acc = self._sums(b, x, weight, (k, h, w), tap_rows, acc)
            places = product(_places(k), _places(h), _places(w))
            for place, value in zip(places, acc, strict=True):
                finish(*place, value)

        # A tile's filters stay in the first cache while they pass over a row.
        def row(h: Value, height: int) -> None:
            tap_rows = self.rows.inside(b, h, height) if taps and by_rows else None

            def some_filters(k: Value, count: int) -> None:
                b.tiles(
                    self.columns.outputs,
                    w_size,
                    lambda w, width: tile((h, height), (k, count), (w, width), tap_rows),
                )

            b.tiles(self.filters, k_size, some_filters)

        b.tiles(self.rows.outputs, h_size, row)

    def _sums(
        self,
        b: Builder,
        x: Value,
        weight: Value,
        spans: tuple[Span, Span, Span],
        tap_rows: Range | None,
        acc: list[Value],
    ) -> list[Value]:
        """The sums of a tile, given their first values: a loop over channels in all their taps,
        or over these tap rows in all channels.
        """
        (k, filters), (h, height), (w, width) = spans
        (_, x_h, x_w), (w_k, w_c) = self.x, self.weight
        rows, columns = self.rows, self.columns
        down, across = rows.stride * x_h, columns.stride * x_w
        pixels = [r * down + q * across for r in range(height) for q in range(width)]
        x = b.at(x, [(h, down), (w, across), (rows.first, x_h), (columns.first, x_w)])
        weight = b.at(weight, [(k, w_k), (rows.weight, 1), (columns.weight, 1)])
        load_x, load_weight = (b.load if vectors else b.load_splat for vectors in self.vectors)

        def row(c: Value, i: Value, acc: list[Value]) -> list[Value]:
            x_in = b.at(x, [*self._channel(b, c), (i, rows.step * x_h)])
            w_in = b.at(weight, [(c, w_c), (i, rows.weight_step)])

            def tap(j: Value, acc: list[Value]) -> list[Value]:
                at, w_at = (j, columns.step * x_w), (j, columns.weight_step)
                return outer_product(
                    b,
                    [partial(load_weight, w_in, [w_at, (n, w_k)]) for n in range(filters)],
                    [partial(load_x, x_in, [at, (pixel, 1)]) for pixel in pixels],
                    acc,
                )

            # Written out, numbers that neighbouring taps share would stay in registers, and spill.
            if columns.taps > WRITTEN_OUT or not self.vectors[0]:
                return b.loop(0, columns.taps, tap, acc)
            return _written_out(tap, columns.taps, acc)

        def channels(i: Value, acc: list[Value]) -> list[Value]:
            return b.loop(0, self.channels, lambda c, acc: row(c, i, acc), acc)

        if tap_rows:
            return b.loop(*tap_rows, channels, acc)
        every_row = partial(_written_out, count=rows.taps)
        return b.loop(0, self.channels, lambda c, acc: every_row(partial(row, c), acc=acc), acc)

    def _channel(self, b: Builder, c: Value) -> Terms:
        """Where a channel of x is."""
        if self.near == 1:
            return [(c, self.x[0])]
        c = b.index([(c, 1), (self.first, 1)])
        group = b.ir.lshr(c, b.index(self.near.bit_length() - 1))
        return [(group, self.x[0]), (b.ir.and_(c, b.index(self.near - 1)), 1)]


def _places(span: Span) -> list[Terms]:
    """The index of each element of a tile along one axis."""
    return [[(span[0], 1), (i, 1)] for i in range(span[1])]


def _written_out(
    body: Callable[[int, list[Value]], list[Value]], count: int, acc: list[Value]
) -> list[Value]:
    """A loop without a loop's instructions."""
    for i in range(count):
        acc = body(i, acc)
    return acc


def outer_product(
    b: Builder,
    left: Sequence[Callable[[], Value]],
    right: Sequence[Callable[[], Value]],
    sums: Sequence[Value],
) -> list[Value]:
    """sums[i, j] + left[i] right[j], flat, of operands to be loaded.

    The fewer ones are kept in registers while the others pass.
    """
    made = list(sums)
    kept, passing = (left, right) if len(left) < len(right) else (right, left)
    i_step, j_step = (len(right), 1) if kept is left else (1, len(right))
    held = [load() for load in kept]
    for j, load in enumerate(passing):
        value = load()
        for i, other in enumerate(held):
            n = i * i_step + j * j_step
            made[n] = b.fma(value, other, made[n])
    return made


def cost(sizes: Sequence[int], tile: Sequence[int]) -> tuple[float, int]:
    """Cycles and loads of a step for all outputs, the smaller tiles at the ends included.

    The machine does two multiply-adds and two loads in a cycle, and a multiply-add takes four,
    so that eight sums keep it busy. The filters are the first of the sizes.
    """
    splits = []
    for size, part in zip(sizes, tile, strict=True):
        whole, rest = divmod(size, part)
        splits.append([(part, whole), (rest, 1)] if rest else [(part, whole)])
    cycles, loads = 0.0, 0
    for parts in product(*splits):
        count = prod(count for _, count in parts)
        a, b = parts[0][0], prod(part for part, _ in parts[1:])
        cycles += count * max(a * b / 2, (a + b) / 2, 4)
        loads += count * (a + b)
    return cycles, loads


@cache
def best_tile(registers: int, *sizes: int, shared: bool = False) -> tuple[int, ...]:
    """The tile with the least cost; of equals, that with more filters, then fewer rows.

    Its sums stay in registers, beside the fewer of their operands and one that passes. What is
    ``shared`` by neighbouring taps, the images, is kept in any case: LLVM loads it once.

    >>> best_tile(16, 64, 32, 32, shared=True)
    (6, 1, 2)
    """

    def fits(a: int, b: int) -> bool:
        return a * b + (b if shared else min(a, b)) + 1 < registers

    fitting = (tile for tile in _tiles(registers, sizes) if fits(tile[0], prod(tile[1:])))
    return min(fitting, key=lambda tile: (*cost(sizes, tile), -tile[0], tile[1]))


def _tiles(most: int, sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """All tiles of up to ``most`` sums."""
    if not sizes:
        yield ()
    else:
        for part in range(1, min(most, sizes[0]) + 1):
            yield from ((part, *rest) for rest in _tiles(most // part, sizes[1:]))
