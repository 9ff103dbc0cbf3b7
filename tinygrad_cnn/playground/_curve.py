"""The course of a run, in as many points as a page can show."""

from __future__ import annotations

from typing import Any

_POINTS = 400


class Curve:
    """Means of numbers over equal stretches of steps; the longer the run, the longer they are.

    Attributes:
        points: for each stretch its last step, then the means; None where there was no number.

    >>> curve = Curve(limit=2)
    >>> for step in range(1, 5):
    ...     curve.add(step, 10.0 * step, None)
    >>> curve.points
    [[2, 15.0, None], [4, 35.0, None]]
    """

    def __init__(self, limit: int = _POINTS) -> None:
        self.points: list[list[Any]] = []
        self._limit = limit
        self._stretch = 1  # additions in a point
        self._open = 0  # additions in the last point, while it is not complete

    def add(self, step: int, *numbers: float | None) -> None:
        """Take in the numbers of one step."""
        if self._open == 0:
            if len(self.points) == self._limit:
                self._halve()
            self.points.append([step, *numbers])
        else:
            self.points[-1] = _merged(self.points[-1], self._open, [step, *numbers], 1)
        self._open = (self._open + 1) % self._stretch

    def _halve(self) -> None:
        pairs = zip(self.points[::2], self.points[1::2], strict=True)
        self.points = [_merged(a, 1, b, 1) for a, b in pairs]
        self._stretch *= 2


def _merged(a: list[Any], weight: int, b: list[Any], other: int) -> list[Any]:
    """The step of the later point, and weighted means."""
    means = [
        x if y is None else y if x is None else (weight * x + other * y) / (weight + other)
        for x, y in zip(a[1:], b[1:], strict=True)
    ]
    return [b[0], *means]
