"""Reference and hand-written gradients in situations that the user did not think of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..._core.context import no_grad
from ...errors import TinygradCnnError
from ...typing import Array
from .._compare import same
from .probes import Probe, probes
from .subject import Situation, Subject
from .view import View

_FAILURES = (TinygradCnnError, ValueError, IndexError, TypeError, ArithmeticError, KeyError)


class Others:
    """The subject in other situations, worked out when first needed."""

    def __init__(self, subject: Subject, view: View) -> None:
        self.subject, self.given = subject, view
        self._views: list[tuple[Probe, View]] | None = None

    @property
    def views(self) -> list[tuple[Probe, View]]:
        """The probes that the reference accepts and the hand-written side is made for."""
        if self._views is None:
            self._views = list(self._answered()) if self.subject.callable else []
        return self._views

    def _answered(self) -> Iterator[tuple[Probe, View]]:
        done = set()
        for probe in probes(self.subject, self.given.trace.output.shape):
            if probe.kind in done:
                continue
            if probe.control is not None:
                control = self._view(probe.control)
                if control is None or control.wrong:
                    continue  # it is made for one size: this says nothing of rows and columns
            view = self._view(probe.situation)
            if view is not None and not self._captured(view) and not self._made_for_count(view):
                done.add(probe.kind)
                yield probe, view

    def _view(self, situation: Situation) -> View | None:
        subject = self.subject
        try:
            with no_grad(), np.errstate(all="ignore"):
                shape = subject.trace(situation).output.shape
            generator = np.random.default_rng(21)
            # Many a backward of a loss takes dout = 1 for granted.
            keep = shape == () and subject.given.upstream is None
            drawn = None if keep else generator.standard_normal(shape)
            situation = Situation(situation.arrays, drawn, situation.about)
            return View(subject, situation, self.given.clock)
        except _FAILURES:
            return None  # the reference or the hand-written code is not made for such inputs

    def _captured(self, view: View) -> bool:
        """Whether the hand-written code is a closure that holds some of the user's own inputs.

        A mask or the labels, say, computed outside of it: right, for those inputs.
        """
        given, now = self.subject.given.arrays, view.situation.arrays
        if not view.wrong or any(given[name].shape != now[name].shape for name in given):
            return False
        alone = ({**now, name: given[name]} for name in given)
        return any(self._right_at(view, arrays) for arrays in (*alone, given))

    def _right_at(self, view: View, arrays: dict[str, Array]) -> bool:
        trace = self.subject.trace(Situation(arrays, view.trace.upstream))
        gradients = dict(zip(self.subject.names, trace.gradients(), strict=True))
        return all(
            same(view.hand[name], view.clean(np.asarray(gradients[name])), view.tolerance[name])
            for name in view.wrong
        )

    def _made_for_count(self, view: View) -> bool:
        """Whether a number of examples is written into the code.

        Then the rest of more is zero, or the mean is divided by that number.
        """
        name = next(iter(self.subject.given.arrays))
        given, now = self.subject.given.arrays[name], view.situation.arrays[name]
        if not given.ndim or given.shape[1:] != now.shape[1:] or len(given) >= len(now):
            return False
        hand, right, count = view.hand, view.right, len(given)
        if name in view.wrong and hand[name].shape == now.shape:
            first = same(hand[name][:count], right[name][:count], view.tolerance[name])
            if first and not hand[name][count:].any():
                return True
        if count == 1 or count in given.shape[1:]:
            return False  # it may as well be the wrong length
        growth = len(now) / count
        return bool(view.wrong) and all(
            same(hand[n], right[n] * growth, view.tolerance[n]) for n in view.wrong
        )
