"""Winograd convolution of one image: the products are numbers of the image by vectors of filters.

The image is transformed once, vectors of channels at a time; the filters are transformed a few
vectors at a time, just before they are used, so that they are still in a cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..emit import Builder, Index, Module, Value
from ..expression import Expression
from ..kernels._tiles import Chunk, Product, Tiles, apart, panel, transform_input, transform_output
from ..kernels._transforms import Form, transform
from ..kernels.conv import operands

MOST_BLOCKS = 4  # vectors of filters in a product, on any machine


@dataclass(frozen=True)
class Pieces:
    """How a convolution is cut, and where its parts lie.

    Attributes:
        form: of the tiles.
        size: of the output.
        channels, filters: how many there are.
        lanes: of a vector.
    """

    form: Form
    size: tuple[int, int]
    channels: int
    filters: int
    lanes: int

    @property
    def tiles(self) -> Tiles:
        """The tiles, in chunks for one product each."""
        return Tiles.of(self.form, self.size, self.blocks + MOST_BLOCKS)

    @property
    def blocks(self) -> int:
        """How many vectors the channels take."""
        return -(-self.channels // self.lanes)

    @property
    def point(self) -> int:
        """Of the transformed image, from point to point: (tile, channel)."""
        return apart(math.prod(self.tiles.counts) * self.blocks * self.lanes)

    @property
    def image(self) -> int:
        """How many numbers the transformed image has."""
        return self.form.points * self.point

    @property
    def weights(self) -> int:
        """How many numbers the transformed filters of a call have."""
        return self.form.points * self.filters_point(MOST_BLOCKS)

    def filters_point(self, width: int) -> int:
        """Of so many vectors of transformed filters, from point to point: (channel, vector)."""
        return apart(self.channels * width * self.lanes)

    @property
    def products(self) -> int:
        """From point to point of the products of a chunk: (tile, vector of filters)."""
        return apart(self.tiles.most * MOST_BLOCKS * self.lanes)

    @property
    def direct(self) -> float:
        """What the convolution costs by its definition: products of vectors."""
        filters = -(-self.filters // self.lanes)
        return self.form.kernel**2 * self.channels * filters * math.prod(self.size)

    @property
    def cost(self) -> float:
        """The same by Winograd: what begins and ends a sum, and transforms, counted as products."""
        filters, tiles, points = (
            -(-self.filters // self.lanes), math.prod(self.tiles.counts), self.form.points
        )  # fmt: skip
        products = tiles * points * (self.channels + 3) * filters
        pixels = tiles * points * 5 * (self.blocks + filters)
        return products + pixels + 6 * points * self.channels * filters

    def first(self, chunk: Chunk) -> list[tuple[Value, int]]:
        """The number of a chunk's first tile, chunk by chunk."""
        return [(chunk.top, self.tiles.counts[1]), (chunk.left, 1)]


@dataclass(frozen=True)
class ImageTransform:
    """(B' d B)[p] of some vectors of channels, as (point, tile, channel).

    Attributes:
        pieces: of the convolution.
        blocks: how many vectors of channels.
        x: strides of (vector of channels, row, column); its pointer is at the first padded element.
    """

    pieces: Pieces
    blocks: int
    x: tuple[int, int, int]

    @property
    def pointers(self) -> tuple[str, ...]:
        """What each pointer is."""
        return ("x", "transformed")

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""
        pieces = self.pieces
        tile = pieces.blocks * pieces.lanes
        tiles = pieces.tiles._replace(chunk=(1, 1))  # so that cache lines are written whole

        def body(b: Builder, x: Value, to: Value) -> None:
            def one(chunk: Chunk) -> None:
                def place(c: Value, number: Value) -> Index:
                    at = [*pieces.first(chunk), (number, 1)]
                    return [(c, pieces.lanes), *((value, f * tile) for value, f in at)]

                image, there = (x, self.x), (to, pieces.point, place)
                transform_input(b, pieces.form, chunk, self.blocks, image, there)

            tiles.chunks(b, one)

        module.kernel(name, 2, body)


