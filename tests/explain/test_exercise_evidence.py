"""What an exercise says of a wrong gradient: true, and in the words of the page."""

from __future__ import annotations

import re

import numpy as np
import pytest
from derived_nets import normalised

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn.explain._source import source_of
from tinygrad_cnn.explain.exercise import Exercise


@pytest.mark.parametrize(
    ("answer", "cause", "evidence"),
    [
        ({"db1": "dz[:, :1].sum(axis=1)"}, "wrong_shape", "it has shape (5,), the input (10,)"),
        ({"dW1": 3}, "wrong_shape", "it has shape (), the input (4, 10)"),
        (
            {"db2": "dscores.sum(axis=0, keepdims=True)"},
            "wrong_shape",
            "the numbers are right: reshaped from (1, 3) to (3,), it agrees with autograd",
        ),
        ({"dW1": "1.000001 * X.T @ dz"}, "scale", "divided by 1.000001, it agrees with autograd"),
        ({"dW1": "np.nan * X.T @ dz"}, "not_finite", "it is NaN at 40 of 40 elements"),
        (
            {"db1": "dz.sum(axis=0) / [0, *range(1, 10)]"},
            "not_finite",
            "it is infinite at 1 of 10 elements",
        ),
        ({"dz": "dh"}, "missing_mask", "h of equation (2) by z: the mask is left out"),
        ({"dW2": "z.T @ dscores"}, "wrong_saved_value", "with z in the place of h the equation"),
        (
            {"dz": "1.0 * (z > 0) + 0 * dh"},
            "ignores_upstream",
            "h of equation (2) by z: the upstream gradient",
        ),
    ],
)
def test_the_evidence_is_true_and_in_words_of_the_page(solved, answer, cause, evidence):
    [target] = answer
    report = solved[0].check(answer)
    assert report.causes == {target: {cause}}
    [finding] = report[target].findings
    assert evidence in finding.evidence
    assert "_replay" not in str(report)
    assert "the numbers are right, the shape is not" not in str(report)


def test_what_is_not_a_number_does_not_agree(solved):
    report = solved[0].check({"dW1": "np.nan * X.T @ dz", "p": "np.nan * log_p"})
    assert set(report["dW1"].findings[0].error_map) == {"#", "\n"}
    assert report["p"].why == "it is NaN at 15 of 15 elements"


def test_a_gradient_that_is_nothing_but_rounding_is_noted():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(5, 4)), np.array([0, 2, 1, 1, 0])
    W, b, g = (tc.tensor(rng.normal(size=s), requires_grad=True) for s in ((4, 3), 3, 3))
    normal = F.batch_norm(x @ W + b, weight=g, training=True)
    exercise = tc.explain.derive(F.cross_entropy(normal, labels)).exercise()
    note = "the right value is 0 up to rounding"
    for small in (0.0, 1e-18):
        verdict = exercise.check({"db": np.full(3, small)})["db"]
        assert (verdict.outcome, verdict.why) == ("right", note)
    verdict = exercise.check({"db": np.arange(3.0)})["db"]
    assert verdict.outcome == "wrong"
    assert verdict.why.endswith(note)
    assert exercise.check({"W": exercise._right["dW"]})["dW"].why == ""


def test_a_value_in_the_place_of_another_is_called_as_on_the_page():
    program, recording = normalised()
    exercise = Exercise(program, recording)
    lines = dict(re.findall(r"^    (\w+) = (.*?)(?:  #.*)?$", source_of(program), re.M))
    [(target, right)] = [(n, r) for n, r in lines.items() if n.startswith("d") and "_std" in r]
    std = re.search(r"\w+_std", right)[0]
    for other, instead in ((std.replace("std", "var"), std.replace("std", "var")), ("1", "1")):
        report = exercise.check({target: right.replace(std, instead)})
        [finding] = report[target].findings
        assert finding.cause == "wrong_saved_value"
        assert finding.evidence.startswith(f"with {other} in the place of {std} the equation")


def test_other_indices_in_the_place_of_the_right_ones_may_lead_nowhere():
    rng = np.random.default_rng(0)
    scores = tc.tensor(rng.normal(size=(5, 9)), requires_grad=True)
    rows, labels, far = np.arange(5), np.array([0, 2, 1, 1, 0]), 100.0 * np.arange(1, 6)
    exercise = tc.explain.derive((scores[rows, labels] * far).sum()).exercise("gradients")
    report = exercise.check({"dscores": rng.normal(size=(5, 9))})
    assert report.causes == {"dscores": {"unknown"}}


def test_an_infinite_gradient_from_a_function_is_no_state_between_calls():
    def overflowing(dout, x):
        return np.where(x > 1, np.inf, dout * 2 * x)

    report = tc.check.diagnose(lambda x: x * x, {"x": np.array([0.5, 1.5, 2.5])}, overflowing)
    assert report.causes == {"x": {"not_finite"}}
    assert report.findings[0].evidence == "it is infinite at 2 of 3 elements"
    assert report.findings[0].error_map == ".##"


def test_the_sign_is_claimed_only_where_it_is_reversed():
    x = np.array([0.5, 1.5, 2.5])

    def causes(factor):
        return tc.check.diagnose(lambda x: x * x, {"x": x}, factor * 2 * x).causes["x"]

    assert causes(-1.0) == {"sign"}
    assert causes(1.0000005) == {"scale"}
    assert causes(-1.0000005) == {"sign", "scale"}
