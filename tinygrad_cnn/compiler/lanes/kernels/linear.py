"""Fully connected layers: all blocks of images of a thread at once.

A block has its features as (features, lanes), so that a feature of a block is one vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ..emit import Builder, Index, Module, Value
from ..expression import Expression
from .conv import operands

Terms: TypeAlias = "list[tuple[int | Value, int]]"  # the sum of products of an index

# Rows of the weights that are read side by side. Where they lie a multiple of 4096 bytes apart
# all of them fall into one set of the first cache, which has eight places on most machines.
ROWS = 6


def columns(module: Module) -> int:
    """The blocks beside which ROWS rows leave two registers free."""
    return max(1, (module.registers - 2) // (ROWS + 1))


@dataclass(frozen=True)
class Linear:
    """y[b][k] = the sum over d of weight[k, d] x[b][d], handed to ``epilogue``.

    Whichever way the weights lie, the innermost loop runs along what is contiguous in them. So
    the input gradient is the same kernel: its weights are read across.

    Attributes:
        outputs, inputs: how many k and d there are.
        blocks, lanes: how many blocks of how many images.
        x: from block to block of the input, in numbers.
        weight: strides of (output, input), in numbers.
        epilogue: over the axes (b, k), given y as its value 0.
    """

    outputs: int
    inputs: int
    blocks: int
    lanes: int
    x: int
    weight: tuple[int, int]
    epilogue: Expression

    @property
    def pointers(self) -> tuple[str, ...]:
        """The operands, room for sums, then those of the epilogue."""
        return ("x", "weight", "scratch", *operands(self.epilogue))

    @property
    def scratch(self) -> int:
        """How many numbers of room it needs, aligned; it may be none."""
        if self.along_inputs:
            vectors = self.blocks * self.outputs if self.inputs > self.part else 0
        else:
            # At most 4 columns, whatever the registers.
            vectors = min(self.blocks, 4) * self.part if self.inputs > ROWS else 0
        return vectors * self.lanes

    @property
    def along_inputs(self) -> bool:
        """Whether the inputs are what is contiguous in the weights."""
        return self.weight[1] <= self.weight[0]

    @property
    def part(self) -> int:
        """How much of the contiguous axis is done at a time, so that it stays in a cache."""
        if self.along_inputs:
            return 2048
        pieces = -(-self.outputs // 256)
        return -(-self.outputs // pieces)  # alike, so that their code is there once

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""
        product = _AlongInputs if self.along_inputs else _AlongOutputs

        def body(b: Builder, x: Value, weight: Value, scratch: Value, *others: Value) -> None:
            product(self, b, x, weight, scratch, others).emit()

        module.kernel(name, len(self.pointers), body)


@dataclass(frozen=True)
class _Product:
    """The code of one product: the kernel, where it is emitted, and its pointers."""

    kernel: Linear
    b: Builder
    x: Value
    weight: Value
    scratch: Value
    operands: Sequence[Value]

    def finish(self, block: Index, k: Index, value: Value) -> None:
        self.kernel.epilogue.emit(self.b, [block, k], self.operands, [value])

    def input(self, block: Index, d: Index) -> Value:
        """A feature of a block."""
        at = [*scaled(block, self.kernel.x), *scaled(d, self.kernel.lanes)]
        return self.b.load(self.x, at)

    def factor(self, k: Index, d: Index) -> Value:
        """A weight in all lanes."""
        k_stride, d_stride = self.kernel.weight
        return self.b.load_splat(self.weight, [*scaled(k, k_stride), *scaled(d, d_stride)])


class _AlongInputs(_Product):
    """A tile of sums stays in registers while the inputs stream by."""

    def emit(self) -> None:
        kernel, b = self.kernel, self.b

        def part(d: Value, size: int, first: bool, last: bool) -> None:
            def rows(k: Value, k_size: int) -> None:
                b.tiles(
                    kernel.blocks,
                    columns(b.module),
                    lambda n, n_size: self._tile(
                        [[(k, 1), (i, 1)] for i in range(k_size)],
                        [[(n, 1), (i, 1)] for i in range(n_size)],
                        d, size, first, last,
                    ),
                )  # fmt: skip

            b.tiles(kernel.outputs, ROWS, rows)

        parts(b, kernel.inputs, kernel.part, part)

    def _tile(
        self, ks: list[Index], blocks: list[Index], d: Value, size: int, first: bool, last: bool
    ) -> None:
        b = self.b
        places = [(k, n) for k in ks for n in blocks]
        sums = [b.zero if first else b.load(self.scratch, self._kept(k, n)) for k, n in places]
        for (k, n), value in zip(places, self._sums(ks, blocks, d, size, sums), strict=True):
            if last:
                self.finish(n, k, value)
            else:
                b.store(value, self.scratch, self._kept(k, n))

    def _kept(self, k: Index, block: Index) -> Index:
        """Where the sum of an output is between two parts."""
        lanes = self.kernel.lanes
        return [*scaled(block, self.kernel.outputs * lanes), *scaled(k, lanes)]

    def _sums(
        self, ks: list[Index], blocks: list[Index], d: Value, size: int, sums: list[Value]
    ) -> list[Value]:
        """The sums over a part of the inputs; few of them go in turns, to hide the latency."""
        b, count = self.b, len(sums)
        turns = min(max(2 * ROWS // count, 1), 4, size)

        def add(i: Terms, turn: int, acc: list[Value]) -> list[Value]:
            at: Terms = [(d, 1), *i]
            images = [self.input(n, at) for n in blocks]
            made = []
            for k in ks:
                factor = self.factor(k, at)
                made += [(image, factor) for image in images]
            mine = slice(turn * count, (turn + 1) * count)
            acc[mine] = [b.fma(*pair, old) for pair, old in zip(made, acc[mine], strict=True)]
            return acc

        def step(i: Value, acc: list[Value]) -> list[Value]:
            for turn in range(turns):
                acc = add([(i, 1), (turn, 1)], turn, acc)
            return acc

        whole = size // turns * turns
        acc = b.loop(0, whole, step, [*sums, *[b.zero] * (count * (turns - 1))], step=turns)
        for turn in range(size - whole):
            acc = add([(whole + turn, 1)], turn, acc)
        while len(acc) > count:
            acc = [*map(b.ir.fadd, acc[:count], acc[count : 2 * count]), *acc[2 * count :]]
        return acc


class _AlongOutputs(_Product):
    """A tile of inputs stays in registers while the outputs stream by."""

    def emit(self) -> None:
        kernel, b = self.kernel, self.b

        def outputs(k: Value, size: int) -> None:
            def blocks(n: Value, n_size: int) -> None:
                places: list[Index] = [[(n, 1), (i, 1)] for i in range(n_size)]
                parts(
                    b,
                    kernel.inputs,
                    ROWS,
                    lambda d, d_size, first, last: self._tile(
                        places, [[(d, 1), (i, 1)] for i in range(d_size)], k, size, first, last
                    ),
                )

            b.tiles(kernel.blocks, columns(b.module), blocks)

        b.tiles(kernel.outputs, kernel.part, outputs)

    def _tile(
        self, blocks: list[Index], ds: list[Index], k: Value, size: int, first: bool, last: bool
    ) -> None:
        kernel, b = self.kernel, self.b
        images = [[self.input(n, d) for n in blocks] for d in ds]

        def output(i: Terms) -> None:
            at: Index = [(k, 1), *i]
            kept = [
                [*scaled(i, kernel.lanes), (n * kernel.part * kernel.lanes, 1)]
                for n in range(len(blocks))
            ]
            sums = [b.zero if first else b.load(self.scratch, place) for place in kept]
            for d, vectors in zip(ds, images, strict=True):
                factor = self.factor(at, d)
                sums = [b.fma(v, factor, old) for v, old in zip(vectors, sums, strict=True)]
            for n, place, value in zip(blocks, kept, sums, strict=True):
                if last:
                    self.finish(n, at, value)
                else:
                    b.store(value, self.scratch, place)

        def pair(i: Value, count: int) -> None:
            for turn in range(count):
                output([(i, 1), (turn, 1)])

        b.tiles(size, 2, pair)  # else the loop itself is a sixth of the instructions


def scaled(index: Index, stride: int) -> Terms:
    """An index, each of its factors multiplied."""
    pairs = index if isinstance(index, list) else [(index, 1)]
    return [(value, factor * stride) for value, factor in pairs]


def parts(
    b: Builder, length: int, size: int, body: Callable[[Value, int, bool, bool], None]
) -> None:
    """``body(start, size, first, last)`` for the parts of a length, in order."""
    if length <= size:
        body(b.index(0), length, True, True)
        return
    last = (length - 1) // size * size
    body(b.index(0), size, True, False)
    if last > size:
        b.loop(size, last, lambda i, _: body(i, size, False, False), step=size)
    body(b.index(last), length - last, False, True)
