"""The summary: its figures, its table, and that the model is left as it was."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import models, nn
from tinygrad_cnn._core.backprop import consumers_first
from tinygrad_cnn._core.node import Leaf
from tinygrad_cnn._core.primitive import registry
from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.ops import flops


def test_lenet5_in_figures() -> None:
    result = models.summary(models.LeNet5(), (2, 1, 28, 28))
    assert [(row.name, row.type, row.output_shape, row.parameters) for row in result.rows] == [
        ("conv1", "Conv2d", (2, 6, 28, 28), 156),
        ("relu", "function", (2, 6, 28, 28), 0),
        ("pool1", "MaxPool2d", (2, 6, 14, 14), 0),
        ("conv2", "Conv2d", (2, 16, 10, 10), 2_416),
        ("relu", "function", (2, 16, 10, 10), 0),
        ("pool2", "MaxPool2d", (2, 16, 5, 5), 0),
        ("fc1", "Linear", (2, 120), 48_120),
        ("relu", "function", (2, 120), 0),
        ("fc2", "Linear", (2, 84), 10_164),
        ("relu", "function", (2, 84), 0),
        ("fc3", "Linear", (2, 10), 850),
    ]
    assert result.parameters == result.trainable == 61_706
    # Twice 28*28*6*25, 10*10*16*150, 400*120, 120*84 and 84*10.
    costs = [2 * n for n in (117_600, 0, 0, 240_000, 0, 0, 48_000, 0, 10_080, 0, 840)]
    assert [row.multiply_adds for row in result.rows] == costs
    assert result.multiply_adds == sum(costs)
    outputs = [2 * n for n in (4_704, 4_704, 1_176, 1_600, 1_600, 400, 120, 120, 84, 84, 10)]
    assert [row.activations for row in result.rows] == outputs
    assert [row.activation_bytes for row in result.rows] == [4 * n for n in outputs]
    assert result.activations == sum(outputs)
    biases = [2 * n for n in (4_704, 4_704, 0, 1_600, 1_600, 0, 120, 120, 84, 84, 10)]
    assert [row.flops for row in result.rows] == [
        2 * cost + bias for cost, bias in zip(costs, biases, strict=True)
    ]
    assert [str(row.sees) for row in result.rows[:6:2]] == ["5x5", "6x6", "14x14"]


def vgg16() -> nn.Sequential:
    """Configuration D, with one channel in the place of 64 and hidden layers of 8."""
    layers: list[nn.Module] = []
    channels = 3
    for count, filters in ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8)):
        for _ in range(count):
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
            channels = filters
        layers.append(nn.MaxPool2d(2))
    hidden = [nn.Linear(8 * 7 * 7, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 5)]
    return nn.Sequential(*layers, nn.Flatten(), *hidden)


def test_a_residual_block_in_rows() -> None:
    """A sum, a function and a layer that is used twice; parameters count once."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)

        def forward(self, x: Any) -> Any:
            y = F.relu(self.conv(x))
            return (self.conv(y) + x).reshape(len(x), -1)

    result = models.summary(
        nn.Sequential({"block": Block(), "out": nn.Linear(32, 3)}), (1, 2, 4, 4)
    )
    assert [(row.name, row.type, row.parameters, row.flops) for row in result.rows] == [
        ("block.conv", "Conv2d", 36, 2 * 32 * 18),
        ("block.relu", "function", 0, 32),
        ("block.conv", "Conv2d", 0, 2 * 32 * 18),
        ("block.add", "operation", 0, 32),
        ("out", "Linear", 99, 2 * 3 * 32 + 3),
    ]
    assert result.parameters == 36 + 99
    assert [str(row.sees) for row in result.rows] == ["3x3", "3x3", "5x5", "5x5", "4x4"]


