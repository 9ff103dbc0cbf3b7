"""Layers and losses: what they check, how they are drawn, and PyTorch as their oracle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from oracle import compare_layers

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn._core.backprop import consumers_first
from tinygrad_cnn.errors import ArgumentError, DtypeError, ShapeError

IMAGES = (4, 6, 9, 8)
ROWS = (5, 6)

# A layer, in both libraries the same expression, and the shape of an input.
LAYERS = [
    ("Linear(6, 4)", ROWS),
    ("Linear(6, 4, bias=False)", (2, 3, 6)),
    ("Conv2d(6, 8, 3)", IMAGES),
    ("Conv2d(6, 4, (3, 2), (2, 1), (1, 0), (1, 2), 2, False)", IMAGES),
    ("MaxPool2d(2)", IMAGES),
    ("MaxPool2d((3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2))", IMAGES),
    ("AvgPool2d(3, 2, 1)", IMAGES),
    ("AvgPool2d(3, padding=1, count_include_pad=False)", IMAGES),
    ("Flatten()", IMAGES),
    ("Flatten(2, 3)", IMAGES),
    ("Identity()", ROWS),
    ("ReLU()", ROWS),
    ("LeakyReLU(0.2)", ROWS),
    ("Sigmoid()", ROWS),
    ("Tanh()", ROWS),
    ("GELU()", ROWS),
    ("GELU(approximate='tanh')", ROWS),
    ("Softmax(1)", IMAGES),
    ("LogSoftmax(-1)", ROWS),
    ("Dropout(0.0)", ROWS),
    ("BatchNorm1d(6)", ROWS),
    ("BatchNorm1d(6, eps=0.1, momentum=0.3)", (4, 6, 7)),
    ("BatchNorm2d(6, momentum=None)", IMAGES),
    ("BatchNorm2d(6, affine=False)", IMAGES),
    ("BatchNorm2d(6, track_running_stats=False)", IMAGES),
]


@pytest.mark.parametrize(("expression", "shape"), LAYERS)
def test_layers_agree_with_pytorch(
    expression: str, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    compare_layers(expression, shape, rng)


@pytest.mark.parametrize(
    "expression",
    [
        "CrossEntropyLoss()",
        "CrossEntropyLoss(ignore_index=1, reduction='sum', label_smoothing=0.1)",
        "CrossEntropyLoss(torch.tensor([1.0, 2.0, 0.5]).double(), label_smoothing=0.1)",
        "NLLLoss(ignore_index=2, reduction='none')",
        "NLLLoss(torch.tensor([1.0, 2.0, 0.5]).double())",
    ],
)
def test_losses_agree_with_pytorch(expression: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    ours: nn.Module = eval(f"nn.{expression}", {"nn": nn, "torch": torch})
    theirs = eval(f"torch.nn.{expression}", {"torch": torch})
    assert list(ours.state_dict()) == list(theirs.state_dict())
    scores, target = rng.normal(size=(6, 3)), rng.integers(0, 3, 6)
    expected = theirs(torch.tensor(scores), torch.tensor(target))
    np.testing.assert_allclose(ours(scores, target), expected.numpy(), rtol=1e-10)


def test_regression_and_margin_losses(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(2, 4, 3))
    assert nn.MSELoss(reduction="sum")(tc.tensor(x), y).item() == pytest.approx(
        ((x - y) ** 2).sum()
    )
    labels = np.array([0, 2, 1, 1])
    margins = np.maximum(0.0, x - x[np.arange(4), labels][:, None] + 0.5).sum(1) - 0.5
    np.testing.assert_allclose(
        nn.HingeLoss(0.5, reduction="none")(tc.tensor(x), labels).data, margins
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Linear(0, 3), "Linear: in_features=0, expected an integer of at least 1"),
        (lambda: nn.Linear(2, 1.5), "Linear: out_features=1.5"),  # type: ignore[arg-type]
        (lambda: nn.Conv2d(1, -2, 3), "Conv2d: out_channels=-2"),
        (lambda: nn.Conv2d(1, 2, 0), "Conv2d: kernel_size=0"),
        (lambda: nn.Conv2d(1, 2, 3, stride=(1, 0)), r"Conv2d: stride=\(1, 0\)"),
        (lambda: nn.Conv2d(1, 2, 3, padding=-1), "Conv2d: padding=-1"),
        (lambda: nn.Conv2d(1, 2, 3, dilation=0), "Conv2d: dilation=0"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "groups=2 does not divide in_channels=3"),
        (lambda: nn.Conv2d(4, 4, 3, groups=0), "Conv2d: groups=0"),
        (lambda: nn.MaxPool2d(0), "MaxPool2d: kernel_size=0"),
        (lambda: nn.MaxPool2d(2, dilation=0), "MaxPool2d: dilation=0"),
        (lambda: nn.AvgPool2d(2, 0), "AvgPool2d: stride=0"),
        (lambda: nn.AvgPool2d(2, 2, 2), r"AvgPool2d: padding=\(2, 2\) is more than half"),
        (lambda: nn.GELU("sigmoid"), "GELU: approximate='sigmoid'"),
        (lambda: nn.Dropout("a"), "Dropout: p='a'"),  # type: ignore[arg-type]
        (lambda: nn.Dropout(1.0), "Dropout: p=1.0"),
        (lambda: nn.Dropout(float("nan")), "Dropout: p=nan"),
        (lambda: nn.BatchNorm2d(0), "BatchNorm2d: num_features=0"),
        (lambda: nn.BatchNorm1d(2, eps=-1.0), "BatchNorm1d: eps=-1.0"),
        (lambda: nn.BatchNorm1d(2, momentum=2.0), "BatchNorm1d: momentum=2.0"),
        (
            lambda: nn.MSELoss(reduction="avg"),
            "MSELoss: reduction='avg', expected one of mean, sum, none",
        ),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2.0), "label_smoothing=2.0"),
    ],
)
def test_settings_are_checked_at_construction(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


def test_shapes_and_dtypes_are_checked() -> None:
    with pytest.raises(ShapeError, match=r"NLLLoss: weight has shape \(1, 2\)"):
        nn.NLLLoss([[1.0, 2.0]])
    with pytest.raises(ShapeError, match=r"BatchNorm2d: expected \(N, C, H, W\), got \(2, 3\)"):
        nn.BatchNorm2d(3)(tc.zeros(2, 3))
    with pytest.raises(ShapeError, match=r"BatchNorm1d: expected \(N, C\) or \(N, C, L\)"):
        nn.BatchNorm1d(3)(tc.zeros(2, 3, 4, 4))
    with pytest.raises(DtypeError, match="int64"):
        nn.Linear(2, 2, dtype=np.int64)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.Linear(2, 3, bias=False), "Linear(2, 3, bias=False)"),
        (
            lambda: nn.Conv2d(2, 4, 3, dilation=2, groups=2, bias=False),
            "Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), dilation=(2, 2), groups=2,"
            " bias=False)",
        ),
        (lambda: nn.MaxPool2d(2), "MaxPool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))"),
        (lambda: nn.LeakyReLU(0.1), "LeakyReLU(negative_slope=0.1)"),
        (lambda: nn.GELU(), "GELU(approximate='none')"),
        (lambda: nn.Softmax(1), "Softmax(axis=1)"),
        (lambda: nn.Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
        (lambda: nn.Dropout(0.2), "Dropout(p=0.2)"),
        (lambda: nn.SubtractMean(), "SubtractMean(axis=0)"),
        (lambda: nn.MSELoss(), "MSELoss(reduction='mean')"),
    ],
)
def test_repr_shows_settings(make: Callable[[], nn.Module], text: str) -> None:
    assert repr(make()) == text


def test_a_failing_batch_leaves_the_running_statistics() -> None:
    layer = nn.BatchNorm1d(3)
    before = layer.state_dict()
    for shape in ((1, 3), (4, 2)):
        with pytest.raises(ShapeError):
            layer(tc.ones(*shape))
    for key, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


def test_evaluation_changes_no_statistics(rng: np.random.Generator) -> None:
    layer = nn.BatchNorm1d(3).eval()
    before = layer.state_dict()
    layer(rng.normal(size=(4, 3)))
    for key, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


def test_training_leaves_the_statistics_that_a_graph_has_saved(rng: np.random.Generator) -> None:
    layer = nn.BatchNorm1d(3).eval()
    out = layer(tc.tensor(rng.normal(size=(4, 3)), requires_grad=True))
    saved = [arg for node in consumers_first([out.node]) for arg in node.args]
    before = [np.array(arg) for arg in saved]
    layer.train()(rng.normal(5.0, 9.0, size=(4, 3)))
    for arg, copy in zip(saved, before, strict=True):
        np.testing.assert_array_equal(arg, copy)


def test_dropout_draws_from_its_own_generator() -> None:
    x = tc.ones(50)
    draws = [nn.Dropout(generator=np.random.default_rng(3))(x).data for _ in range(2)]
    np.testing.assert_array_equal(*draws)
    assert set(draws[0]) == {0.0, 2.0}
    assert nn.Dropout().eval()(x) is x


def test_parameters_are_float32_unless_said_otherwise() -> None:
    layers = [nn.Linear(2, 2), nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)]
    assert {p.dtype for layer in layers for p in layer.parameters()} == {np.dtype("float32")}
    wide = [nn.Linear(2, 2, dtype=float), nn.Conv2d(1, 1, 1, dtype=float)]
    assert {p.dtype for layer in wide for p in layer.parameters()} == {np.dtype("float64")}
