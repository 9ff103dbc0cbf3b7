"""What Winograd's kernels share: chunks of tiles, their transformed input, and the products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..emit import Builder, Index, Module, Value
from ..expression import Expression
from ._transforms import Form, apply, transform

# Vectors of 32 bytes of transformed input and of products that are in use at a time: they stay in
# a cache of 512 KB, beside the filters.
CHUNK = 1 << 13
LINE = 16  # numbers of four bytes in a cache line
FEWEST = 4  # tiles of a chunk: with less, the filters are read too often
MOST = 16  # with more, what a product reads again and again leaves the first cache


def split(length: int, most: int) -> list[tuple[int, int, int]]:
    """(start, stop, size): ranges that are cut into pieces of one size, as even as can be.

    >>> split(16, 6)
    [(0, 6, 6), (6, 16, 5)]
    """
    pieces = -(-length // most)
    size, larger = divmod(length, pieces)
    middle = larger * (size + 1)
    ranges = [(0, middle, size + 1), (middle, length, size)]
    return [(start, stop, size) for start, stop, size in ranges if start < stop]


def apart(numbers: int) -> int:
    """A stride of at least so many numbers, between points that are written together.

    An odd number of cache lines, so that the points do not compete for a few places in the cache.
    """
    return (-(-numbers // LINE) | 1) * LINE


class Tiles(NamedTuple):
    """The tiles of outputs that an image is cut into, and the chunks of tiles.

    Where their length does not divide the size, the last tile is moved back so that it ends with
    the image: nothing outside of it is read. The pixels that it shares belong to its neighbour.

    Attributes:
        tile: the rows and columns of a tile.
        size: of the image, at least that of a tile.
        chunk: how many tiles are transformed together, down and across.
    """

    tile: tuple[int, int]
    size: tuple[int, int]
    chunk: tuple[int, int]

    @classmethod
    def of(cls, form: Form, size: tuple[int, int], planes: int, budget: int = CHUNK) -> Tiles:
        """Chunks whose points are about ``budget`` vectors, of so many channels and filters.

        They are whole rows of tiles, or an even number of the tiles of one.
        """
        most = min(max(budget // (form.points * planes), FEWEST), MOST)
        down, across = _counts(form.tile, size)
        if across > most:
            part = -(-across // -(-across // most))
            return cls(form.tile, size, (1, part + part % 2))
        rows = most // across
        return cls(form.tile, size, (-(-down // -(-down // rows)), across))

    @property
    def most(self) -> int:
        """How many tiles a chunk has."""
        return self.chunk[0] * self.chunk[1]

    @property
    def counts(self) -> tuple[int, int]:
        """How many tiles the image has, down and across."""
        return _counts(self.tile, self.size)

    def chunks(self, builder: Builder, body: Callable[[Chunk], None]) -> None:
        """``body`` for each chunk; those at the end may be smaller."""
        down, across = self.counts

        def row(top: Value, rows: int) -> None:
            builder.tiles(
                across, self.chunk[1], lambda left, n: body(Chunk(self, top, left, rows, n))
            )

        builder.tiles(down, self.chunk[0], row)

    def owns(
        self, builder: Builder, tile: tuple[Value, Value], pixel: tuple[int | Value, int | Value]
    ) -> Value | None:
        """Whether a pixel belongs to the tile; None where it certainly does."""
        owned = None
        for axis in (0, 1):
            count, i = self.counts[axis], pixel[axis]
            shared = count * self.tile[axis] - self.size[axis]  # first pixels of the last tile
            if not shared or (isinstance(i, int) and i >= shared):
                continue
            inner = builder.ir.icmp_signed("<", tile[axis], builder.index(count - 1))
            here = builder.ir.icmp_signed(">=", builder.index(i), builder.index(shared))
            either = builder.ir.or_(inner, here)
            owned = either if owned is None else builder.ir.and_(owned, either)
        return owned


def _counts(tile: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    return -(-size[0] // tile[0]), -(-size[1] // tile[1])


class Chunk(NamedTuple):
    """Tiles that are transformed together: those from (top, left) on."""

    tiles: Tiles
    top: Value
    left: Value
    rows: int
    columns: int

    @property
    def total(self) -> int:
        """How many tiles it has."""
        return self.rows * self.columns

    def each(
        self, builder: Builder, body: Callable[[Value, tuple[Value, Value], list[Value]], None]
    ) -> None:
        """``body(number in the chunk, tile (down, across), its first pixel)``."""

        def one(r: Value, q: Value) -> None:
            tile = (builder.index([(self.top, 1), (r, 1)]), builder.index([(self.left, 1), (q, 1)]))
            number = builder.index([(r, self.columns), (q, 1)])
            body(number, tile, [self.pixel(builder, axis, i) for axis, i in enumerate((r, q))])

        def row(r: Value, _: list[Value]) -> None:
            builder.loop(0, self.columns, lambda q, _: one(r, q))

        builder.loop(0, self.rows, row)

    def pixel(self, builder: Builder, axis: int, number: int | Value) -> Value:
        """The first row, or column, of the outputs of a tile, by its number in the chunk."""
        m, size = self.tiles.tile[axis], self.tiles.size[axis]
        pixel = builder.index([((self.top, self.left)[axis], m), (number, m)])
        if size % m == 0:
            return pixel
        last = builder.index(size - m)
        return builder.ir.select(builder.ir.icmp_signed("<", pixel, last), pixel, last)


def transform_input(
    builder: Builder,
    form: Form,
    chunk: Chunk,
    channels: int,
    x: tuple[Value, tuple[int, int, int]],
    v: tuple[Value, int, Callable[[Value, Value], Index]],
) -> None:
    """B' d B of each tile and channel of a chunk.

    The columns of a row of tiles are transformed first, each of them once though neighbours
    share some; then the rows of each tile. All fits in registers, which a whole tile would not.

    Args:
        builder: of the function.
        form: of the convolution.
        chunk: which tiles.
        channels: how many there are.
        x: the image and its strides (channel, row, column).
        v: where to, the stride from point to point, and the index of (channel, tile).
    """
    image, (xc, xh, xw) = x
    transformed, point, place = v
    (rows, columns), (down, across) = form.inputs, form.input
    height = rows * builder.lanes  # of a column, in numbers
    strip = builder.room(((chunk.columns - 1) * form.tile[1] + columns) * rows)

    def row(c: Value, r: Value) -> None:
        top, left = chunk.pixel(builder, 0, r), chunk.pixel(builder, 1, 0)
        here = builder.at(image, [(c, xc), (top, xh), (left, xw)])

        def column(q: Value, _: list[Value]) -> None:
            d = [builder.load(here, [(i, xh), (q, xw)]) for i in range(rows)]
            to = builder.at(strip, [(q, height)])
            for i, value in enumerate(apply(builder, down, d)):
                builder.store(value, to, i * builder.lanes)

        def tile(t: Value, _: list[Value]) -> None:
            start = builder.ir.sub(chunk.pixel(builder, 1, t), left)
            here = builder.at(strip, [(start, height)])
            there = builder.at(transformed, place(c, builder.index([(r, chunk.columns), (t, 1)])))
            for i in range(rows):
                d = [builder.load(here, j * height + i * builder.lanes) for j in range(columns)]
                for j, value in enumerate(apply(builder, across, d)):
                    builder.store(value, there, (i * columns + j) * point)

        last = builder.ir.sub(chunk.pixel(builder, 1, chunk.columns - 1), left)
        builder.loop(0, builder.index([(last, 1), (columns, 1)]), column)
        builder.loop(0, chunk.columns, tile)

    def channel(c: Value, _: list[Value]) -> None:
        builder.loop(0, chunk.rows, lambda r, _: row(c, r))

    builder.loop(0, channels, channel)


def transform_output(
    builder: Builder,
    form: Form,
    tiles: Tiles,
    place: tuple[Value, tuple[Value, Value], list[Value]],
    products: tuple[Value, int],
    end: tuple[Expression, Sequence[Value]],
) -> None:
    """A' M A of one tile, whose pixels an epilogue takes.

    Args:
        builder: of the function.
        form: of the convolution.
        tiles: of the image.
        place: the filter, the tile (down, across) and its first pixel.
        products: where they are, and the stride from point to point.
        end: the epilogue, and its pointers.
    """
    (k, tile, pixel), (here, point), (epilogue, pointers) = place, products, end
    rows, columns = form.inputs
    m = [
        [builder.load(here, (i * columns + j) * point) for j in range(columns)] for i in range(rows)
    ]
    for i, row in enumerate(transform(builder, form.output, m)):
        for j, value in enumerate(row):
            at: list[Index] = [k, [(pixel[0], 1), (i, 1)], [(pixel[1], 1), (j, 1)]]
            owned = tiles.owns(builder, tile, (i, j))
            if owned is None:
                epilogue.emit(builder, at, pointers, [value])
            else:
                with builder.ir.if_then(owned):
                    epilogue.emit(builder, at, pointers, [value])


def panel(registers: int, columns: int = 0) -> int:
    """How many vectors of the right factor a product holds in registers, of so many columns.

    Three where two would leave one that is alone.
    """
    if registers > 16:
        return 4
    return 3 if columns % 2 == 1 and columns % 3 != 1 else 2


class Product(NamedTuple):
    """out[p][i][j] = sum over s of a[p][i][s] b[p][s][j]: a of numbers, b and out of vectors.

    The columns of b lie in panels, each (depth, panel): what an inner loop reads is contiguous.

    Attributes:
        points, rows, depth, columns: the sizes of p, i, s and j.
        width: how many columns a panel has; see ``panel``.
        a: its strides (point, row).
        b: its stride from point to point.
        out: its strides (point, row).
        add: whether the product is added to what is there. It is summed by itself first, so
            that the rounding errors of many chunks stay small.
    """

    points: int
    rows: int
    depth: int
    columns: int
    width: int
    a: tuple[int, int]
    b: int
    out: tuple[int, int]
    add: bool = False

    def function(self, module: Module, name: str) -> Value:
        """The function of (a, b, out); one of this name is emitted once."""
        return module.module.globals.get(name) or module.inner(name, 3, self._body)

    def _body(self, builder: Builder, a: Value, b: Value, out: Value) -> None:
        lanes, registers = builder.lanes, builder.module.registers

        def point(p: Value, _: list[Value]) -> None:
            bases = [
                builder.at(pointer, [(p, stride)])
                for pointer, stride in ((a, self.a[0]), (b, self.b), (out, self.out[0]))
            ]

            def columns(j: Value, count: int) -> None:
                right = builder.at(bases[1], [(j, self.depth * lanes)])
                most = (registers - 1 - count) // count
                for start, stop, size in split(self.rows, most):

                    def rows(i: Value, _: list[Value], size: int = size) -> None:
                        left = builder.at(bases[0], [(i, self.a[1])])
                        to = builder.at(bases[2], [(i, self.out[1]), (j, lanes)])
                        self._tile(builder, left, right, to, (size, count))

                    builder.loop(start, stop, rows, step=size)

            builder.tiles(self.columns, self.width, columns)

        builder.loop(0, self.points, point)

    def _tile(
        self, builder: Builder, left: Value, right: Value, to: Value, size: tuple[int, int]
    ) -> None:
        """Rows and columns whose sums are in registers."""
        rows, columns = size
        lanes, width = builder.lanes, self.width
        unroll = next(n for n in (4, 2, 1) if self.depth % n == 0)

        def steps(s: Value, sums: list[Value]) -> list[Value]:
            a, b = builder.at(left, s), builder.at(right, [(s, width * lanes)])
            for u in range(unroll):
                vectors = [builder.load(b, (u * width + j) * lanes) for j in range(columns)]
                for i in range(rows):
                    number = builder.load_splat(a, i * self.a[1] + u)
                    for j, vector in enumerate(vectors):
                        at = i * columns + j
                        sums[at] = builder.fma(vector, number, sums[at])
            return sums

        zeros = [builder.zero] * (rows * columns)
        for at, value in enumerate(builder.loop(0, self.depth, steps, zeros, step=unroll)):
            index = at // columns * self.out[1] + at % columns * lanes
            if self.add:
                value = builder.ir.fadd(builder.load(to, index), value)
            builder.store(value, to, index)
