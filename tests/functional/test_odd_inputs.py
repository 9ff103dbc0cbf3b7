"""Bytes, seeds in the place of generators, and settings that are no numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError

BYTES = np.array([[3, 250, 7, 0], [200, 16, 9, 255]], np.uint8)
OTHERS = BYTES[::-1].copy()
IMAGE = BYTES.reshape(1, 2, 2, 2)
ON_BYTES: dict[str, Callable[[Any, Any], Any]] = {
    "mse_loss": F.mse_loss,
    "l1_loss": F.l1_loss,
    "huber_loss": F.huber_loss,
    "smooth_l1_loss": F.smooth_l1_loss,
    "softmax": lambda x, _: F.softmax(x),
    "log_softmax": lambda x, _: F.log_softmax(x),
    "logsumexp": lambda x, _: F.logsumexp(x),
    "cross_entropy": lambda x, _: F.cross_entropy(x, [1, 0]),
    "hinge_loss": lambda x, _: F.hinge_loss(x, [0, 2]),
    "multi_margin_loss": lambda x, _: F.multi_margin_loss(x, [0, 2]),
    "sigmoid": lambda x, _: F.relu(tc.sigmoid(x)),
    "log_sigmoid": lambda x, _: F.log_sigmoid(x),
    "silu": lambda x, _: F.silu(x),
    "mish": lambda x, _: F.mish(x),
    "norm": lambda x, _: F.norm(x),
    "lp_pool2d": lambda x, _: F.lp_pool2d(x.reshape(1, 2, 2, 2), 2, 2),
    "local_response_norm": lambda x, _: F.local_response_norm(x, 3),
    "l2_regularization": lambda x, _: F.l2_regularization(x, 0.5),
}


@pytest.mark.parametrize("function", ON_BYTES.values(), ids=ON_BYTES)
def test_bytes_do_not_wrap_around(function: Callable[[Any, Any], Any]) -> None:
    found = function(BYTES, OTHERS)
    expected = function(BYTES.astype(float), OTHERS.astype(float))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_booleans_are_targets_of_a_binary_loss() -> None:
    x = tc.tensor([0.5, -1.0], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, np.array([True, False]))
    assert loss.item() == F.binary_cross_entropy_with_logits(x, [1.0, 0.0]).item()


SEEDS: dict[str, Callable[[Any], Any]] = {
    "dropout": lambda g: F.dropout(tc.ones(4), generator=g),
    "Dropout": lambda g: nn.Dropout(generator=g)(tc.ones(4)),
    "Linear": lambda g: nn.Linear(2, 2, generator=g),
    "Conv2d": lambda g: nn.Conv2d(1, 1, 3, generator=g),
    "rand": lambda g: tc.rand(2, generator=g),
    "model": lambda g: tc.models.DigitsNet(generator=g),
}


@pytest.mark.parametrize("call", SEEDS.values(), ids=SEEDS)
@pytest.mark.parametrize("given", [0, 3, np.random.RandomState(0)], ids=["zero", "seed", "legacy"])
def test_a_seed_is_no_generator(call: Callable[[Any], Any], given: Any) -> None:
    with pytest.raises(ArgumentError, match=r"generator=.*expected a np.random.Generator, such as"):
        call(given)


X = np.random.default_rng(0).standard_normal((3, 4, 2, 2))
NO_NUMBERS: dict[str, tuple[Callable[[], Any], str]] = {
    "momentum": (
        lambda: F.batch_norm(X, tc.zeros(4), tc.ones(4), training=True, momentum=None),  # type: ignore[arg-type]
        "batch_norm: momentum=None",
    ),
    "eps below 0": (lambda: F.batch_norm(X, tc.zeros(4), tc.ones(4), eps=-1), "batch_norm: eps=-1"),
    "eps of layer_norm": (lambda: F.layer_norm(X, 2, eps=None), "layer_norm: eps=None"),  # type: ignore[arg-type]
    "eps of GroupNorm": (lambda: nn.GroupNorm(2, 4, eps="a"), "GroupNorm: eps='a'"),  # type: ignore[arg-type]
    "delta": (lambda: F.huber_loss(X, X, delta="a"), "huber_loss: delta='a'"),  # type: ignore[arg-type]
    "beta": (lambda: nn.SmoothL1Loss(beta=None), "SmoothL1Loss: beta=None"),  # type: ignore[arg-type]
    "strength": (lambda: F.l2_regularization(X, None), "strength=None"),  # type: ignore[arg-type]
    "gamma": (lambda: nn.FocalLoss("a"), "FocalLoss: gamma='a'"),  # type: ignore[arg-type]
    "alpha": (lambda: nn.SigmoidFocalLoss(None), "SigmoidFocalLoss: alpha=None"),  # type: ignore[arg-type]
    "limits": (lambda: nn.Hardtanh(1, "x"), "Hardtanh: min_val=1, max_val='x'"),  # type: ignore[arg-type]
    "smoothing": (
        lambda: nn.CrossEntropyLoss(label_smoothing=None),  # type: ignore[arg-type]
        "CrossEntropyLoss: label_smoothing=None",
    ),
    "ignored classes": (
        lambda: F.nll_loss(X[..., 0, 0], [0, 1, 2], ignore_index=[1, 2]),  # type: ignore[arg-type]
        r"nll_loss: ignore_index=\[1, 2\], expected one integer",
    ),
    "softplus": (lambda: nn.Softplus("a"), "Softplus: beta='a'"),  # type: ignore[arg-type]
    "axes": (lambda: nn.Unflatten(1, 4), "Unflatten: unflattened_size=4"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("call", "message"), NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_a_setting_that_is_no_number_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()
