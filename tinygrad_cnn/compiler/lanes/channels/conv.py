"""Convolution of one image, whose lanes are filters."""

from __future__ import annotations

from dataclasses import dataclass

from ..emit import Builder, Module, Value
from ..expression import Expression
from ..kernels.conv import Filters, operands
from ..kernels.correlation import Axis, Correlation, Terms


@dataclass(frozen=True)
class _Convolution:
    """What the two kernels share.

    Attributes:
        filters: the convolution; of its channels those that a filter sees.
        blocks: how many vectors of filters are computed.
        size: rows and columns of the output.
        x: strides of (channel, row, column); its pointer is at the first padded element.
        epilogue: over the axes (block, h, w); it is given the sums.
        rows: (first, how many) of the rows of x that are not padding with zeros.
    """

    filters: Filters
    blocks: int
    size: tuple[int, int]
    x: tuple[int, int, int]
    epilogue: Expression
    rows: tuple[int, int]

    @property
    def pointers(self) -> tuple[str, ...]:
        """The operands, then the epilogue's."""
        return ("x", "weight", *operands(self.epilogue))

    def _axes(self, lanes: int) -> tuple[Axis, Axis]:
        (rows, columns), f = self.size, self.filters
        return f.axis(0, rows, self.rows, lanes), f.axis(1, columns, width=lanes)

    def _emit(self, b: Builder, sums: Correlation, pointers: tuple[Value, ...], n: Value) -> None:
        """The code of some blocks, from the ``n``-th on."""
        x, weight, *others = pointers

        def finish(k: Terms, h: Terms, w: Terms, acc: Value) -> None:
            self.epilogue.emit(b, ([(n, 1), *k], h, w), others, [acc])

        sums.emit(b, b.at(x, [(self.rows[0], self.x[1])]), weight, finish)


@dataclass(frozen=True)
class ChannelConvolution(_Convolution):
    """The sum over channels, each of which is a number for all filters.

    The weights lie as (block, channel, row, column, lane).

    Attributes:
        near: how many channels of x lie side by side: as many as there are lanes, or 1.
        first: of such channels the one that comes first.
    """

    near: int = 1
    first: int = 0

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""
        f, lanes = self.filters, module.lanes
        rows, columns = self._axes(lanes)
        weight = f.channels * f.taps * lanes, f.taps * lanes
        sums = Correlation(
            self.blocks, f.channels, rows, columns, self.x, weight,
            (False, True), self.near, self.first,
        )  # fmt: skip
        module.kernel(
            name, len(self.pointers), lambda b, *pointers: self._emit(b, sums, pointers, 0)
        )


@dataclass(frozen=True)
class DepthwiseConvolution(_Convolution):
    """One filter for each channel: lanes are channels and filters alike.

    The weights lie as (block, row, column, lane), and channels of x are vectors.
    """

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""
        taps, lanes = self.filters.taps, module.lanes
        rows, columns = self._axes(lanes)
        weight = 0, 0
        sums = Correlation(1, 1, rows, columns, self.x, weight, (True, True))

        def body(b: Builder, x: Value, weight: Value, *others: Value) -> None:
            def block(n: Value) -> None:
                here = b.at(x, [(n, self.x[0])]), b.at(weight, [(n, taps * lanes)])
                self._emit(b, sums, (*here, *others), n)

            b.loop(0, self.blocks, lambda n, _: block(n))

        module.kernel(name, len(self.pointers), body)
