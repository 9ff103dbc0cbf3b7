"""Losses: PyTorch as their oracle, formulas and loops, published numbers, extremes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arrays import normal, uniform
from oracle import compare, pytorch

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ShapeError

REDUCTIONS = ("mean", "sum", "none")
each_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)
LABELS = np.array([2, 0, 3, 1, 1])
WEIGHTS = np.array([0.5, 1.0, 2.0, 0.25])


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


# -- softmax: p - t over N ----------------------------------------------------------------------


def test_the_gradient_of_the_softmax_loss_is_p_minus_t_over_n() -> None:
    scores = tc.tensor(normal(5, 4) * 3, requires_grad=True)
    F.cross_entropy(scores, LABELS).backward()
    expected = (softmax(scores.numpy()) - np.eye(4)[LABELS]) / 5
    np.testing.assert_allclose(scores.grad, expected, rtol=1e-13, atol=1e-16)


def test_the_derivation_says_p_minus_t_over_n() -> None:
    scores, labels = tc.tensor(normal(5, 4), requires_grad=True), LABELS.copy()
    source = tc.explain.derive(F.cross_entropy(scores, labels)).numpy()
    assert "dscores = (p - one_hot(labels, 4)) / len(labels)" in source


def test_with_soft_targets_it_is_p_minus_t_too() -> None:
    t = softmax(normal(5, 4, seed=1))
    scores = tc.tensor(normal(5, 4), requires_grad=True)
    F.cross_entropy(scores, t).backward()
    expected = (softmax(scores.numpy()) - t) / 5
    np.testing.assert_allclose(scores.grad, expected, rtol=1e-13, atol=1e-16)


def test_label_smoothing_is_a_soft_target() -> None:
    """Szegedy et al. (2016), section 7: (1 - e) onehot + e / K."""
    scores, e = normal(5, 4), 0.1
    soft = (1 - e) * np.eye(4)[LABELS] + e / 4
    np.testing.assert_allclose(
        F.cross_entropy(scores, LABELS, label_smoothing=e), F.cross_entropy(scores, soft).numpy()
    )


def test_smoothing_and_ignored_examples_with_masked_classes() -> None:
    scores = tc.tensor([[-np.inf, 2.0, 1.0], [0.0, 0.0, 0.0]], requires_grad=True)
    loss = F.cross_entropy(scores, [-100, 1], label_smoothing=0.3)
    loss.backward()
    assert loss.item() == pytest.approx(np.log(3))
    assert scores.grad[0].tolist() == [0.0, 0.0, 0.0]


# -- margins ------------------------------------------------------------------------------------


@each_reduction
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("margin", [1.0, 0.3])
@pytest.mark.parametrize("weight", [None, WEIGHTS])
def test_multi_margin_loss_against_torch(
    p: int, margin: float, weight: Any, reduction: str
) -> None:
    torch, theirs = pytorch()
    options = {"p": p, "margin": margin, "reduction": reduction}
    for shape, labels in (((5, 4), LABELS), ((4,), np.array(2))):
        compare(
            lambda x, y=labels: F.multi_margin_loss(x, y, weight=weight, **options),
            lambda x, y=labels: theirs.multi_margin_loss(
                x, torch.tensor(y),
                weight=None if weight is None else torch.tensor(weight), **options,
            ),
            normal(*shape), second_order=False,
        )  # fmt: skip


@each_reduction
@pytest.mark.parametrize("squared", [False, True])
def test_hinge_loss_by_loops(squared: bool, reduction: str) -> None:
    scores, margin = normal(5, 4), 0.7
    losses, slope = np.zeros(5), np.zeros((5, 4))
    for n, y in enumerate(LABELS):
        for j in range(4):
            violation = scores[n, j] - scores[n, y] + margin
            if j != y and violation > 0:
                losses[n] += violation**2 if squared else violation
                push = 2 * violation if squared else 1.0
                slope[n, j] += push
                slope[n, y] -= push
    t = tc.tensor(scores, requires_grad=True)
    loss = F.hinge_loss(t, LABELS, margin, reduction, squared)
    loss.sum().backward()
    expected = {"mean": losses.mean(), "sum": losses.sum(), "none": losses}[reduction]
    np.testing.assert_allclose(loss, expected, rtol=1e-13)
    share = 5 if reduction == "mean" else 1
    np.testing.assert_allclose(t.grad, slope / share, rtol=1e-13, atol=1e-15)


def test_the_example_of_the_course() -> None:
    """CS231n's notes on linear classification: scores 13, -7, 11, the first is right."""
    scores = [[13.0, -7.0, 11.0]]
    assert F.hinge_loss(scores, [0], margin=10.0).item() == 8.0
    assert F.hinge_loss(scores, [0], margin=10.0, squared=True).item() == 64.0


