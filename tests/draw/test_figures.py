"""Pictures of filters and activations: what they show is what the model holds and makes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.data import CIFAR10, DataLoader, Digits
from tinygrad_cnn.draw._figure import _DIVERGING, picture
from tinygrad_cnn.draw._html import resource
from tinygrad_cnn.draw.activations import activations
from tinygrad_cnn.draw.confusion import confusion_matrix
from tinygrad_cnn.draw.curves import learning_curves
from tinygrad_cnn.draw.filters import filters
from tinygrad_cnn.draw.receptive_field import receptive_field
from tinygrad_cnn.draw.saliency import saliency
from tinygrad_cnn.errors import (
    ArgumentError,
    DtypeError,
    MissingExtraError,
    OutOfBoundsError,
    ShapeError,
)


@pytest.fixture(scope="module")
def digits_net():
    model = tc.models.DigitsNet(generator=np.random.default_rng(0))
    data = DataLoader(Digits("train"), 32, shuffle=True, seed=0)
    tc.train.fit(model, data, epochs=1, optimizer=tc.optim.Adam(model.parameters(), lr=0.01))
    return model


@pytest.fixture
def digit():
    return Digits("test")[0][0]


def pixels(axes, number=0):
    return np.asarray(axes.images[number].get_array())


def headings(figure):
    return [text.get_text() for text in figure.axes[0].texts if text.get_text().isupper()]


def svg(figure, folder):
    figure.savefig(folder / "figure.svg")
    return (folder / "figure.svg").read_text("utf-8")


# -- figures -------------------------------------------------------------------------------


def test_figures_leave_pyplot_alone():
    script = (
        "import io, sys, tinygrad_cnn as tc;"
        "from tinygrad_cnn.draw.filters import filters;"
        "figure = filters(tc.nn.Conv2d(1, 2, 3)); figure.savefig(io.BytesIO());"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert found.strip() == "False"


def test_a_figure_shows_itself_in_a_notebook():
    image, size = filters(nn.Conv2d(1, 2, 3))._repr_png_()
    assert image.startswith(b"\x89PNG")
    width, height = np.frombuffer(image[16:24], ">u4")
    assert abs(width - 2 * size["width"]) <= 2
    assert abs(height - 2 * size["height"]) <= 2


def test_without_matplotlib_the_extra_is_named(monkeypatch, digit):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    model = tc.models.DigitsNet()
    for draw in (
        lambda: filters(model.conv1),
        lambda: activations(model, digit),
        lambda: saliency(model, digit),
        lambda: receptive_field(model, ("conv1", (0, 0, 0)), digit),
        lambda: confusion_matrix([[1]]),
        lambda: learning_curves([{"epoch": 1, "loss": 1.0}]),
    ):
        with pytest.raises(MissingExtraError, match=r"tinygrad-cnn\[plot\]"):
            draw()


def test_the_colours_of_signed_numbers_are_those_of_the_pages():
    assert f"--diverging: {', '.join(_DIVERGING)};" in resource("base.css").read_text("utf-8")


def test_images_become_pictures(rng):
    colours = rng.random((3, 4, 5))
    assert np.array_equal(picture(colours), colours.transpose(1, 2, 0))
    assert np.array_equal(picture(colours[:1]), colours[0])
    normalised = picture(4 * colours - 2)
    assert (normalised.min(), normalised.max()) == (0, 1)
    assert picture(rng.random((6, 4, 5))).shape == (4, 5)
    assert not picture(np.full((1, 2, 2), 7.0)).any()


# -- filters -------------------------------------------------------------------------------


def test_filters_of_one_channel_are_shown_as_they_are(digits_net):
    weight = digits_net.conv1.weight.numpy()
    figure = filters(digits_net.conv1, columns=4, normalize=False)
    shown = pixels(figure.axes[0])
    assert shown.shape == (4 * 3, 4 * 3)
    for k in range(16):
        row, column = divmod(k, 4)
        tile = shown[3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
        assert np.array_equal(tile, weight[k, 0])
    low, high = figure.axes[0].images[0].get_clim()
    assert high == -low == np.abs(weight).max()
    assert figure.axes[0].get_title() == "conv1: 16 filters of 1x3x3"
    assert figure.axes[1].get_ylabel() == "weight"


def test_normalized_filters_reach_the_same_strength(rng):
    weight = rng.standard_normal((2, 1, 3, 3)) * [[[[1]]], [[[100]]]]
    shown = pixels(filters(weight, columns=2).axes[0])
    for k in range(2):
        tile = shown[:, 3 * k : 3 * k + 3]
        assert np.abs(tile).max() == 1
        assert np.allclose(tile, weight[k, 0] / np.abs(weight[k]).max())


def test_filters_of_three_channels_are_in_colour_about_grey(rng):
    weight = rng.standard_normal((5, 3, 2, 2))
    weight[0, :, 0, 0] = 0
    shown = pixels(filters(weight, columns=3, normalize=False).axes[0])
    assert shown.shape == (4, 6, 3)
    assert np.array_equal(shown[0, 0], [0.5, 0.5, 0.5])
    assert np.allclose(
        shown[0:2, 2:4], 0.5 + weight[1].transpose(1, 2, 0) / (2 * np.abs(weight).max())
    )
    assert (shown[2:, 4:] == 1).all()  # no sixth filter


def test_other_filters_are_columns_of_channels(digits_net):
    weight = digits_net.conv2.weight.numpy()  # (32, 16, 3, 3)
    axes = filters(digits_net.conv2, normalize=False).axes[0]
    shown = pixels(axes)
    assert shown.shape == (16 * 3, 32 * 3)
    assert np.array_equal(shown[3 * 5 : 3 * 6, 3 * 7 : 3 * 8], weight[7, 5])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("filter", "channel")


def test_one_channel_can_be_chosen(digits_net):
    figure = filters(digits_net.conv2, channel=-1, columns=8, normalize=False)
    weight = digits_net.conv2.weight.numpy()
    assert np.array_equal(pixels(figure.axes[0])[:3, 3:6], weight[1, 15])


def test_a_filter_of_zeros_is_no_division_by_zero():
    assert not pixels(filters(np.zeros((2, 1, 3, 3))).axes[0]).any()


def test_templates_of_a_linear_classifier_are_filters_too(rng):
    layer = nn.Linear(3 * 4 * 4, 10, generator=rng)
    assert "10 filters" in filters(layer.weight.reshape(10, 3, 4, 4)).axes[0].get_title()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((nn.Linear(4, 2),), ShapeError, "expected a Conv2d, got Linear"),
        ((tc.models.LeNet5(),), ShapeError, "it holds conv1, conv2"),
        ((np.ones((3, 3)),), ShapeError, r"shape \(3, 3\), expected \(K, C, FH, FW\)"),
        ((np.ones((0, 1, 3, 3)),), ShapeError, r"shape \(0, 1, 3, 3\)"),
        (("conv1",), DtypeError, "filters: expected a Conv2d, or real weights .* got str"),
    ],
)
def test_what_holds_no_filters_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        filters(*arguments)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"channel": 16}, OutOfBoundsError, "channel=16 of filters with 16 channels"),
        ({"channel": "red"}, ArgumentError, "channel='red', expected an integer"),
        ({"columns": 4}, ArgumentError, "choose one with channel="),
        ({"channel": 0, "columns": 0}, ArgumentError, "columns=0, expected an integer"),
    ],
)
def test_settings_of_filters_that_do_not_fit_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        filters(nn.Conv2d(16, 2, 3), **settings)


# -- activations ---------------------------------------------------------------------------


def test_the_maps_are_the_outputs_of_the_layers(digits_net, digit):
    figure = activations(digits_net, digit, maps=5)
    images = figure.axes[0].images
    outputs, x = [], tc.tensor(digit[None])
    with tc.no_grad():
        for layer in digits_net:
            x = layer(x)
            outputs.append(x.numpy()[0])
    conv1, relu1, pool1, conv2, relu2, pool2, _, fc1, _, fc2 = outputs
    expected = [digit[0]]
    for maps in (conv1, relu1, pool1, conv2, relu2, pool2):
        expected += list(maps[:5])
    expected += [fc1[:, None], fc2[:, None]]
    assert len(images) == len(expected)
    for shown, output in zip(images, expected, strict=True):
        assert np.allclose(np.asarray(shown.get_array()), output, atol=1e-6)
    assert headings(figure) == ["CONV", "RELU", "POOL"] * 2 + ["FC", "FC"]


def test_functions_are_columns_as_modules_are(digit, rng):
    figure = activations(tc.models.LeNet5(), rng.random((1, 28, 28)))
    assert headings(figure) == ["CONV", "RELU", "POOL"] * 2 + ["FC", "FC", "FC"]
    shapes = [text.get_text() for text in figure.axes[0].texts if "x" in text.get_text()]
    assert shapes[:4] == ["1x28x28", "6x28x28", "6x28x28", "6x14x14"]


class Branches(nn.Module):
    """Activations without a scope of their own, a shared layer, frozen weights, and a sum."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, kernel_size=3, padding=1)
        self.norm = nn.BatchNorm2d(2)
        self.drop = nn.Dropout(0.5)
        self.requires_grad_(False)

    def forward(self, x):
        left = tc.tanh(self.conv(x))
        right = F.gelu(self.norm(self.conv(left)), approximate="tanh")
        return F.avg_pool2d(self.drop(left + right), 2)


