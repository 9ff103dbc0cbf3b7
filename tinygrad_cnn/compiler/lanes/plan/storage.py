"""Where values lie: storages, and references into them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from ....typing import Shape

# Numbers, of which so many or a multiple of that from one to the next lie in one set of lines of a
# cache of 32 KiB and 8 ways: 4 KiB or more.
_PAGE = 512
Border = tuple[tuple[int, int], ...]


class Storage:
    """Memory of one value.

    Attributes:
        shape: of the value, of a block without its batch axis.
        lanes: how many numbers an element has: 1 for a shared value.
        border: zeros around the last axes: (before, after) for each of them.
        kind: "block" for a value of each block, "thread" for one of each thread, "common" for one
            of all, "slot" for an array that is given in each run.
        slot: the number of the slot.
        apart: whether channels may lie further apart than they must, so that they do not compete
            for the same lines of the first cache.
        first, last: the places in the order of tasks between which it is used.
        persistent: whether every block has its own; else the blocks of a thread share it.
        offset: where it begins in the memory of its kind, in numbers.
    """

    def __init__(
        self, kind: str, shape: Shape, lanes: int = 1, border: Border = (), slot: int = -1
    ) -> None:
        self.kind, self.shape, self.lanes, self.slot = kind, tuple(shape), lanes, slot
        self.border = border if any(map(any, border)) else ()
        self.apart = False
        self.first, self.last = math.inf, -math.inf
        self.stages: set[int] = set()
        self.persistent = False
        self.offset = -1

    @property
    def padded(self) -> Shape:
        """The shape with the border."""
        plain = len(self.shape) - len(self.border)
        around = (n + a + b for n, (a, b) in zip(self.shape[plain:], self.border, strict=True))
        return (*self.shape[:plain], *around)

    @property
    def size(self) -> int:
        """How many numbers it takes."""
        padded = self.padded
        return padded[0] * self.ref.strides[0] if self.apart else math.prod(padded) * self.lanes

    @property
    def ref(self) -> Ref:
        """The value itself."""
        padded, strides, step = self.padded, [], self.lanes
        for n in reversed(padded):
            strides.append(step)
            step *= n
        strides.reverse()
        if self.apart and strides[0] % _PAGE == 0:
            strides[0] += self.lanes
        plain = len(self.shape) - len(self.border)
        offset = sum(
            before * stride
            for (before, _), stride in zip(self.border, strides[plain:], strict=True)
        )
        return Ref(self, self.shape, tuple(strides), offset)


class Ref(NamedTuple):
    """A view of a storage: shape, strides and offset in numbers."""

    storage: Storage
    shape: Shape
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def lanes(self) -> bool:
        """Whether it has a number for each image of a block."""
        return self.storage.lanes > 1

    @property
    def dense(self) -> bool:
        """Whether its elements lie side by side, in order."""
        step = self.storage.lanes
        for n, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if n > 1 and stride != step:
                return False
            step *= n
        return True

    def reshaped(self, shape: Shape) -> Ref | None:
        """The same elements under another shape, or None where strides cannot say it."""
        old = [(n, s) for n, s in zip(self.shape, self.strides, strict=True) if n != 1]
        strides: list[int] = []
        i, rest, step = len(old), 1, self.storage.lanes
        for n in reversed(shape):
            if n == 1:
                strides.append(0)
                continue
            if rest == 1:
                i -= 1
                rest, step = old[i]
                # what is merged must lie behind each other
                while rest % n and i and old[i - 1][1] == old[i][1] * old[i][0]:
                    i -= 1
                    rest *= old[i][0]
            while rest < n and i and old[i - 1][1] == old[i][1] * old[i][0]:
                i -= 1
                rest *= old[i][0]
            if rest % n:
                return None
            strides.append(step)
            step *= n
            rest //= n
        return Ref(self.storage, tuple(shape), tuple(reversed(strides)), self.offset)

    def transposed(self, axes: Sequence[int]) -> Ref:
        """Axes in another order."""
        return self._replace(
            shape=tuple(self.shape[i] for i in axes), strides=tuple(self.strides[i] for i in axes)
        )

    def broadcast(self, shape: Shape) -> Ref:
        """Axes stretched, and added in front."""
        added = len(shape) - len(self.shape)
        strides = [0] * added
        for n, m, stride in zip(self.shape, shape[added:], self.strides, strict=True):
            strides.append(0 if n == 1 != m else stride)
        return self._replace(shape=tuple(shape), strides=tuple(strides))

    def indexed(self, index: Sequence[Any]) -> Ref | None:
        """A basic index: slices, integers and None; or None where it is another."""
        shape, strides, offset, axis = [], [], self.offset, 0
        for part in index:
            if part is None:
                shape.append(1)
                strides.append(0)
                continue
            n, stride = self.shape[axis], self.strides[axis]
            axis += 1
            if isinstance(part, slice):
                start, stop, step = part.indices(n)
                shape.append(len(range(start, stop, step)))
                strides.append(stride * step)
                offset += start * stride
            elif isinstance(part, int):
                offset += (part % n) * stride
            else:
                return None
        shape += self.shape[axis:]
        strides += self.strides[axis:]
        return Ref(self.storage, tuple(shape), tuple(strides), offset)