@dataclass(frozen=True)
class FiltersTransform:
    """(G w G')[p] of some vectors, from (vector, channel, tap, lane) to (point, channel, vector).

    Attributes:
        pieces: of the convolution.
        blocks: how many vectors of filters.
    """

    pieces: Pieces
    blocks: int

    @property
    def pointers(self) -> tuple[str, ...]:
        """What each pointer is."""
        return ("weight", "transformed")

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""
        pieces, lanes = self.pieces, module.lanes
        r, vectors = pieces.form.kernel, panel(module.registers)
        point, width = pieces.filters_point(vectors), vectors * lanes

        def body(b: Builder, weight: Value, to: Value) -> None:
            def vector(c: Value, n: int) -> None:
                taps = b.at(weight, [(c, r * r * lanes), (n, pieces.channels * r * r * lanes)])
                there = b.at(to, [(c, width), (n, lanes)])
                g = [[b.load(taps, (i * r + j) * lanes) for j in range(r)] for i in range(r)]
                made = transform(b, pieces.form.filter, g)
                for p, value in enumerate(value for row in made for value in row):
                    b.store(value, there, p * point)

            def channel(c: Value, _: list[Value]) -> None:
                for n in range(self.blocks):  # side by side, so that cache lines are written whole
                    vector(c, n)

            b.loop(0, pieces.channels, channel)

        module.kernel(name, 2, body)


@dataclass(frozen=True)
class WinogradProducts:
    """The products of a transformed image and some vectors of filters, and what ends them.

    Attributes:
        pieces: of the convolution.
        blocks: how many vectors of filters.
        epilogue: over the axes (vector, h, w); it is given the sums.
    """

    pieces: Pieces
    blocks: int
    epilogue: Expression

    @property
    def pointers(self) -> tuple[str, ...]:
        """The transformed operands, room for products, then what the epilogue needs."""
        return ("x", "weight", "scratch", *operands(self.epilogue))

    @property
    def scratch(self) -> int:
        """How many numbers the products of a chunk take."""
        return self.pieces.form.points * self.pieces.products

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""
        pieces, tile = self.pieces, self.pieces.blocks * self.pieces.lanes

        def body(b: Builder, x: Value, weight: Value, scratch: Value, *others: Value) -> None:
            def one(chunk: Chunk) -> None:
                first = b.at(x, [(value, f * tile) for value, f in pieces.first(chunk)])
                product = self._product(module, name, chunk.total)
                b.ir.call(product, [first, weight, scratch])
                self._finish(b, chunk, scratch, others)

            pieces.tiles.chunks(b, one)

        module.kernel(name, len(self.pointers), body)

    def _product(self, module: Module, name: str, tiles: int) -> Value:
        pieces, lanes = self.pieces, module.lanes
        product = Product(
            pieces.form.points, tiles, pieces.channels, self.blocks, panel(module.registers),
            a=(pieces.point, pieces.blocks * lanes),
            b=pieces.filters_point(panel(module.registers)),
            out=(pieces.products, self.blocks * lanes),
        )  # fmt: skip
        return product.function(module, f"{name}.product{tiles}")

    def _finish(self, b: Builder, chunk: Chunk, products: Value, others: Sequence[Value]) -> None:
        pieces, lanes = self.pieces, b.lanes

        def vector(k: Value) -> None:
            def tile(number: Value, at: tuple[Value, Value], pixel: list[Value]) -> None:
                here = b.at(products, [(number, self.blocks * lanes), (k, lanes)])
                place, made, end = (k, at, pixel), (here, pieces.products), (self.epilogue, others)
                transform_output(b, pieces.form, pieces.tiles, place, made, end)

            chunk.each(b, tile)

        b.loop(0, self.blocks, lambda k, _: vector(k))
