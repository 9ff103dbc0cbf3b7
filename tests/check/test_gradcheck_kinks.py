"""Kinks: named, with both one-sided derivatives, and nothing beyond them accepted."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn.check import gradcheck


def variable(values):
    return tc.tensor(values, dtype=float, requires_grad=True, name="x")


AT_THE_KINK = {
    "relu": (F.relu, 0.0, "maximum in relu", (0, 1)),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.25), 0.0, "where in leaky_relu", (0.25, 1)),
    "abs": (tc.abs, 0.0, "abs", (-1, 1)),
    "clip": (lambda x: tc.clip(x, -1.0, 2.0), 2.0, "clip", (1, 0)),
    "minimum": (lambda x: tc.minimum(x, 1.0), 1.0, "minimum", (1, 0)),
    "where": (lambda x: tc.where(x.data > 1, x * 3, x + 2.0), 1.0, "where", (1, 3)),
    "branch": (lambda x: x * 5 if x.item().real > 0 else x * 2, 0.0, "multiply", (2, 5)),
}


@pytest.mark.parametrize(("f", "at", "operation", "sides"), AT_THE_KINK.values(), ids=AT_THE_KINK)
def test_a_kink_is_named_and_accepted(f, at, operation, sides):
    report = gradcheck(lambda x: f(x), [variable(at)])
    assert report.ok
    [kink] = report.rows[0].kinks
    assert kink.operation.startswith(operation)
    assert "test_gradcheck_kinks.py" in kink.operation
    assert (kink.left, kink.right) == pytest.approx(sides, abs=1e-6)
    assert kink.accepted
    assert kink.operation in str(report)


@pytest.mark.parametrize("at_zero", [0.0, 0.5, 1.0])
def test_every_convention_of_relu_at_zero_passes(at_zero):
    with tc.conventions(relu_at_zero=at_zero):
        report = gradcheck(F.relu, [variable([0.0, 1.0, -1.0])])
    assert report.ok
    assert report.rows[0].kinks[0].index == (0,)


@pytest.mark.parametrize("ties", ["first", "split"])
def test_ties_of_a_maximum_and_of_pooling_pass(ties):
    with tc.conventions(ties=ties):
        assert gradcheck(tc.max, [variable([2.0, 2.0, 1.0])]).ok
        pooled = gradcheck(lambda x: F.max_pool2d(x, 2), [variable(np.ones((1, 1, 2, 4)))])
    assert pooled.ok
    assert {"max_pool2d" in kink.operation for kink in pooled.rows[0].kinks} == {True}
    assert len(pooled.rows[0].kinks) == 8


def test_a_gradient_outside_of_the_one_sided_derivatives_fails():
    bad = tc.primitive("bad_abs", np.abs, (lambda g, ans, x: g * (tc.sign(x) + 2 * (x == 0)),))
    report = gradcheck(lambda x: bad(x) + 0 * tc.abs(x), [variable([0.0, 1.0])])
    assert not report.ok
    [kink] = report.rows[0].kinks
    assert not kink.accepted
    assert kink.recorded == pytest.approx(2 * kink.right)
    assert report.rows[0].where == (0,)
    assert "NOT between" in str(report)


def test_a_kink_nearby_is_not_a_kink_here():
    """Steps that do not reach it are found."""
    near = variable([1e-6, 1.0, -3e-7])
    assert gradcheck(F.relu, [near]).rows[0].kinks == ()
    assert gradcheck(lambda x: tc.abs(x) * tc.exp(x), [near]).ok
    assert gradcheck(lambda x: tc.abs(x) * tc.exp(x), [near], step=1e-5).ok


def test_a_kink_does_not_hide_a_wrong_element():
    bad = tc.primitive("bad_relu", lambda x: np.maximum(x, 0.0), (lambda g, ans, x: g * (x > 0.5),))
    report = gradcheck(lambda x: bad(x) + F.relu(x), [variable([0.0, 0.25, 1.0])])
    assert not report.ok
    assert report.rows[0].where == (1,)


def test_a_flip_without_consequence_is_no_kink():
    report = gradcheck(lambda x: F.relu(x) * F.relu(x), [variable([0.0, 1.0])])
    assert report.ok
    assert report.rows[0].kinks == ()
