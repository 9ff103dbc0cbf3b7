"""A linear layer of one image: dot products along the rows of its weights, as these lie.

Each weight is read once, so that the layer takes as long as the weights take from memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llvmlite import ir

from ..emit import Builder, Index, Module, Value, i32
from ..expression import Expression, Place
from ..kernels.conv import operands

# Rows of weights that are read side by side, each in so many turns: sums enough to hide the time
# that one takes. More rows, of a length that is a multiple of 4 KiB, would compete for the cache.
ROWS, TURNS = 4, 2


@dataclass(frozen=True)
class Product:
    """y[n, k] = the sum over d of weight[k, d] x[n, d], handed to ``epilogue`` as its value 0.

    Attributes:
        rows, outputs, inputs: how many n, k and d there are.
        x, weight: strides of n and of k; numbers of one d lie side by side.
        epilogue: over the axes (n, k); its operands are plain arrays.
    """

    rows: int
    outputs: int
    inputs: int
    x: int
    weight: int
    epilogue: Expression

    @property
    def pointers(self) -> tuple[str, ...]:
        """The operands, then the epilogue's."""
        return ("x", "weight", *operands(self.epilogue))

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""
        wide = _wide(self.epilogue)

        def body(b: Builder, x: Value, weight: Value, *others: Value) -> None:
            def outputs(n: Value, k: Value, count: int) -> None:
                x_in, weight_in = b.at(x, [(n, self.x)]), b.at(weight, [(k, self.weight)])
                sums = b.lane_sums(self._sums(b, x_in, weight_in, count))
                if wide is not None and count == b.lanes:
                    wide.emit(b, (n, k), others, [sums], aligned=False)
                    return
                for i in range(count):
                    one = b.ir.extract_element(sums, i32(i))
                    self.epilogue.emit(b, (n, [(k, 1), (i, 1)]), others, [one], vectors=False)

            b.loop(
                0,
                self.rows,
                lambda n, _: b.tiles(self.outputs, b.lanes, lambda k, count: outputs(n, k, count)),
            )

        module.kernel(name, len(self.pointers), body)

    def _sums(self, b: Builder, x: Value, weight: Value, count: int) -> list[Value]:
        """For each of some outputs a vector, whose lanes together are its sum."""
        found = []
        for first in range(0, count, ROWS):
            size = min(ROWS, count - first)
            rows = [(first + i) * self.weight for i in range(size)]
            found += self._some(b, x, weight, rows)
        return found

    def _some(self, b: Builder, x: Value, weight: Value, rows: Sequence[int]) -> list[Value]:
        size, lanes = len(rows), b.lanes

        def step(i: Index, sums: list[Value], turns: int) -> list[Value]:
            for turn in range(turns):
                at = [(i, 1), (turn * lanes, 1)]
                image = b.load(x, at, aligned=False)
                for j, row in enumerate(rows):
                    factor = b.load(weight, [*at, (row, 1)], aligned=False)
                    n = turn * size + j
                    sums[n] = b.fma(factor, image, sums[n])
            return sums

        sums, whole = [b.zero] * (size * TURNS), self.inputs // lanes * lanes
        far = whole // (lanes * TURNS) * lanes * TURNS
        if far:
            sums = b.loop(0, far, lambda i, s: step(i, s, TURNS), sums, step=lanes * TURNS)
        if whole > far:
            sums = step(far, sums, 1)
        sums = [b.ir.fadd(one, other) for one, other in zip(sums[:size], sums[size:], strict=True)]
        rest = self.inputs - whole
        if rest:
            image = self._rest(b, x, rest)
            for j, row in enumerate(rows):
                sums[j] = b.fma(self._rest(b, b.at(weight, row), rest), image, sums[j])
        return sums

    def _rest(self, b: Builder, row: Value, count: int) -> Value:
        """The last numbers of a row, and zeros: nothing is read behind its end."""
        if self.inputs < b.lanes:
            vector = b.zero
            for i in range(count):
                vector = b.ir.insert_element(vector, b.load_number(row, i), i32(i))
            return vector
        last = b.load(row, self.inputs - b.lanes, aligned=False)
        new = [lane >= b.lanes - count for lane in range(b.lanes)]
        mask = ir.Constant(ir.VectorType(ir.IntType(1), b.lanes), new)
        return b.ir.select(mask, last, b.zero)


def _wide(epilogue: Expression) -> Expression | None:
    """The epilogue on vectors of neighbours along its last axis, where these lie side by side."""
    if any(place.strides[-1] not in (0, 1) for place in epilogue.places) or any(
        place.strides[-1] != 1 for _, place in epilogue.stores
    ):
        return None

    def vector(place: Place) -> Place:
        return place._replace(lanes=place.strides[-1] == 1)

    return epilogue._replace(loads=tuple(map(vector, epilogue.loads)))
