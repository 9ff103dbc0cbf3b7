"""Binary cross-entropy and focal losses: PyTorch, formulas, and one by the other."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from arrays import normal, uniform
from oracle import compare, pytorch

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F

REDUCTIONS = ("mean", "sum", "none")
each_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)
WEIGHTS = np.array([0.5, 1.0, 2.0, 0.25])


# -- yes or no ------------------------------------------------------------------------------------


@each_reduction
@pytest.mark.parametrize("weight", [None, uniform(4, 3), uniform(3), uniform(4, 1)])
@pytest.mark.parametrize("pos_weight", [None, uniform(3) * 3, np.array(2.0)])
def test_binary_cross_entropy_against_torch(weight: Any, pos_weight: Any, reduction: str) -> None:
    torch, theirs = pytorch()
    tensors = [None if w is None else torch.tensor(w) for w in (weight, pos_weight)]
    compare(
        lambda x, y: F.binary_cross_entropy_with_logits(x, y, weight, reduction, pos_weight),
        lambda x, y: theirs.binary_cross_entropy_with_logits(
            x, y, tensors[0], reduction=reduction, pos_weight=tensors[1]
        ),
        normal(4, 3) * 4, uniform(4, 3),
    )  # fmt: skip


def test_the_gradient_of_binary_cross_entropy_is_p_minus_t() -> None:
    x, t = tc.tensor(normal(6) * 5, requires_grad=True), np.array([0, 1, 1, 0, 1, 0])
    F.binary_cross_entropy_with_logits(x, t).backward()
    np.testing.assert_allclose(x.grad, (1 / (1 + np.exp(-x.numpy())) - t) / 6, atol=1e-15)


def test_two_classes_of_softmax_are_the_sigmoid() -> None:
    x, t = normal(6), np.array([0, 1, 1, 0, 1, 0])
    two = F.cross_entropy(np.stack([np.zeros(6), x], 1), t)
    np.testing.assert_allclose(F.binary_cross_entropy_with_logits(x, t), two.numpy(), rtol=1e-13)


# -- focal loss -----------------------------------------------------------------------------------


def their_sigmoid_focal_loss(
    torch: Any, x: Any, t: Any, alpha: float, gamma: float, reduction: str
) -> Any:
    """Lin et al. (2017), equation 5, as torchvision computes it."""
    p = torch.sigmoid(x)
    bce = torch.nn.functional.binary_cross_entropy_with_logits(x, t, reduction="none")
    right = p * t + (1 - p) * (1 - t)
    loss = bce * (1 - right) ** gamma
    if alpha >= 0:
        loss = (alpha * t + (1 - alpha) * (1 - t)) * loss
    return {"none": loss, "mean": loss.mean(), "sum": loss.sum()}[reduction]


@each_reduction
@pytest.mark.parametrize("alpha", [0.25, 1.0, -1])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_sigmoid_focal_loss_against_torch(alpha: float, gamma: float, reduction: str) -> None:
    torch, _ = pytorch()
    x = normal(4, 5) * 3
    compare(
        lambda x, t: F.sigmoid_focal_loss(x, t, alpha, gamma, reduction),
        lambda x, t: their_sigmoid_focal_loss(torch, x, t, alpha, gamma, reduction),
        x, uniform(4, 5),
    )  # fmt: skip
    hard = (uniform(4, 5) > 0.5).astype(float)
    compare(
        lambda x: F.sigmoid_focal_loss(x, hard, alpha, gamma, reduction),
        lambda x: their_sigmoid_focal_loss(torch, x, torch.tensor(hard), alpha, gamma, reduction),
        x,
    )


FOCAL_GRID = [*itertools.product((0.0, 0.5, 1.0, 2.0), (None, WEIGHTS), (-100, 1), REDUCTIONS)]


@pytest.mark.parametrize(("gamma", "weight", "ignore_index", "reduction"), FOCAL_GRID)
@pytest.mark.parametrize("shape", [(5, 4), (4,), (2, 4, 2, 3)])
def test_focal_loss_against_torch(
    shape: Any, gamma: float, weight: Any, ignore_index: int, reduction: str
) -> None:
    """-(1 - p)**gamma log p, picked and averaged as the cross-entropy is."""
    torch, theirs = pytorch()
    axis = 1 if len(shape) > 1 else 0
    labels = np.random.default_rng(0).integers(0, 4, shape[:axis] + shape[axis + 1 :])

    def right(x: Any) -> Any:
        p = torch.softmax(x, axis)
        return theirs.nll_loss(
            (1 - p) ** gamma * torch.log_softmax(x, axis),
            torch.tensor(labels),
            None if weight is None else torch.tensor(weight),
            ignore_index=ignore_index,
            reduction=reduction,
        )

    compare(
        lambda x: F.focal_loss(x, labels, gamma, weight, ignore_index, reduction),
        right,
        normal(*shape) * 2,
    )


def test_focal_loss_by_hand() -> None:
    """Two examples, of which one is right already: it counts next to nothing."""
    p = np.array([0.9, 0.2])
    scores = np.log(np.stack([p, 1 - p], 1))
    expected = -((1 - p) ** 2) * np.log(p)
    found = F.focal_loss(scores, [0, 0], gamma=2.0, reduction="none")
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(found / F.cross_entropy(scores, [0, 0], reduction="none"),
                               [0.01, 0.64], rtol=1e-12)  # fmt: skip
    np.testing.assert_allclose(
        F.focal_loss(scores, [0, 0], gamma=0.0), F.cross_entropy(scores, [0, 0]).numpy()
    )


def test_focal_loss_of_masked_classes() -> None:
    scores = tc.tensor([[-np.inf, 2.0, 1.0], [-np.inf, 0.0, -np.inf]], requires_grad=True)
    loss = F.focal_loss(scores, [2, 1], gamma=0.5)
    loss.backward()
    assert np.isfinite(loss.item())
    assert np.isfinite(scores.grad.data).all()
    assert scores.grad.tolist()[1] == [0.0, 0.0, 0.0]
