"""Which pixels the windows of a pool see along one axis, and which windows cover a pixel.

Both are lists of runs: tiles in a row that differ by constant steps alone, so that each run is one
loop. What lies at a border, where windows reach beyond the image, are runs of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import product
from typing import NamedTuple, TypeAlias

from ..emit import Builder, Index, Value

# The pairs of a tap and a pixel that are written out in one kernel; where there are more, the
# taps are loops.
WRITTEN_OUT = 128


class Taps(NamedTuple):
    """The taps that one place meets: ``number`` of them, in constant steps.

    Attributes:
        place: of the window or the pixel, within its tile.
        tap, tap_step: the first tap's number, and what each further one adds.
        other, other_step: the same for the pixel, or the window, that is met there.
    """

    place: int
    number: int
    tap: int = 0
    tap_step: int = 0
    other: int = 0
    other_step: int = 0


class Run(NamedTuple):
    """Tiles that differ by constant steps alone.

    Attributes:
        start, stop: the numbers of the first tile and of the first behind the run.
        tile: what each tile adds to the place, ``tap`` and ``other`` to those of its taps.
        parts: the places of a tile.
    """

    start: int
    stop: int
    tile: int
    tap: int
    other: int
    parts: tuple[Taps, ...]


class Windows(NamedTuple):
    """The windows of a pool along one axis: tap i of window o sees o stride - before + i dilation.

    Attributes:
        size: the pixels.
        outputs: the windows.
        taps: of a window; those beyond the pixels count for nothing.
        before: the padding in front of the first pixel.
    """

    size: int
    outputs: int
    taps: int
    stride: int = 1
    dilation: int = 1
    before: int = 0

    def seen(self) -> list[Run]:
        """For each window its taps and pixels."""
        tiles = []
        for o in range(self.outputs):
            start = o * self.stride - self.before
            met = [
                (i, start + i * self.dilation)
                for i in range(self.taps)
                if 0 <= start + i * self.dilation < self.size
            ]
            tiles.append([(0, met)])
        return _runs(tiles, (1, 0, self.stride))

    def covering(self) -> list[Run]:
        """For each pixel the taps and windows that cover it, in tiles that repeat."""
        # One window alone moves its tap from tile to tile, several move their window.
        step, *moves = (self.dilation, 1, 0) if self.outputs == 1 else (self.stride, 0, 1)
        tiles = []
        for q in range(-(-(self.size + self.before) // step)):
            places = (p - self.before for p in range(step))
            tiles.append(
                [(p, self._cover(q * step + p)) for p in places if 0 <= q * step + p < self.size]
            )
        return _runs(tiles, (step, *moves))

    def _cover(self, pixel: int) -> list[tuple[int, int]]:
        reach = (self.taps - 1) * self.dilation
        last = min((pixel + self.before) // self.stride, self.outputs - 1)
        first = max(-((reach - pixel - self.before) // self.stride), 0)
        found = []
        for o in range(last, first - 1, -1):
            tap, rest = divmod(pixel + self.before - o * self.stride, self.dilation)
            if not rest:
                found.append((tap, o))
        return found


def _runs(
    tiles: Iterable[Sequence[tuple[int, list[tuple[int, int]]]]], step: tuple[int, ...]
) -> list[Run]:
    """Tiles of (place, its pairs of a tap and another), those alike but for steps joined."""
    runs: list[Run] = []
    tile, tap, other = step
    for q, places in enumerate(tiles):
        parts = tuple(_taps(place, met, q * tap, q * other) for place, met in places)
        if runs and runs[-1].parts == parts:
            runs[-1] = runs[-1]._replace(stop=q + 1)
        elif parts:
            runs.append(Run(q, q + 1, tile, tap, other, parts))
    return runs


def _taps(place: int, met: list[tuple[int, int]], tap: int, other: int) -> Taps:
    if not met:
        return Taps(place, 0)
    (first, at), (second, then) = met[0], met[min(1, len(met) - 1)]
    return Taps(place, len(met), first - tap, second - first, at - other, then - at)


class Meeting(NamedTuple):
    """One place of an axis and its taps, where code is emitted for it: tile ``q`` of a run."""

    q: Value
    run: Run
    taps: Taps

    @property
    def at(self) -> Index:
        """The index of the place."""
        return [(self.q, self.run.tile), (self.taps.place, 1)]

    def tap(self, number: int | Value) -> list[tuple[int | Value, int]]:
        """The tap of this number among those met."""
        taps = self.taps
        return [(self.q, self.run.tap), (number, taps.tap_step), (taps.tap, 1)]

    def other(self, number: int | Value) -> list[tuple[int | Value, int]]:
        """The index of what it meets."""
        taps = self.taps
        if isinstance(number, int):
            return [(self.q, self.run.other), (taps.other + number * taps.other_step, 1)]
        return [(self.q, self.run.other), (number, taps.other_step), (taps.other, 1)]


Places: TypeAlias = tuple[Meeting, Meeting]  # of a row and of a column
Tap: TypeAlias = "int | Value"  # the number of a tap among those met


def met_by(place: Places, i: Tap, j: Tap) -> list[Index]:
    """What a place meets at a tap of its row and one of its column."""
    return [place[0].other(i), place[1].other(j)]


class Plane(NamedTuple):
    """The runs of rows and of columns, and the code for all places of all channels."""

    channels: int
    rows: list[Run]
    columns: list[Run]

    @property
    def written_out(self) -> bool:
        """Whether the taps are few enough to do without loops."""
        rows, columns = (
            sum(part.number for run in axis for part in run.parts)
            for axis in (self.rows, self.columns)
        )
        return rows * columns <= WRITTEN_OUT

    def emit(self, b: Builder, tile: Callable[[Value, list[Places]], object]) -> None:
        """``tile(c, places)`` for each tile of places, row by row."""

        def window(c: Value, row: Run, column: Run, h: Value, w: Value) -> None:
            parts = product(row.parts, column.parts)
            tile(c, [(Meeting(h, row, i), Meeting(w, column, j)) for i, j in parts])

        def columns(c: Value, row: Run, h: Value) -> None:
            for column in self.columns:
                _each(b, column, partial(window, c, row, column, h))

        def channel(c: Value) -> None:
            for row in self.rows:
                _each(b, row, partial(columns, c, row))

        b.loop(0, self.channels, lambda c, _: channel(c))

    def taps(
        self,
        b: Builder,
        place: Places,
        body: Callable[[Tap, Tap, list[Value]], list[Value]],
        carry: list[Value],
    ) -> list[Value]:
        """``carry = body(i, j, carry)`` for the taps of a place, row by row."""
        rows, columns = (axis.taps.number for axis in place)
        if self.written_out:
            for i in range(rows):
                for j in range(columns):
                    carry = body(i, j, carry)
            return carry
        return b.loop(
            0,
            rows,
            lambda i, outer: b.loop(0, columns, lambda j, inner: body(i, j, inner), outer),
            carry,
        )

    def total(self, b: Builder, place: Places, term: Callable[[Tap, Tap], Value]) -> Value:
        """The sum of ``term(i, j)`` for the taps of a place; 0 where it has none."""
        if not all(axis.taps.number for axis in place):
            return b.zero
        start = b.splat(-0.0)  # which, other than 0, LLVM takes out of a sum

        def add(i: Tap, j: Tap, total: list[Value]) -> list[Value]:
            return [b.ir.fadd(total[0], term(i, j))]

        return self.taps(b, place, add, [start])[0]


def _each(b: Builder, run: Run, body: Callable[[Value], object]) -> None:
    def once(q: Value, _: list[Value]) -> None:
        body(q)

    b.loop(run.start, run.stop, once)
