"""What losses say of a beginner's mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, DtypeError, ShapeError, TinygradCnnError

SCORES, ONE_HOT = np.zeros((2, 3)), np.eye(3, dtype=int)[[0, 2]]
MISTAKES: list[tuple[Callable[[], Any], type[TinygradCnnError], str]] = [
    *(
        (
            lambda f=f: f(SCORES, ONE_HOT),
            ShapeError,
            f"{n}: targets of shape (2, 3) do not fit scores (2, 3): expected one class index for"
            " each example, (2,); of one-hot targets take .argmax(axis=1)",
        )
        for n, f in (("nll_loss", F.nll_loss), ("hinge_loss", F.hinge_loss),
                     ("multi_margin_loss", F.multi_margin_loss), ("focal_loss", F.focal_loss))
    ),
    (lambda: F.cross_entropy(SCORES, ONE_HOT), DtypeError, ".argmax(axis=1) of one-hot targets"),
    (
        lambda: F.cross_entropy(SCORES, [[0], [1]]),
        ShapeError,
        "cross_entropy: targets of shape (2, 1) do not fit scores (2, 3): expected one class index"
        " for each example, (2,); reshape them",
    ),
    (
        lambda: F.cross_entropy(SCORES, [0.0, 1.0]),
        DtypeError,
        "cross_entropy: class indices must be integers, got float64: use .astype(int)",
    ),
    (
        lambda: F.cross_entropy(SCORES, [1, 3]),
        ArgumentError,
        "cross_entropy: class 3 is outside of 0 … 2",
    ),
    (lambda: F.hinge_loss(SCORES, [0, -1]), ArgumentError, "hinge_loss: class -1 is outside of 0"),
    (lambda: F.hinge_loss(SCORES, [0, 1], reduction="avg"), ArgumentError, "reduction='avg'"),
    (lambda: F.multi_margin_loss(SCORES, [0, 1], p=3), ArgumentError, "multi_margin_loss: p=3"),
    (
        lambda: F.multi_margin_loss(SCORES, [0, 1], weight=[1.0]),
        ShapeError,
        "weight has shape (1,), there are 3 classes",
    ),
    (lambda: F.multi_margin_loss(1.0, 0), ShapeError, "expected scores of shape (N, C) or (C,)"),
    (lambda: F.focal_loss(SCORES, [0, 1], gamma=-1.0), ArgumentError, "focal_loss: gamma=-1.0"),
    (lambda: F.focal_loss(1.0, 0), ShapeError, "focal_loss: expected scores of shape (N, C), got"),
    (
        lambda: F.binary_cross_entropy_with_logits(np.zeros((4, 1)), np.zeros(4)),
        ShapeError,
        "binary_cross_entropy_with_logits: (4, 1) against (4,): expected the same shape",
    ),
    (
        lambda: F.binary_cross_entropy_with_logits(np.zeros(2), [-1.0, 1.0]),
        ArgumentError,
        "targets from -1 to 1: expected numbers from 0 (no) to 1 (yes)",
    ),
    (
        lambda: F.binary_cross_entropy_with_logits(SCORES, SCORES, pos_weight=[1.0, 2.0]),
        ShapeError,
        "binary_cross_entropy_with_logits: pos_weight (2,) does not broadcast to scores (2, 3)",
    ),
    (
        lambda: F.binary_cross_entropy_with_logits(np.zeros(3), np.zeros(3), np.ones((2, 3))),
        ShapeError,
        "weight (2, 3) does not broadcast to scores (3,)",
    ),
    (lambda: F.sigmoid_focal_loss(SCORES, SCORES, alpha=2.0), ArgumentError, "alpha=2.0"),
    (lambda: F.sigmoid_focal_loss(SCORES, SCORES + 2), ArgumentError, "targets from 2 to 2"),
    (lambda: F.l1_loss(SCORES, np.zeros(3)), ShapeError, "l1_loss: (2, 3) against (3,)"),
    (lambda: F.huber_loss(SCORES, SCORES, delta=0.0), ArgumentError, "huber_loss: delta=0.0"),
    (lambda: F.smooth_l1_loss(SCORES, SCORES, beta=-1.0), ArgumentError, "beta=-1.0"),
    (lambda: F.l2_regularization([], 0.1), ArgumentError, "expected Tensors, got none"),
    (
        lambda: F.l2_regularization(nn.Linear(2, 2), 0.1),  # type: ignore[arg-type]
        ArgumentError,
        "l2_regularization: got a model: give model.parameters()",
    ),
    (
        lambda: F.l1_regularization(nn.Linear(2, 2).state_dict(), 0.1),  # type: ignore[arg-type]
        ArgumentError,
        "l1_regularization: expected Tensors, got str",
    ),
    (lambda: F.l2_regularization(SCORES, -0.1), ArgumentError, "strength=-0.1"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "error", "message"), MISTAKES, ids=[m for *_, m in MISTAKES])
def test_mistakes(act: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        act()
    assert message in str(raised.value)


def test_a_generator_of_parameters_that_was_used_up_is_noticed() -> None:
    parameters = nn.Linear(2, 2).parameters()
    F.l2_regularization(parameters, 0.1)
    with pytest.raises(ArgumentError, match="a generator is used up by the first"):
        F.l2_regularization(parameters, 0.1)
