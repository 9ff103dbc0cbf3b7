"""Memory: buffers at offsets of one arena, where those may overlap that never live together."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...typing import Array

_ALIGNMENT = 64  # bytes of a line of the processor's cache


class Buffers:
    """The buffers that a program asks for, in the order in which it does.

    A first pass through the program gets provisional memory and notes how long each buffer
    lives; ``lay_out`` then finds their offsets, for further passes.
    """

    def __init__(self) -> None:
        self._lives: list[list[int]] = []  # size, birth, death
        self._offsets: list[int] | None = None
        self._memory: Array = np.empty(0, np.uint8)
        self._next = 0
        self.size = 0

    def request(self, size: int, birth: int, death: int) -> tuple[Array, int]:
        """Memory for so many bytes, and the buffer's number."""
        number, self._next = self._next, self._next + 1
        if self._offsets is None:
            self._lives.append([size, birth, death])
            return np.empty(size, np.uint8), number
        start = self._offsets[number]
        return self._memory[start : start + size], number

    def extend(self, number: int, death: int) -> None:
        """Let a buffer live longer."""
        if self._offsets is None:
            self._lives[number][2] = max(death, self._lives[number][2])

    def lay_out(self) -> None:
        """Find the offsets: the largest buffer first, each as low as it fits.

        The heuristic "greedy by size" of Pisarchyk and Lee, Efficient memory management for deep
        neural net inference (2020).
        """
        order = sorted(range(len(self._lives)), key=lambda i: -self._lives[i][0])
        offsets = [0] * len(order)
        placed: list[tuple[int, int, int, int]] = []  # offset, end, birth, death; by offset
        for number in order:
            size, birth, death = self._lives[number]
            size += -size % _ALIGNMENT
            offset = 0
            for start, end, born, died in placed:
                if born <= death and birth <= died:
                    if start - offset >= size:
                        break
                    offset = max(offset, end)
            offsets[number] = offset
            placed.append((offset, offset + size, birth, death))
            placed.sort()
            self.size = max(self.size, offset + size)
        self._offsets = offsets

    def use(self, memory: Array) -> None:
        """Give out parts of this memory, from the first buffer on."""
        self._memory, self._next = memory, 0


def arena(size: int) -> Array:
    """So many bytes, from the start of a cache line on."""
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size]


def ordered(array: Any) -> tuple[int, ...]:
    """The axes of an array from the outermost to the innermost in memory."""
    strides = array.strides
    return tuple(sorted(range(len(strides)), key=lambda i: -abs(strides[i])))


def shaped(memory: Array, shape: tuple[int, ...], dtype: Any, order: tuple[int, ...]) -> Array:
    """A buffer as an array whose axes lie in this order."""
    array: Array = memory.view(dtype).reshape([shape[axis] for axis in order])
    back = [0] * len(order)
    for place, axis in enumerate(order):
        back[axis] = place
    return array.transpose(back)
