# ruff: noqa: E501  (the table of errors has one line for each)
"""A model slid over larger images: the same scores as crop by crop."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.models import rewrites, sliding_scores
from tinygrad_cnn.models.sliding import _resized
from tinygrad_cnn.typing import Array


def _alexnet_like(channels: int, hidden: int, classes: int) -> nn.Sequential:
    """224x224 to 7x7 by five halvings, then two hidden fully connected layers: nothing pads."""
    body: list[nn.Module] = []
    for before in (3, *(channels,) * 4):
        body += [nn.Conv2d(before, channels, 1), nn.ReLU(), nn.MaxPool2d(2)]
    head = [nn.Linear(7 * 7 * channels, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
    return nn.Sequential(*body, nn.Flatten(), *head, nn.Linear(hidden, classes))


@pytest.fixture
def image(rng: np.random.Generator) -> Array:
    return rng.standard_normal((1, 3, 384, 384))


def test_the_36_crops_of_the_notes(image: Array) -> None:
    model = _alexnet_like(8, 32, 10).double()
    found = sliding_scores(model, image, (1, 3, 224, 224), compare=True)
    [scores] = found.maps
    assert scores.scores.shape == (1, 10, 6, 6)
    assert scores.stride == (32, 32)
    assert found.comparison is not None
    assert found.comparison.crops == 36
    assert found.comparison.largest_difference < 1e-10
    assert re.search(r"36 crops one by one: .* times faster", str(found.comparison))
    np.testing.assert_allclose(found.scores, scores.scores.mean((2, 3)), rtol=1e-12)


def test_stride_16_by_two_shifted_passes(image: Array) -> None:
    model = _alexnet_like(4, 8, 5).double()
    shifts = [(0, 0), (16, 16)]
    found = sliding_scores(model, image, (1, 3, 224, 224), shifts=shifts, compare=True)
    assert [m.scores.shape for m in found.maps] == [(1, 5, 6, 6), (1, 5, 5, 5)]
    assert found.comparison is not None
    assert found.comparison.crops == 36 + 25
    assert found.comparison.largest_difference < 1e-10
    by_hand = np.stack([
        tc.no_grad()(model)(image[:, :, i : i + 224, j : j + 224]).numpy()
        for start in (0, 16) for i in range(start, 161, 32) for j in range(start, 161, 32)
    ])  # fmt: skip
    np.testing.assert_allclose(found.scores, by_hand.mean(0), rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_the_head_of_alexnet_at_full_size(image: Array) -> None:
    body = [nn.Conv2d(3, 512, 4, 4), nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(2), nn.MaxPool2d(2)]
    head = [nn.Flatten(), nn.Linear(7 * 7 * 512, 4096), nn.ReLU(), nn.Linear(4096, 4096)]
    model = nn.Sequential(*body, *head, nn.ReLU(), nn.Linear(4096, 1000))
    slid = rewrites.fc_to_conv(model, (1, 3, 224, 224))
    assert "Conv2d(512, 4096, kernel_size=(7, 7)" in str(slid)
    found = sliding_scores(model.double(), image, (1, 3, 224, 224), compare=True)
    print(found.comparison)
    assert found.maps[0].scores.shape == (1, 1000, 6, 6)
    assert found.comparison is not None
    assert found.comparison.crops == 36
    assert found.comparison.largest_difference < 1e-10


def test_padding_makes_a_difference_that_is_told(image: Array) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(32), nn.Flatten(), nn.Linear(4 * 7 * 7, 3)
    )
    found = sliding_scores(model, image, (1, 3, 224, 224), compare=True)
    assert found.comparison is not None
    assert found.comparison.largest_difference > 1e-4


def test_scores_are_averaged_over_places_and_then_over_scales(rng: np.random.Generator) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 2, 2), nn.Flatten(), nn.Linear(8, 3)).double()
    found = sliding_scores(model, rng.standard_normal((2, 1, 6, 8)), (1, 1, 4, 4), scales=[1, 1.5])
    assert [m.scores.shape for m in found.maps] == [(2, 3, 2, 3), (2, 3, 3, 5)]
    by_scale = [m.scores.mean((2, 3)) for m in found.maps]
    np.testing.assert_allclose(found.scores, np.mean(by_scale, 0), rtol=1e-12)


@pytest.mark.parametrize("scale", [0.5, 1.3, 2.0])
def test_images_are_resized_as_pytorch_does(scale: float, rng: np.random.Generator) -> None:
    torch: Any = pytest.importorskip("torch")
    images = rng.standard_normal((2, 3, 10, 7))
    ours = _resized(images, scale)
    theirs = torch.nn.functional.interpolate(
        torch.tensor(images), size=ours.shape[2:], mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12, atol=1e-12)


_NET = nn.Sequential(nn.Conv2d(1, 2, 2, 2), nn.Flatten(), nn.Linear(8, 3))
_IMAGE = np.zeros((1, 1, 6, 6))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sliding_scores(_NET, _IMAGE), ArgumentError, "has no input_shape"),
        (lambda: sliding_scores(_NET, _IMAGE[0], (1, 1, 4, 4)), ShapeError, "expected images (N, C, H, W), got (1, 6, 6)"),
        (lambda: sliding_scores(_NET, _IMAGE, (1, 4, 4)), ArgumentError, "expected (1, C, h, w)"),
        (lambda: sliding_scores(_NET, _IMAGE, (1, 1, 4, 4), shifts=[(3, 0)]), ShapeError, "shifted by (3, 0) hold no image"),
        (lambda: sliding_scores(_NET, _IMAGE, (1, 1, 4, 4), scales=[0.5]), ShapeError, "hold no image of the model's own"),
        (lambda: sliding_scores(_NET, _IMAGE, (1, 1, 4, 4), scales=[-1]), ArgumentError, "a scale of -1"),
        (lambda: sliding_scores(_NET, _IMAGE, (1, 1, 4, 4), shifts=[1]), ArgumentError, "a shift of 1, expected (rows, columns)"),
        (lambda: sliding_scores(_NET, _IMAGE, (1, 1, 4, 4), scales=[]), ArgumentError, "are empty"),
        (lambda: sliding_scores(_NET, np.zeros((1, 2, 6, 6)), (1, 1, 4, 4)), ShapeError, "hold no image of the model's own"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()
