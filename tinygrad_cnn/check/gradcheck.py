"""Compare recorded gradients with differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._core.backprop import gradients
from .._core.tensor import Tensor
from ..errors import ArgumentError
from ..typing import Array
from ._compare import error as relative_error
from ._numeric.differences import Differences, complex_steps, why_not_complex
from ._numeric.laws import Law, adjoint, directions, jvp_against_vjp, proportional, repeatable
from ._numeric.point import Index, Point, Recording, Slope, describe
from ._numeric.rows import InputReport, Judge, Measured, disagreement, measure
from ._render import Block, Line, Rendered, Table, Tone

__all__ = ["InputReport", "Report", "gradcheck", "relative_error"]

_SWEEPS_SHOWN = 3
_KINKS_SHOWN = 5


@dataclass(frozen=True)
class Report(Rendered):
    """What ``gradcheck`` found; ``print`` it, or show it in a notebook.

    Attributes:
        rows: one for each input and order.
        tolerance: the largest relative error that was to pass.
        laws: what holds for all elements at once, such as the adjoint test.
        notes: what a reader should know, such as why differences were not complex steps.
    """

    rows: tuple[InputReport, ...]
    tolerance: float
    laws: tuple[Law, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def error(self) -> float:
        """The worst relative error; infinite where nothing could be compared."""
        return max((row.error for row in self.rows), default=float("inf"))

    @property
    def ok(self) -> bool:
        """Whether every gradient agrees, and every law holds."""
        return all(row.ok for row in self.rows) and all(law.ok for law in self.laws)

    def blocks(self) -> Iterator[Block]:
        """The verdict, the table of inputs, kinks, laws, the V of the steps, and the notes."""
        wrong = sum(not row.ok for row in self.rows)
        if self.ok:
            yield Line("gradcheck: every gradient agrees", "good")
        elif wrong:
            yield Line(f"gradcheck: {wrong} of {len(self.rows)} gradients differ", "bad")
        else:
            yield Line("gradcheck: failed", "bad")
        if self.rows:
            yield self._table()
        for row in self.rows:
            if not row.ok:
                figures = f"recorded {row.recorded:.6g}, numeric {row.numeric:.6g}"
                yield Line(f"{row.label} at {row.where}: {figures}", "bad")
            if row.note and row.checked:
                yield Line(f"{row.label}: {row.note}", "dim" if row.ok else "bad")
            for kink in row.kinks[:_KINKS_SHOWN]:
                yield Line(f"{row.label}: {kink}", "warn" if kink.accepted else "bad")
            if len(row.kinks) > _KINKS_SHOWN:
                yield Line(f"{row.label}: {len(row.kinks) - _KINKS_SHOWN} more kinks", "warn")
        for law in self.laws:
            yield Line(str(law), "plain" if law.ok else "bad")
        yield from self._sweeps()
        for note in self.notes:
            yield Line(note, "dim")

    def _table(self) -> Table:
        tones: list[Tone] = ["plain" if row.ok else "bad" for row in self.rows]
        cells = [
            (
                row.label, str(row.shape), str(row.checked),
                f"{row.error:.1e}" if row.checked else "", row.method, row.remark,
            )
            for row in self.rows
        ]  # fmt: skip
        return Table(("variable", "shape", "checked", "relative error", "by", ""), cells, tones)

    def _sweeps(self) -> Iterator[Block]:
        """The V: the error of differences by step, for the inputs that agree least."""
        swept = sorted((row for row in self.rows if row.sweep), key=lambda row: -row.error)
        if not swept:
            return
        yield Line("estimated error of central differences, by step relative to max(1, |x|):")
        table = []
        for row in swept[:_SWEEPS_SHOWN]:
            best = row.sweep.best if row.sweep else 0
            errors = [f"{e:.0e}" for e in row.sweep.errors] if row.sweep else []
            errors[best] += "*"
            table.append((row.label, *errors))
        steps = swept[0].sweep.steps if swept[0].sweep else ()
        yield Table(("step", *(f"{step:.0e}" for step in steps)), table)


def gradcheck(
    f: Callable[..., Any],
    inputs: Any,
    order: int = 1,
    *,
    sample: int | None = None,
    step: float | None = None,
    tolerance: float = 1e-6,
    linear: bool | None = None,
    seed: int = 0,
) -> Report:
    """Compare the gradients of ``f(*inputs)`` with complex steps and central differences.

    Where all operations are analytic, the derivative is the imaginary part of f(x + ih) / h,
    without cancellation (Squire and Trapp 1998); else it is the difference of f(x + h) and
    f(x - h), with the best of many steps. An element at which relu, max-pool and the like
    change sides has two one-sided derivatives: anything between them is accepted.

    Args:
        f: returns a Tensor of any shape, several of them, or a number. It is called several
            times for each element compared, at inputs up to ``0.1 * max(1, |x|)`` away, and must
            give the same result for the same inputs.
        inputs: variables, which ``f`` may also reach by other ways, such as a model's
            parameters; or arrays. They are moved as float64 copies if ``f`` allows, and put
            back. Integers and constants are passed on.
        order: 2 compares the derivatives of a random combination of the gradients as well.
        sample: how many elements of each input to compare, drawn from ``seed``; default all.
        step: use central differences with this step relative to ``max(1, |x|)``.
        tolerance: the largest relative error that passes, where differences are as precise.
        linear: whether ``f`` is linear, by default tried out; the adjoint test needs it.
        seed: of the elements compared, and of the upstream gradient where ``f`` returns
            several numbers.

    Raises:
        ArgumentError: no input has a gradient, or another order.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> report = tc.check.gradcheck(lambda x: (x**3).sum(), [x])
    >>> report.ok, report.error < 1e-14
    (True, True)
    """
    if order not in (1, 2):
        raise ArgumentError(f"gradcheck: order={order!r}, expected 1 or 2")
    point = Point(f, inputs)
    check = _Check(order, sample, step, tolerance, linear, seed)
    # moved inputs may leave the domain: NaN is reported, not warned of
    with point.undisturbed(), np.errstate(all="ignore"):
        dtype, check.notes = _dtype(point)
        with point.held(dtype):
            return check.run(point)


def _dtype(point: Point) -> tuple[Any, list[str]]:
    """float64 if the function accepts it, else None for what the variables have."""
    lower = {str(v.dtype) for v in point.variables if v.dtype != np.float64}
    if not lower:
        return np.float64, []
    which = " and ".join(sorted(lower))
    try:
        with point.held(np.float64):
            point.value()
    except Exception as error:  # what it does with another dtype is its own affair
        return None, [f"checked in {which}, since f refuses float64: {error}"]
    return np.float64, [
        f"{which} inputs were checked as float64 copies: differences of {which} keep no more than"
        " a few digits"
    ]


@dataclass
class _Check:
    """The settings of one call, and the notes that it takes."""

    order: int
    sample: int | None
    step: float | None
    tolerance: float
    linear: bool | None
    seed: int
    notes: list[str] = field(default_factory=list)

    def run(self, point: Point) -> Report:
        """Compare at order 1, then the laws, then order 2."""
        first = point.record()
        shape = first.output.shape
        generator = np.random.default_rng([self.seed, 1])
        weights = np.ones(shape) if first.output.size == 1 else generator.standard_normal(shape)
        differences = Differences(point, first, weights)
        changing = repeatable(first, point.record(), differences.eps)
        if changing is not None:
            return Report((), self.tolerance, (changing,), tuple(self.notes))
        if differences.coarse is not None:
            self.notes.append(
                f"differences keep few digits, since f computes in {differences.coarse.ans.dtype}:"
                f" {describe(differences.coarse)}; each tolerance is what the best step allows"
            )
        recorded = _recorded(point, first.output, weights)
        rows = self._rows(differences, first, recorded, 1)
        laws = self._laws(differences, first.output, recorded) if first.output.node else []
        if self.order == 2:
            tangents = directions(point.copies, self.seed)
            bent = Slope(point, weights, tangents)
            second = bent.record()
            ones = np.ones(second.output.shape)
            recorded = _recorded(bent, second.output, ones)
            rows += self._rows(Differences(bent, second, ones), second, recorded, 2)
        rows += [
            InputReport(point.names[place], np.shape(point.operands[place]), note=why)
            for place, why in point.constants.items()
        ]
        return Report(tuple(rows), self.tolerance, tuple(laws), tuple(self.notes))

    def _rows(
        self, differences: Differences, recording: Recording, recorded: list[Array], order: int
    ) -> list[InputReport]:
        point = differences.point
        names = [point.names[place] for place in point.places]
        measured = [
            measure(differences, which, gradient, self._chosen(which, gradient.shape), self.step)
            for which, gradient in enumerate(recorded)
        ]
        steps = self._complex_steps(differences, recording, measured, names)
        judge = Judge(differences, recording, self.tolerance, order)
        return [
            judge.row(name, found, complex_steps)
            for name, found, complex_steps in zip(names, measured, steps, strict=True)
        ]

    def _chosen(self, which: int, shape: tuple[int, ...]) -> list[Index]:
        """The elements of one variable that are compared."""
        size = math.prod(shape)
        chosen = np.arange(size)
        if self.sample is not None and self.sample < size:
            generator = np.random.default_rng([self.seed, 3, which])
            chosen = np.sort(generator.choice(size, self.sample, replace=False))
        return [tuple(map(int, np.unravel_index(i, shape))) for i in chosen]

    def _complex_steps(
        self, differences: Differences, recording: Recording, measured: list[Measured],
        names: list[str],
    ) -> Sequence[Array | None]:  # fmt: skip
        """The derivatives by complex steps; where there are none, a note says why."""
        if self.step is not None:
            return [None] * len(measured)
        why = why_not_complex(recording, differences)
        if why is None:
            found = complex_steps(differences, [one.indices for one in measured])
            if isinstance(found, list):
                doubts = (
                    disagreement(differences, *case)
                    for case in zip(measured, found, names, strict=True)
                )
                why = next(filter(None, doubts), None)
                if why is None:
                    return found
            else:
                why = found
        self.notes.append(f"differences instead of complex steps: {why}")
        return [None] * len(measured)

    def _laws(self, differences: Differences, output: Tensor, recorded: list[Array]) -> list[Law]:
        """The laws that rounding lets be tried; jvp alone is no reason to fail at order 1."""
        if differences.coarse is not None:
            return []
        point, weights, eps = differences.point, differences.weights, differences.eps
        names = [point.names[place] for place in point.places]
        tripled = _recorded(point, output, 3 * weights)
        laws = [proportional(recorded, tripled, names, differences.magnitude, eps)]
        if laws == [None]:
            law = jvp_against_vjp(point, weights, directions(point.copies, self.seed), eps)
            if law.ok or self.order == 2:
                laws.append(law)
            else:
                self.notes.append(f"fit for first derivatives only: {law}")
        laws.append(adjoint(point, weights, recorded, self.seed, eps, linear=self.linear))
        return [law for law in laws if law is not None]


def _recorded(point: Point, output: Tensor, weights: Array) -> list[Array]:
    """The gradient of the weighted sum by every variable; zeros without dependence."""
    if output.node is None:
        return [np.zeros(x.shape) for x in point.copies]
    found = gradients(output, point.variables, weights, retain_graph=True)
    return [
        np.zeros(x.shape) if g is None else np.asarray(g.data)
        for x, g in zip(point.copies, found, strict=True)
    ]