def test_every_kind_of_step_is_a_column(rng):
    figure = activations(Branches(), rng.random((2, 6, 6)))
    assert headings(figure) == ["CONV", "TANH", "CONV", "NORM", "GELU", "POOL"]
    assert len(figure.axes) == 1  # no scores


def test_one_scale_a_column_with_zero_in_the_middle(digits_net, digit):
    images = activations(digits_net, digit, maps=5).axes[0].images[1:6]
    largest = max(np.abs(np.asarray(image.get_array())).max() for image in images)
    assert {image.get_clim() for image in images} == {(-largest, largest)}


def test_bars_are_the_best_scores(digits_net, digit):
    scores = digits_net(tc.tensor(digit[None])).numpy()[0]
    best = np.argsort(-scores)[:5]
    axes = activations(digits_net, digit, classes="abcdefghij").axes[1]
    assert np.allclose([bar.get_width() for bar in axes.patches], scores[best])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["abcdefghij"[i] for i in best]
    probabilities = F.softmax(tc.tensor(scores), -1).numpy()[best]
    assert [text.get_text() for text in axes.texts] == [f"{100 * p:.1f} %" for p in probabilities]


def test_newer_layers_are_columns_too(digit):
    layers = [
        nn.Conv2d(1, 4, 3, padding="same"), nn.LocalResponseNorm(3), nn.SiLU(), nn.LPPool2d(2, 2),
        nn.ConvTranspose2d(4, 2, 2, 2), nn.GroupNorm(2, 2), nn.Softplus(), nn.AdaptiveMaxPool2d(3),
        nn.LocallyConnected2d(2, 4, 3, 2), nn.Maxout(2), nn.Hardtanh(), nn.Flatten(),
        nn.Linear(8, 3),
    ]  # fmt: skip
    assert headings(activations(nn.Sequential(*layers), digit)) == [
        "CONV", "NORM", "SILU", "POOL", "DECONV", "NORM", "SOFTPL", "POOL", "LOCAL", "MAXOUT",
        "TANH", "FC",
    ]  # fmt: skip


