"""Order 2, jvp against vjp, adjoints, repeatability, and gradients that do not exist."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn.check import gradcheck


def variable(values, name="x"):
    return tc.tensor(values, dtype=float, requires_grad=True, name=name)


def laws(report):
    return {law.name: law for law in report.laws}


def square(name, rule):
    return tc.primitive(name, lambda x: x * x, (rule,))


def test_second_derivatives_are_compared(rng):
    x, y = variable(rng.normal(size=3), "x"), variable(rng.normal(size=3), "y")
    report = gradcheck(lambda x, y: tc.tanh(x) * tc.exp(y), [x, y], order=2)
    assert report.ok
    assert [(row.name, row.order) for row in report.rows] == [
        ("x", 1), ("y", 1), ("x", 2), ("y", 2),
    ]  # fmt: skip
    assert report.error < 1e-13


def test_a_wrong_second_derivative_is_found():
    """The first is right, but what it is computed with has no gradient."""
    frozen = square("frozen_square", lambda g, ans, x: g * 2 * np.asarray(tc.as_tensor(x).data))
    assert gradcheck(frozen, [variable([1.0, 2.0])]).ok
    report = gradcheck(frozen, [variable([1.0, 2.0])], order=2)
    assert not report.ok
    assert [row.ok for row in report.rows] == [True, False]
    assert "x, order 2" in str(report)


def test_second_derivatives_have_kinks_too():
    report = gradcheck(lambda x: F.relu(x) ** 2, [variable([1.0, 0.0, 2.0])], order=2)
    assert report.ok
    assert [kink.index for kink in report.rows[1].kinks] == [(1,)]


def test_jvp_agrees_with_vjp(rng):
    report = gradcheck(lambda x: tc.sin(x) @ x.T, [variable(rng.normal(size=(2, 3)))])
    assert laws(report)["jvp against vjp"].ok
    assert laws(report)["jvp against vjp"].error < 1e-14


def test_a_rule_that_computes_outside_of_the_graph_is_said():
    raw = square("raw_square", lambda g, ans, x: 2 * np.asarray(g) * np.asarray(x))

    def f(x):
        return tc.exp(raw(x))

    report = gradcheck(f, [variable([1.0, 0.3])])
    assert report.ok
    assert "fit for first derivatives only" in str(report)
    assert not laws(gradcheck(f, [variable([1.0, 0.3])], order=2))["jvp against vjp"].ok


@pytest.mark.parametrize("rule", [lambda g, ans, x: 2 * x, lambda g, ans, x: g * g * 2 * x])
def test_a_rule_that_treats_the_upstream_gradient_wrongly_is_found(rule):
    """Even where it is 1, so that nothing shows in the numbers."""
    report = gradcheck(square("careless", rule), [variable(3.0)])
    assert all(row.ok for row in report.rows)
    assert not report.ok
    assert not laws(report)["upstream"].ok


@pytest.mark.parametrize(
    "f",
    [
        lambda x: tc.im2col(x, 2),
        lambda x: F.conv2d(x, np.ones((1, 1, 2, 2))),
        lambda x: F.subtract_mean(x) * 3.0 + 5.0,
    ],
)
def test_a_linear_function_is_tested_by_its_adjoint(rng, f):
    report = gradcheck(f, [variable(rng.normal(size=(2, 1, 4, 4)))], sample=1)
    assert report.ok
    assert laws(report)["adjoint"].error < 1e-14


def test_the_adjoint_sees_elements_that_the_sample_missed():
    spoil = np.ones(1000)
    spoil[777] = 1.01
    twice = tc.primitive("twice", lambda x: 2 * x, (lambda g, ans, x: 2 * g * spoil,))
    report = gradcheck(twice, [variable(np.ones(1000))], sample=3)
    assert all(row.ok for row in report.rows)
    assert not report.ok
    assert not laws(report)["adjoint"].ok


@pytest.mark.parametrize("f", [tc.exp, tc.max, F.relu, lambda x: x * x])
def test_what_is_not_linear_has_no_adjoint(f):
    x = variable([1.0, 1.0, 0.0])
    assert "adjoint" not in laws(gradcheck(f, [x]))
    claimed = gradcheck(f, [x], linear=True)
    assert not claimed.ok
    assert "not linear" in str(claimed)


def test_the_adjoint_test_can_be_left_out():
    assert "adjoint" not in laws(gradcheck(lambda x: 2 * x, [1.0], linear=False))


def test_dropout_without_a_seed_is_said():
    report = gradcheck(lambda x: F.dropout(tc.exp(x), 0.5), [variable(np.ones(50))])
    assert not report.ok
    assert "not deterministic" in str(report)
    assert "multiply in dropout" in str(report)
    assert "test_gradcheck_laws.py" in str(report)
    assert report.error == float("inf")


def test_dropout_with_a_seed_is_checked():
    def f(x):
        return F.dropout(x**2, 0.5, generator=np.random.default_rng(0))

    assert gradcheck(f, [variable(np.ones(50))]).ok


def test_integers_and_constants_are_named_and_passed_on(rng):
    labels, scale = np.array([0, 2]), tc.tensor([2.0])
    report = gradcheck(
        lambda x, labels, scale: F.cross_entropy(x * scale, labels),
        [variable(rng.normal(size=(2, 3))), labels, scale],
    )
    assert report.ok
    assert [(row.name, row.checked) for row in report.rows] == [
        ("x", 6), ("input 1", 0), ("input 2", 0),
    ]  # fmt: skip
    assert "int64: has no gradient" in str(report)
    assert "requires_grad is False" in str(report)


DETACHED = {
    "detach": lambda x, w: x * w.detach(),
    "data": lambda x, w: x * w.data,
    "numpy": lambda x, w: tc.tanh(x * tc.as_tensor(w.numpy() * 1.0)),
    "softmax": lambda x, w: F.softmax(x) * w.detach(),
}


@pytest.mark.parametrize("f", DETACHED.values(), ids=DETACHED)
def test_a_detached_input_is_named_with_the_line(f):
    report = gradcheck(f, [variable([1.0, 2.0], "x"), variable([0.3, 0.4], "w")])
    assert not report.ok
    x, w = report.rows
    assert x.ok
    assert w.note.startswith("detached: it enters as a constant in multiply")
    assert "test_gradcheck_laws.py" in w.note


def test_a_part_that_is_detached_is_named():
    report = gradcheck(lambda x: x * tc.exp(x.detach()), [variable([1.0, 2.0])])
    assert report.rows[0].note.startswith("detached in part: it enters as a constant in multiply")


def test_a_wrong_rule_is_not_called_detached(rng):
    """Softmax subtracts a constant that moves with its input, without a consequence."""
    wrong = square("half", lambda g, ans, x: g * x)
    report = gradcheck(lambda x: F.softmax(wrong(x)), [variable(rng.normal(size=(2, 3)))])
    assert not report.ok
    assert "detached" not in str(report)


def test_a_result_that_was_not_recorded_is_said():
    report = gradcheck(lambda x: tc.as_tensor(x.numpy() * 2), [variable([1.0, 2.0])])
    assert not report.ok
    assert "nothing was recorded" in str(report)


def test_a_gradient_without_dependence_is_said():
    ghost = tc.primitive("ghost", lambda x: np.zeros_like(x), (lambda g, ans, x: g,))
    report = gradcheck(ghost, [variable([1.0, 2.0])])
    assert not report.ok
    assert "f does not depend on it" in str(report)