class Bare(nn.Module):
    """No layers at all."""

    def forward(self, x: Any) -> Any:
        with tc.scope("scaled"):
            y = (x - x.mean(axis=(2, 3), keepdims=True)) * 2.0
        return F.softmax(F.max_pool2d(tc.exp(y), 2).sum(axis=(2, 3)) ** 2, axis=1)


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (models.LeNet5, (2, 1, 28, 28)),
        (partial(models.CifarResNet, 20), (1, 3, 32, 32)),
        (partial(models.PreActResNet, 20), (1, 3, 32, 32)),
        (partial(models.GoogLeNet, classes=10), (1, 3, 64, 64)),
        (vgg16, (2, 3, 224, 224)),
        (Bare, (2, 3, 4, 4)),
    ],
    ids=["LeNet5", "CifarResNet", "PreActResNet", "GoogLeNet", "thin VGG-16", "without layers"],
)
@pytest.mark.parametrize("depth", [None, 1, 2])
def test_the_flops_of_the_rows_are_those_of_all_that_was_recorded(
    build: Callable[[], nn.Module], shape: tuple[int, ...], depth: int | None
) -> None:
    model = build()
    x = tc.Tensor(np.zeros(shape, np.float32), requires_grad=True)
    with np.errstate(all="ignore"):
        y = model.eval()(x)
    expected = sum(
        flops(node.primitive.name, list(map(np.shape, node.args)), np.shape(node.ans), node.params)
        for node in consumers_first([y.node])
        if not isinstance(node, Leaf)
    )
    result = models.summary(model, shape, depth=depth)
    assert result.flops == expected > 0
    assert sum(row.parameters for row in result.rows) <= result.parameters


def test_depth_sums_up_what_lies_deeper() -> None:
    net = models.CifarResNet(20)
    every = models.summary(net, (1, 3, 32, 32))
    result = models.summary(net, (1, 3, 32, 32), depth=1)
    assert [(row.name, row.type) for row in result.rows] == [
        ("conv1", "Conv2d"),
        ("bn1", "BatchNorm2d"),
        ("relu", "function"),
        ("layer1", "Sequential"),
        ("layer2", "Sequential"),
        ("layer3", "Sequential"),
        ("avgpool", "AdaptiveAvgPool2d"),
        ("linear", "Linear"),
    ]
    for name in ("activations", "activation_bytes", "volumes", "flops", "multiply_adds"):
        assert getattr(result, name) == getattr(every, name)
    assert result.rows[4].output_shape == (1, 32, 16, 16)
    inner = [row for row in every.rows if row.name.startswith("layer2")]
    assert result.rows[4].parameters == sum(row.parameters for row in inner)
    blocks = models.summary(net, (1, 3, 32, 32), depth=2)
    assert [row.name for row in blocks.rows][3:6] == ["layer1.0", "layer1.1", "layer1.2"]
    assert blocks.rows[3].type == "CifarBlock"


def test_time_is_measured_on_request() -> None:
    net = nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), nn.Flatten())
    assert models.summary(net, (1, 1, 8, 8)).seconds is None
    result = models.summary(net, (1, 1, 8, 8), time=True)
    assert all(row.seconds is not None and row.seconds > 0 for row in result.rows)
    assert result.seconds is not None
    assert str(result).splitlines()[0].endswith("ms")
    [grouped, _] = models.summary(net, (1, 1, 8, 8), time=True, depth=1).rows
    assert grouped.seconds is not None
    assert not any(module._forward_hooks for module in net.modules())


