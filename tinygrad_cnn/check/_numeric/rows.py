"""The gradient of one input against differences: what was measured, and the judgement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...typing import Array
from .cut import cut
from .differences import Differences, Pair, Sweep
from .kinks import Kink
from .point import Index, Recording

# How many elements the step is chosen by: of a variable, and of all together.
_SWEPT, _SWEPT_IN_ALL = 3, 12
# Whatever noise there is, a derivative that is off by more than this is wrong.
_LOOSEST = 0.05
# Of the derivative: one-sided differences that lie further apart belong to two slopes.
_GAP = 1e-3


@dataclass(frozen=True)
class InputReport:
    """How the gradient of one input compares.

    Attributes:
        name: of the variable, or its position.
        shape: of the variable.
        checked: how many of its elements were compared.
        error: the largest difference, relative to the largest derivative compared.
        where: the index of that element.
        recorded, numeric: its two derivatives.
        tolerance: the largest error that passes; more than was asked for where differences
            are not so precise.
        order: of the derivatives.
        method: how the numeric ones were found.
        sweep: the errors of central differences by step, None where the step was given.
        kinks: the elements with two one-sided derivatives; an accepted one has no error.
        note: what else is to say.
    """

    name: str
    shape: tuple[int, ...]
    checked: int = 0
    error: float = 0.0
    where: tuple[int, ...] = ()
    recorded: float = 0.0
    numeric: float = 0.0
    tolerance: float = 0.0
    order: int = 1
    method: str = ""
    sweep: Sweep | None = None
    kinks: tuple[Kink, ...] = ()
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the gradient agrees."""
        return self.error <= self.tolerance

    @property
    def label(self) -> str:
        """The name, and the order if it is not the first."""
        return self.name if self.order == 1 else f"{self.name}, order {self.order}"

    @property
    def remark(self) -> str:
        """The verdict in a few words."""
        return f"wrong at {self.where}" if not self.ok else "" if self.checked else self.note


class Measured(NamedTuple):
    """The recorded derivatives of some elements, and the function around them."""

    which: int
    indices: list[Index]
    exact: Array
    pairs: list[Pair]
    sweep: Sweep | None
    step: float
    noise: float

    @property
    def central(self) -> Array:
        """The central differences."""
        return np.array([pair.central for pair in self.pairs])

    @property
    def scale(self) -> float:
        """The largest recorded derivative."""
        return float(np.abs(self.exact).max(initial=0.0))