# -- regularisation -------------------------------------------------------------------------------


def test_the_two_layer_net_of_cs231n(shared: Path) -> None:
    """Assignment 1 prints both losses: 0.5 * reg * sum(W * W) is added for both weights."""
    net = json.loads((shared / "fixtures/cs231n.json").read_text("utf-8"))["two_layer_net"]
    w1, b1, w2, b2 = (
        tc.tensor(np.linspace(start, stop, math.prod(shape)).reshape(shape), requires_grad=True)
        for _, start, stop, shape in (net[key] for key in ("W1", "b1", "W2", "b2"))
    )
    x = np.linspace(-5.5, 4.5, 15).reshape(5, 3).T
    scores = F.relu(x @ w1 + b1) @ w2 + b2
    data = F.cross_entropy(scores, net["y"])
    assert data.item() == pytest.approx(net["loss_reg_0"], abs=1e-9)
    loss = data + F.l2_regularization([w1, w2], 1.0)
    assert loss.item() == pytest.approx(net["loss_reg_1"], abs=1e-9)


def test_regularisation_and_its_gradient() -> None:
    """The gradient is that of ``weight_decay``: strength * W."""
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2))
    weights = [p.numpy() for p in model.parameters()]
    F.l2_regularization(model.parameters(), 0.3).backward()
    for p in model.parameters():
        np.testing.assert_allclose(p.grad, np.float32(0.3) * p.numpy(), rtol=1e-6)
    model.zero_grad()
    loss = F.l1_regularization(list(model.parameters()), 0.3)
    loss.backward()
    assert loss.dtype == np.float32
    assert loss.item() == pytest.approx(0.3 * sum(np.abs(w).sum() for w in weights), rel=1e-6)
    for p in model.parameters():
        np.testing.assert_allclose(p.grad, np.float32(0.3) * np.sign(p.numpy()), rtol=1e-6)


def test_l2_regularisation_is_weight_decay() -> None:
    start, moved = np.array([1.0, -2.0, 3.0]), []
    for decay in (0.1, 0.0):
        w = nn.Parameter(start.copy())
        loss = (w * w * w).sum()
        if not decay:
            loss = loss + F.l2_regularization(w, 0.1)
        loss.backward()
        tc.optim.SGD([w], lr=0.5, weight_decay=decay).step()
        moved.append(w.numpy())
    np.testing.assert_allclose(*moved, rtol=1e-14)


# -- numbers --------------------------------------------------------------------------------------

REGRESSION: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "l1": (F.l1_loss, lambda T, *a, **o: T.l1_loss(*a, **o)),
    "mse": (F.mse_loss, lambda T, *a, **o: T.mse_loss(*a, **o)),
    **{
        f"huber {d}": (
            lambda *a, d=d, **o: F.huber_loss(*a, delta=d, **o),
            lambda T, *a, d=d, **o: T.huber_loss(*a, delta=d, **o),
        )
        for d in (0.5, 1.0, 2.5)
    },
    **{
        f"smooth_l1 {b}": (
            lambda *a, b=b, **o: F.smooth_l1_loss(*a, beta=b, **o),
            lambda T, *a, b=b, **o: T.smooth_l1_loss(*a, beta=b, **o),
        )
        for b in (0.0, 0.5, 1.0, 2.5)
    },
}


