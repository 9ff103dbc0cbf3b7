"""Pooling of one block, and its gradient: the largest element or the mean of every window.

Nothing is read beyond the pixels: what lies around them in a buffer may be anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeVar

from llvmlite import ir

from ..emit import Builder, Index, Module, Value, i8, i32
from ..expression import Expression, Place
from .conv import operands
from .windows import Places, Plane, Tap, Windows, met_by

T = TypeVar("T")


@dataclass(frozen=True)
class _Pool:
    """What the pools and their gradients share.

    Attributes:
        channels: how many planes there are.
        rows, columns: the windows along the two axes of a plane.
        source: where the pixels are, or the gradients of the results: (channel, row, column).
        epilogue: takes the result as its value 0; for a pool over (channel, row, column) of the
            windows, for a gradient of the pixels.
    """

    channels: int
    rows: Windows
    columns: Windows
    source: Place
    epilogue: Expression

    @property
    def _seen(self) -> Plane:
        return Plane(self.channels, self.rows.seen(), self.columns.seen())

    @property
    def _covering(self) -> Plane:
        return Plane(self.channels, self.rows.covering(), self.columns.covering())

    def _finish(
        self, b: Builder, c: Value, place: Places, pointers: Sequence[Value], result: Value
    ) -> None:
        self.epilogue.emit(b, [c, place[0].at, place[1].at], pointers, [result])


# -- the largest element -------------------------------------------------------------------


@dataclass(frozen=True)
class _Switched(_Pool):
    """A pool with switches: for each result the number of the tap that won, one for each image.

    They lie as (channels, windows, windows, lanes), in bytes where a window has at most 256 taps.
    """

    @property
    def _switch(self) -> ir.IntType:
        taps = self.rows.taps * self.columns.taps
        return i8 if taps <= 1 << 8 else ir.IntType(16) if taps <= 1 << 16 else i32

    def switch_numbers(self, lanes: int, itemsize: int) -> int:
        """The size of the switches, counted in numbers of ``itemsize`` bytes."""
        count = self.channels * self.rows.outputs * self.columns.outputs * lanes
        size: int = self._switch.width // 8
        return -(-count * size // itemsize)

    def _switch_at(self, b: Builder, switches: Value, c: Value, window: Sequence[Index]) -> Value:
        """Where a window's switches are."""
        strides = self.rows.outputs * self.columns.outputs * b.lanes, self.columns.outputs * b.lanes
        place = Place((*strides, b.lanes)).offset_at([c, *window])
        bytes_ = b.ir.bitcast(switches, self._switch.as_pointer())
        return b.ir.bitcast(
            b.ir.gep(bytes_, [b.index(place)]), ir.VectorType(self._switch, b.lanes).as_pointer()
        )

    def _tap(self, b: Builder, place: Places, i: Tap, j: Tap) -> Value:
        """The number of a tap in all lanes."""
        row, column = (axis.tap(n) for axis, n in zip(place, (i, j), strict=True))
        number = b.index([(v, f * self.columns.taps) for v, f in row] + column)
        kind = ir.VectorType(b.module.integer, b.lanes)
        if isinstance(number, ir.Constant):
            return ir.Constant(kind, [number.constant] * b.lanes)
        if b.module.integer != number.type:
            number = b.ir.trunc(number, b.module.integer)
        undefined = ir.Constant(kind, ir.Undefined)
        first = b.ir.insert_element(undefined, number, i32(0))
        return b.shuffle(first, undefined, [0] * b.lanes)


