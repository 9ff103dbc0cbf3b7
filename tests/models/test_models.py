"""The small models: shapes, sizes, seeds, names, and PyTorch as oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import models
from tinygrad_cnn.errors import ArgumentError

PARAMETERS = {"lenet5": 61_706, "digits": 13_706, "convnetjs": 5_994}


@pytest.mark.parametrize("name", PARAMETERS)
def test_sizes_and_shapes(name: str) -> None:
    model = models.build(name)
    assert sum(p.size for p in model.parameters()) == PARAMETERS[name]
    images = np.zeros((3, *model.input_shape), np.float32)  # type: ignore[misc]
    scores = model(images)
    assert scores.shape == (3, 10)
    assert scores.dtype == np.float32
    scores.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lenet5", {"in_channels": 3, "classes": 4, "image_size": 32, "dtype": np.float64}),
        ("digits", {"in_channels": 2, "classes": 4}),
        ("convnetjs", {"in_channels": 3, "classes": 4, "image_size": 24}),
    ],
)
def test_options(name: str, options: dict[str, Any]) -> None:
    model = models.build(name, **options)
    shape = model.input_shape
    assert shape[0] == options["in_channels"]  # type: ignore[index]
    images = np.zeros((2, *shape), options.get("dtype", np.float32))  # type: ignore[misc]
    assert model(images).shape == (2, 4)
    assert model(images).dtype == images.dtype


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_seed_determines_every_bit(name: str) -> None:
    states = [models.build(name, generator=np.random.default_rng(1)).state_dict() for _ in "ab"]
    assert [a.tobytes() for a in states[0].values()] == [a.tobytes() for a in states[1].values()]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.build("alex"), "no model is called 'alex'; there are alexnet, "),
        (lambda: models.build("lenet5", depth=3), "'lenet5' has no option depth; it has"),
        (lambda: models.build("lenet5", image_size=30), "image_size=30, expected 28 or 32"),
        (lambda: models.build("convnetjs", image_size=5), "image_size=5, expected .* at least 6"),
        (lambda: models.build("digits", classes=0), "out_features=0"),
    ],
)
def test_what_does_not_exist_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


def test_lenet5_agrees_with_pytorch(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = torch.nn.ModuleDict(
        {
            "conv1": torch.nn.Conv2d(1, 6, 5, padding=2),
            "conv2": torch.nn.Conv2d(6, 16, 5),
            "fc1": torch.nn.Linear(400, 120),
            "fc2": torch.nn.Linear(120, 84),
            "fc3": torch.nn.Linear(84, 10),
        }
    ).double()
    images, labels = rng.normal(size=(4, 1, 28, 28)), rng.integers(0, 10, 4)
    x = torch.tensor(images)
    for name in ("conv1", "conv2"):
        x = torch.nn.functional.max_pool2d(torch.relu(theirs[name](x)), 2)
    x = torch.relu(theirs["fc2"](torch.relu(theirs["fc1"](x.flatten(1)))))
    expected = theirs["fc3"](x)
    torch.nn.functional.cross_entropy(expected, torch.tensor(labels)).backward()

    model = models.LeNet5(dtype=np.float64)
    model.load_state_dict(theirs.state_dict())
    scores = model(images)
    np.testing.assert_allclose(scores.data, expected.detach().numpy(), rtol=1e-10, atol=1e-10)
    tc.functional.cross_entropy(scores, labels).backward()
    gradients = {name: p.grad.numpy() for name, p in theirs.named_parameters()}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        np.testing.assert_allclose(
            parameter.grad.data, gradients[name], rtol=1e-8, atol=1e-10, err_msg=name
        )
