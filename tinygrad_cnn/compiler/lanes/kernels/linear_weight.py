"""The gradient of a fully connected layer's weights, over all blocks of a thread."""

from __future__ import annotations

from dataclasses import dataclass

from ..emit import Builder, Module, Value, i32
from .linear import ROWS, columns
from .pack import nest

# Vectors of the inputs that are transposed at a time.
PANEL = 4


@dataclass(frozen=True)
class LinearWeightGradient:
    """weight[k, d] = the sum over blocks and images of g[b][k] x[b][d].

    The inputs are transposed, so that d fills the lanes and no product is summed over lanes.

    Attributes:
        outputs, inputs: how many k and d there are.
        blocks, lanes: how many blocks of how many images.
        x, g: from block to block of the input and of the output's gradient, in numbers.
    """

    outputs: int
    inputs: int
    blocks: int
    lanes: int
    x: int
    g: int

    @property
    def pointers(self) -> tuple[str, ...]:
        """The operands, room for a part of the transposed input, and the result."""
        return ("x", "g", "scratch", "weight")

    @property
    def scratch(self) -> int:
        """How many numbers of room it needs."""
        return self.blocks * self.lanes * self._image

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""
        whole, rest = divmod(self.inputs, self.lanes)

        def body(b: Builder, x: Value, g: Value, scratch: Value, weight: Value) -> None:
            def panel(v: Value, vectors: int, width: int = self.lanes) -> None:
                self._transpose(b, b.at(x, [(v, self.lanes**2)]), scratch, vectors, width)
                place = b.at(weight, [(v, self.lanes)])

                def rows(k: Value, size: int) -> None:
                    row = b.at(place, [(k, self.inputs)])
                    self._rows(b, b.at(g, [(k, self.lanes)]), scratch, row, size, vectors, width)

                b.tiles(self.outputs, ROWS, rows)

            b.tiles(whole, PANEL, panel)
            if rest:
                panel(b.index(whole), 1, rest)

        module.kernel(name, len(self.pointers), body)

    @property
    def _image(self) -> int:
        """From image to image of the panel: a part of the inputs, transposed."""
        return PANEL * self.lanes

    def _transpose(self, b: Builder, x: Value, panel: Value, vectors: int, width: int) -> None:
        """The next features of all blocks as (images, features); the last ``width`` long."""
        lanes = self.lanes

        def square(n: Value, j: Value) -> None:
            at = [(n, self.x), (j, lanes * lanes)]
            rows = [b.load(x, [*at, (i * lanes, 1)]) for i in range(width)]
            rows += [b.zero] * (lanes - width)
            for image, row in enumerate(b.transpose(rows)):
                place = [(n, lanes * self._image), (j, lanes), (image * self._image, 1)]
                b.store(row, panel, place)

        nest(b, (self.blocks, vectors), lambda at: square(*at))

    def _rows(
        self, b: Builder, g: Value, panel: Value, weight: Value, rows: int, vectors: int, width: int
    ) -> None:
        """The gradients of some rows of the weights, as far as the panel goes."""

        def tile(first: Value, count: int) -> None:
            sums = self._sums(b, g, b.at(panel, [(first, self.lanes)]), rows, count)
            to = b.at(weight, [(first, self.lanes)])
            for i, value in enumerate(sums):
                row, column = divmod(i, count)
                self._write(b, value, b.at(to, row * self.inputs + column * self.lanes), width)

        b.tiles(vectors, columns(b.module), tile)

    def _sums(self, b: Builder, g: Value, panel: Value, rows: int, count: int) -> list[Value]:
        """Over all images, of so many outputs and vectors of inputs."""
        lanes = self.lanes

        def image(n: Value, i: Value, acc: list[Value]) -> list[Value]:
            at = [(n, lanes * self._image), (i, self._image)]
            features = [b.load(panel, [*at, (j * lanes, 1)]) for j in range(count)]
            made = []
            for k in range(rows):
                factor = b.load_splat(g, [(n, self.g), (i, 1), (k * lanes, 1)])
                made += [b.fma(v, factor, acc[k * count + j]) for j, v in enumerate(features)]
            return made

        return b.loop(
            0,
            self.blocks,
            lambda n, outer: b.loop(0, lanes, lambda i, inner: image(n, i, inner), outer),
            [b.zero] * (rows * count),
        )

    def _write(self, b: Builder, value: Value, to: Value, width: int) -> None:
        """The first numbers of a vector."""
        if width == self.lanes:
            b.store(value, to, aligned=False)
            return
        for i in range(width):
            b.store_number(b.ir.extract_element(value, i32(i)), to, i)
