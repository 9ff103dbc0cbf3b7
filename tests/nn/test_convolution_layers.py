"""Convolution layers: PyTorch's keys, defaults and values, settings, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from oracle import both, compare_layers

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, ShapeError

SIGNALS, IMAGES, VOLUMES = (3, 4, 9), (3, 4, 7, 8), (2, 4, 5, 6, 4)

# A layer, in both libraries the same expression, and the shape of an input.
LAYERS = [
    ("Conv1d(4, 6, 3)", SIGNALS),
    ("Conv1d(4, 6, 3, 2, 1, 2, 2, False)", SIGNALS),
    ("Conv1d(4, 4, 4, padding='same', groups=4)", SIGNALS),
    ("Conv1d(4, 6, 3, padding=2, padding_mode='reflect')", SIGNALS),
    ("Conv2d(4, 6, 3, padding='same', dilation=2)", IMAGES),
    ("Conv2d(4, 6, (2, 3), padding='valid')", IMAGES),
    ("Conv2d(4, 6, 3, 1, (1, 2), 1, 1, True, 'circular')", IMAGES),
    ("Conv2d(4, 6, 3, 2, 1, padding_mode='replicate', groups=2)", IMAGES),
    ("Conv2d(4, 6, 3, padding='same', padding_mode='reflect')", IMAGES),
    ("Conv3d(4, 6, (1, 3, 2), stride=(2, 1, 1), padding=(0, 1, 1))", VOLUMES),
    ("Conv3d(4, 4, 2, groups=2, dilation=(1, 2, 3), padding=1, padding_mode='zeros')", VOLUMES),
    ("ConvTranspose1d(4, 6, 3)", SIGNALS),
    ("ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, False, 2)", SIGNALS),
    ("ConvTranspose2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), output_padding=(1, 0))", IMAGES),
    ("ConvTranspose2d(4, 4, 2, 2, groups=4)", IMAGES),
    ("ConvTranspose3d(4, 2, 2, 2)", VOLUMES),
    ("ConvTranspose3d(4, 2, 3, (1, 2, 1), 1, (0, 1, 0), 2, dilation=2)", VOLUMES),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize(("expression", "shape"), LAYERS)
def test_layers_agree_with_pytorch(
    expression: str, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    compare_layers(expression, shape, rng)


@pytest.mark.parametrize(
    "expression", ["Conv1d(8, 6, 5)", "ConvTranspose2d(8, 64, 3, groups=2)", "Conv3d(4, 8, 3)"]
)
def test_initial_values_are_spread_as_pytorchs(expression: str) -> None:
    """Both draw uniformly within the same bound."""
    _, theirs = both(expression)
    torch_bound = max(abs(p).max().item() for p in theirs.parameters())
    fresh = eval(f"nn.{expression}")
    bound = 1.0 / math.sqrt(math.prod(fresh.weight.shape[1:]))
    for parameter in fresh.parameters():
        assert np.abs(parameter.data).max() <= bound
    assert np.abs(fresh.weight.data).max() > 0.95 * bound
    assert 0.95 * bound < torch_bound <= bound * (1 + 1e-6)


def test_output_size_chooses_among_the_sizes_that_one_stride_allows() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = both("ConvTranspose2d(4, 2, 3, stride=(3, 2), padding=1)")
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 5))
    for size in ((10, 9), (12, 10), (11, 9)):
        expected = theirs(torch.tensor(x), output_size=size).detach().numpy()
        np.testing.assert_allclose(ours(x, size).data, expected, rtol=1e-10, atol=1e-10)
    for size in ((13, 9), (9, 9), (10, 11)):
        with pytest.raises(ShapeError, match=r"possible are \(10, 9\) to \(12, 10\)"):
            ours(x, size)
    with pytest.raises(ArgumentError, match="ConvTranspose2d: output_size"):
        ours(x, (2, 2, 10, 9))


@pytest.mark.parametrize("size", [7, 8])
def test_an_encoder_and_its_decoder(size: int) -> None:
    encode, decode = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ConvTranspose2d(8, 3, 3, 2, 1)
    x = tc.rand(2, 3, size, size)
    assert decode(encode(x), output_size=size).shape == x.shape


def test_flip_and_fit_reach_the_function() -> None:
    layer = nn.Conv2d(1, 2, 3, stride=2, padding=((0, 1), (1, 1)), flip=True, fit="pad")
    x = tc.rand(1, 1, 8, 8)
    turned = layer.weight.data[:, :, ::-1, ::-1]
    expected = F.conv2d(x, turned, layer.bias, 2, ((0, 1), (1, 2)))
    np.testing.assert_array_equal(layer(x).data, expected.data)
    with pytest.raises(ShapeError, match=r"224 - 11 \+ 2\*0\)/4 \+ 1 = 54.25"):
        nn.Conv2d(3, 96, 11, stride=4, fit="exact")(np.zeros((1, 3, 224, 224), np.float32))


# -- locally connected ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2}, {"padding": "same"}, {"padding": (2, 1), "dilation": 2}]
)
def test_locally_connected(options: dict[str, Any], rng: np.random.Generator) -> None:
    layer = nn.LocallyConnected2d(3, 4, (9, 7), (3, 2), **options, generator=rng)
    shared = nn.Conv2d(3, 4, (3, 2), **options, generator=rng)
    x = tc.tensor(rng.normal(size=(5, 3, 9, 7)).astype(np.float32))
    out = shared(x)
    assert layer(x).shape == out.shape
    assert layer.output_size == out.shape[2:]
    assert [*layer.state_dict()] == ["weight", "bias"]
    shape = (4, *out.shape[2:], 3, 3, 2)
    layer.load_state_dict(
        {
            "weight": np.broadcast_to(shared.weight.data[:, None, None], shape),
            "bias": np.broadcast_to(shared.bias.data[:, None, None], shape[:3]),
        }
    )
    np.testing.assert_allclose(layer(x).data, out.data, atol=1e-5)


def test_parameters_of_alexnets_first_layer() -> None:
    """With sharing 34,944. Without, each of the 55*55*96 neurons has 363 weights and a bias."""
    shared = nn.Conv2d(3, 96, 11, stride=4)
    assert sum(p.size for p in shared.parameters()) == 34_944
    one = nn.LocallyConnected2d(3, 1, 227, 11, stride=4)  # of the 96 slices: 4.4 MB, not 423
    assert one.output_size == (55, 55)
    assert sum(p.size for p in one.parameters()) * 96 == 105_705_600


def test_initial_values_do_not_depend_on_the_size_of_the_images() -> None:
    layer = nn.LocallyConnected1d(4, 8, 30, 5)
    bound = 1.0 / math.sqrt(20)
    for parameter in layer.parameters():
        assert 0.95 * bound < np.abs(parameter.data).max() <= bound


# -- settings -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.Conv1d(2, 4, 3), "Conv1d(2, 4, kernel_size=(3,), stride=(1,))"),
        (
            lambda: nn.Conv2d(2, 4, 3, padding="same", padding_mode="reflect", bias=False),
            "Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding='same',"
            " padding_mode='reflect', bias=False)",
        ),
        (
            lambda: nn.Conv2d(2, 4, 3, padding=((0, 1), [1, 1]), flip=True, fit="exact"),
            "Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding=((0, 1), (1, 1)),"
            " flip=True, fit='exact')",
        ),
        (
            lambda: nn.Conv3d(2, 4, 3, padding=((1, 1), (2, 2), 0), groups=2),
            "Conv3d(2, 4, kernel_size=(3, 3, 3), stride=(1, 1, 1), padding=(1, 2, 0), groups=2)",
        ),
        (
            lambda: nn.ConvTranspose2d(2, 4, 3, 2, output_padding=1),
            "ConvTranspose2d(2, 4, kernel_size=(3, 3), stride=(2, 2), output_padding=(1, 1))",
        ),
        (
            lambda: nn.LocallyConnected1d(2, 4, 9, 3, dilation=2),
            "LocallyConnected1d(2, 4, kernel_size=(3,), stride=(1,), dilation=(2,),"
            " input_size=(9,))",
        ),
    ],
)
def test_repr_shows_settings(make: Callable[[], nn.Module], text: str) -> None:
    assert repr(make()) == text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv1d(2, 4, (3, 3)), r"Conv1d: kernel_size=\(3, 3\)"),
        (lambda: nn.Conv2d(2, 4, 3, stride=1.5), "Conv2d: stride=1.5"),
        (lambda: nn.Conv2d(2, 4, 3, padding="sane"), "Conv2d: padding='sane': expected numbers"),
        (lambda: nn.Conv2d(2, 4, 3, padding=((1, 1),)), r"Conv2d: padding=\(\(1, 1\),\): expected"),
        (lambda: nn.Conv2d(2, 4, 3, padding_mode="wrap"), "Conv2d: padding_mode='wrap', expected"),
        (lambda: nn.Conv3d(2, 4, 3, fit="ceil"), "Conv3d: fit='ceil', expected one of floor"),
        (lambda: nn.Conv3d(2, 4, 3, groups=4), "groups=4 does not divide in_channels=2"),
        (lambda: nn.ConvTranspose2d(2, 4, 3, groups=3), "ConvTranspose2d: groups=3 does not"),
        (lambda: nn.ConvTranspose2d(2, 4, 3, padding="same"), "ConvTranspose2d: padding='same'"),
        (
            lambda: nn.ConvTranspose2d(2, 4, 3, 2, output_padding=2),
            r"ConvTranspose2d: output_padding=\(2, 2\) is not smaller than the stride \(2, 2\)",
        ),
        (lambda: nn.LocallyConnected2d(2, 4, 0, 3), "LocallyConnected2d: input_size=0"),
        (
            lambda: nn.LocallyConnected2d(2, 4, 4, 5),
            r"LocallyConnected2d: kernel_size=\(5, 5\) .* does not fit into input_size=\(4, 4\)",
        ),
        (lambda: nn.LocallyConnected1d(2, 4, 4, 3, padding=-1), "LocallyConnected1d: padding=-1"),
    ],
)
def test_settings_are_checked_at_construction(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


def test_a_locally_connected_layer_takes_images_of_one_size() -> None:
    with pytest.raises(ShapeError, match="the windows make outputs of 3 x 4"):
        nn.LocallyConnected2d(1, 2, (6, 6), 3)(tc.zeros(1, 1, 5, 6))
