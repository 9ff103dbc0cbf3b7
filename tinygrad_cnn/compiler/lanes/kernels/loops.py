"""Fused loops: an expression over every element, and reductions of its values on the way.

A loop is one pass over memory. Adjacent axes that every operand holds densely become one; what
does not depend on the inner axes is read and computed outside of them; and several elements are
worked on at a time, each with totals of its own, so that no addition waits for the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ....errors import ArgumentError
from ..emit import Builder, Module, Value, i64
from ..expression import Expression, Place, Step
from ._nest import Nest, Reduction


@dataclass(frozen=True)
class Loop:
    """An expression for every index, with reductions over the last axes.

    Its pointers are the expression's, loads before stores, and then one for each reduction. An
    array may be loaded and stored too, where its new element is computed from the old one.

    Attributes:
        lengths: of the axes; those that are kept come before the reduced ones.
        expression: what is computed for each index.
        reduced: how many of the last axes are reduced.
        reductions: what becomes of values along them, in a fixed order.
        lanes: whether this is a loop over a block; else it is one over shared arrays, where a
            value is one number, and vectors are neighbours along the last axis or the last
            kept one, if all operands have them side by side.

    Raises:
        ArgumentError: an axis has no element, a place has another number of axes, or lanes are
            counted of shared arrays.

    >>> from tinygrad_cnn.compiler.lanes.expression import Expression, Place, Step
    >>> dense = Place((1,))
    >>> double = Expression(0, (dense,), (Step("multiply", (0, 2.0)),), ((1, dense),))
    >>> Loop((1000,), double, lanes=False).pointers
    ('load 0', 'store 0')
    """

    lengths: tuple[int, ...]
    expression: Expression
    reduced: int = 0
    reductions: tuple[Reduction, ...] = ()
    lanes: bool = True

    def __post_init__(self) -> None:
        if min(self.lengths, default=1) < 1:
            raise ArgumentError(f"loop over {self.lengths}: every axis needs an element")
        if not self.lanes and any(r.images is not None for r in self.reductions):
            raise ArgumentError("loop over shared arrays, which have no images: expected None")
        for places, axes in (
            (self.expression.places, len(self.lengths)),
            ([reduction.place for reduction in self.reductions], self.kept),
        ):
            for place in places:
                if len(place.strides) != axes:
                    raise ArgumentError(
                        f"loop over {self.lengths}, {self.reduced} reduced: expected {axes}"
                        f" strides of {place}"
                    )

    @property
    def kept(self) -> int:
        """How many axes are not reduced."""
        return len(self.lengths) - self.reduced

    @property
    def pointers(self) -> tuple[str, ...]:
        """What each pointer is."""
        counts = {
            "load": len(self.expression.loads),
            "store": len(self.expression.stores),
            "reduction": len(self.reductions),
        }
        return tuple(f"{what} {i}" for what, count in counts.items() for i in range(count))

    @property
    def places(self) -> list[Place]:
        """Where each of the pointers has the element of an index."""
        return [*self.expression.places, *(reduction.place for reduction in self.reductions)]

    def emit(self, module: Module, name: str) -> None:
        """Write the function into the module."""
        loop = _collapsed(self)

        def body(builder: Builder, *pointers: Value) -> None:
            axis = None if loop.lanes else _axis_of_vectors(loop, builder.lanes)
            if loop.lanes:
                loop._nest(builder).emit(pointers)
                return
            if axis is not None:
                _vectors(loop, axis, builder.lanes)._nest(builder, aligned=False).emit(pointers)
            left = loop if axis is None else _left_over(loop, axis, builder.lanes)
            if left is not None:
                left._nest(builder, vectors=False).emit(pointers)

        module.kernel(name, len(self.pointers), body)

    def _nest(self, builder: Builder, *, vectors: bool = True, aligned: bool = True) -> Nest:
        what = (self.lengths, self.kept, self.expression, self.reductions)
        return Nest(builder, *what, vectors=vectors, aligned=aligned)


def counted(kernel: Any) -> tuple[Any, tuple[int, ...]]:
    """A kernel, and the numbers that follow its pointers: of a loop along one axis its length.

    Loops that differ in their length alone, such as the updates of parameters, have the code of
    one. Any other kernel stays as it is.
    """
    loop = _collapsed(kernel) if isinstance(kernel, Loop) else kernel
    if not isinstance(loop, Loop) or len(loop.lengths) != 1 or loop.reduced or loop.reductions:
        return kernel, ()
    if not loop.lanes and _axis_of_vectors(loop, 1) is None:
        return kernel, ()
    return CountedLoop(loop.expression, loop.lanes), loop.lengths


@dataclass(frozen=True)
class CountedLoop:
    """An expression along one axis, whose length is a number in place of the last pointer.

    Attributes:
        expression: what is computed for each index.
        lanes: as of ``Loop``; if not, all operands have their numbers side by side, or one.
    """

    expression: Expression
    lanes: bool

    @property
    def pointers(self) -> tuple[str, ...]:
        """The expression's, and the number."""
        return *Loop((1,), self.expression, lanes=self.lanes).pointers, "count"

    def emit(self, module: Module, name: str) -> None:
        """Write the function into the module."""

        def body(builder: Builder, *given: Value) -> None:
            *pointers, last = given
            count = builder.ir.ptrtoint(last, i64)
            if self.lanes:
                Nest(builder, (count,), 1, self.expression).emit(pointers)
                return
            lanes = builder.lanes
            loop = _vectors(Loop((lanes,), self.expression, lanes=False), 0, lanes)
            vectors = builder.ir.udiv(count, i64(lanes))
            with builder.ir.if_then(builder.ir.icmp_signed(">", vectors, i64(0))):
                Nest(builder, (vectors,), 1, loop.expression, aligned=False).emit(pointers)
            rest = builder.ir.urem(count, i64(lanes))
            with builder.ir.if_then(builder.ir.icmp_signed(">", rest, i64(0))):
                done = builder.ir.mul(vectors, i64(lanes))
                moved = [
                    builder.at(pointer, [(done, place.strides[0])])
                    for pointer, place in zip(pointers, self.expression.places, strict=True)
                ]
                Nest(builder, (rest,), 1, self.expression, vectors=False).emit(moved)

        module.kernel(name, len(self.pointers), body)


