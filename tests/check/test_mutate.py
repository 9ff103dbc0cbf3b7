"""Weak inputs let broken rules survive, and the inputs that the report names kill them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn.check.mutate import mutate
from tinygrad_cnn.errors import ArgumentError, GraphError, ShapeError

normal = np.random.default_rng(7).standard_normal


def conv(stride: Any, padding: int = 0) -> Any:
    def layer(x: Any, w: Any, b: Any) -> Any:
        return F.conv2d(x, w, b, stride, padding)

    return layer


OVERLAP = "overlapping windows (a stride below the window)"
SEVERAL = "several images (N > 1)"
NOT_SQUARE = "images that are not square, nor their results"
UNEQUAL = "unequal strides for rows and columns"


def remedies(n: int, height: int, width: int, kernel: int, stride: Any) -> set[str]:
    """What else to check a convolution with, after these inputs."""
    inputs = normal((n, 2, height, width)), normal((3, 2, kernel, kernel)), normal(3)
    f = conv(stride)
    upstream = normal(f(*inputs).shape)
    return set(mutate(f, inputs, upstream=upstream).remedies)


def test_each_suggested_input_kills_its_mutants() -> None:
    weak = remedies(1, 4, 4, 2, 2)
    assert weak >= {OVERLAP, SEVERAL, NOT_SQUARE, UNEQUAL}
    assert OVERLAP not in remedies(1, 4, 4, 3, 1)
    assert SEVERAL not in remedies(2, 4, 4, 2, 2)
    assert NOT_SQUARE not in remedies(1, 4, 8, 2, 2)
    assert UNEQUAL not in remedies(1, 4, 4, 2, (2, 1))
    assert remedies(2, 9, 5, 3, (2, 1)) == set()


def test_an_upstream_gradient_of_ones_hides_what_ignores_it() -> None:
    x, w = normal((4, 5)), normal((3, 5))
    plain = mutate(F.linear, [x, w])
    assert {one.cause for one in plain.survivors} >= {"ignores_upstream"}
    assert mutate(F.linear, [x, w], upstream=normal((4, 3))).ok


LABELS = np.array([1, 0, 3, 3])
GOOD: list[tuple[str, Any, tuple[Any, ...]]] = [
    ("conv2d", conv((2, 1), 1), (normal((2, 2, 7, 6)), normal((3, 2, 3, 3)), normal(3))),
    ("max_pool2d", lambda x: F.max_pool2d(x, 3, (2, 1)), (normal((2, 2, 9, 5)),)),
    ("avg_pool2d", lambda x: F.avg_pool2d(x, 3, (2, 1), 1), (normal((2, 2, 9, 6)),)),
    ("linear", F.linear, (normal((4, 5)), normal((3, 5)), normal(3))),
    ("relu", F.relu, (normal((4, 5)),)),
    ("leaky_relu", F.leaky_relu, (normal((4, 5)),)),
    ("gelu", F.gelu, (normal((4, 5)),)),
    ("softmax", F.softmax, (normal((4, 5)),)),
    ("log_softmax", F.log_softmax, (normal((4, 5)),)),
    ("cross_entropy", F.cross_entropy, (normal((4, 5)), LABELS)),
    ("hinge_loss", lambda x, y: F.hinge_loss(x, y, 0.3), (normal((4, 5)), LABELS)),
    ("mse_loss", F.mse_loss, (normal((4, 5)), normal((4, 5)))),
    ("dropout", lambda x: F.dropout(x, generator=np.random.default_rng(0)), (normal((4, 5)),)),
    ("subtract_mean", F.subtract_mean, (normal((4, 5)),)),
    (
        "batch_norm",
        lambda x, w, b: F.batch_norm(x, weight=w, bias=b, training=True),
        (normal((4, 3, 2, 5)), normal(3), normal(3)),
    ),
    ("var", lambda x: tc.var(x, axis=1), (normal((4, 5)),)),
    ("std", lambda x: tc.std(x, axis=0), (normal((4, 5)),)),
    ("norm", lambda x: tc.norm(x, axis=0), (normal((4, 5)),)),
    ("residual", lambda x, w: F.relu(x @ w) + x, (normal((4, 3)), normal((3, 3)))),
]


@pytest.mark.parametrize(("f", "inputs"), [case[1:] for case in GOOD], ids=[c[0] for c in GOOD])
def test_on_good_inputs_nothing_survives(f: Any, inputs: tuple[Any, ...]) -> None:
    """So that no mistake is counted which no input can reveal."""
    shape = np.shape(f(*map(tc.as_tensor, inputs)))
    report = mutate(f, inputs, upstream=np.random.default_rng(1).normal(size=shape))
    assert report.mutants
    assert report.ok, str(report)
    assert report.score == 1.0


def test_values_on_one_side_of_a_threshold() -> None:
    report = mutate(F.relu, [np.array([1.0, 2.0])], upstream=[1.0, -2.0])
    assert [one.cause for one in report.survivors] == ["missing_mask"]
    assert report.survivors[0].error == 0.0
    assert report.remedies == {"values on both sides of the threshold": 1}


def test_a_tie_is_no_mutant() -> None:
    report = mutate(lambda x: tc.max(x), [np.array([1.0, 2.0, 2.0])])
    assert "tie_convention" not in {one.cause for one in report.mutants}
    assert report.mutants


def test_a_sample_sees_less() -> None:
    x = np.abs(normal(40))
    x[0] = -1.0
    assert mutate(F.relu, [x], upstream=normal(40)).ok
    seen = mutate(F.relu, [x], upstream=normal(40), sample=2)
    assert "missing_mask" in {one.cause for one in seen.survivors}
    with pytest.raises(ArgumentError, match="sample=0"):
        mutate(F.relu, [x], sample=0)


def test_inputs_stay_as_they_are_and_give_their_names() -> None:
    x, w = normal((2, 3)), tc.tensor(normal((4, 3)), requires_grad=True)
    before = x.copy(), w.numpy().copy()
    report = mutate(F.linear, {"x": x, "w": w})
    assert np.array_equal(x, before[0])
    assert np.array_equal(w.numpy(), before[1])
    assert w.grad is None
    assert any("by x:" in one.what for one in report.mutants)
    assert any("by w:" in one.what for one in mutate(lambda x, w: x @ w, [x, x.T]).mutants)


def test_what_is_wrong_already_is_not_mutated() -> None:
    wrong = tc.primitive("test_mutate_wrong", lambda x: x * x, (lambda g, ans, x: g * x,))
    with pytest.raises(GraphError, match="before any rule is broken"):
        mutate(wrong, [normal(3)])
    generator = np.random.default_rng(0)
    with pytest.raises(GraphError, match="before any rule is broken"):
        mutate(lambda x: F.dropout(x, generator=generator), [normal(30)])
    with pytest.raises(GraphError, match="floating-point"):
        mutate(lambda i: tc.as_tensor(i) * 2, [np.arange(3)])
    with pytest.raises(ShapeError, match="upstream"):
        mutate(F.relu, [normal(3)], upstream=normal(4))


def test_a_report_says_what_to_do() -> None:
    report = mutate(F.relu, [np.array([1.0, 2.0])], upstream=[1.0, -2.0])
    total = len(report.mutants)
    text = report.to_text()
    assert f"{total - 1} of {total} broken rules" in text
    assert "the mask is left out" in text
    assert "values on both sides of the threshold: 1" in text
    assert "<table>" in report._repr_html_()
    perfect = mutate(F.relu, [np.array([-1.0, 2.0])], upstream=[1.0, -2.0])
    assert "(100%)" in str(perfect)
    assert "reveal" not in str(perfect)
