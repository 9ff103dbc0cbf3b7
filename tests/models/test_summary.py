"""The summary: its figures, its table, and that the model is left as it was."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import models, nn
from tinygrad_cnn.errors import ArgumentError, ShapeError


def test_lenet5_in_figures() -> None:
    result = models.summary(models.LeNet5(), (2, 1, 28, 28))
    assert [(row.name, row.type, row.output_shape, row.parameters) for row in result.rows] == [
        ("conv1", "Conv2d", (2, 6, 28, 28), 156),
        ("pool1", "MaxPool2d", (2, 6, 14, 14), 0),
        ("conv2", "Conv2d", (2, 16, 10, 10), 2_416),
        ("pool2", "MaxPool2d", (2, 16, 5, 5), 0),
        ("fc1", "Linear", (2, 120), 48_120),
        ("fc2", "Linear", (2, 84), 10_164),
        ("fc3", "Linear", (2, 10), 850),
    ]
    assert result.parameters == result.trainable == 61_706
    # Twice 28*28*6*25, 10*10*16*150, 400*120, 120*84 and 84*10.
    costs = [2 * n for n in (117_600, 0, 240_000, 0, 48_000, 10_080, 840)]
    assert [row.multiply_adds for row in result.rows] == costs
    assert result.multiply_adds == sum(costs)
    outputs = [2 * 4 * n for n in (4_704, 1_176, 1_600, 400, 120, 84, 10)]
    assert [row.activation_bytes for row in result.rows] == outputs
    assert result.activation_bytes == sum(outputs)


def test_the_table_shows_rows_and_totals() -> None:
    result = models.summary(models.LeNet5(), (1, 1, 28, 28))
    lines = str(result).splitlines()
    assert lines[0].split()[:2] == ["layer", "type"]
    cells = ["conv1", "Conv2d", "(1, 6, 28, 28)", "156", "117,600", "18.4 KiB"]
    assert re.split(r"\s{2,}", lines[2]) == cells
    assert lines[-2].split() == ["total", "LeNet5", "61,706", "416,520", "31.6", "KiB"]
    assert lines[-1] == "input (1, 1, 28, 28), 61,706 parameters trainable, 0 frozen"
    html = result._repr_html_()
    assert html.count("<tr>") == 9
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


def test_a_layer_returns_one_array() -> None:
    class Split(nn.Module):
        def forward(self, x: Any) -> Any:
            return x, x

    with pytest.raises(ArgumentError, match="Split returned a tuple"):
        models.summary(Split(), (1, 2))
