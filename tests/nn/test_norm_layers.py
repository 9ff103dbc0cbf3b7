"""Layers that normalise or drop: PyTorch as their oracle, what they hold, what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from oracle import compare_layers

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, ShapeError

SIGNALS, IMAGES, VOLUMES = (4, 6, 7), (4, 6, 5, 3), (3, 6, 2, 3, 4)

# A layer, in both libraries the same expression, and the shape of an input.
LAYERS = [
    ("BatchNorm3d(6)", VOLUMES),
    ("BatchNorm3d(6, 0.1, None)", VOLUMES),
    ("InstanceNorm1d(6)", SIGNALS),
    ("InstanceNorm2d(6)", IMAGES),
    ("InstanceNorm3d(6)", VOLUMES),
    ("InstanceNorm1d(6, affine=True)", SIGNALS),
    ("InstanceNorm2d(6, 0.1, 0.3, True, True)", IMAGES),
    ("InstanceNorm3d(6, track_running_stats=True)", VOLUMES),
    ("LayerNorm(3)", IMAGES),
    ("LayerNorm((5, 3), eps=0.1)", IMAGES),
    ("LayerNorm([6, 5, 3], bias=False)", IMAGES),
    ("LayerNorm(6, elementwise_affine=False)", (5, 6)),
    ("GroupNorm(1, 6)", IMAGES),
    ("GroupNorm(3, 6)", (5, 6)),
    ("GroupNorm(2, 6, eps=0.1)", VOLUMES),
    ("GroupNorm(6, 6, affine=False)", SIGNALS),
    ("LocalResponseNorm(5)", IMAGES),
    ("LocalResponseNorm(4, 0.5, 0.6, 2.0)", SIGNALS),
    ("Dropout1d(0.0)", SIGNALS),
    ("Dropout2d(0.0)", IMAGES),
    ("Dropout3d(0.0)", VOLUMES),
]


@pytest.mark.parametrize(("expression", "shape"), LAYERS)
def test_they_agree_with_pytorch(
    expression: str, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    compare_layers(expression, shape, rng)


@pytest.mark.parametrize(
    "text",
    [
        "BatchNorm3d(6, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)",
        "InstanceNorm1d(6, eps=1e-05, momentum=0.1, affine=False, track_running_stats=False)",
        "InstanceNorm2d(6, eps=0.1, momentum=0.3, affine=True, track_running_stats=True)",
        "LayerNorm((6, 2), eps=1e-05, elementwise_affine=True)",
        "LayerNorm((6,), eps=0.1, elementwise_affine=True, bias=False)",
        "LayerNorm((6,), eps=1e-05, elementwise_affine=False)",
        "GroupNorm(2, 6, eps=1e-05, affine=True)",
        "LocalResponseNorm(5, alpha=0.0005, beta=0.75, k=2.0)",
        "Dropout2d(p=0.2)",
    ],
)
def test_repr_shows_settings_and_makes_the_layer_again(text: str) -> None:
    assert repr(eval(f"nn.{text}")) == text


def test_normalisation_of_alexnet() -> None:
    """Its n = 5, alpha = 1e-4, beta = 0.75, k = 2, by the formula of the paper."""
    layer = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
    x = np.full((1, 96, 2, 2), 10.0)
    out = layer(x).numpy()
    assert out[0, 48, 0, 0] == pytest.approx(10 / (2 + 1e-4 * 5 * 100) ** 0.75)
    assert out[0, 0, 0, 0] == pytest.approx(10 / (2 + 1e-4 * 3 * 100) ** 0.75)  # at the border


def test_example_norms_are_the_same_in_training_and_evaluation(rng: np.random.Generator) -> None:
    x = rng.normal(size=IMAGES)
    for layer in (nn.LayerNorm(3), nn.GroupNorm(2, 6), nn.InstanceNorm2d(6)):
        np.testing.assert_array_equal(layer.train()(x), layer.eval()(x).numpy())


def test_channel_dropout_follows_the_mode_and_its_generator() -> None:
    x = tc.ones(8, 16, 3, 3)
    layers = [nn.Dropout2d(0.5, generator=np.random.default_rng(3)) for _ in range(2)]
    first, second = (layer(x).numpy() for layer in layers)
    np.testing.assert_array_equal(first, second)
    per_channel = first.reshape(8, 16, 9)
    assert (per_channel == per_channel[..., :1]).all()
    assert set(np.unique(first)) == {0.0, 2.0}
    np.testing.assert_array_equal(layers[0].eval()(x), x.numpy())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.LayerNorm(0), "LayerNorm: normalized_shape=0, expected an integer"),
        (lambda: nn.LayerNorm(()), "LayerNorm: normalized_shape=()"),
        (lambda: nn.LayerNorm(3, eps=-1.0), "LayerNorm: eps=-1.0"),
        (lambda: nn.GroupNorm(4, 6), "GroupNorm: num_groups=4 does not divide num_channels=6"),
        (lambda: nn.GroupNorm(0, 6), "GroupNorm: num_groups=0"),
        (lambda: nn.GroupNorm(6, 0), "GroupNorm: num_channels=0"),
        (lambda: nn.InstanceNorm2d(0), "InstanceNorm2d: num_features=0"),
        (lambda: nn.InstanceNorm2d(3, momentum=None), "momentum=None, expected 0 to 1"),
        (lambda: nn.InstanceNorm2d(3, momentum=2.0), "InstanceNorm2d: momentum=2.0"),
        (lambda: nn.LocalResponseNorm(0), "LocalResponseNorm: size=0"),
        (lambda: nn.Dropout2d(1.5), "Dropout2d: p=1.5: expected a probability"),
        (lambda: nn.Dropout1d(-0.5), "Dropout1d: p=-0.5"),
    ],
)
def test_settings_are_checked(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        make()
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.BatchNorm3d(6), IMAGES, "BatchNorm3d: expected (N, C, D, H, W), got (4, 6, 5, 3)"),
        (nn.InstanceNorm1d(6), (4, 6), "InstanceNorm1d: expected (N, C, L), got (4, 6)"),
        (nn.InstanceNorm2d(6), (6, 5, 3), "InstanceNorm2d: expected (N, C, H, W), got (6, 5, 3)"),
        (nn.InstanceNorm2d(5), IMAGES, "InstanceNorm2d: expected 5 channels, got (4, 6, 5, 3)"),
        (nn.GroupNorm(2, 4), IMAGES, "GroupNorm: expected (N, 4, …), got (4, 6, 5, 3)"),
        (nn.GroupNorm(2, 4), (4,), "GroupNorm: expected (N, 4, …), got (4,)"),
        (nn.LayerNorm(6), IMAGES, "layer_norm: input (4, 6, 5, 3) does not end in"),
        (nn.Dropout2d(), SIGNALS, "dropout2d: expected (N, C, H, W), got (4, 6, 7)"),
    ],
)
def test_inputs_are_checked(layer: nn.Module, shape: Any, message: str) -> None:
    before = layer.state_dict()
    with pytest.raises(ShapeError) as raised:
        layer(np.zeros(shape))
    assert message in str(raised.value)
    for key, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[key])