@each_reduction
@pytest.mark.parametrize("name", REGRESSION)
@pytest.mark.parametrize("shape", [(), (4,), (3, 4, 2)])
def test_regression_losses_against_torch(name: str, shape: Any, reduction: str) -> None:
    _, theirs = pytorch()
    mine, right = REGRESSION[name]
    compare(
        lambda x, y: mine(x, y, reduction=reduction),
        lambda x, y: right(theirs, x, y, reduction=reduction),
        normal(*shape) * 3, normal(*shape, seed=1),
    )  # fmt: skip
    kinks = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 2.5])
    compare(
        lambda x, y: mine(x, y, reduction=reduction),
        lambda x, y: right(theirs, x, y, reduction=reduction),
        kinks, np.zeros(6), second_order=False,
    )  # fmt: skip


# -- what holds for all ---------------------------------------------------------------------------

CLASS_LOSSES: dict[str, Callable[..., Any]] = {
    "cross_entropy": F.cross_entropy,
    "cross_entropy smooth": lambda x, y: F.cross_entropy(x, y, label_smoothing=0.1),
    "hinge": F.hinge_loss,
    "hinge squared": lambda x, y: F.hinge_loss(x, y, squared=True),
    "multi_margin": F.multi_margin_loss,
    "multi_margin 2": lambda x, y: F.multi_margin_loss(x, y, 2),
    **{f"focal {g}": lambda x, y, g=g: F.focal_loss(x, y, g) for g in (0.0, 0.5, 1.0, 2.0)},
}
BINARY_LOSSES: dict[str, Callable[..., Any]] = {
    "bce": F.binary_cross_entropy_with_logits,
    **{
        f"focal {g}": lambda x, t, g=g: F.sigmoid_focal_loss(x, t, 0.25, g, "mean")
        for g in (0.0, 0.5, 1.0, 2.0)
    },
}
EXTREME = np.array([[1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 1000.0], [0.0, 0.0, -1000.0],
                    [1000.0, 1000.0, 1000.0], [-1000.0, -1000.0, -1000.0]])  # fmt: skip


@pytest.mark.parametrize("name", CLASS_LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_scores_of_1000_and_minus_1000(name: str, dtype: Any, label: int) -> None:
    scores = tc.tensor(EXTREME.astype(dtype), requires_grad=True)
    loss = CLASS_LOSSES[name](scores, np.full(5, label))
    loss.backward()
    assert loss.dtype == scores.grad.dtype == dtype
    assert np.isfinite(loss.item())
    assert np.isfinite(scores.grad.data).all()


@pytest.mark.parametrize("name", BINARY_LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("target", [0.0, 1.0, 0.3])
def test_logits_of_1000_and_minus_1000(name: str, dtype: Any, target: float) -> None:
    scores = tc.tensor(EXTREME.astype(dtype), requires_grad=True)
    loss = BINARY_LOSSES[name](scores, np.full((5, 3), target, dtype))
    loss.backward()
    assert loss.dtype == scores.grad.dtype == dtype
    assert np.isfinite(loss.item())
    assert np.isfinite(scores.grad.data).all()


def test_what_the_losses_of_extremes_are() -> None:
    scores = [[1000.0, -1000.0]]
    assert F.hinge_loss(scores, [1]).item() == 2001.0
    assert F.hinge_loss(scores, [1], squared=True).item() == 2001.0**2
    assert F.hinge_loss(scores, [0]).item() == F.hinge_loss(scores, [0], squared=True).item() == 0
    assert F.focal_loss(scores, [1]).item() == 2000.0
    assert F.focal_loss(scores, [0]).item() == 0.0
    assert F.binary_cross_entropy_with_logits(scores, [[0.0, 1.0]]).item() == 1000.0


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_class_losses_to_order_two(name: str) -> None:
    apart = np.array([[0.31, -1.2, 2.05], [1.4, 0.9, -0.55], [0.1, 2.9, 1.15]])  # off every kink
    loss = CLASS_LOSSES[name]
    assert tc.check.gradcheck(lambda x: loss(x, np.array([2, 0, 1])), [apart], order=2)


@pytest.mark.parametrize("name", BINARY_LOSSES)
def test_binary_losses_to_order_two(name: str) -> None:
    loss = BINARY_LOSSES[name]
    assert tc.check.gradcheck(loss, [normal(3, 2) * 2, uniform(3, 2)], order=2)


def test_no_examples() -> None:
    for loss in CLASS_LOSSES.values():
        with pytest.raises(ShapeError, match="mean of no elements"):
            loss(np.zeros((0, 3)), np.zeros(0, int))
