"""The code of nested loops that compute an expression, each part of it as far out as possible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from llvmlite import ir

from ..elementwise import OPERATIONS
from ..emit import Builder, Value, i64
from ..expression import Expression, Place, Step

# What a reduction starts with, and how it combines two values.
_NEUTRAL = {"sum": 0.0, "prod": 1.0, "max": -math.inf, "min": math.inf}
_COMBINED = {"sum": "add", "prod": "multiply", "max": "maximum", "min": "minimum"}
# Elements worked on at a time, and operations: few enough that the values stay in registers. A
# reduction wants more elements, to hide the time that one addition takes behind the others.
_ELEMENTS, _ELEMENTS_OF_REDUCTION, _OPERATIONS = 4, 8, 32


class Reduction(NamedTuple):
    """What becomes of a value along the reduced axes.

    Attributes:
        operation: "sum", "prod", "max" or "min"; NaN wins.
        value: its number in the expression.
        place: where the result goes, with a stride for each kept axis; where it has no lanes,
            the lanes of a block are reduced too.
        accumulate: whether it is combined with what is there, as over the blocks of a batch.
        images: how many lanes count; None is all. The others give what changes no result.
    """

    operation: str
    value: int
    place: Place
    accumulate: bool = False
    images: int | None = None


class _Level(NamedTuple):
    """The part of an expression that depends on the axes outside of one, and its pointers."""

    expression: Expression
    pointers: tuple[int, ...]


class _Copy(NamedTuple):
    """An element that is worked on: the values so far, and the pointers at its index."""

    values: list[Value]
    pointers: list[Value]


class Nest:
    """Emits nested loops.

    Args:
        builder: where to.
        lengths: of the axes, none of them 0; a single one may be known only when it runs, where
            nothing is reduced.
        kept: how many axes there are before the reduced ones.
        expression, reductions: what is computed.
        vectors: whether values are vectors, else numbers.
        aligned: whether vectors lie at multiples of their size.
    """

    def __init__(
        self,
        builder: Builder,
        lengths: tuple[int | Value, ...],
        kept: int,
        expression: Expression,
        reductions: tuple[Reduction, ...] = (),
        *,
        vectors: bool = True,
        aligned: bool = True,
    ) -> None:
        self.builder, self.lengths, self.kept = builder, lengths, kept
        self.vectors, self.aligned = vectors, aligned
        self.places = [*expression.loads, *(place for _, place in expression.stores)]
        self.places += [reduction.place for reduction in reductions]
        self.levels, numbers = _levels(expression, len(lengths))
        self.reductions = [r._replace(value=numbers[r.value]) for r in reductions]
        self.axis = self._unrolled_axis(expression.loads)
        self.unroll = self._elements(expression) if lengths else 1

    def _elements(self, expression: Expression) -> int:
        """How many elements are worked on at a time; half of the registers may hold totals."""
        operations = len(expression.loads) + len(expression.steps) + len(expression.stores)
        most, totals = _ELEMENTS, len(self.reductions)
        if totals:
            most = min(_ELEMENTS_OF_REDUCTION, self.builder.module.registers // (2 * totals))
        length = self.lengths[self.axis]
        if not isinstance(length, int):
            few = _OPERATIONS // max(1, operations)
            return 4 if few >= 4 and self.vectors else 1
        return max(1, min(most, _OPERATIONS // max(1, operations), length))

    def _unrolled_axis(self, loads: Sequence[Place]) -> int:
        """The last axis; or the last kept one, where neighbours along it are closer."""
        last, kept = len(self.lengths) - 1, self.kept - 1
        if not 0 <= kept < last or self.lengths[kept] < _ELEMENTS:
            return last
        far, near = (sum(abs(load.strides[axis]) for load in loads) for axis in (last, kept))
        return kept if near < far else last

    def emit(self, pointers: Sequence[Value]) -> None:
        """The code, with a pointer for each load, store and reduction."""
        self._inside(0, [_Copy([], list(pointers))], [])

    def _inside(self, depth: int, copies: list[_Copy], totals: list[Value]) -> list[Value]:
        """What is inside of ``depth`` loops; the totals of the reductions, copy by copy."""
        starts = depth == self.kept and self.reductions
        if starts:
            totals = [
                self._constant(_NEUTRAL[reduction.operation])
                for _ in range(self.unroll if self.axis >= self.kept else len(copies))
                for reduction in self.reductions
            ]
        copies = [self._computed(depth, copy) for copy in copies]
        if depth == len(self.lengths):
            totals = self._added(copies, totals)
        else:
            totals = self._along(depth, copies, totals)
        if starts:
            self._finish(copies, totals)
            return []
        return totals

    def _constant(self, value: float) -> Value:
        return self.builder.splat(value) if self.vectors else self.builder.number(value)

    def _computed(self, depth: int, copy: _Copy) -> _Copy:
        expression, numbers = self.levels[depth]
        pointers = [copy.pointers[number] for number in numbers]
        kind = {"vectors": self.vectors, "aligned": self.aligned}
        values = expression.emit(self.builder, (), pointers, copy.values, **kind)
        return copy._replace(values=values)

    def _along(self, axis: int, copies: list[_Copy], totals: list[Value]) -> list[Value]:
        """The loop over one axis, with what is left over behind it."""
        count = self.unroll if axis == self.axis else 1

        def body(i: Value, totals: list[Value], count: int) -> list[Value]:
            moved = [near for copy in copies for near in self._moved(copy, axis, i, count)]
            return self._inside(axis + 1, moved, totals)

        length = self.lengths[axis]
        if not isinstance(length, int):
            whole = self.builder.ir.and_(length, i64(-count))  # the count is a power of two
            self.builder.repeat(i64(0), whole, lambda i: body(i, [], count), step=count)
            if count > 1:
                self.builder.repeat(whole, length, lambda i: body(i, [], 1))
            return []
        whole = length // count * count
        totals = self.builder.loop(0, whole, lambda i, t: body(i, t, count), totals, step=count)
        return body(i64(whole), totals, length - whole) if length > whole else totals

    def _moved(self, copy: _Copy, axis: int, i: Value, count: int) -> list[_Copy]:
        """Copies at the indices i, i + 1, … of an axis."""
        at = self.builder.at
        strides = [p.strides[axis] if axis < len(p.strides) else 0 for p in self.places]
        first = [
            at(pointer, [(i, stride)]) if stride else pointer
            for pointer, stride in zip(copy.pointers, strides, strict=True)
        ]
        return [
            copy._replace(
                pointers=[
                    at(pointer, j * stride) if j * stride else pointer
                    for pointer, stride in zip(first, strides, strict=True)
                ]
            )
            for j in range(count)
        ]

    def _combined(self, reduction: Reduction, x: Value, y: Value) -> Value:
        return OPERATIONS[_COMBINED[reduction.operation]](self.builder, x, y)

    def _added(self, copies: list[_Copy], totals: list[Value]) -> list[Value]:
        """The totals with the values of each copy in its own."""
        values = [copy.values[r.value] for copy in copies for r in self.reductions]
        rest = totals[len(values) :]
        each = [r for _ in copies for r in self.reductions]
        return [*map(self._combined, each, totals, values), *rest]

    def _finish(self, copies: list[_Copy], totals: list[Value]) -> None:
        """Combine the totals of each copy, and store them."""
        each = len(self.reductions)
        share = len(totals) // len(copies)
        for i, copy in enumerate(copies):
            for j, reduction in enumerate(self.reductions):
                parts = totals[i * share + j : (i + 1) * share : each]
                while len(parts) > 1:
                    half = (len(parts) + 1) // 2
                    pairs = zip(parts[:half], parts[half:], strict=False)
                    odd = parts[half - 1 : half] if len(parts) % 2 else []
                    parts = [*(self._combined(reduction, x, y) for x, y in pairs), *odd]
                self._store(reduction, parts[0], copy.pointers[j - each])

    def _store(self, reduction: Reduction, value: Value, pointer: Value) -> None:
        b, place = self.builder, reduction.place
        if reduction.images is not None:
            counts = [lane < reduction.images for lane in range(b.lanes)]
            mask = ir.Constant(ir.VectorType(ir.IntType(1), b.lanes), counts)
            value = b.ir.select(mask, value, self._constant(_NEUTRAL[reduction.operation]))
        vector = self.vectors and place.lanes
        if self.vectors and not vector:
            value = self._over_lanes(reduction, value)
        if reduction.accumulate:
            there = (
                b.load(pointer, place.offset, aligned=self.aligned)
                if vector
                else b.load_number(pointer, place.offset)
            )
            value = self._combined(reduction, there, value)
        if vector:
            b.store(value, pointer, place.offset, aligned=self.aligned)
        else:
            b.store_number(value, pointer, place.offset)

    def _over_lanes(self, reduction: Reduction, value: Value) -> Value:
        """One number from the lanes: halves are combined until one is left."""
        b, half = self.builder, self.builder.lanes // 2
        while half:
            upper = [(i + half) % b.lanes for i in range(b.lanes)]
            value = self._combined(reduction, value, b.shuffle(value, value, upper))
            half //= 2
        return b.ir.extract_element(value, ir.Constant(ir.IntType(32), 0))


def _depth(place: Place) -> int:
    """How many loops a place is inside of."""
    return max((axis + 1 for axis, stride in enumerate(place.strides) if stride), default=0)


def _levels(expression: Expression, axes: int) -> tuple[list[_Level], dict[int, int]]:
    """For each count of loops what is computed inside of just so many; and the new numbers.

    Values are numbered anew, in the order in which they are computed.
    """
    loads, steps = expression.loads, expression.steps
    depths = [_depth(place) for place in loads]
    for _, operands in steps:
        depths.append(max((depths[o] for o in operands if isinstance(o, int)), default=0))
    stored = [max(depths[number], _depth(place)) for number, place in expression.stores]
    numbers: dict[int, int] = {}
    levels = []
    for depth in range(axes + 1):
        reads = [i for i in range(len(loads)) if depths[i] == depth]
        writes = [i for i, at in enumerate(stored) if at == depth]
        computed = [i for i in range(len(steps)) if depths[len(loads) + i] == depth]
        for value in (*reads, *(len(loads) + i for i in computed)):
            numbers[value] = len(numbers)
        levels.append(
            _Level(
                Expression(
                    loads=tuple(_here(loads[i]) for i in reads),
                    steps=tuple(_renumbered(steps[i], numbers) for i in computed),
                    stores=tuple(
                        (numbers[number], _here(place))
                        for number, place in (expression.stores[i] for i in writes)
                    ),
                ),
                (*reads, *(len(loads) + i for i in writes)),
            )
        )
    return levels, numbers


def _here(place: Place) -> Place:
    """The place at a pointer that has been moved to the index."""
    return place._replace(strides=())


def _renumbered(step: Step, numbers: dict[int, int]) -> Step:
    return step._replace(
        operands=tuple(numbers[o] if isinstance(o, int) else o for o in step.operands)
    )