def test_layers_are_chosen_by_name_or_heading(digits_net, digit):
    assert headings(activations(digits_net, digit, layers=["conv2", "fc2"])) == ["CONV", "FC"]
    assert headings(activations(digits_net, digit, layers=["POOL"])) == ["POOL", "POOL"]
    nested = nn.Sequential(digits_net, nn.Identity())
    assert headings(activations(nested, digit, layers=["0.relu1"])) == ["RELU"]


def test_names_of_classes_are_text(digits_net, digit, tmp_path):
    names = [f"<script>$x_{i}$" for i in range(10)]
    figure = activations(digits_net, digit, classes=names)
    assert "<script>" not in svg(figure, tmp_path)
    shown = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert all(text.startswith(r"<script>\$x") for text in shown)  # unescaped: a formula


def test_a_colour_network_trained_elsewhere(shared):
    data = CIFAR10(shared / "data", "test-first-1000")
    model = tc.models.ConvNetJS(3, image_size=32, generator=np.random.default_rng(0))
    image, _ = data[0]
    figure = activations(model, tc.tensor(image), classes=data.classes)
    assert np.allclose(pixels(figure.axes[0]), image.transpose(1, 2, 0))
    labels = {text.get_text() for text in figure.axes[1].get_yticklabels()}
    assert len(labels) == 5
    assert labels <= set(data.classes)


