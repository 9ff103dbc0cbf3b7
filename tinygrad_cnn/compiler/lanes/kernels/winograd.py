"""Winograd convolution: m x m' outputs of an r x r filter from (m + r - 1)(m' + r - 1) products.

The transforms are plain additions of vectors, since an image is a lane; the products of a chunk
of tiles are one matrix product for each point, between numbers and vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ....errors import ArgumentError
from ..emit import Builder, Index, Module, Value, i32, i64
from ..expression import Expression
from ._tiles import Chunk, Product, Tiles, apart, panel, transform_input, transform_output
from ._transforms import Form, cook_toom, transform
from .conv import operands


@dataclass(frozen=True)
class FilterTransform:
    """U[p][k][c] = (G w[k, c] G')[p], once a step; p counts the points of F(m x m', r x r).

    Turned, for the gradient of the input: U[p][c][k] of the filters turned by 180 degrees.
    Threads share the work by ranges of rows, the k (turned: the c) of U: the pointers are to the
    first ``row`` of a range, and a number in place of the last says how many there are.

    Attributes:
        channels, filters: C and K of the weight (K, C, kernel, kernel), which is contiguous.
        kernel: the length of a filter.
        tile: the rows and columns of a tile of outputs, m x m'.
        turned: whether it is for the gradient of the input.
    """

    channels: int
    filters: int
    kernel: int
    tile: tuple[int, int] = (2, 2)
    turned: bool = False

    def __post_init__(self) -> None:
        check_known(self._form)

    @property
    def pointers(self) -> tuple[str, ...]:
        """What each pointer is."""
        return "weight", "U", "count"

    @property
    def row(self) -> tuple[int, int]:
        """From row to row of the weight and of U, in numbers."""
        taps = self.kernel**2
        return (taps, self.filters) if self.turned else (self.channels * taps, self.channels)

    @property
    def _form(self) -> Form:
        return Form(self.tile, self.kernel)

    @property
    def transformed(self) -> int:
        """How many numbers U has."""
        return self._form.points * self.channels * self.filters

    def emit(self, module: Module, name: str) -> None:
        """Write the function."""
        module.kernel(name, 3, self._body)

    def _body(self, builder: Builder, weight: Value, u: Value, count: Value) -> None:
        taps = self.kernel**2
        columns, stride = (
            (self.filters, self.channels * taps) if self.turned else (self.channels, taps)
        )

        def row(i: Value, _: list[Value]) -> None:
            def pairs(j: Value, size: int) -> None:
                source = builder.at(weight, [(i, self.row[0]), (j, stride)])
                to = builder.at(u, [(i, self.row[1]), (j, 1)])
                self._pairs(builder, source, stride, to, size)

            builder.tiles(columns, builder.lanes, pairs)

        builder.loop(0, builder.ir.ptrtoint(count, i64), row)

    def _pairs(self, builder: Builder, source: Value, stride: int, to: Value, size: int) -> None:
        """Up to as many filters as there are lanes, whose first taps are ``stride`` apart."""
        r = self.kernel
        taps = [
            _gather(builder, source, [lane * stride + tap for lane in range(size)])
            for tap in range(r * r)
        ]
        if self.turned:
            taps.reverse()
        g = [taps[i * r : (i + 1) * r] for i in range(r)]
        made = transform(builder, self._form.filter, g)
        for p, value in enumerate(value for row in made for value in row):
            at = p * self.channels * self.filters
            if size == builder.lanes:
                builder.store(value, to, at, aligned=False)
                continue
            for lane in range(size):
                builder.store_number(builder.ir.extract_element(value, i32(lane)), to, at + lane)


def _gather(builder: Builder, pointer: Value, indices: list[int]) -> Value:
    """A vector of numbers from here and there; the lanes beyond them are zero."""
    vector = builder.zero
    for lane, index in enumerate(indices):
        number = builder.load_number(pointer, index)
        vector = builder.ir.insert_element(vector, number, i32(lane))
    return vector


@dataclass(frozen=True)
class WinogradConvolution:
    """y[k, oh, ow] = sum over c, i, j of w[k, c, i, j] x[c, oh + i, ow + j].

    As ``Convolution``, with the filters in U (``FilterTransform``). With dy in place of x, turned
    filters, channels and filters exchanged, it is the gradient of the input.

    Attributes:
        channels, filters: C and K.
        kernel: the length of a filter.
        size: of the output, (OH, OW), at least a tile.
        x: its strides (channel, row, column).
        epilogue: what is done with each sum, its value 0, at (k, oh, ow).
        lanes: how many numbers a vector has.
        tile: the rows and columns of a tile of outputs, m x m'.
    """

    channels: int
    filters: int
    kernel: int
    size: tuple[int, int]
    x: tuple[int, int, int]
    epilogue: Expression
    lanes: int
    tile: tuple[int, int] = (2, 2)

    def __post_init__(self) -> None:
        check(self._form, self.size)

    @property
    def pointers(self) -> tuple[str, ...]:
        """What each pointer is."""
        return "x", "U", "scratch", *operands(self.epilogue)

    @property
    def scratch(self) -> int:
        """How many numbers it needs for transformed inputs and products."""
        return self._form.points * (self._input_stride + self._output_stride)

    @property
    def _form(self) -> Form:
        return Form(self.tile, self.kernel)

    @property
    def _tiles(self) -> Tiles:
        return Tiles.of(self._form, self.size, self.channels + self.filters)

    @property
    def _input_stride(self) -> int:
        return apart(self.channels * -(-self._tiles.most // 4) * 4 * self.lanes)

    @property
    def _output_stride(self) -> int:
        return apart(self.filters * self._tiles.most * self.lanes)

    def emit(self, module: Module, name: str) -> None:
        """Write the function."""
        check_lanes(module, self.lanes)

        def body(builder: Builder, x: Value, u: Value, v: Value, *others: Value) -> None:
            products = builder.at(v, self._form.points * self._input_stride)

            def chunk(chunk: Chunk) -> None:
                self._input(builder, chunk, x, v)
                builder.ir.call(self._product(module, name, chunk.total), [u, v, products])
                self._output(builder, chunk, products, others)

            self._tiles.chunks(builder, chunk)

        module.kernel(name, len(self.pointers), body)

    def _input(self, builder: Builder, chunk: Chunk, x: Value, v: Value) -> None:
        width = panel(builder.module.registers)

        def place(c: Value, number: Value) -> Index:
            """In panels of tiles, as ``Product`` reads them."""
            which = builder.ir.udiv(number, builder.index(width))
            within = builder.ir.urem(number, builder.index(width))
            lanes = self.lanes
            return [(which, self.channels * width * lanes), (c, width * lanes), (within, lanes)]

        to = v, self._input_stride, place
        transform_input(builder, self._form, chunk, self.channels, (x, self.x), to)

    def _product(self, module: Module, name: str, tiles: int) -> Value:
        product = Product(
            self._form.points,
            self.filters,
            self.channels,
            tiles,
            panel(module.registers),
            a=(self.filters * self.channels, self.channels),
            b=self._input_stride,
            out=(self._output_stride, tiles * self.lanes),
        )
        return product.function(module, f"{name}.product{tiles}")

    def _output(
        self, builder: Builder, chunk: Chunk, products: Value, others: Sequence[Value]
    ) -> None:
        def tile(k: Value, number: Value, at: tuple[Value, Value], pixel: list[Value]) -> None:
            here = builder.at(products, [(k, chunk.total * self.lanes), (number, self.lanes)])
            place, made = (k, at, pixel), (here, self._output_stride)
            end = self.epilogue, others
            transform_output(builder, self._form, self._tiles, place, made, end)

        def output(k: Value, _: list[Value]) -> None:
            chunk.each(builder, lambda number, at, pixel: tile(k, number, at, pixel))

        builder.loop(0, self.filters, output)


def check_known(form: Form) -> None:
    """There are transforms for this form.

    Raises:
        ArgumentError: there are not.
    """
    for length in form.tile:
        cook_toom(length, form.kernel)


def check(form: Form, size: tuple[int, int]) -> None:
    """A Winograd kernel of this form can be made for an output of this size.

    Raises:
        ArgumentError: it can't.
    """
    check_known(form)
    if size[0] < form.tile[0] or size[1] < form.tile[1]:
        raise ArgumentError(
            f"Winograd: an output of {size} is smaller than a tile of {form.tile};"
            " use the direct kernel"
        )


def check_lanes(module: Module, lanes: int) -> None:
    """The kernel was made for the vectors of this module.

    Raises:
        ArgumentError: it was not.
    """
    if lanes != module.lanes:
        raise ArgumentError(f"the kernel has {lanes} lanes, the machine {module.lanes}")
