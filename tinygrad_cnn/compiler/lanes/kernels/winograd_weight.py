"""The gradient of the weight of a Winograd convolution.

The adjoint of the forward pass: dU[p] = V[p] dM[p]' with V = B' x B and dM = A dy A', summed over
tiles and images; then dw = G' dU G, once. Each pixel of dy is transposed first, so that output
channels fill the lanes, and the sum over images is one of numbers times vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..emit import Builder, Module, Value, i32, i64
from ._tiles import CHUNK, Chunk, Product, Tiles, apart, panel, transform_input
from ._transforms import Form, transform, transposed
from .winograd import check, check_known, check_lanes


def _vectors(filters: int, lanes: int) -> int:
    return -(-filters // lanes)


@dataclass(frozen=True)
class WinogradWeightGradient:
    """Adds the gradient of one block of images to dU, which is private to a thread.

    dU starts as zeros in each step; ``WinogradWeightUnpack`` makes the gradient of the weight
    from it, and so it does from the sum of the dU of all threads.

    Attributes:
        channels, filters: C and K.
        kernel: the length of a filter.
        size: of dy, (OH, OW), at least a tile.
        x, dy: their strides (channel, row, column).
        lanes: how many numbers a vector has; all of them count.
        tile: the rows and columns of a tile of dy, m x m'.
    """

    channels: int
    filters: int
    kernel: int
    size: tuple[int, int]
    x: tuple[int, int, int]
    dy: tuple[int, int, int]
    lanes: int
    tile: tuple[int, int] = (2, 2)

    def __post_init__(self) -> None:
        check(self._form, self.size)

    @property
    def pointers(self) -> tuple[str, ...]:
        """What each pointer is."""
        return "x", "dy", "dU", "scratch"

    @property
    def sums(self) -> int:
        """How many numbers dU has: (points, channels, filters up to whole vectors)."""
        return self._form.points * self.channels * self._filters

    @property
    def scratch(self) -> int:
        """How many numbers it needs for transformed inputs and gradients."""
        pixels = self.lanes * self.tile[0] * self.tile[1] * self.lanes
        return self._form.points * (self._input_stride + self._output_stride) + pixels

    @property
    def _form(self) -> Form:
        return Form(self.tile, self.kernel)

    @property
    def _vectors(self) -> int:
        return _vectors(self.filters, self.lanes)

    @property
    def _filters(self) -> int:
        return self._vectors * self.lanes

    def _panel(self, registers: int) -> int:
        return panel(registers, self._vectors)

    @property
    def _tiles(self) -> Tiles:
        planes = self.channels + self._filters
        return Tiles.of(self._form, self.size, planes, 2 * CHUNK)

    @property
    def _input_stride(self) -> int:
        return apart(self.channels * self._tiles.most * self.lanes)

    @property
    def _output_stride(self) -> int:
        """Room for whole panels, of up to four vectors."""
        vectors = self._vectors + 3
        return apart(vectors * self._tiles.most * self.lanes * self.lanes)

    def emit(self, module: Module, name: str) -> None:
        """Write the function."""
        check_lanes(module, self.lanes)

        def body(builder: Builder, x: Value, dy: Value, sums: Value, v: Value) -> None:
            dm = builder.at(v, self._form.points * self._input_stride)
            pixels = builder.at(dm, self._form.points * self._output_stride)

            def chunk(chunk: Chunk) -> None:
                self._input(builder, chunk, x, v)
                self._gradient(builder, chunk, dy, pixels, dm)
                builder.ir.call(self._product(module, name, chunk.total), [v, dm, sums])

            self._tiles.chunks(builder, chunk)

        module.kernel(name, len(self.pointers), body)

    def _input(self, builder: Builder, chunk: Chunk, x: Value, v: Value) -> None:
        lanes = self.lanes
        to = (v, self._input_stride, lambda c, t: [(c, chunk.total * lanes), (t, lanes)])
        transform_input(builder, self._form, chunk, self.channels, (x, self.x), to)

    def _product(self, module: Module, name: str, tiles: int) -> Value:
        depth = tiles * self.lanes
        product = Product(
            self._form.points,
            self.channels,
            depth,
            self._vectors,
            self._panel(module.registers),
            a=(self._input_stride, depth),
            b=self._output_stride,
            out=(self.channels * self._filters, self._filters),
            add=True,
        )
        return product.function(module, f"{name}.product{tiles}")

    def _gradient(
        self, builder: Builder, chunk: Chunk, dy: Value, pixels: Value, dm: Value
    ) -> None:
        """dm[p][panel][(tile, image)][filter] = A dy A', by way of one tile's transposed pixels."""
        lanes, width = self.lanes, self._panel(builder.module.registers)
        depth = chunk.total * lanes
        kc, kh, kw = self.dy

        def tile(number: Value, tile: tuple[Value, Value], pixel: list[Value]) -> None:
            def vector(k: Value, count: int) -> None:
                here = builder.at(dy, [(k, kc), (pixel[0], kh), (pixel[1], kw)])
                self._transpose(builder, tile, here, count, pixels)
                which = builder.ir.udiv(k, builder.index(lanes))
                there = builder.at(
                    dm,
                    [
                        (builder.ir.udiv(which, builder.index(width)), depth * width * lanes),
                        (builder.ir.urem(which, builder.index(width)), lanes),
                        (number, lanes * width * lanes),
                    ],
                )
                self._images(builder, pixels, there, width * lanes)

            builder.tiles(self.filters, lanes, vector)

        chunk.each(builder, tile)

    def _transpose(
        self, builder: Builder, tile: tuple[Value, Value], here: Value, count: int, pixels: Value
    ) -> None:
        """pixels[image][pixel][filter]; what another tile owns is zero."""
        (rows, columns), lanes = self.tile, self.lanes
        kc, kh, kw = self.dy

        def pixel(i: Value, j: Value) -> None:
            to = builder.at(pixels, [(i, columns * lanes), (j, lanes)])

            def turned() -> None:
                at = builder.at(here, [(i, kh), (j, kw)])
                filters = [builder.load(at, k * kc) for k in range(count)]
                filters += [builder.zero] * (lanes - count)
                for image, value in enumerate(builder.transpose(filters)):
                    builder.store(value, to, image * rows * columns * lanes)

            owned = self._tiles.owns(builder, tile, (i, j))
            if owned is None:
                turned()
                return
            with builder.ir.if_else(owned) as (mine, others):
                with mine:
                    turned()
                with others:
                    for image in range(lanes):
                        builder.store(builder.zero, to, image * rows * columns * lanes)

        def row(i: Value, _: list[Value]) -> None:
            builder.loop(0, columns, lambda j, _: pixel(i, j))

        builder.loop(0, rows, row)

    def _images(self, builder: Builder, pixels: Value, to: Value, stride: int) -> None:
        """A dy A' of each image of a tile."""
        rows, columns = self.tile
        across = self._form.inputs[1]
        matrices = transposed(self._form.output)

        def image(i: Value, _: list[Value]) -> None:
            here = builder.at(pixels, [(i, rows * columns * self.lanes)])
            there = builder.at(to, [(i, stride)])
            d = [
                [builder.load(here, (p * columns + q) * self.lanes) for q in range(columns)]
                for p in range(rows)
            ]
            for p, row in enumerate(transform(builder, matrices, d)):
                for q, value in enumerate(row):
                    builder.store(value, there, (p * across + q) * self._output_stride)

        builder.loop(0, self.lanes, image)


