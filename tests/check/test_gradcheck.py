"""Recorded gradients against differences: verdicts, places, samples, and what stays unchanged."""

from __future__ import annotations

import time

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.check import gradcheck
from tinygrad_cnn.errors import ArgumentError

wrong_square = tc.primitive("wrong_square", lambda x: x * x, (lambda g, ans, x: g * x,))


def variable(values, name=None):
    return tc.tensor(values, dtype=float, requires_grad=True, name=name)


def test_a_right_gradient_passes(rng):
    x, y = variable(rng.normal(size=(3, 2))), variable(rng.normal(size=2))
    report = gradcheck(lambda x, y: ((x * y).exp()).sum(), [x, y])
    assert report.ok
    assert [row.checked for row in report.rows] == [6, 2]


def test_a_wrong_rule_is_found_with_its_place():
    report = gradcheck(lambda x: wrong_square(x).sum(), [variable([0.0, 3.0], "x")])
    assert not report.ok
    [row] = report.rows
    assert (row.name, row.where) == ("x", (1,))
    assert row.recorded == pytest.approx(3.0)
    assert row.numeric == pytest.approx(6.0)
    assert row.error == pytest.approx(0.5)
    assert "wrong at (1,)" in str(report)


def test_one_wrong_element_among_many_is_found(rng):
    spoil = np.zeros((4, 5))
    spoil[2, 3] = 1e-4
    almost = tc.primitive("almost", np.sin, (lambda g, ans, x: g * (tc.cos(x) + spoil),))
    report = gradcheck(almost, [variable(rng.normal(size=(4, 5)))])
    assert not report.ok
    assert report.rows[0].where == (2, 3)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (2, 0)])
def test_the_result_may_have_any_shape(rng, shape):
    x = variable(rng.normal(size=shape))
    assert gradcheck(tc.sin, [x]).ok
    assert gradcheck(lambda x: wrong_square(x) + 1.0, [x]).ok == (x.size == 0)


def test_several_results_are_compared_together():
    x = variable([1.0, 2.0])
    assert gradcheck(lambda x: (tc.exp(x), {"sum": x.sum()}), [x]).ok
    assert not gradcheck(lambda x: (tc.exp(x), wrong_square(x)), [x]).ok


@pytest.mark.parametrize("inputs", [[np.array([1.0, 2.0])], [3.0], 3.0, np.ones(2), ([1.0, 2.0],)])
def test_inputs_may_be_arrays_or_numbers(inputs):
    assert gradcheck(lambda x: x**3, inputs).ok


def test_inputs_are_put_back(rng):
    x, scalar = variable(rng.normal(size=5)), variable(2.0)
    single = tc.tensor([1.0, 2.0], dtype="float32", requires_grad=True)
    array = rng.normal(size=5)
    before = x.data, x.numpy().copy(), array.copy(), single.data
    gradcheck(lambda x, s, a, b: ((x * s + a).sum() * b).tanh(), [x, scalar, array, single])
    assert x.data is before[0]
    assert np.array_equal(x.numpy(), before[1])
    assert np.array_equal(array, before[2])
    assert single.data is before[3]
    assert scalar.item() == 2.0
    assert x.grad is None


def test_inputs_are_put_back_after_an_error():
    x = variable([1.0, 2.0])
    data, calls = x.data, []

    def fails_later(x):
        calls.append(1)
        if len(calls) > 5:
            raise RuntimeError("no more")
        return x.sin()

    with pytest.raises(RuntimeError, match="no more"):
        gradcheck(fails_later, [x])
    assert x.data is data
    assert data.tolist() == [1.0, 2.0]


def test_running_statistics_are_put_back(rng):
    model = nn.BatchNorm2d(2).double()
    before = model.state_dict()
    x = rng.normal(size=(3, 2, 2, 2))
    assert gradcheck(lambda *_: tc.sum(model(x) ** 3), list(model.parameters())).ok
    assert gradcheck(model, [x]).ok
    assert all(np.array_equal(before[key], value) for key, value in model.state_dict().items())


def test_a_sample_checks_that_many_and_the_same_for_a_seed():
    x = variable(np.arange(1.0, 101.0))
    one, again, other = (
        gradcheck(wrong_square, [x], sample=7, seed=seed).rows[0] for seed in (3, 3, 4)
    )
    assert one.checked == 7
    assert one.where == again.where != other.where


def test_a_variable_that_is_passed_twice_moves_as_one():
    x = variable([1.0, 2.0])
    assert gradcheck(lambda a, b: a * b, [x, x]).ok


def test_an_input_without_influence_has_gradient_zero():
    assert gradcheck(lambda x, y: x * 2, [variable(1.0), variable(1.0)]).ok


def test_a_gradient_that_rounding_hides_is_called_zero(rng):
    """Softmax does not change as all scores grow: both derivatives are rounding errors."""
    scores = rng.normal(size=(2, 3))
    shift = variable(1.0)
    report = gradcheck(lambda b: F.cross_entropy(scores + b, [0, 1]), [shift])
    assert report.ok
    assert report.error == 0.0


def test_a_given_step_is_used():
    report = gradcheck(tc.exp, [variable([1.0])], step=1e-3)
    [row] = report.rows
    assert row.sweep is None
    assert 1e-8 < row.error < 1e-6
    assert "step 1e-03" in row.method


def test_a_model_is_checked_through_its_parameters(rng):
    model = tc.models.DigitsNet(generator=rng).double()
    x, y = rng.random((8, 1, 8, 8)), np.arange(8)
    start = time.perf_counter()
    report = gradcheck(lambda *_: F.cross_entropy(model(x), y), model.parameters(), sample=25)
    assert time.perf_counter() - start < 30
    assert report.ok
    assert [row.name for row in report.rows][:2] == ["conv1.weight", "conv1.bias"]


@pytest.mark.parametrize(
    ("inputs", "options", "match"),
    [
        ([3], {}, "none of the 1 inputs"),
        ([tc.tensor([1.0])], {}, "requires_grad=True"),
        ([1.0], {"order": 3}, "order=3"),
    ],
)
def test_what_cannot_be_checked_is_said(inputs, options, match):
    with pytest.raises(ArgumentError, match=match):
        gradcheck(lambda x: x, inputs, **options)
