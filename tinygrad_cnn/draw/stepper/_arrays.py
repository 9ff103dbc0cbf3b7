"""The table of arrays of a page: each is embedded once, and all of them fit into a budget."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...typing import Array, Shape
from .._html import payload

__all__ = ["ArrayTable"]

BUDGET = 2_000_000  # bytes of the page that arrays may take
# How many elements are listed as numbers, and the side of a heat map: the first that fits.
_DETAIL = ((64, 96), (64, 64), (64, 48), (64, 32), (36, 24), (16, 16), (9, 12))
_LONGEST = 12  # numbers in a row or a column that is still read
_FRAME = 300  # bytes of a payload beside its numbers or levels
_NUMBER = 22  # bytes of a listed number


class ArrayTable:
    """Arrays by number, as payloads; a scalar is listed as ``[value, dtype]``.

    Args:
        shapes: of all arrays that are going to be added, about; they decide the detail.
    """

    def __init__(self, shapes: Iterable[Shape]) -> None:
        sizes = [int(np.prod(shape)) for shape in shapes if shape]
        fitting = (d for d in _DETAIL if sum(_cost(n, *d) for n in sizes) <= BUDGET)
        self.limit, self.side = next(fitting, _DETAIL[-1])
        self.payloads: list[Any] = []
        self.left_out = 0
        self._room = BUDGET
        self._known: dict[tuple[Shape, str, bytes], int] = {}

    def add(self, array: Any) -> int:
        """The number of an array; -1 where there is no room for it any more."""
        array = np.asarray(array)
        key = array.shape, array.dtype.str, _digest(array)
        if key not in self._known:
            cost = _cost(array.size, self._limit(array), self.side) if array.ndim else _NUMBER
            if cost > self._room:
                self.left_out += 1
                return -1
            self._room -= cost
            self._known[key] = len(self.payloads)
            self.payloads.append(self._payload(array))
        return self._known[key]

    def _payload(self, array: Array) -> Any:
        if not array.ndim and array.dtype.kind != "c":
            return [array.item(), str(array.dtype)]
        return payload(array, limit=self._limit(array), side=self.side)

    def _limit(self, array: Array) -> int:
        return self.limit if max(array.shape) <= _LONGEST else 0


def _cost(size: int, limit: int, side: int) -> int:
    """Bytes that an array takes in the page, at most."""
    return _FRAME + (_NUMBER * size if size <= limit else min(size, side * side) * 4 // 3)


def _digest(array: Array) -> bytes:
    content = np.ascontiguousarray(array).tobytes()
    return content if len(content) <= 32 else hashlib.blake2b(content, digest_size=16).digest()
