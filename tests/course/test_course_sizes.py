"""The numbers that the course prints about single layers, where no other test has them.

N the notes of CS231n, B the slides of CS 4670, S those of M2177 (see docs/course.md).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arrays import close, normal

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.models import receptive_field, rewrites, summary


def weights(layer: nn.Module) -> int:
    return sum(p.size for name, p in layer.named_parameters() if name == "weight")


def windows(size: int, f: int, **options: Any) -> int:
    """How many windows of f x f lie along each side of a square image."""
    out = F.conv2d(np.zeros((1, 1, size, size)), np.zeros((1, 1, f, f)), **options)
    assert out.shape[2] == out.shape[3]
    return out.shape[2]


# -- backpropagation (B) --------------------------------------------------------------------


def test_the_broadcasting_trap_of_mean_subtraction() -> None:
    """Rows and columns that differ in number fail in NumPy; equally many go wrong unseen."""
    x, square = normal(4, 3), normal(3, 3)
    with pytest.raises(ValueError, match="could not be broadcast"):
        x - np.mean(x, axis=1)
    assert not np.allclose(square - np.mean(square, axis=1), F.subtract_mean(square, axis=1))
    for each in (x, square):
        found = F.subtract_mean(each, axis=1)
        close(found, each - np.mean(each, axis=1)[:, np.newaxis])
        close(found, each - np.mean(each, axis=1, keepdims=True))


@pytest.mark.parametrize(
    ("scores", "p"),
    [([1000.0, 0.0], [1.0, 0.0]), ([-1000.0, -1001.0], [0.7310585786, 0.2689414214])],
)
def test_softmax_neither_overflows_nor_underflows(scores: list[float], p: list[float]) -> None:
    with np.errstate(all="ignore"):
        naive = np.exp(scores) / np.sum(np.exp(scores))
    assert np.isnan(naive[0])
    np.testing.assert_allclose(F.softmax(scores), p, rtol=1e-9)


def test_subtracting_a_constant_does_not_change_p() -> None:
    f = normal(5, 4)
    close(F.softmax(f - f.max(axis=1, keepdims=True)), F.softmax(f))


def test_a_neuron_is_a_sum_over_three_axes() -> None:
    x, w, b = normal(1, 3, 32, 32), normal(2, 3, 5, 5), normal(2)
    h, region = F.conv2d(x, w, b), x[0, :, 10:15, 20:25]
    for filter_ in range(2):
        expected = b[filter_]
        for i, j, k in np.ndindex(3, 5, 5):
            expected += region[i, j, k] * w[filter_, i, j, k]
        close(h[0, filter_, 10, 20], expected)


# -- neurons and volumes (N, S) -------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "count"),
    [((3, 32, 32), 3_072), ((3, 200, 200), 120_000), ((3, 1000, 1000), 3_000_000),
     ((1, 150, 150), 22_500)],
)  # fmt: skip
def test_weights_of_a_neuron_that_sees_all_of_the_image(shape: Any, count: int) -> None:
    layer = nn.Linear(int(np.prod(shape)), 1)
    assert weights(layer) == count
    assert layer(np.zeros((1, count), np.float32)).shape == (1, 1)


@pytest.mark.parametrize(
    ("channels", "f", "count"), [(3, 5, 75), (20, 3, 180), (3, 11, 363)]
)  # fmt: skip
def test_weights_of_a_neuron_that_sees_a_window(channels: int, f: int, count: int) -> None:
    neuron = nn.Conv2d(channels, 1, f)
    assert weights(neuron) == count
    assert sum(p.size for p in neuron.parameters()) == count + 1


@pytest.mark.parametrize(
    ("f", "d1", "k", "count"), [(11, 3, 96, 34_848), (5, 3, 6, 450), (3, 64, 64, 36_864)]
)
def test_f_f_d1_k_weights_and_k_biases(f: int, d1: int, k: int, count: int) -> None:
    layer = nn.Conv2d(d1, k, f)
    assert weights(layer) == f * f * d1 * k == count
    assert layer.bias is not None
    assert layer.bias.size == k


@pytest.mark.parametrize(
    ("filters", "options", "volume"),
    [(6, {}, (6, 28, 28)), (32, {}, (32, 28, 28)), (12, {"padding": 2}, (12, 32, 32))],
)
def test_each_filter_gives_an_activation_map(filters: int, options: Any, volume: Any) -> None:
    image, w = normal(1, 3, 32, 32), normal(filters, 3, 5, 5)
    stacked = F.conv2d(image, w, **options)
    assert stacked.shape == (1, *volume)
    for d in range(filters):  # depth slice d is the convolution with filter d
        close(stacked[:, d : d + 1], F.conv2d(image, w[d : d + 1], **options))


# -- spatial arrangement (N, S, B) ----------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "f", "options", "count"),
    [
        (7, 3, {}, 5),
        (7, 3, {"stride": 2}, 3),
        (7, 3, {"padding": 1}, 7),
        (7, 3, {"padding": 1, "stride": 2}, 4),
        (5, 3, {}, 3),
        (5, 3, {"padding": 1}, 5),
        (5, 3, {"padding": 1, "stride": 2}, 3),
        (32, 5, {}, 28),
        (28, 5, {}, 24),
        (11, 5, {"stride": 2}, 4),
        (12, 7, {}, 6),
    ],
)
def test_windows_that_fit(size: int, f: int, options: Any, count: int) -> None:
    assert windows(size, f, fit="exact", **options) == count


@pytest.mark.parametrize(("size", "padding"), [(7, 0), (5, 1)])
def test_a_stride_of_three_does_not_fit(size: int, padding: int) -> None:
    with pytest.raises(ShapeError, match=r"/3 \+ 1 = 2\.33333: the windows do not fit"):
        windows(size, 3, stride=3, padding=padding, fit="exact")


@pytest.mark.parametrize("f", [1, 3, 5, 7])
@pytest.mark.parametrize("size", [7, 32])
def test_half_of_f_less_one_keeps_the_size(f: int, size: int) -> None:
    assert windows(size, f, padding=(f - 1) // 2, fit="exact") == size
    assert windows(size, f, padding="same") == size


@pytest.mark.parametrize(
    ("name", "k", "left", "right"),
    [
        ("full", 3, 2, 2), ("same", 3, 1, 1), ("same_lower", 3, 1, 1), ("valid", 3, 0, 0),
        ("full", 4, 3, 3), ("same", 4, 1, 2), ("same_lower", 4, 2, 1), ("valid", 4, 0, 0),
    ],
)  # fmt: skip
def test_the_table_of_paddings(name: str, k: int, left: int, right: int) -> None:
    """S: m = 5; where k - 1 is odd, both sides for the odd zero of "same"."""
    m, x, w = 5, normal(1, 1, 5), normal(1, 1, k)
    out = F.conv1d(x, w, padding=name)
    size = {"full": m + (k - 1), "valid": m - (k - 1)}.get(name, m)
    assert out.shape[2] == size == m + left + right - k + 1
    close(out[0, 0], np.correlate(np.pad(x[0, 0], (left, right)), w[0, 0]))


X, W, B = normal(11, 11, 4), normal(2, 5, 5, 4), normal(2)


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ((0, 0, 0), X[:5, :5, :]), ((1, 0, 0), X[2:7, :5, :]), ((2, 0, 0), X[4:9, :5, :]),
        ((3, 0, 0), X[6:11, :5, :]), ((0, 0, 1), X[:5, :5, :]), ((1, 0, 1), X[2:7, :5, :]),
        ((2, 0, 1), X[4:9, :5, :]), ((3, 0, 1), X[6:11, :5, :]), ((0, 1, 1), X[:5, 2:7, :]),
        ((2, 3, 1), X[4:9, 6:11, :]),
    ],
)  # fmt: skip
def test_the_numpy_examples(place: tuple[int, int, int], part: np.ndarray) -> None:
    """N: V[x, y, d] = np.sum(X[…] * Wd) + bd."""
    filters = W.transpose(0, 3, 1, 2)
    out = F.conv2d(X.transpose(2, 0, 1)[None], filters, B, stride=2, fit="exact")
    v = out[0].numpy().transpose(1, 2, 0)
    assert v.shape == (4, 4, 2)
    assert v[place] == pytest.approx(np.sum(part * W[place[2]]) + B[place[2]], rel=1e-12)


def test_the_convolution_demo(shared: Path) -> None:
    demo = json.loads((shared / "fixtures" / "conv_demo.json").read_text("utf-8"))
    padded, w, b = (np.array(demo[name]) for name in ("x_padded", "w", "b"))
    out = F.conv2d(padded[None, :, 1:-1, 1:-1], w, b, demo["stride"], demo["padding"], fit="exact")
    np.testing.assert_array_equal(out[0], demo["out_printed"])
    np.testing.assert_array_equal(F.conv2d(padded[None], w, b, 2)[0], demo["out_printed"])


# -- sharing, matrices, dilation (N) --------------------------------------------------------


def test_gradients_of_a_depth_slice_are_added_up() -> None:
    """Each neuron has a gradient for its weights; sharing adds those of all places."""
    x, w, g = normal(2, 3, 6, 6), normal(4, 3, 3, 3), normal(2, 4, 4, 4)
    shared_ = tc.tensor(w, requires_grad=True)
    F.conv2d(x, shared_).backward(g)
    everywhere = np.broadcast_to(w[:, None, None], (4, 4, 4, 3, 3, 3))
    own = tc.tensor(everywhere, requires_grad=True)
    F.locally_connected2d(x, own).backward(g)
    close(shared_.grad, own.grad.numpy().sum((1, 2)))


def test_im2col_serves_pooling_too_and_duplicates_what_overlaps() -> None:
    x = normal(1, 1, 8, 8)
    columns = tc.im2col(x, 2, stride=2)
    assert columns.shape == (4, 16)  # a max over 4 numbers
    close(F.max_pool2d(x, 2), columns.max(0).reshape(1, 1, 4, 4))
    often = tc.col2im(np.ones((9, 36)), (1, 1, 8, 8), 3)
    assert (often.min(), often.max()) == (1, 9)


@pytest.mark.parametrize(("dilations", "size"), [((1, 1), 5), ((1, 2), 7), ((1, 2, 4), 15)])
def test_dilation_makes_the_field_grow(dilations: Any, size: int) -> None:
    net = nn.Sequential(*[nn.Conv2d(1, 1, 3, dilation=d) for d in dilations])
    assert receptive_field(net, (1, 20, 20))[-1].size == (size, size)


# -- why convolution (S; Goodfellow et al. 2016, chapter 9) ---------------------------------


def test_the_edges_of_figure_9_6() -> None:
    """Two products and a sum for each of 319 x 280 pixels, against a matrix of 8 billion."""
    net = nn.Sequential(nn.Conv2d(1, 1, (1, 2), bias=False))
    net.load_state_dict({"0.weight": [[[[-1.0, 1.0]]]]})
    image = normal(1, 1, 280, 320).astype(np.float32)
    np.testing.assert_array_equal(net(image), image[..., 1:] - image[..., :-1])
    [row] = summary(net, (1, 1, 280, 320)).rows
    pixels = 319 * 280
    assert row.output_shape == (1, 1, 280, 319)
    assert row.multiply_adds == 2 * pixels
    assert row.multiply_adds + pixels == 267_960
    with pytest.raises(ArgumentError, match="89,320 x 89,600 would have 8,003,072,000 weights"):
        rewrites.conv_to_fc(net, (1, 1, 280, 320))
    assert 2 * 8_003_072_000 == 16_006_144_000  # "16 billion"
    small = rewrites.conv_to_fc(net, (1, 1, 7, 8))
    assert small.proof.output_error is not None
    assert small.proof.output_error < 1e-10
    assert small.proof.flops == (4 * 7 * 7, 2 * (7 * 8) * (7 * 7))


@pytest.mark.parametrize("shift", [(1, 0), (0, 3), (-2, 5)])
def test_convolution_is_equivariant_to_translation(shift: tuple[int, int]) -> None:
    image, w = normal(1, 2, 9, 9), normal(3, 2, 3, 3)
    options: Any = {"padding": 1, "padding_mode": "circular"}
    moved = F.conv2d(np.roll(image, shift, (2, 3)), w, **options)
    close(moved, np.roll(F.conv2d(image, w, **options).numpy(), shift, (2, 3)))


def test_pooling_is_invariant_to_small_translation() -> None:
    """A winner may move inside of its window; the next window is another output."""
    point = np.zeros((1, 1, 8, 8))
    point[0, 0, 4, 4] = 1.0
    pooled = F.max_pool2d(point, 2)
    for inside in ((0, 1), (1, 0), (1, 1)):
        np.testing.assert_array_equal(F.max_pool2d(np.roll(point, inside, (2, 3)), 2), pooled)
    assert not np.array_equal(F.max_pool2d(np.roll(point, -1, 3), 2), pooled)


# -- pooling (N) ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("w1", "f", "s", "w2"), [(224, 2, 2, 112), (32, 2, 2, 16), (55, 3, 2, 27), (27, 3, 2, 13)]
)
def test_w1_less_f_over_s_and_one(w1: int, f: int, s: int, w2: int) -> None:
    volume = np.zeros((1, 2, w1, w1), np.float32)
    assert F.max_pool2d(volume, f, s, fit="exact").shape == (1, 2, w2, w2)
    assert not list(nn.MaxPool2d(f, s).parameters())


def test_only_a_quarter_of_the_activations_gets_a_gradient() -> None:
    x = tc.tensor(normal(1, 3, 8, 8), requires_grad=True)
    F.max_pool2d(x, 2).sum().backward()
    assert np.count_nonzero(x.grad.data) == x.size // 4