def test_parameters_that_did_not_run_and_costs_that_are_not_known_are_said() -> None:
    mix = tc.primitive("mix_in_summary", np.array, (lambda g, ans, x: g,))
    try:

        class Odd(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.used, self.spare = nn.Linear(2, 2), nn.Linear(3, 3)

            def forward(self, x: Any) -> Any:
                return mix(self.used(x))

        result = models.summary(Odd(), (1, 2))
    finally:
        del registry["mix_in_summary"]
    assert result.unknown == ("mix_in_summary",)
    assert "12 parameters in layers that did not run" in str(result)
    assert "without mix_in_summary, whose cost is not known" in str(result)
    assert "sees" not in str(result).splitlines()[0]  # there is no image


def test_names_are_text() -> None:
    result = models.summary(nn.Sequential({"<script>": nn.ReLU()}), (1, 2))
    assert "&lt;script&gt;" in result._repr_html_()
    assert "<script>" not in result._repr_html_()


def test_the_table_shows_rows_and_totals() -> None:
    result = models.summary(models.LeNet5(), (1, 1, 28, 28))
    lines = str(result).splitlines()
    assert lines[0].split()[:2] == ["layer", "type"]
    cells = ["conv1", "Conv2d", "(1, 6, 28, 28)", "4.70 K", "18.4 KiB", "156", "240 K", "5x5"]
    assert re.split(r"\s{2,}", lines[2]) == cells
    assert re.split(r"\s{2,}", lines[-4]) == [
        "total", "LeNet5", "14.6 K", "57.0 KiB", "61,706", "846 K",
    ]  # fmt: skip
    assert lines[-3] == "input (1, 1, 28, 28), 61,706 parameters trainable, 0 frozen"
    assert lines[-2].startswith("FLOPs of the forward pass, 417 K multiply-adds counted as two")
    html = result._repr_html_()
    assert html.count("<tr>") == 13
    assert "<td>conv1</td><td>Conv2d</td>" in html
    assert "<th>61,706</th>" in html


def test_rows_follow_execution_and_count_shared_parameters_once() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(4, 2, bias=False)
            self.step = nn.Linear(4, 4, bias=False)
            self.gain = nn.Parameter(np.ones(4))

        def forward(self, x: Any) -> Any:
            return self.last(self.step(self.step(x * self.gain)))

    model = Recurrent().double()
    model.last.requires_grad_(False)
    result = models.summary(model, np.ones((3, 4)))
    rows = [(row.name, row.parameters, row.multiply_adds) for row in result.rows]
    assert rows == [("step", 16, 48), ("step", 0, 48), ("last", 8, 24), ("Recurrent", 4, 0)]
    assert (result.parameters, result.trainable) == (28, 20)
    assert result.rows[-1].flops == 12


def test_groups_make_convolutions_cheaper() -> None:
    result = models.summary(nn.Conv2d(4, 8, 3, groups=2), (1, 4, 5, 5))
    assert result.multiply_adds == 3 * 3 * 8 * (2 * 3 * 3)
    assert result.rows[0].name == "Conv2d"


def test_an_output_that_shares_its_input_costs_no_memory() -> None:
    result = models.summary(nn.Sequential(nn.Identity(), nn.Dropout(), nn.ReLU()), (10, 10))
    assert [row.activation_bytes for row in result.rows] == [0, 0, 400]


def mixed() -> nn.Sequential:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))
    net[1].eval()
    return net


def everything(net: nn.Module) -> list[Any]:
    modules = [
        (module.training, len(module._forward_hooks), len(module._forward_pre_hooks))
        for module in net.modules()
    ]
    return [*modules, *(array.tobytes() for array in net.state_dict().values())]


def test_the_model_is_left_as_it_was() -> None:
    net = mixed()
    before = everything(net)
    tc.manual_seed(0)
    expected = tc.default_generator().bit_generator.state
    models.summary(net, (4, 1, 8, 8))
    assert everything(net) == before
    assert tc.default_generator().bit_generator.state == expected
    assert all(parameter.grad is None for parameter in net.parameters())


def test_the_model_is_left_as_it_was_after_an_error() -> None:
    net = mixed()
    before = everything(net)
    with pytest.raises(ShapeError, match="3 channels"):
        models.summary(net, (4, 3, 8, 8))
    assert everything(net) == before


@pytest.mark.parametrize("inputs", ["1x28x28", 28, (), (1, 0), (1, 2.5)])
def test_inputs_are_an_array_or_a_shape(inputs: Any) -> None:
    with pytest.raises(ArgumentError, match="expected an array or a shape"):
        models.summary(nn.ReLU(), inputs)


@pytest.mark.parametrize("depth", [0, -1, 1.5, "all", True])
def test_depth_is_a_positive_integer(depth: Any) -> None:
    with pytest.raises(ArgumentError, match="summary: depth="):
        models.summary(nn.ReLU(), (1, 2), depth=depth)


def test_a_model_is_a_module() -> None:
    with pytest.raises(ArgumentError, match="expected a model"):
        models.summary(F.relu, (1, 2))  # type: ignore[arg-type]


def test_a_layer_returns_one_array() -> None:
    class Split(nn.Module):
        def forward(self, x: Any) -> Any:
            return x, x

    with pytest.raises(ArgumentError, match="Split returned a tuple"):
        models.summary(Split(), (1, 2))
