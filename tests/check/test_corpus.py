"""The doctor, measured on a corpus of hand-written gradients whose mistakes are known."""

from __future__ import annotations

import time
from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from corpus import CASES, Case, run

import tinygrad_cnn as tc

BROKEN = [case for case in CASES if case.causes]
CORRECT = [case for case in CASES if not case.causes]
CAUSES = """
    sign scale missing_mean mean_for_sum transposed wrong_axis missing_broadcast_sum overwritten
    unflipped_kernel stride_ignored padding_offset rows_columns_swapped missing_mask wrong_mask
    missing_dropout_scale diagonal_only missing_path missing_regularization extra_regularization
    ignores_upstream wrong_index repeated_term swapped_outputs wrong_saved_value tie_convention
    kink precision wrong_shape forward_differs mutates_input state_between_calls unknown
""".split()  # noqa: SIM905  (a literal list takes a line for each)


def _ids(case: Case) -> str:
    return case.name


# -- the corpus is what it says ------------------------------------------------------------


def _true_gradients(function, nudges):
    """By autograd: the mean over the nudges of the first input."""
    upstream = function.upstream_array()
    names = function.floating
    total = dict.fromkeys(names, 0.0)
    for nudge in nudges:
        inputs = dict(function.inputs)
        inputs[names[0]] = inputs[names[0]] + nudge
        operands = {
            name: tc.tensor(x, dtype="float64", requires_grad=True) if name in names else x
            for name, x in inputs.items()
        }
        (function.reference(*operands.values()) * upstream).sum().backward()
        for name in names:
            total[name] = total[name] + operands[name].grad.numpy() / len(nudges)
    return total


def _by_name(gradients, names):
    if isinstance(gradients, np.ndarray):
        gradients = [gradients]
    return gradients if isinstance(gradients, dict) else dict(zip(names, gradients, strict=True))


def _wrong_inputs(case, function, gradients):
    """The inputs whose gradient differs from autograd's, with the largest relative error."""
    single = any(x.dtype == np.float32 for x in function.inputs.values())
    truth = _true_gradients(function, case.nudges)
    wrong = {}
    for name, hand in _by_name(gradients, truth).items():
        true = truth[name]
        scale = max(np.abs(true).max(), 1e-6)
        error = np.inf if np.shape(hand) != true.shape else np.abs(hand - true).max() / scale
        if not error <= (1e-5 if single else 1e-6):
            wrong[name] = error
    return wrong


@pytest.mark.parametrize("case", CASES, ids=_ids)
def test_a_case_is_wrong_where_it_says(case):
    function = case.function
    if case.shows_at is not None:
        upstream = "random" if function.upstream == "ones" else function.upstream
        function = function.at(inputs=case.shows_at, upstream=upstream)
    hand = case.make_hand()
    found, given = run(function, hand) if callable(hand) else (hand, None)
    whole = case.causes.get(None, frozenset())
    if "forward_differs" in whole:
        assert not np.allclose(given.out, function.value())
    else:
        assert set(_wrong_inputs(case, function, found)) == set(case.causes) - {None}
    if given is not None:
        assert given.mutated == ("mutates_input" in whole)
        assert _repeats(function, case.make_hand()) == ("state_between_calls" not in whole)


def _repeats(function, hand):
    """Whether a second call gives what the first gave."""
    names = function.floating
    first = {name: np.array(g) for name, g in _by_name(run(function, hand)[0], names).items()}
    again = _by_name(run(function, hand)[0], names)
    return all(np.array_equal(first[name], again[name], equal_nan=True) for name in names)


@pytest.mark.parametrize("case", [case for case in BROKEN if case.shows_at], ids=_ids)
def test_a_hidden_bug_is_hidden(case):
    found, _ = run(case.function, case.make_hand())
    assert _wrong_inputs(case, case.function, found) == {}


def test_the_corpus_is_wide():
    assert len(BROKEN) >= 120
    assert len(CORRECT) >= 60
    assert len({case.function.reference for case in BROKEN}) >= 15
    assert 2 * sum(case.function.layer for case in BROKEN) >= len(BROKEN)
    assert len({case.name for case in CASES}) == len(CASES)
    certain = Counter(
        code
        for case in BROKEN
        for code in {next(iter(codes)) for codes in case.causes.values() if len(codes) == 1}
    )
    assert set(certain) == set(CAUSES)
    assert {code: count for code, count in certain.items() if count < 3} == {}


# -- the doctor ----------------------------------------------------------------------------


class Verdict(NamedTuple):
    """What the doctor said of a case."""

    case: Case
    said: dict[str | None, set[str]]
    ok: bool
    seconds: float

    @property
    def right(self):
        """Every expected cause was named, and no other."""
        named = all(self._names(name) & codes for name, codes in self.case.causes.items())
        return named and not self.wrong and self.ok == (not self.case.causes)

    @property
    def wrong(self):
        """The codes that are wrong names; to abstain is none."""
        whole = self.case.causes.get(None, frozenset())
        return {
            f"{name}: {code}"
            for name, codes in self.said.items()
            for code in codes - self.case.causes.get(name, frozenset()) - whole - {"unknown"}
        }

    def _names(self, name):
        return set().union(*self.said.values()) if name is None else self.said.get(name, set())

    def __str__(self):
        def listed(causes):
            return ", ".join(f"{name}: {' '.join(sorted(codes))}" for name, codes in causes.items())

        mark = "WRONG" if self.wrong else "missed"
        return (
            f"{mark}  {self.case.name} | {listed(self.case.causes) or 'ok'} | {listed(self.said)}"
        )


def _diagnose(case):
    start = time.process_time()
    report = tc.check.diagnose(
        case.reference, dict(case.inputs), case.make_hand(), case.forward, case.upstream
    )
    said = {name: set(codes) for name, codes in report.causes.items()}
    return Verdict(case, said, report.ok, time.process_time() - start)


@pytest.mark.parametrize("case", CORRECT, ids=_ids)
def test_a_right_gradient_is_ok(case):
    verdict = _diagnose(case)
    assert verdict.ok, str(verdict)


def test_the_doctor_finds_the_cause():
    verdicts = [_diagnose(case) for case in BROKEN]
    missed = [verdict for verdict in verdicts if not verdict.right]
    wrong = [verdict for verdict in missed if verdict.wrong]
    slowest = max(verdicts, key=lambda verdict: verdict.seconds)
    print(*missed, sep="\n")
    print(
        f"{len(verdicts)} broken: {len(verdicts) - len(missed)} right, {len(wrong)} wrong;"
        f" slowest {slowest.case.name}, {slowest.seconds:.2f} s"
    )
    assert len(missed) <= 0.05 * len(verdicts)
    assert len(wrong) <= 0.01 * len(verdicts)
    assert slowest.seconds < 5.0