@dataclass(frozen=True)
class WinogradWeightUnpack:
    """dw = G' dU G, of the shape (K, C, kernel, kernel), from what a weight gradient summed.

    Threads share the work by ranges of channels: the pointers are to the first of a range, of
    dU and of dw, ``row`` numbers apart, and a number in place of the last says how many there are.

    Attributes:
        channels, filters: C and K.
        kernel: the length of a filter.
        lanes: how many numbers a vector has.
        tile: the rows and columns of a tile of outputs, m x m'.
    """

    channels: int
    filters: int
    kernel: int
    lanes: int
    tile: tuple[int, int] = (2, 2)

    def __post_init__(self) -> None:
        check_known(self._form)

    @property
    def _form(self) -> Form:
        return Form(self.tile, self.kernel)

    @property
    def row(self) -> tuple[int, int]:
        """From channel to channel of dU and of dw, in numbers."""
        return _vectors(self.filters, self.lanes) * self.lanes, self.kernel**2

    @property
    def pointers(self) -> tuple[str, ...]:
        """What each pointer is."""
        return "dU", "dw", "count"

    def emit(self, module: Module, name: str) -> None:
        """Write the function."""
        check_lanes(module, self.lanes)
        module.kernel(name, 3, self._body)

    def _body(self, builder: Builder, sums: Value, dw: Value, count: Value) -> None:
        r, (rows, columns) = self.kernel, self._form.inputs
        matrices = transposed(self._form.filter)
        filters = self.row[0]

        def vector(c: Value, k: Value, count: int) -> None:
            here = builder.at(sums, [(c, filters), (k, 1)])
            there = builder.at(dw, [(k, self.channels * r * r), (c, r * r)])
            du = [
                [
                    builder.load(here, (i * columns + j) * self.channels * filters)
                    for j in range(columns)
                ]
                for i in range(rows)
            ]
            taps = [tap for row in transform(builder, matrices, du) for tap in row]
            for lane in range(count):
                for i, tap in enumerate(taps):
                    number = builder.ir.extract_element(tap, i32(lane))
                    builder.store_number(number, there, lane * self.channels * r * r + i)

        def channel(c: Value, _: list[Value]) -> None:
            builder.tiles(self.filters, self.lanes, lambda k, count: vector(c, k, count))

        builder.loop(0, builder.ir.ptrtoint(count, i64), channel)