def add_arrays(count: int, arrays: int) -> Loop:
    """The sum of so many arrays of ``count`` numbers, in their order: one pointer for each.

    Gradients that threads have gathered become one: ``(a₀ + a₁) + a₂ …``, the same bits in
    every run.

    Raises:
        ArgumentError: there is no array, or no number.

    >>> add_arrays(1000, 3).pointers
    ('load 0', 'load 1', 'load 2', 'store 0')
    """
    if arrays < 1:
        raise ArgumentError(f"add_arrays: {arrays} arrays, expected 1 or more")
    dense = Place((1,))
    sums = [Step("add", (arrays + i - 1 if i else 0, i + 1)) for i in range(arrays - 1)]
    last = arrays + len(sums) - 1
    expression = Expression(0, (dense,) * arrays, tuple(sums), ((last, dense),))
    return Loop((count,), expression, lanes=False)


def add_lanes(count: int, lanes: int, scale: float = 1.0) -> Loop:
    """From ``count`` vectors the sums of their lanes, times ``scale``: ``count`` numbers.

    It ends a sum over the batch, which a ``Reduction`` that accumulates has gathered by lane.

    >>> add_lanes(64, 8).pointers
    ('load 0', 'reduction 0')
    """
    expression = Expression(0, (Place((lanes,)),), (Step("multiply", (0, scale)),))
    total = Reduction("sum", 1, Place((1,), lanes=False))
    return Loop((count,), expression, reductions=(total,))


def _changed(
    loop: Loop, lengths: list[int], reduced: int, change: Callable[[Place], Place]
) -> Loop:
    """The loop over other axes, each place changed accordingly."""
    expression = loop.expression
    return replace(
        loop,
        lengths=tuple(lengths),
        reduced=reduced,
        expression=expression._replace(
            loads=tuple(map(change, expression.loads)),
            stores=tuple((number, change(place)) for number, place in expression.stores),
        ),
        reductions=tuple(r._replace(place=change(r.place)) for r in loop.reductions),
    )


def _collapsed(loop: Loop) -> Loop:
    """The same loop over as few axes as possible."""
    places = loop.places
    for axis, length in enumerate(loop.lengths):
        inner = axis + 1
        if length > 1 and (inner == len(loop.lengths) or inner == loop.kept):
            continue  # nothing inside of it, or a reduction
        if length > 1 and any(
            place.strides[axis] != place.strides[inner] * loop.lengths[inner]
            for place in places
            if inner < len(place.strides)
        ):
            continue
        lengths = list(loop.lengths)
        if length > 1:
            lengths[inner] *= length
        del lengths[axis]
        reduced = loop.reduced - (axis >= loop.kept)

        def without(place: Place, axis: int = axis) -> Place:
            return place._replace(strides=place.strides[:axis] + place.strides[axis + 1 :])

        return _collapsed(_changed(loop, lengths, reduced, without))
    return loop


def _axis_of_vectors(loop: Loop, lanes: int) -> int | None:
    """The last axis, or the last kept one, along which every operand has its numbers in a row."""
    for axis in (len(loop.lengths) - 1, loop.kept - 1):
        if axis < 0 or loop.lengths[axis] < lanes:
            continue
        written = [place for _, place in loop.expression.stores]
        if axis < loop.kept:
            written += [reduction.place for reduction in loop.reductions]
        if all(place.strides[axis] == 1 for place in written) and all(
            place.strides[axis] in (0, 1) for place in loop.expression.loads
        ):
            return axis
    return None


def _vectors(loop: Loop, axis: int, lanes: int) -> Loop:
    """The loop with a vector for so many neighbours along an axis, as far as these go."""

    def wide(place: Place) -> Place:
        if axis >= len(place.strides):  # a reduction along the axis is one over the lanes too
            return place._replace(lanes=False)
        stride = place.strides[axis]
        strides = (*place.strides[:axis], stride * lanes, *place.strides[axis + 1 :])
        return place._replace(strides=strides, lanes=bool(stride))

    lengths = list(loop.lengths)
    lengths[axis] //= lanes
    return _changed(loop, lengths, loop.reduced, wide)


def _left_over(loop: Loop, axis: int, lanes: int) -> Loop | None:
    """The loop over the indices that make no whole vector; it adds to what the others gave."""
    lengths = list(loop.lengths)
    start = lengths[axis] // lanes * lanes
    lengths[axis] -= start
    if not lengths[axis]:
        return None

    def moved(place: Place) -> Place:
        if axis >= len(place.strides):
            return place
        return place._replace(offset=place.offset + start * place.strides[axis])

    left = _changed(loop, lengths, loop.reduced, moved)
    if axis < loop.kept:
        return left
    return replace(left, reductions=tuple(r._replace(accumulate=True) for r in left.reductions))
