"""How a gradcheck report shows itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn.check import gradcheck

wrong_square = tc.primitive("wrong_square", lambda x: x * x, (lambda g, ans, x: g * x,))


@pytest.fixture
def right():
    x = tc.tensor([0.0, 1.0], requires_grad=True, name="<weights>")
    return gradcheck(lambda x: F.relu(x).sum(), [x])


@pytest.fixture
def wrong():
    x = tc.tensor([0.0, 3.0], requires_grad=True, name="x")
    return gradcheck(lambda x: wrong_square(x).sum(), [x])


def test_the_verdict_comes_first(right, wrong):
    assert str(right).startswith("gradcheck: every gradient agrees")
    assert str(wrong).startswith("gradcheck: 1 of 1 gradients differ")


def test_the_table_says_how_and_how_well(right):
    row = next(line for line in str(right).splitlines() if line.startswith("<weights>"))
    assert "(2,)" in row
    assert "complex step" in row


def test_a_wrong_gradient_shows_both_numbers(wrong):
    assert "x at (1,): recorded 3, numeric 6" in str(wrong)


def test_the_v_is_shown_with_its_best_step(wrong):
    lines = str(wrong).splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("step"))
    assert lines[head].split() == ["step", *(f"1e-{k:02}" for k in range(1, 12))]
    assert lines[head + 1].count("*") == 1


def test_many_kinks_are_counted():
    report = gradcheck(F.relu, [np.zeros(12)])
    assert str(report).count("kink at") == 5
    assert "7 more kinks" in str(report)


def test_colours_are_for_terminals(right, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" not in str(right)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert "\x1b[32m" in str(right)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in str(right)


def test_html_shows_the_same_and_escapes_names(right, wrong):
    html = right._repr_html_()
    assert "<table>" in html
    assert "&lt;weights&gt;" in html
    assert "<weights>" not in html
    assert "maximum in relu" in html
    assert "wrong at (1,)" in wrong._repr_html_()
