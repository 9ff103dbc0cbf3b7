"""Where the axes of the image are in an array that was computed from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from ...typing import Shape
from ._laws import Law


class Part(NamedTuple):
    """A factor of an axis of an array: an axis of the image, by number, or None, and its length."""

    image_axis: int | None
    length: int


Axis: TypeAlias = tuple[Part, ...]  # row-major: several where a reshape has merged them


def no_space(length: int) -> Axis:
    """An axis that runs over channels, batch or anything else than the image."""
    return (Part(None, length),)


@dataclass(frozen=True)
class Tracked:
    """An array that was computed from the image.

    Attributes:
        axes: of the array.
        laws: for each axis of the image in space, what its units see.
        image: the size of the image in space.
    """

    axes: tuple[Axis, ...]
    laws: tuple[Law, ...]
    image: Shape

    @classmethod
    def of_image(cls, shape: Shape) -> Tracked:
        """The image itself: (N, C, H, W), or with other axes in space."""
        space = [(Part(i, n),) for i, n in enumerate(shape[2:])]
        axes = (no_space(shape[0]), no_space(shape[1]), *space)
        return cls(axes, (Law.of_pixels(),) * len(space), tuple(shape[2:]))

    @classmethod
    def lost(cls, shape: Shape, image: Shape) -> Tracked:
        """Every element may see the whole image."""
        laws = tuple(Law.constant((0, n - 1)) for n in image)
        return cls(tuple(map(no_space, shape)), laws, image)

    @property
    def shape(self) -> Shape:
        """Of the array."""
        return tuple(math.prod(part.length for part in axis) for axis in self.axes)

    def with_axis(self, number: int, axis: Axis) -> Tracked:
        """The same with another axis."""
        return replace(self, axes=(*self.axes[:number], axis, *self.axes[number + 1 :]))

    def with_axes(self, axes: Iterable[Axis]) -> Tracked:
        """The same with other axes."""
        return replace(self, axes=tuple(axes))

    def with_law(self, image_axis: int, law: Law) -> Tracked:
        """The same with another law."""
        laws = (*self.laws[:image_axis], law, *self.laws[image_axis + 1 :])
        return replace(self, laws=laws)

    def seen_together(self, axis: Axis, units: Sequence[int] | None = None) -> Tracked:
        """``axis`` goes: every element sees what its units saw, or those listed, in the image."""
        x = self
        for image_axis, length in axis:
            if image_axis is not None:
                hull = self.laws[image_axis].hull(range(length) if units is None else units)
                last = self.image[image_axis] - 1
                clipped = hull and (min(max(hull[0], 0), last), max(min(hull[1], last), 0))
                x = x.with_law(image_axis, Law.constant(clipped))
        return x

    def reduced(self, numbers: Iterable[int], keep: bool = False) -> Tracked:
        """Without some axes, or with ``keep`` with length 1 there."""
        gone, x = set(numbers), self
        for number in gone:
            x = x.seen_together(x.axes[number])
        axes = [() if i in gone else axis for i, axis in enumerate(x.axes)]
        return x.with_axes(axis for i, axis in enumerate(axes) if keep or i not in gone)

    def along(self, number: int, length: int, change: Callable[[Law], Law]) -> Tracked:
        """Other units along an axis of the array: another law, if it is an axis of the image."""
        x = self.as_one_axis(number)
        [part] = x.axes[number]
        if part.image_axis is not None:
            x = x.with_law(part.image_axis, change(x.laws[part.image_axis]))
        return x.with_axis(number, (Part(part.image_axis, length),))

    def as_one_axis(self, number: int) -> Tracked:
        """An axis as one factor: its units then repeat those of the image that lead it."""
        axis, length = self.axes[number], self.shape[number]
        first = _leading(axis)
        if first is None:
            return self.seen_together(axis).with_axis(number, no_space(length))
        law = self.laws[first].repeated(length // axis[0].length)
        return self.with_law(first, law).with_axis(number, (Part(first, length),))

    @property
    def unit_laws(self) -> tuple[Law, ...]:
        """The laws by the axes of the array, where these are axes of the image."""
        x = self
        for number, axis in enumerate(self.axes):
            if _leading(axis) is not None:
                x = x.as_one_axis(number)
        return x.laws

    def broadcast(self, shape: Shape) -> Tracked:
        """To a shape: new axes in front, and others in the place of those of length 1."""
        new = len(shape) - len(self.axes)
        stretched = [i for i, n in enumerate(self.shape) if n != shape[new + i]]
        x = self.reduced(stretched, keep=True)
        axes = [no_space(shape[new + i]) if i in stretched else a for i, a in enumerate(x.axes)]
        return x.with_axes((*map(no_space, shape[:new]), *axes))

    def union(self, other: Tracked) -> Tracked:
        """Element by element with an array of the same shape."""
        laws = []
        for number, (law, its) in enumerate(zip(self.laws, other.laws, strict=True)):
            same_place = self._place(number) == other._place(number)
            together = law.together(its) if same_place else None
            laws.append(together or Law.constant((0, self.image[number] - 1)))
        pairs = zip(self.axes, other.axes, strict=True)
        axes = (a if any(p.image_axis is not None for p in a) else b for a, b in pairs)
        return Tracked(tuple(axes), tuple(laws), self.image)

    def _place(self, image_axis: int) -> int | None:
        """In which axis of the array an axis of the image is found."""
        held = (i for i, axis in enumerate(self.axes) for part in axis if part[0] == image_axis)
        return next(held, None)

    def reshaped(self, shape: Shape) -> Tracked:
        """The same elements in row-major order under another shape."""
        x, parts = self, [part for axis in self.axes for part in axis][::-1]
        axes: list[list[Part]] = []
        for length in shape:
            axes.append([])
            while length > 1 or (parts and parts[-1].length == 1 and not axes[-1]):
                part = parts.pop()
                if length % part.length:
                    rest, remainder = divmod(part.length, length)
                    if remainder:  # neither divides the other
                        return Tracked.lost(shape, self.image)
                    x, part = x._divided(part, rest), Part(part.image_axis, length)
                    parts.append(Part(None, rest))
                axes[-1].append(part)
                length //= part.length
        if axes:
            axes[-1].extend(reversed(parts))  # of length 1
        return x.with_axes(map(tuple, axes))

    def _divided(self, part: Part, rest: int) -> Tracked:
        """Units of the image in groups of ``rest``, as where a picture is cut into tiles."""
        if part.image_axis is None:
            return self
        return self.with_law(part.image_axis, self.laws[part.image_axis].window(rest, rest, 1))


def _leading(axis: Axis) -> int | None:
    """The axis of the image that an axis of the array runs over, if there is only one."""
    space = [part for part in axis if part.image_axis is not None]
    return space[0].image_axis if len(space) == 1 and axis[0] == space[0] else None
