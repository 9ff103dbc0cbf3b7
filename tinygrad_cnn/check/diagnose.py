"""The doctor: why is a hand-derived gradient wrong?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..typing import Array
from ._compare import error, not_finite, same
from ._doctor.claims import Claim, Hypothesis
from ._doctor.hypotheses import HYPOTHESES
from ._doctor.others import Others
from ._doctor.rules import rule_of
from ._doctor.subject import Situation, Subject
from ._doctor.view import Clock, View
from .findings import Diagnosis, Finding, error_map, first_wrong

__all__ = ["diagnose"]

_SECONDS = 3.0  # for one search; a layer of course size takes less
_DIFFERENCED = 24  # elements of each input, to examine a hand-written forward


def diagnose(
    reference: Callable[..., Any],
    inputs: Mapping[str, Any] | Sequence[Any],
    hand: Any,
    forward: Callable[..., Any] | None = None,
    upstream: Any = None,
) -> Diagnosis:
    """Compare a hand-derived gradient with autograd, and say why it is wrong.

    A finding is proved: the gradient, repaired, agrees with autograd, or autograd with one rule
    broken gives the same numbers. Where nothing can be proved the verdict is ``unknown``. A
    gradient that follows another convention at ties and kinks is right.

    Args:
        reference: the function composed in tinygrad_cnn, called with all inputs in order.
        inputs: arrays by name, or in order. Integers (labels) are not differentiated.
        hand: the gradients as arrays (in order, by name, or just one), or the hand-written
            backward ``(dout, *inputs) -> gradients``; with ``forward`` given,
            ``(dout, cache) -> gradients``. It may be called again on other inputs.
        forward: the hand-written forward ``(*inputs) -> (out, cache)``.
        upstream: dout, of the shape of the reference's output; ones by default.

    Raises:
        ArgumentError: the gradients can't be matched with the inputs.
        ShapeError: ``upstream`` has another shape than the output.
        GraphError: the reference does not depend on any floating-point input.

    >>> import numpy as np, tinygrad_cnn as tc
    >>> def square(x): return x * x
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> print(tc.check.diagnose(square, {"x": x}, lambda dout, x: -2 * x * dout).causes)
    {'x': {'sign'}}
    """
    subject = Subject(reference, inputs, hand, forward, upstream)
    clock = Clock(_SECONDS)
    view = View(subject, subject.given, clock)
    findings = list(_manners(subject, view)) if subject.callable else []
    if forward is not None:
        other = _other_forward(subject, view)
        if other is not None:
            return Diagnosis((*findings, other), view.errors)
    others = Others(subject, view)
    manners = {finding.cause for finding in findings}
    for name in view.wrong:
        for finding in _explain(view, name, others):
            if finding.cause == "unknown" and len(manners) == 1:
                [cause] = manners  # what it worked with was not what it was given
                finding = replace(finding, cause=cause)
            findings.append(finding)
    notes: list[str] = []
    if not view.wrong and subject.callable:
        findings.extend(_hidden(others, notes))
    missing = [name for name in subject.floating if name not in view.hand]
    if missing:
        notes.append(f"no gradient was given for {', '.join(missing)}")
    return Diagnosis(tuple(findings), view.errors, tuple(notes))


def _manners(subject: Subject, view: View) -> Iterator[Finding]:
    """Whether a call leaves its arguments alone, and a second one gives the same."""
    copies, dout = subject.given.copies(), np.array(view.trace.upstream)
    again = subject.call(copies, dout)
    before = subject.given.arrays
    changed = [n for n, c in zip(before, copies, strict=True) if not _equal(c, before[n])]
    if not _equal(dout, view.trace.upstream):
        changed.append("dout")
    if changed:
        yield Finding(
            None, "mutates_input", f"after a call, {', '.join(changed)} held other numbers"
        )
    moved = [n for n, g in again.items() if not _repeats(view.clean(g), view.hand[n])]
    if moved:
        yield Finding(
            None, "state_between_calls", f"with the same arguments, {', '.join(moved)} differed"
        )


def _repeats(one: Array, other: Array) -> bool:
    finite = np.isfinite(one)
    if one.shape != other.shape or not np.array_equal(finite, np.isfinite(other)):
        return False
    undefined = np.array_equal(one[~finite], other[~finite], equal_nan=True)
    return undefined and same(one[finite], other[finite], 1e-12)


def _equal(one: Array, other: Array) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _other_forward(subject: Subject, view: View) -> Finding | None:
    """A hand-written forward that computes something else, of which the backward is right."""
    out = subject.forward_output(subject.given)
    expected = view.trace.output.numpy()
    if out is None or (out.shape == expected.shape and error(out, expected) < 1e-6):
        return None
    if out.shape != expected.shape:
        return Finding(
            None, "forward_differs", f"it returns {out.shape}, the reference {expected.shape}"
        )
    for name in view.wrong or list(view.hand):
        if not _differences_agree(subject, view, name):
            return None
    largest = np.abs(out - expected).max()
    return Finding(
        None,
        "forward_differs",
        f"the two outputs differ by up to {largest:.3g}; central differences of the hand-written"
        " forward agree with the hand-written gradient",
    )


def _differences_agree(subject: Subject, view: View, name: str, step: float = 1e-5) -> bool:
    """Central differences of the hand-written forward against the hand-written gradient."""
    arrays, hand = view.situation.arrays, view.hand[name]
    if hand.shape != arrays[name].shape:
        return False
    chosen = np.random.default_rng(0).permutation(hand.size)[:_DIFFERENCED]
    slopes = []
    for place in chosen:
        index = np.unravel_index(place, hand.shape)
        values = []
        for moved in (step, -step):
            shifted = np.array(arrays[name], np.float64)
            shifted[index] += moved
            out = subject.forward_output(Situation({**arrays, name: shifted}, None))
            values.append(float(np.sum(view.trace.upstream * np.asarray(out))))
        slopes.append((values[0] - values[1]) / (2 * step))
    return error(np.array(slopes), hand.reshape(-1)[chosen]) < 1e-5


def _explain(view: View, name: str, others: Others) -> Iterator[Finding]:
    """The causes of one wrong gradient: the simplest that holds on other numbers too."""
    hand, right = view.hand[name], view.right[name]
    undefined = not_finite(hand, right)
    if undefined and not view.only_at_kinks(name):
        yield _finding(view, name, "not_finite", undefined)
        return
    for hypothesis in HYPOTHESES:
        for claim in hypothesis(view, name):
            if _holds_elsewhere(claim, hypothesis, name, others):
                for cause in claim.causes:
                    yield _finding(view, name, cause, claim.evidence)
                return
    if hand.shape != right.shape:
        evidence = f"it has shape {hand.shape}, the input {right.shape}"
        yield _finding(view, name, "wrong_shape", evidence)
        return
    wrong = ~(np.abs(hand - right) <= view.tolerance[name] * np.abs(right).max(initial=0.0))
    evidence = f"{int(wrong.sum())} of {hand.size} elements differ, and nothing tried explains it"
    yield _finding(view, name, "unknown", evidence)


def _holds_elsewhere(claim: Claim, hypothesis: Hypothesis, name: str, others: Others) -> bool:
    """Whether a claim explains the gradient on other numbers of the same shapes too."""
    for probe, view in others.views:
        if probe.kind == "values" and name in view.wrong and not view.clock.over:
            return any(found.key == claim.key for found in hypothesis(view, name))
    return True


def _hidden(others: Others, notes: list[str]) -> Iterator[Finding]:
    """Faults of a backward that is right on the user's inputs, seen on others."""
    agreed = []
    for probe, view in others.views:
        about = probe.situation.about
        found = [f for name in view.wrong for f in _explain(view, name, others)]
        if probe.kind == "image" and found:
            evidence = f"it agrees with autograd on square images, and not on {about}"
            yield from (_finding(view, n, "rows_columns_swapped", evidence) for n in view.wrong)
            return
        proved = [f for f in found if f.cause not in ("unknown", "precision", "wrong_shape")]
        for finding in proved:
            evidence = f"right on your inputs, wrong on {about}: {finding.evidence}"
            yield replace(finding, evidence=evidence)
        if proved:
            return
        if found:
            notes.append(f"on {about} the gradient of {', '.join(view.wrong)} differs; why is open")
        else:
            agreed.append(about)
    if agreed:
        notes.append(f"it agrees with autograd also on {', '.join(agreed)}")


def _finding(view: View, name: str, cause: str, evidence: str) -> Finding:
    hand, right = view.hand[name], view.right[name]
    return Finding(
        name,
        cause,
        evidence,
        math=rule_of(view.trace, name),
        wrong=first_wrong(hand, right, view.tolerance[name]),
        error_map=error_map(hand, right),
    )
