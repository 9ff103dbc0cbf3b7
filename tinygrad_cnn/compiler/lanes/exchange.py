"""The arrays that a native step is given and gives back, and where they lie."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...typing import Array
from .._program import Program
from .._symbols import Symbol

# Of a result that nobody else holds: the pair with its address, the variable, and the argument of
# getrefcount.
_HOLDERS = 3
_MOST_KEPT = 2  # arrays for one result: a caller may hold the last one while the next is made


def address(array: Any) -> int:
    """Where the first number of an array is; four times as fast as ``array.ctypes.data``."""
    return int(array.__array_interface__["data"][0])


class Exchange:
    """Most arrays are the same in each run: only others than before are looked at.

    Args:
        program: what is run.
        aliases: for each output that is written over an input the number of the input.
        packed: the inputs that need not be contiguous.
        real: the dtype that kernels compute in.

    Attributes:
        given: the inputs as kernels read them: numbers, and arrays of another dtype or that do not
            lie as they should, are copied in each run.
    """

    def __init__(
        self,
        program: Program,
        aliases: Mapping[int, int],
        packed: Iterable[int],
        real: np.dtype[Any],
    ) -> None:
        inputs, outputs = program.inputs, program.outputs
        self.given: list[Any] = [None] * len(inputs)
        self._real, self._packed, self._shapes = real, set(packed), [s.shape for s in inputs]
        self._before: list[Any] = [None] * len(inputs)
        self._copies: dict[int, Array] = {}
        self._written = {source: number for number, source in aliases.items()}
        self._outputs = list(outputs)  # constants, and arrays that are written over
        results = [(n, o) for n, o in enumerate(outputs) if isinstance(o, Symbol)]
        self._kept: dict[int, list[tuple[Array, int]]] = {}
        self._new = {number: output.shape for number, output in results}  # the others
        self._finished = [(n, o.dtype) for n, o in results if o.dtype != real or not o.shape]
        self._addresses: Array = np.zeros(len(inputs) + len(outputs), np.uintp)  # of all arrays
        self._known: dict[int, int] = {}  # of those that are kept, by their ids
        self._order: Array = np.zeros(0, np.intp)  # in which slots have them

    def take(self, arrays: Sequence[Any]) -> None:
        """Receive the inputs of a run.

        An array that is the one of the run before is taken to lie where and as it did: its shape
        and dtype are looked at by who calls.
        """
        pairs = zip(arrays, self._before, strict=True)
        for number in [n for n, (array, before) in enumerate(pairs) if array is not before]:
            self._look_at(number, arrays[number])
        for number, copy in self._copies.items():
            copy[...] = arrays[number]

    def _look_at(self, number: int, given: Any) -> None:
        """Find out where an input is to be read."""
        copy, place = self._copies.get(number), self._known.get(id(given))
        if copy is not None and not copy.shape:  # a number, which is copied in any case
            return
        array = given
        if place is None or copy is not None:
            array = self._readable(number, given)
            place = address(array)
        self._before[number], self.given[number], self._addresses[number] = given, array, place
        output = self._written.get(number)
        if output is None:
            return
        if array is given:
            self._new.pop(output, None)
            self._outputs[output] = array
            self._addresses[len(self.given) + output] = place
        else:
            self._new[output] = self._shapes[number]

    def _readable(self, number: int, given: Any) -> Array:
        """An input as kernels can read it: the array itself, or one that it is copied to."""
        array = given if type(given) is np.ndarray else np.asarray(given)
        contiguous = array.flags.c_contiguous or number in self._packed
        if array.shape and array.dtype == self._real and contiguous:
            self._copies.pop(number, None)
            return array
        if number not in self._copies:
            self._copies[number] = np.empty(self._shapes[number], self._real)
        return self._copies[number]

    def results(self) -> list[Any]:
        """The outputs of a run, whose arrays are to be filled."""
        outputs, first, getrefcount = self._outputs.copy(), len(self.given), sys.getrefcount
        for number, shape in self._new.items():
            for array, place in self._kept.get(number, ()):  # noqa: B007 used below
                if getrefcount(array) <= _HOLDERS:
                    break
            else:
                array, place = self._made(number, shape)
            outputs[number] = array
            self._addresses[first + number] = place
        return outputs

    def _made(self, number: int, shape: Any) -> tuple[Array, int]:
        """Another array for a result."""
        kept = self._kept.setdefault(number, [])
        if len(kept) == _MOST_KEPT:  # they are the callers' now
            for array, _ in kept:
                del self._known[id(array)]
            kept.clear()
        array = np.empty(shape, self._real)
        kept.append((array, address(array)))
        self._known[id(array)] = kept[-1][1]
        return kept[-1]

    def addresses(self, slots: Sequence[tuple[str, int]]) -> Array:
        """Where the arrays of slots are; what slots there were before are the same again."""
        if len(slots) != len(self._order):
            first = {"in": 0, "out": len(self.given)}
            self._order = np.array([first[what] + n for what, n in slots], np.intp)
        found: Array = self._addresses[self._order]
        return found

    def finish(self, outputs: list[Any]) -> None:
        """Give filled results their own dtypes; those without axes become numbers."""
        for number, dtype in self._finished:
            found = outputs[number].astype(dtype, copy=False)
            outputs[number] = found if found.shape else found[()]
