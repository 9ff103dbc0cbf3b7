"""Which pixels a unit sees along one axis of the image, as a law for all units at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm

Interval = tuple[int, int]  # the first and the last pixel


@dataclass(frozen=True)
class Law:
    """The pixels that the units along one axis see, borders disregarded.

    Unit ``q * period + r`` sees the interval number r, moved by ``q * jump`` pixels. Behind
    convolutions and pools the period is 1; behind a transposed convolution neighbouring units
    see different amounts, and its stride is the period.

    Attributes:
        intervals: for each unit of one period the first and the last pixel, None for one that
            sees none.
        jump: by how many pixels the next period sees further. With 0 all units see the same.
    """

    intervals: tuple[Interval | None, ...]
    jump: int

    @classmethod
    def of_pixels(cls) -> Law:
        """Every pixel sees itself."""
        return cls(((0, 0),), 1)

    @classmethod
    def constant(cls, interval: Interval | None) -> Law:
        """All units see the same."""
        return cls((interval,), 0)

    @property
    def period(self) -> int:
        """After how many units the law repeats itself."""
        return len(self.intervals)

    @cached_property
    def size(self) -> int:
        """How many pixels a unit sees; where units differ, the most."""
        return max((high - low + 1 for low, high in filter(None, self.intervals)), default=0)

    @property
    def stride(self) -> int | Fraction:
        """How many pixels the next unit sees further."""
        stride = Fraction(self.jump, self.period)
        return int(stride) if stride.denominator == 1 else stride

    @property
    def start(self) -> int | None:
        """The first pixel that unit 0 sees; below 0 it lies in the padding."""
        return self.intervals[0][0] if self.intervals[0] else None

    def sees(self, unit: int) -> Interval | None:
        """The first and the last pixel that a unit sees, which may lie outside of the image."""
        period, place = divmod(unit, self.period)
        interval = self.intervals[place]
        return interval and (interval[0] + period * self.jump, interval[1] + period * self.jump)

    def hull(self, units: Iterable[int]) -> Interval | None:
        """What several units see together."""
        return _hull(self.sees(unit) for unit in units)

    def window(self, kernel: int, stride: int, dilation: int) -> Law:
        """New units that see ``kernel`` old ones each, as in a convolution or a pool."""
        period = self.period // gcd(self.period, stride)
        places = [place * dilation for place in range(kernel)]
        return self._made_of(
            lambda unit: [unit * stride + place for place in places], period, period * stride
        )

    def transposed(self, kernel: int, stride: int, dilation: int) -> Law:
        """New units that sum what the windows of old units lay over them."""

        def units(unit: int) -> list[int]:
            places = (unit - place * dilation for place in range(kernel))
            return [place // stride for place in places if place % stride == 0]

        return self._made_of(units, self.period * stride, self.period)

    def moved(self, first: int, step: int = 1) -> Law:
        """The units of a slice, from ``first`` on; a negative step runs backwards."""
        period = self.period // gcd(self.period, step)
        return self._made_of(lambda unit: [first + unit * step], period, period * step)

    def repeated(self, times: int) -> Law:
        """Each unit several times in a row."""
        return self._made_of(lambda unit: [unit // times], self.period * times, self.period)

    def together(self, other: Law) -> Law | None:
        """What a unit sees through one or the other; None if they do not keep step."""
        if self.jump * other.period != other.jump * self.period:
            return None
        period = lcm(self.period, other.period)
        pairs = ((self.sees(unit), other.sees(unit)) for unit in range(period))
        return Law(tuple(map(_hull, pairs)), self.jump * period // self.period)

    def _made_of(self, units: Callable[[int], list[int]], period: int, passed: int) -> Law:
        """The law of new units, ``passed`` old ones for each period of new ones."""
        intervals = tuple(self.hull(units(unit)) for unit in range(period))
        return Law(intervals, self.jump * passed // self.period)


def _hull(intervals: Iterable[Interval | None]) -> Interval | None:
    known = [interval for interval in intervals if interval is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None
