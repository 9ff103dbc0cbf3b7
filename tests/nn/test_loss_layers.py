"""Losses as modules: PyTorch as their oracle, what they hold, show and refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, ShapeError

WEIGHT = "torch.tensor([1.0, 2.0, 0.5]).double()"
CLASS_LOSSES = [
    "MultiMarginLoss()",
    "MultiMarginLoss(2, 0.5, reduction='sum')",
    f"MultiMarginLoss(weight={WEIGHT}, reduction='none')",
    f"CrossEntropyLoss({WEIGHT}, label_smoothing=0.1, ignore_index=1)",
]
NUMBER_LOSSES = [
    "L1Loss()",
    "MSELoss(reduction='sum')",
    "SmoothL1Loss()",
    "SmoothL1Loss(reduction='none', beta=0.3)",
    "HuberLoss()",
    "HuberLoss('sum', 0.3)",
    "BCEWithLogitsLoss()",
    f"BCEWithLogitsLoss({WEIGHT}, reduction='sum', pos_weight={WEIGHT})",
]


@pytest.mark.parametrize("expression", [*CLASS_LOSSES, *NUMBER_LOSSES])
def test_they_agree_with_pytorch(expression: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    ours: nn.Module = eval(f"nn.{expression}", {"nn": nn, "torch": torch})
    theirs = eval(f"torch.nn.{expression}", {"torch": torch})
    assert list(ours.state_dict()) == list(theirs.state_dict())
    scores = rng.normal(size=(6, 3)) * 2
    target: Any = rng.integers(0, 3, 6) if expression in CLASS_LOSSES else rng.random((6, 3))
    x, t = tc.tensor(scores, requires_grad=True), torch.tensor(scores, requires_grad=True)
    loss, expected = ours(x, target), theirs(t, torch.tensor(target))
    np.testing.assert_allclose(loss.data, expected.detach().numpy(), rtol=1e-10)
    loss.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(x.grad.data, t.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_those_that_pytorch_lacks(rng: np.random.Generator) -> None:
    scores, labels = rng.normal(size=(6, 3)), rng.integers(0, 3, 6)
    weight, yes = [1.0, 2.0, 0.5], (rng.random((6, 3)) > 0.5).astype(float)
    for module, expected in (
        (nn.FocalLoss(), F.focal_loss(scores, labels)),
        (
            nn.FocalLoss(0.5, weight, ignore_index=1, reduction="sum"),
            F.focal_loss(scores, labels, 0.5, weight, 1, "sum"),
        ),
        (
            nn.HingeLoss(0.5, reduction="none", squared=True),
            F.hinge_loss(scores, labels, 0.5, "none", True),
        ),
    ):
        np.testing.assert_array_equal(module(scores, labels), expected.numpy())
    np.testing.assert_array_equal(
        nn.SigmoidFocalLoss(0.5, 1.0, "sum")(scores, yes),
        F.sigmoid_focal_loss(scores, yes, 0.5, 1.0, "sum").numpy(),
    )


@pytest.mark.parametrize(
    "text",
    [
        "FocalLoss(gamma=2.0, reduction='mean')",
        "HingeLoss(margin=1.0, reduction='mean')",
        "HingeLoss(margin=0.5, reduction='sum', squared=True)",
        "MultiMarginLoss(p=2, margin=1.0, reduction='mean')",
        "L1Loss(reduction='mean')",
        "SmoothL1Loss(reduction='mean', beta=1.0)",
        "HuberLoss(reduction='mean', delta=1.0)",
        "BCEWithLogitsLoss(reduction='mean')",
        "SigmoidFocalLoss(alpha=0.25, gamma=2.0, reduction='none')",
    ],
)
def test_repr_shows_settings_and_makes_the_loss_again(text: str) -> None:
    assert repr(eval(f"nn.{text}")) == text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.FocalLoss(-1.0), "FocalLoss: gamma=-1.0"),
        (lambda: nn.FocalLoss(reduction="avg"), "FocalLoss: reduction='avg'"),
        (lambda: nn.MultiMarginLoss(3), "MultiMarginLoss: p=3, expected 1, or 2"),
        (lambda: nn.HingeLoss(reduction="avg"), "HingeLoss: reduction='avg'"),
        (lambda: nn.HuberLoss(delta=0.0), "HuberLoss: delta=0.0"),
        (lambda: nn.SmoothL1Loss(beta=-1.0), "SmoothL1Loss: beta=-1.0"),
        (lambda: nn.SigmoidFocalLoss(1.5), "SigmoidFocalLoss: alpha=1.5, expected 0 to 1, or -1"),
        (lambda: nn.BCEWithLogitsLoss(reduction="avg"), "BCEWithLogitsLoss: reduction='avg'"),
    ],
)
def test_settings_are_checked(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        make()
    assert message in str(raised.value)


@pytest.mark.parametrize("make", [nn.FocalLoss, nn.MultiMarginLoss])
def test_weights_of_classes_have_one_axis(make: Callable[..., nn.Module]) -> None:
    with pytest.raises(ShapeError, match=r"weight has shape \(1, 2\), expected \(C,\)"):
        make(weight=[[1.0, 2.0]])


def test_focal_loss_trains_where_one_class_is_rare(rng: np.random.Generator) -> None:
    """What it is for: 2 in 100 examples are of class 1, and all are to be found."""
    tc.manual_seed(0)
    x = rng.normal(size=(400, 2)).astype(np.float32)
    labels = np.zeros(400, int)
    labels[:8], x[:8] = 1, x[:8] * 0.3 + 3.5
    net = nn.Linear(2, 2)
    optimizer = tc.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(150):
        loss = nn.FocalLoss(weight=[0.25, 0.75])(net(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = net(x).numpy().argmax(1)
    assert (found[:8] == 1).all()
    assert (found == labels).mean() > 0.98
