"""Recorded gradients against central differences."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn.check import gradcheck
from tinygrad_cnn.errors import DtypeError, ShapeError

wrong_square = tc.primitive("wrong_square", lambda x: x * x, (lambda g, ans, x: g * x,))


def test_a_right_gradient_passes(rng):
    x = tc.tensor(rng.normal(size=(3, 2)), requires_grad=True)
    y = tc.tensor(rng.normal(size=(2,)), requires_grad=True)
    report = gradcheck(lambda x, y: ((x * y).exp()).sum(), [x, y])
    assert report.ok
    assert [row.checked for row in report.rows] == [6, 2]


def test_a_wrong_rule_is_found_with_its_place():
    x = tc.tensor([0.0, 3.0], requires_grad=True, name="x")
    report = gradcheck(lambda x: wrong_square(x).sum(), [x])
    assert not report.ok
    [row] = report.rows
    assert (row.name, row.where) == ("x", (1,))
    assert row.recorded == pytest.approx(3.0)
    assert row.numeric == pytest.approx(6.0)
    assert "wrong at (1,)" in str(report)


def test_inputs_are_put_back(rng):
    x = tc.tensor(rng.normal(size=5), requires_grad=True)
    scalar = tc.tensor(2.0, requires_grad=True)
    before = x.numpy().copy()
    gradcheck(lambda x, s: (x * s).sum(), [x, scalar])
    assert np.array_equal(x.numpy(), before)
    assert scalar.item() == 2.0
    assert x.grad is None


def test_a_sample_checks_that_many():
    x = tc.ones(100, requires_grad=True)
    report = gradcheck(lambda x: (x * x).sum(), [x], sample=7)
    assert report.rows[0].checked == 7
    assert report.ok


def test_an_input_without_influence_has_gradient_zero():
    x, y = (tc.tensor(1.0, requires_grad=True) for _ in range(2))
    assert gradcheck(lambda x, y: x * 2, [x, y]).ok


def test_what_cannot_be_checked_is_said():
    single = tc.ones(2, dtype="float32", requires_grad=True)
    with pytest.raises(DtypeError, match="float64"):
        gradcheck(lambda x: x.sum(), [single])
    with pytest.raises(ShapeError, match="one number"):
        gradcheck(lambda x: x * 2, [tc.ones(2, requires_grad=True)])