def measure(
    differences: Differences, which: int, gradient: Array, indices: list[Index],
    step: float | None,
) -> Measured:  # fmt: skip
    """Look at a variable's elements from both sides, with the best step unless one is given."""
    exact = np.array([float(gradient[index]) for index in indices])
    sweep = None
    if step is None and indices:
        swept = min(_SWEPT, max(1, _SWEPT_IN_ALL // len(differences.point.variables)))
        largest = np.argsort(-np.abs(exact), kind="stable")[:swept]
        sweep = differences.sweep(which, [indices[i] for i in largest])
        step, noise = sweep.step, 4 * sweep.error
    else:
        step = step or 1e-5
        noise = 4 * differences.rounding(step)
    pairs = [differences.pair(which, index, step) for index in indices]
    return Measured(which, indices, exact, pairs, sweep, step, noise)


def disagreement(
    differences: Differences, measured: Measured, complex_steps: Array, name: str
) -> str | None:
    """Where a complex step contradicts the difference, away from kinks.

    It does where a function leaves the recorded operations for some that are not analytic.
    """
    scale = float(np.abs(measured.exact).max(initial=0.0))
    for index, pair, slope in zip(measured.indices, measured.pairs, complex_steps, strict=True):
        central, noise = pair.central, measured.noise
        if pair.flipped or abs(central - slope) <= max(1e-4 * scale, noise):
            continue
        central, noise = differences.settled(measured.which, index)
        if not abs(central - slope) <= max(1e-4 * abs(central), noise):
            return (
                f"complex and central differences disagree at {index} of {name}: f does more than"
                " its analytic operations"
            )
    return None


class Judge:
    """Decides whether what was measured agrees with the recorded gradients."""

    def __init__(
        self, differences: Differences, recording: Recording, tolerance: float, order: int
    ) -> None:
        self.differences, self.recording = differences, recording
        self.tolerance, self.order = tolerance, order

    def row(self, name: str, measured: Measured, complex_steps: Array | None) -> InputReport:
        """The report on one variable."""
        if complex_steps is None:
            numeric, noise = measured.central, measured.noise
            method = f"differences, step {measured.step:.0e}"
            rounding = 4 * self.differences.rounding(measured.step)
        else:
            numeric, method = complex_steps.copy(), "complex step"
            size = max(self.differences.magnitude, measured.scale)
            rounding = noise = 64 * self.differences.eps * size
        errors = np.abs(measured.exact - numeric)
        errors[~np.isfinite(errors)] = np.inf
        scale = _scale(measured, numeric)
        if scale <= rounding and np.isfinite(errors).all():
            note = f"zero: below the rounding error, {rounding:.0e}" if errors.any() else ""
            errors[:], scale = 0.0, 1.0
        else:
            note = ""
        tolerance = max(self.tolerance, min(noise / scale, _LOOSEST)) if scale else self.tolerance
        kinks = self._around_kinks(
            measured, numeric, errors, scale, tolerance, exact_numeric=complex_steps is not None
        )
        if complex_steps is None and measured.sweep is not None:
            self._settle(measured, numeric, errors, tolerance * scale)
        worst = int(np.argmax(errors)) if errors.size else 0
        error = float(errors.max(initial=0.0)) / scale if scale else float(errors.any())
        if tolerance > self.tolerance:
            note = f"tolerance {tolerance:.0e}: differences are no better"
        if error > tolerance:
            note = self._explain(measured, numeric, worst)
        return InputReport(
            name, self.differences.point.copies[measured.which].shape, len(measured.indices),
            error, measured.indices[worst] if errors.size else (),
            float(measured.exact[worst]) if errors.size else 0.0,
            float(numeric[worst]) if errors.size else 0.0,
            tolerance, self.order, method, measured.sweep, tuple(kinks), note,
        )  # fmt: skip

    def _around_kinks(
        self, measured: Measured, numeric: Array, errors: Array, scale: float, tolerance: float,
        *, exact_numeric: bool,
    ) -> list[Kink]:  # fmt: skip
        """The kinks; ``numeric`` and ``errors`` are corrected at each of them."""
        kinks = []
        for i, pair in enumerate(measured.pairs):
            same = errors[i] <= tolerance * scale and abs(pair.right - pair.left) <= _GAP * scale
            if same or not pair.flipped:
                continue
            index, recorded = measured.indices[i], float(measured.exact[i])
            closer = self.differences.closer(measured.which, index, measured.step)
            if closer is None:
                left, right = self.differences.one_sided(measured.which, index, measured.step)
                low, high = sorted((left, right))
                slack = 10 * tolerance * max(scale, abs(low), abs(high))
                accepted = low - slack <= recorded <= high + slack
                numeric[i] = min(max(recorded, low), high)
                errors[i] = 0.0 if accepted else abs(recorded - numeric[i])
                if high - low > slack:
                    kinks.append(Kink(index, pair.flipped, left, right, recorded, accepted))
            elif not exact_numeric:
                # near a kink: a step that does not reach it, and rounds more
                numeric[i], rounding = closer
                apart = abs(recorded - numeric[i])
                errors[i] = 0.0 if apart <= rounding else apart
        return kinks

    def _settle(self, measured: Measured, numeric: Array, errors: Array, slack: float) -> None:
        """Give each element that disagrees the step that suits it, until one is truly wrong."""
        while errors.max(initial=0.0) > slack:
            worst = int(np.argmax(errors))
            slope, noise = self.differences.settled(measured.which, measured.indices[worst])
            recorded = float(measured.exact[worst])
            if not abs(slope - recorded) <= max(slack, min(noise, _LOOSEST * abs(recorded))):
                return
            numeric[worst], errors[worst] = slope, 0.0

    def _explain(self, measured: Measured, numeric: Array, worst: int) -> str:
        """Why a gradient is wrong, where the graph shows it."""
        if self.recording.output.node is None:
            return "detached: nothing was recorded"
        missing = float(numeric[worst] - measured.exact[worst])
        index = measured.indices[worst]
        found = None
        if np.isfinite(missing):
            found = cut(
                self.differences, self.recording, measured.which, index, measured.step, missing
            )
        nothing = not measured.exact.any()
        if found:
            what = "detached" if nothing else "detached in part"
            return f"{what}: it enters as a constant in {found}"
        if nothing:
            return "detached: no gradient comes back, though f depends on it"
        return "" if numeric.any() else "f does not depend on it"


def _scale(measured: Measured, numeric: Array) -> float:
    """The largest derivative, of one-sided ones too where something flips."""
    sides = [slope for pair in measured.pairs if pair.flipped for slope in (pair.left, pair.right)]
    values = np.abs([*measured.exact, *numeric, *sides])
    return float(values[np.isfinite(values)].max(initial=0.0))
