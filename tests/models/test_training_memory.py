"""The estimate of a training step's memory, against what NumPy reports to tracemalloc."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from benchmarks._measure import traced
from tinygrad_cnn import models, nn, optim
from tinygrad_cnn.errors import ArgumentError, GraphError, ShapeError

# ``models.training_memory`` is the function.
MODULE = "tinygrad_cnn.models.inspection.training_memory"


def small_vgg() -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for filters in (16, 32, 64):
        layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(filters, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = filters
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 10))


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "LeNet-5": (models.LeNet5, (1, 28, 28)),
    "ConvNetJS": (models.ConvNetJS, (1, 28, 28)),
    "small VGG": (small_vgg, (3, 32, 32)),
    "CIFAR ResNet": (partial(models.CifarResNet, 14), (3, 32, 32)),
}
OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "momentum": partial(optim.SGD, lr=0.01, momentum=0.9),
    "adam": partial(optim.Adam, lr=1e-3),
}


def measured(build: Callable[[], nn.Module], shape: tuple[int, ...], optimizer: str) -> int:
    """The largest amount of memory in the second step, model and optimiser included."""
    with traced() as peak:
        model = build()
        stepper = OPTIMIZERS[optimizer](model.parameters())
        images, labels = tc.Tensor(np.ones(shape, np.float32)), np.zeros(shape[0], int)
        for _ in range(2):
            tracemalloc.reset_peak()
            stepper.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            stepper.step()
        return peak()


@pytest.mark.parametrize("images", [1, 32])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", NETS)
def test_the_estimate_is_close_to_the_measured_peak(name: str, optimizer: str, images: int) -> None:
    build, shape = NETS[name]
    expected = measured(build, (images, *shape), optimizer)
    estimate = models.training_memory(build(), (images, *shape), optimizer)
    assert abs(estimate.total - expected) < 0.25 * expected
    # What is missing are Python's own objects, for each recorded operation a few kilobytes.
    if images == 32:
        assert abs(estimate.total - expected) < 0.02 * expected


@pytest.mark.parametrize("name", NETS)
def test_a_large_batch_follows_from_small_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build, shape = NETS[name]
    model = build()
    by_growth = models.training_memory(model, (9, *shape))
    monkeypatch.setattr(sys.modules[MODULE], "_FEW", 9)
    assert models.training_memory(model, (9, *shape)) == by_growth
    assert models.training_memory(model, np.ones((9, *shape), np.float32)) == by_growth


def test_a_large_batch_is_not_computed() -> None:
    with traced() as peak:
        estimate = models.training_memory(models.LeNet5(), (100_000, 1, 28, 28))
        taken = peak()
    assert estimate.total > 2**30 > 200 * taken
    assert estimate.input_shape == (100_000, 1, 28, 28)


def test_parts_that_can_be_counted_by_hand() -> None:
    """A linear layer on 50 numbers: 150 weights, 3 biases."""
    net = nn.Sequential(nn.Linear(50, 3), nn.ReLU(), nn.Linear(3, 3))
    found = models.training_memory(net, (2, 50), "adam")
    weights = 4 * (150 + 3 + 9 + 3)
    assert (found.inputs, found.parameters) == (4 * 100, weights)
    assert found.optimizer_state == 2 * weights
    assert found.scratch == 2 * 4 * (150 + 3 + 9)  # both biases have one shape
    assert found.notes == 2 * 4 * (100 + 6 + 6) + 3 * weights + 4 * 100
    assert found.moment == "the end of backward"  # the largest gradient twice, found and kept
    assert (found.activations, found.parameter_gradients) == (0, weights + 4 * 150)
    states = {"sgd": 0, "momentum": 1, "adagrad": 1, "rmsprop": 1, "adadelta": 2, "adamw": 2}
    for optimizer, copies in states.items():
        found = models.training_memory(net, (2, 50), optimizer)
        assert found.optimizer_state == copies * weights


@pytest.mark.parametrize(
    ("name", "make"),
    {
        "momentum": partial(optim.SGD, momentum=0.9),
        "sgd": optim.SGD,
        "adagrad": optim.Adagrad,
        "rmsprop": optim.RMSprop,
        "adam": optim.Adam,
        "adamw": optim.AdamW,
        "adadelta": optim.Adadelta,
    }.items(),
)
def test_the_state_of_every_optimiser(name: str, make: Callable[[Any], optim.Optimizer]) -> None:
    net = nn.Sequential(nn.Linear(5, 3, bias=False))
    stepper = make(net.parameters())
    net(tc.ones(2, 5)).sum().backward()
    stepper.step()
    held = (v.nbytes for state in stepper.state.values() for v in state.values() if np.ndim(v))
    assert models.training_memory(net, (2, 5), name).optimizer_state == sum(held)


def test_the_model_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5)).eval()
    before = [array.tobytes() for array in net.state_dict().values()]
    state = tc.default_generator().bit_generator.state
    models.training_memory(net, (8, 1, 6, 6))
    assert [array.tobytes() for array in net.state_dict().values()] == before
    assert tc.default_generator().bit_generator.state == state
    assert not any(module.training or module._forward_hooks for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_frozen_parameters_take_less() -> None:
    net = small_vgg()
    every = models.training_memory(net, (4, 3, 32, 32), "adam")
    for layer in net[:10]:
        layer.requires_grad_(False)
    few = models.training_memory(net, (4, 3, 32, 32), "adam")
    assert few.parameters == every.parameters
    assert few.optimizer_state < every.optimizer_state
    assert few.activations + few.workspace < 0.5 * (every.activations + every.workspace)


def test_several_outputs() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(4, 2), nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            return {"one": self.one(x), "more": (self.other(x),)}

    found = models.training_memory(Two(), (5, 4))
    assert found.activations == found.workspace == 4 * 5 * (2 + 3)  # with the bias and without


def test_the_table() -> None:
    found = models.summary(models.LeNet5(), (1, 1, 28, 28)).memory("adam", batch=64)
    assert found == models.training_memory(models.LeNet5(), (64, 1, 28, 28), "adam")
    lines = str(found).splitlines()
    assert lines[0].split() == ["memory", "at", "the", "peak"]
    assert "optimizer state" in lines[8]
    assert lines[-3] == "LeNet5, adam, batch (64, 1, 28, 28)"
    assert lines[-2] == "the peak: backward through conv2 (Conv2d)"
    assert found._repr_html_().count("<tr>") == 10


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((nn.Linear(2, 2), (1, 2), "sgdm"), ArgumentError, "'sgdm', expected one of sgd, mom"),
        ((nn.Linear(2, 2), (1, 2), None), ArgumentError, "optimizer=None"),
        ((nn.ReLU(), (1, 2)), ArgumentError, "ReLU has no parameter to train"),
        ((nn.Linear(2, 2), 5), ArgumentError, "expected an array or a shape"),
        ((nn.Linear(2, 2), ()), ArgumentError, "expected an array or a shape"),
        ((nn.Linear(2, 2), ("many", 2)), ArgumentError, "expected an array or a shape"),
        ((nn.Linear(2, 2), (0, 2)), ArgumentError, "expected an array or a shape"),
        ((nn.Linear(2, 2), (4, 3)), ShapeError, "does not fit"),
        ((nn.Linear(2, 2), np.ones((0, 2))), ShapeError, "expected a batch of examples"),
        ((nn.Linear(2, 2), np.float64(1.0)), ArgumentError, "expected an array or a shape"),
        ((F.relu, (4, 3)), ArgumentError, "expected a model"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    arguments: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        models.training_memory(*arguments)


def test_a_model_that_changes_with_the_batch_is_refused() -> None:
    class Fickle(nn.Linear):
        def forward(self, x: Any) -> Any:
            return super().forward(x) * 2.0 if len(x) > 2 else super().forward(x)

    with pytest.raises(GraphError, match="other things with one image more"):
        models.training_memory(Fickle(2, 2), (10, 2))
