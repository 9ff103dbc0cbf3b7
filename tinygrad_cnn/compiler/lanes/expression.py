"""Elementwise arithmetic as data: what a loop, or the end of a convolution, does to each element.

The values of an expression are numbered: first those that are given (a convolution gives its
sum), then what is loaded, then the result of each step. Steps act on vectors and on numbers alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .elementwise import OPERATIONS
from .emit import Builder, Index, Value


class Place(NamedTuple):
    """Where an operand has the element of an index.

    Attributes:
        strides: for each axis of the loop, in numbers; 0 where the operand is broadcast.
        offset: of the first element, in numbers.
        lanes: whether there is a number for each lane; else one for all of them.
    """

    strides: tuple[int, ...]
    offset: int = 0
    lanes: bool = True

    def offset_at(self, at: Sequence[Index]) -> list[tuple[int | Value, int]]:
        """The index into the operand's memory, from an index for each axis."""
        terms: list[tuple[int | Value, int]] = [(self.offset, 1)]
        for axis, stride in zip(at, self.strides, strict=True):
            if not stride:
                continue
            if isinstance(axis, list):
                terms += [(value, factor * stride) for value, factor in axis]
            else:
                terms.append((axis, stride))
        return terms


class Step(NamedTuple):
    """One operation: an ``int`` names an earlier value, a ``float`` is a constant."""

    operation: str
    operands: tuple[int | float, ...]


class Expression(NamedTuple):
    """Loads, steps and stores, each load and each store with a pointer of its own.

    Attributes:
        given: how many values come from outside.
        loads: what is read, in the order of the pointers.
        steps: what is computed.
        stores: the number of a value, and where it is written (a mask as 0 and 1); their
            pointers follow.
    """

    given: int = 0
    loads: tuple[Place, ...] = ()
    steps: tuple[Step, ...] = ()
    stores: tuple[tuple[int, Place], ...] = ()

    @property
    def pointers(self) -> int:
        """How many pointers it takes: the loads', then the stores'."""
        return len(self.loads) + len(self.stores)

    @property
    def places(self) -> list[Place]:
        """Where each of the pointers has the element of an index."""
        return [*self.loads, *(place for _, place in self.stores)]

    def emit(
        self,
        builder: Builder,
        at: Sequence[Index],
        pointers: Sequence[Value],
        given: Sequence[Value] = (),
        *,
        vectors: bool = True,
        aligned: bool = True,
    ) -> list[Value]:
        """The code for one index; all values, by number. Without ``vectors`` they are numbers.

        ``aligned``: the vectors' addresses are multiples of their size.
        """
        values = list(given)
        for place, pointer in zip(self.loads, pointers, strict=False):
            index = place.offset_at(at)
            if not vectors:
                values.append(builder.load_number(pointer, index))
            elif place.lanes:
                values.append(builder.load(pointer, index, aligned=aligned))
            else:
                values.append(builder.load_splat(pointer, index))
        for operation, operands in self.steps:
            constant = builder.splat if vectors else builder.number
            arguments = [
                values[operand] if isinstance(operand, int) else constant(operand)
                for operand in operands
            ]
            values.append(OPERATIONS[operation](builder, *arguments))
        for (number, place), pointer in zip(self.stores, pointers[len(self.loads) :], strict=True):
            index, value = place.offset_at(at), OPERATIONS["number"](builder, values[number])
            if vectors:
                builder.store(value, pointer, index, aligned=aligned)
            else:
                builder.store_number(value, pointer, index)
        return values