class Restless(nn.Module):
    """Does in its forward pass all that a tool must undo."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, kernel_size=3)
        self.generator = np.random.default_rng(0)
        self.register_buffer("calls", tc.tensor(0.0))

    def forward(self, x):
        self.calls.data = self.calls.data + 1
        noise = self.generator.random() + tc.default_generator().random()
        return F.relu(self.conv(x)).sum((2, 3)) * noise


@pytest.mark.parametrize(
    "draw",
    [
        activations,
        saliency,
        lambda model, x: receptive_field(model, ("conv", (0, 1, 1)), x),
    ],
)
def test_tools_leave_no_trace(draw, rng):
    tc.manual_seed(0)
    model = Restless()
    model.conv.eval()
    image = tc.tensor(rng.random((1, 6, 6)).astype(np.float32), requires_grad=True)
    F.conv2d(image.reshape(1, 1, 6, 6), model.conv.weight).sum().backward()

    def state():
        return (
            {key: value.tobytes() for key, value in model.state_dict().items()},
            [parameter.grad is not None and parameter.grad.numpy().tobytes()
             for parameter in (*model.parameters(), image)],
            [module.training for module in model.modules()],
            [len(module._forward_hooks) for module in model.modules()],
            model.generator.bit_generator.state["state"],
            tc.default_generator().bit_generator.state["state"],
            tc.is_grad_enabled(),
        )  # fmt: skip

    before = state()
    draw(model, image)
    assert state() == before
    with tc.no_grad():
        draw(model, image)
        assert not tc.is_grad_enabled()
    assert state() == before


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        ((np.ones((1, 8, 8), np.uint8),), {}, DtypeError, "image of uint8.* x / 255.0"),
        ((np.ones((8, 8)),), {}, ShapeError, r"got shape \(8, 8\)"),
        ((np.ones((2, 1, 8, 8)),), {}, ShapeError, r"got shape \(2, 1, 8, 8\)"),
        ((np.ones((3, 8, 8)),), {}, ShapeError, "conv2d: input .* has 3 channels"),
        ((np.ones((1, 8, 8)),), {"maps": 0}, ArgumentError, "maps=0"),
        ((np.ones((1, 8, 8)),), {"layers": ["conv9"]}, ArgumentError, "conv1, CONV, relu1"),
        ((np.ones((1, 8, 8)),), {"layers": "conv1"}, ArgumentError, "expected a list"),
        ((np.ones((1, 8, 8)),), {"layers": []}, ArgumentError, "expected a list"),
        ((np.ones((1, 8, 8)),), {"classes": "ab"}, ArgumentError, "2 names .* 10 classes"),
    ],
)
def test_activations_refuse_what_they_cannot_show(arguments, settings, error, message):
    with pytest.raises(error, match=message):
        activations(tc.models.DigitsNet(), *arguments, **settings)


def test_models_without_images_are_refused():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ArgumentError, match="no convolution or other layer of images"):
        activations(flat, np.ones((1, 2, 2)))
    with pytest.raises(ArgumentError, match="expected a model"):
        activations(lambda x: x, np.ones((1, 2, 2)))