@dataclass(frozen=True)
class MaxPool(_Switched):
    """The largest pixel of every window: of equals the first, row by row; NaN beats all others.

    A window that sees no pixel has -inf.

    Attributes:
        switches: whether to write who won, for the gradient.
    """

    switches: bool = True

    @property
    def pointers(self) -> tuple[str, ...]:
        """The pixels, what is written for the gradient, then those of the epilogue."""
        switches = ("switches",) if self.switches else ()
        return ("x", *switches, *operands(self.epilogue))

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""
        plane = self._seen

        def body(b: Builder, x: Value, *others: Value) -> None:
            def window(c: Value, place: Places) -> None:
                value, switch = self._largest(b, plane, x, c, place)
                if self.switches:
                    wide = b.ir.bitcast(switch, ir.VectorType(b.module.integer, b.lanes))
                    narrow = b.ir.trunc(wide, ir.VectorType(self._switch, b.lanes))
                    at = self._switch_at(b, others[0], c, [axis.at for axis in place])
                    b.ir.store(narrow, at, align=self._switch.width // 8)
                self._finish(b, c, place, others[self.switches :], value)

            plane.emit(b, lambda c, places: window(c, places[0]))

        module.kernel(name, len(self.pointers), body)

    def _largest(self, b: Builder, plane: Plane, x: Value, c: Value, place: Places) -> list[Value]:
        """The largest pixel of a window and, with the bits of an integer, the number of its tap."""

        def tap(i: Tap, j: Tap) -> Value:
            # Were it no floating-point number, LLVM would narrow it at every tap, not at the end.
            return b.ir.bitcast(self._tap(b, place, i, j), b.vector)

        def pixel(i: Tap, j: Tap) -> Value:
            return b.load(x, self.source.offset_at([c, *met_by(place, i, j)]))

        def against(i: Tap, j: Tap, best: list[Value]) -> list[Value]:
            if i == j == 0:
                return best
            challenger, (value, switch) = pixel(i, j), best
            # Greater, or NaN where there was none.
            wins = b.ir.and_(
                b.ir.fcmp_unordered(">", challenger, value), b.ir.fcmp_ordered("ord", value, value)
            )
            return [b.ir.select(wins, challenger, value), b.ir.select(wins, tap(i, j), switch)]

        if not all(axis.taps.number for axis in place):
            return [b.splat(float("-inf")), tap(0, 0)]
        return plane.taps(b, place, against, [pixel(0, 0), tap(0, 0)])


@dataclass(frozen=True)
class MaxPoolGradient(_Switched):
    """To each pixel the gradients of the windows that it won; a pixel is written once."""

    @property
    def pointers(self) -> tuple[str, ...]:
        """The gradients of the results, who won, then those of the epilogue."""
        return ("g", "switches", *operands(self.epilogue))

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""
        plane = self._covering

        def body(b: Builder, g: Value, switches: Value, *others: Value) -> None:
            def window(c: Value, row: Index, column: Index) -> tuple[Value, Value]:
                narrow = b.ir.load(
                    self._switch_at(b, switches, c, [row, column]), align=self._switch.width // 8
                )
                wide = b.ir.zext(narrow, ir.VectorType(b.module.integer, b.lanes))
                return b.load(g, self.source.offset_at([c, row, column])), wide

            def tile(c: Value, places: list[Places]) -> None:
                met = _once(partial(window, c))

                def won(place: Places, i: Tap, j: Tap) -> Value:
                    given, switch = met(place, i, j)
                    hit = b.ir.icmp_signed("==", switch, self._tap(b, place, i, j))
                    return b.ir.select(hit, given, b.zero)

                for place in places:
                    self._finish(b, c, place, others, plane.total(b, place, partial(won, place)))

            plane.emit(b, tile)

        module.kernel(name, len(self.pointers), body)


# -- the mean ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Mean(_Pool):
    """A pool whose window's sum is divided by a number of the row times one of the column.

    Attributes:
        divisors: for each window of the rows and of the columns.
    """

    divisors: tuple[tuple[float, ...], tuple[float, ...]]

    @property
    def pointers(self) -> tuple[str, ...]:
        """What is read, then the pointers of the epilogue."""
        return ("source", *operands(self.epilogue))

    @property
    def _common(self) -> float | None:
        """The divisor, if all windows have the same."""
        rows, columns = map(set, self.divisors)
        return rows.pop() * columns.pop() if len(rows) == len(columns) == 1 else None

    def _divide(self, b: Builder, value: Value, tables: Sequence[Value], *window: Index) -> Value:
        """What a window's result or gradient is, divided by its own divisor."""
        rows, columns = (
            b.load_number(table, index) for table, index in zip(tables, window, strict=True)
        )
        return b.ir.fdiv(value, b.broadcast(b.ir.fmul(rows, columns)))

    def _tables(self, module: Module, name: str) -> list[Value]:
        """The divisors as constant arrays."""
        return [
            _constant(module, f"{name}.{axis}", numbers)
            for axis, numbers in zip(("rows", "columns"), self.divisors, strict=True)
        ]


@dataclass(frozen=True)
class AveragePool(_Mean):
    """The mean of every window."""

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""
        plane, common = self._seen, self._common
        tables = [] if common else self._tables(module, name)

        def body(b: Builder, x: Value, *others: Value) -> None:
            def window(c: Value, place: Places) -> None:
                def pixel(i: Tap, j: Tap) -> Value:
                    return b.load(x, self.source.offset_at([c, *met_by(place, i, j)]))

                total = plane.total(b, place, pixel)
                if common:
                    mean = b.ir.fdiv(total, b.splat(common))
                else:
                    mean = self._divide(b, total, tables, place[0].at, place[1].at)
                self._finish(b, c, place, others, mean)

            plane.emit(b, lambda c, places: window(c, places[0]))

        module.kernel(name, len(self.pointers), body)


@dataclass(frozen=True)
class AveragePoolGradient(_Mean):
    """To each pixel its share of the gradients of the windows that cover it."""

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""
        plane, common = self._covering, self._common
        tables = [] if common else self._tables(module, name)

        def body(b: Builder, g: Value, *others: Value) -> None:
            def share(c: Value, row: Index, column: Index) -> Value:
                given = b.load(g, self.source.offset_at([c, row, column]))
                return given if common else self._divide(b, given, tables, row, column)

            def tile(c: Value, places: list[Places]) -> None:
                met = _once(partial(share, c))
                for place in places:
                    total = plane.total(b, place, partial(met, place))
                    mean = b.ir.fdiv(total, b.splat(common)) if common else total
                    self._finish(b, c, place, others, mean)

            plane.emit(b, tile)

        module.kernel(name, len(self.pointers), body)


def _once(window: Callable[[Index, Index], T]) -> Callable[[Places, Tap, Tap], T]:
    """What ``window`` loads for the window at a tap of a pixel, once for all pixels of a tile."""
    known = cache(lambda row, column: window([*row], [*column]))

    def met(place: Places, i: Tap, j: Tap) -> T:
        return known(tuple(place[0].other(i)), tuple(place[1].other(j)))

    return met


def _constant(module: Module, name: str, numbers: Sequence[float]) -> Value:
    """A pointer to numbers that are part of the code."""
    kind = ir.ArrayType(module.real, len(numbers))
    table = ir.GlobalVariable(module.module, kind, name)
    table.linkage, table.global_constant = "internal", True
    table.initializer = ir.Constant(kind, [float(n) for n in numbers])
    return table.bitcast(module.real.as_pointer())
