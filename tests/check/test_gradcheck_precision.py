"""How precise: the V of the steps, complex steps, and float32."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn.check import gradcheck

wrong_square = tc.primitive("wrong_square", lambda x: x * x, (lambda g, ans, x: g * x,))
single = tc.primitive("single", lambda x: x, (lambda g, ans, x: g,))


def variable(values, dtype=float):
    return tc.tensor(values, dtype=dtype, requires_grad=True, name="x")


def test_the_sweep_finds_the_bottom_of_the_v():
    sweep = gradcheck(tc.exp, [variable([0.5, 1.0, 2.0])]).rows[0].sweep
    assert 1e-7 <= sweep.step <= 1e-4
    best = sweep.best
    assert all(np.diff(sweep.errors[: best + 1]) < 0)
    assert sweep.errors[0] > 1e6 * sweep.error
    assert sweep.errors[-1] > 1e3 * sweep.error


@pytest.mark.parametrize("power", [2, 3, 5])
def test_the_estimated_error_bounds_the_true_one(power):
    """Differences alone, as the identity below has no known complex derivative."""
    [row] = gradcheck(lambda x: single(x) ** power, [variable(1.3)]).rows
    assert "differences" in row.method
    assert abs(row.numeric - power * 1.3 ** (power - 1)) <= 4 * row.sweep.error


def test_the_step_suits_the_function():
    """The faster it changes, the smaller."""
    slow, fast = (
        gradcheck(lambda x, k=k: tc.sin(single(x) * k), [variable(0.3)]).rows[0].sweep.step
        for k in (0.01, 1e4)
    )
    assert fast < 1e-7 < slow


def test_a_complex_step_is_exact_on_a_smooth_convnet(rng):
    kernel = variable(rng.normal(size=(4, 2, 3, 3)))
    weight, x = rng.normal(size=(5, 4 * 3 * 3)), rng.normal(size=(2, 2, 5, 5))

    def loss(kernel, weight, x):
        hidden = tc.tanh(F.conv2d(x, kernel))
        scores = F.linear(hidden.reshape(2, -1), weight)
        return F.cross_entropy(scores, [1, 3]) + F.softmax(scores).sum() / 7 + tc.sum(scores**2)

    report = gradcheck(loss, [kernel, weight, x], sample=20)
    assert report.ok
    assert report.error < 1e-13
    assert {row.method for row in report.rows} == {"complex step"}


@pytest.mark.parametrize(
    ("f", "why"),
    [
        (tc.erf, "not analytic: erf"),
        (lambda x: x * float(x.data[0]), "refuses complex numbers"),
        (lambda x: x * np.abs(x.data + 0.1), "disagree at"),
        (lambda x: tc.log(x), None),
    ],
)
def test_the_reason_for_differences_is_said(f, why):
    report = gradcheck(f, [variable([0.5, 1.0])])
    assert [row.method == "complex step" for row in report.rows] == [why is None]
    assert ("differences instead of complex steps" in str(report)) == (why is not None)
    assert why is None or why in str(report)


def test_a_part_that_ignores_imaginary_numbers_is_not_overlooked():
    """|x| outside of the graph has neither a recorded nor a complex derivative."""
    assert not gradcheck(lambda x: x + np.abs(x.data), [variable([0.5, 1.0])]).ok


def test_a_function_may_leave_its_domain_as_inputs_move():
    report = gradcheck(lambda x: tc.log(single(x)), [variable([1e-3, 2.0])])
    assert report.ok
    assert report.rows[0].sweep.step < 1e-4


def test_an_infinite_gradient_is_no_agreement():
    assert not gradcheck(tc.sqrt, [variable(0.0)]).ok


def test_float32_is_checked_as_float64_where_that_works():
    x = variable([1.0, 2.0], "float32")
    report = gradcheck(tc.exp, [x])
    assert report.ok
    assert report.error < 1e-14
    assert "float32 inputs were checked as float64 copies" in str(report)
    assert not gradcheck(wrong_square, [x]).ok
    assert x.dtype == np.float32


def picky(x):
    if x.dtype != np.float32:
        raise TypeError("float32 only")
    return tc.exp(x)


@pytest.mark.parametrize(
    ("f", "said"),
    [
        (picky, "f refuses float64: float32 only"),
        (lambda x: tc.exp(x.astype("float32")), "f computes in float32: astype"),
    ],
)
def test_a_float32_computation_is_judged_by_its_own_v(f, said):
    report = gradcheck(f, [variable([1.0, 2.0], "float32")])
    assert report.ok
    [row] = report.rows
    assert 1e-5 < row.tolerance < 1e-2
    assert 1e-4 <= row.sweep.step <= 1e-1
    assert said in str(report)
    assert not gradcheck(lambda x: wrong_square(f(x)), [variable([1.0, 2.0], "float32")]).ok


def test_a_float32_model_is_checked_through_its_parameters(rng):
    model = tc.models.DigitsNet(generator=rng)
    x = rng.random((2, 1, 8, 8), dtype="float32")
    report = gradcheck(lambda *_: F.cross_entropy(model(x), [1, 2]), model.parameters(), sample=5)
    assert report.ok
    assert report.error < 1e-6
    assert {p.dtype for p in model.parameters()} == {np.dtype("float32")}


def test_a_function_whose_differences_never_settle_does_not_pass():
    shaky = tc.primitive("shaky", lambda x: x + np.sin(1e9 * x), (lambda g, ans, x: g * 1.0,))
    assert not gradcheck(shaky, [variable([0.1, 1.0, 0.5])]).ok


def test_each_element_may_need_a_step_of_its_own():
    """The square root of a square turns sharply where nothing decides."""
    x = variable([3.0, -4.0, 5.0, 0.05])
    report = gradcheck(lambda x: tc.sqrt(single(x) * x), [x])
    assert report.ok
    assert report.rows[0].sweep.step > 0.05
