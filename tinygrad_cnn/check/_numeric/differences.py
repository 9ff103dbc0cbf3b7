"""Derivatives without rules: central differences, one-sided ones, and the complex step."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..._core.node import Node
from ...typing import Array
from .._facts import ANALYTIC
from .kinks import decisions, first_flip
from .point import Index, Point, Recording, describe

STEPS = tuple(10.0**-k for k in range(1, 12))
# So small that its square vanishes: the real part stays as it was to the last bit.
_IMAGINARY = 1e-30


@dataclass(frozen=True)
class Sweep:
    """Central differences with steps of every size: large ones truncate, small ones round.

    Attributes:
        steps: relative to max(1, |x|).
        errors: an estimate of the error of the derivative at each step.
    """

    steps: tuple[float, ...]
    errors: tuple[float, ...]

    @property
    def best(self) -> int:
        """The place of the bottom of the V."""
        return int(np.argmin(np.nan_to_num(self.errors, nan=np.inf)))

    @property
    def step(self) -> float:
        """The step with the smallest error."""
        return self.steps[self.best]

    @property
    def error(self) -> float:
        """The smallest error."""
        return self.errors[self.best]


class Pair(NamedTuple):
    """The function on both sides of a point.

    Attributes:
        central, left, right: differences over both sides, and over each.
        flipped: the first operation that decides differently there, described; "" for none.
    """

    central: float
    left: float
    right: float
    flipped: str


Flip = tuple[int, str]


class Differences:
    """Derivatives of the weighted sum of a function's results.

    Results are subtracted before they are weighted and summed, which loses fewer digits.
    """

    def __init__(self, point: Point, recording: Recording, weights: Array) -> None:
        self.point, self.weights = point, weights
        self.base = np.array(recording.output.data)
        self.decided = decisions(recording.nodes)
        self.eps, self.coarse = _precision(recording)
        self.magnitude = float(np.abs(weights * self.base).sum())

    def rounding(self, step: float) -> float:
        """What rounding contributes to a difference at this step."""
        return self.eps * self.magnitude / step

    def pair(self, which: int, index: Index, step: float) -> Pair:
        """The function at x - h and x + h with h = step * max(1, |x|)."""
        x = self.point.copies[which][index]
        h = x.dtype.type(step * max(1.0, abs(float(x))))
        (low, a), (high, b) = (self._look(which, index, amount) for amount in (-h, h))
        # what was added in fact, after rounding
        below, above = float(x - (x - h)), float((x + h) - x)
        return Pair(
            self._slope(high - low, below + above),
            self._slope(self.base - low, below),
            self._slope(high - self.base, above),
            min(filter(None, (a, b)), default=(0, ""))[1],
        )

    def _look(self, which: int, index: Index, amount: Any) -> tuple[Array, Flip | None]:
        def look() -> tuple[Array, Flip | None]:
            output, nodes = self.point.record()
            flip = first_flip(self.decided, nodes)
            # a description keeps no graph alive
            return np.array(output.data), flip and (flip[0], describe(flip[1]))

        return self.point.at(which, index, amount, look)

    def _slope(self, rise: Array, run: float) -> float:
        return float(np.vdot(self.weights, rise)) / run if run else float("nan")

    def sweep(self, which: int, indices: Sequence[Index]) -> Sweep:
        """Try every step on a few elements.

        The error of a step is estimated without knowing the derivative: by how far the next
        smaller step leads away, and what rounding must do.
        """
        slopes = np.array(
            [[self._quick(which, index, step) for index in indices] for step in STEPS]
        )
        apart = np.median(np.abs(np.diff(slopes, axis=0)), axis=1)
        moves = [*apart, apart[-1]]
        errors = [float(a) + self.rounding(step) for a, step in zip(moves, STEPS, strict=True)]
        return Sweep(STEPS, tuple(errors))

    def _quick(self, which: int, index: Index, step: float) -> float:
        """A central difference without a look at the decisions."""
        x = self.point.copies[which][index]
        h = x.dtype.type(step * max(1.0, abs(float(x))))
        low, high = (self.point.at(which, index, amount, self.point.value) for amount in (-h, h))
        return self._slope(high - low, float((x + h) - (x - h)))

    def settled(self, which: int, index: Index) -> tuple[float, float]:
        """A central difference with the best step for this very element, and its error."""
        sweep = self.sweep(which, [index])
        return self.pair(which, index, sweep.step).central, 4 * sweep.error

    def closer(self, which: int, index: Index, step: float) -> tuple[float, float] | None:
        """A difference with a smaller step, at which nothing flips, and its rounding error.

        None where something flips at every step: the kink lies at the point itself.
        """
        while (pair := self.pair(which, index, step)).flipped:
            step /= 10
            if step < self.eps**0.5:
                return None
        return pair.central, 4 * self.rounding(step)

    def one_sided(self, which: int, index: Index, step: float) -> tuple[float, float]:
        """The derivatives from the left and from the right, by three points each."""
        x = self.point.copies[which][index]
        h = x.dtype.type(min(step, self.eps ** (1 / 3)) * max(1.0, abs(float(x))))
        slopes = []
        for signed in (-h, h):
            near, far = (
                self.point.at(which, index, amount, self.point.value) - self.base
                for amount in (signed, 2 * signed)
            )
            slopes.append(self._slope(4 * near - far, 2 * float(signed)))
        return slopes[0], slopes[1]

    def complex_step(self, which: int, index: Index) -> float:
        """The imaginary part of f(x + ih), divided by h (Squire and Trapp 1998).

        Nothing is subtracted, so that no digit is lost. The variables must hold complex copies.
        """
        moved = self.point.at(which, index, _IMAGINARY * 1j, self.point.value)
        return self._slope(moved.imag, _IMAGINARY)


def _precision(recording: Recording) -> tuple[float, Node | None]:
    """The rounding unit of the coarsest operation, and the operation if it is not float64."""
    eps, coarse = float(np.finfo(np.float64).eps), None
    for node in recording.nodes:
        if node.primitive and node.ans.dtype.kind == "f" and np.finfo(node.ans.dtype).eps > eps:
            eps, coarse = float(np.finfo(node.ans.dtype).eps), node
    return eps, coarse


def why_not_complex(recording: Recording, differences: Differences) -> str | None:
    """The reason why a complex step cannot replace a difference, or None."""
    if differences.coarse is not None:
        return f"it computes in {differences.coarse.ans.dtype}: {describe(differences.coarse)}"
    for node in recording.nodes:
        if node.primitive and node.primitive.name not in ANALYTIC:
            return f"not analytic: {describe(node)}"
    return None if recording.nodes else "nothing was recorded"


def complex_steps(
    differences: Differences, indices: Sequence[Sequence[Index]]
) -> list[Array] | str:
    """The derivative by every element named, for each variable; or why there is none."""
    with differences.point.held(np.complex128), warnings.catch_warnings():
        # Statistics that are kept as real numbers lose the imaginary part. Whether one was lost
        # that counts is seen in the comparison with differences.
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
        try:
            return [
                np.array([differences.complex_step(which, index) for index in chosen])
                for which, chosen in enumerate(indices)
            ]
        except Exception as error:  # what a function does with complex numbers is its own affair
            return f"it refuses complex numbers: {type(error).__name__}: {error}"
