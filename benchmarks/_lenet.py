"""One training step of LeNet-5 in three engines: forward, loss, backward, SGD.

The same network from the same parameters on the same batch, float32, each written as a user of
the engine would.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from _measure import seconds

BATCH = 64
LEARNING_RATE = 0.05
_SHAPES = {
    "conv1": (6, 1, 5, 5),
    "conv2": (16, 6, 5, 5),
    "fc1": (120, 400),
    "fc2": (84, 120),
    "fc3": (10, 84),
}

Array = np.ndarray[Any, np.dtype[Any]]


def parameters() -> dict[str, Array]:
    """Weights of variance 2 / fan-in and biases of zero, by their names in ``models.LeNet5``."""
    generator = np.random.default_rng(0)
    drawn: dict[str, Array] = {}
    for name, shape in _SHAPES.items():
        scale = np.sqrt(2 / np.prod(shape[1:]))
        drawn[f"{name}.weight"] = (scale * generator.standard_normal(shape)).astype(np.float32)
        drawn[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    return drawn


def batch() -> tuple[Array, Array]:
    """Images (N, 1, 28, 28) and labels: noise, so that no engine gains from zeros."""
    generator = np.random.default_rng(1)
    images = generator.standard_normal((BATCH, 1, 28, 28), dtype=np.float32)
    return images, generator.integers(0, 10, BATCH)


def ours() -> Callable[[], float]:
    """A step of tinygrad_cnn, on a batch as its DataLoader delivers it."""
    import tinygrad_cnn as tc
    import tinygrad_cnn.functional as F

    model = tc.models.LeNet5()
    model.load_state_dict(parameters())
    optimizer = tc.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    [(x, y)] = tc.data.DataLoader(batch(), batch_size=BATCH)

    def step() -> float:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def pytorch(channels_last: bool) -> Callable[[], float]:
    """A step of PyTorch, with contiguous or channels-last images and weights."""
    import torch
    from torch.nn import functional as F

    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = pytorch_lenet()
    state = {name: torch.from_numpy(value) for name, value in parameters().items()}
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    model = model.to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    images, labels = batch()
    x = torch.from_numpy(images).contiguous(memory_format=layout)
    y = torch.from_numpy(labels)

    def step() -> float:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def pytorch_lenet() -> Any:
    """``models.LeNet5`` in PyTorch, its parameters in the same order."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def mygrad() -> Callable[[], float]:
    """A step of MyGrad, its checks of memory turned off as its manual advises for speed."""
    import mygrad as mg
    from mygrad.nnet.activations import relu
    from mygrad.nnet.layers import conv_nd, max_pool
    from mygrad.nnet.losses import softmax_crossentropy

    mg.turn_memory_guarding_off()
    weights = [mg.tensor(value) for value in parameters().values()]
    w1, b1, w2, b2, w3, b3, w4, b4, w5, b5 = weights
    x, y = batch()

    def step() -> float:
        h = conv_nd(x, w1, stride=1, padding=2) + b1.reshape(1, 6, 1, 1)
        h = max_pool(relu(h), (2, 2), 2)  # (N, 6, 14, 14)
        h = conv_nd(h, w2, stride=1) + b2.reshape(1, 16, 1, 1)
        h = max_pool(relu(h), (2, 2), 2).reshape(BATCH, 400)
        h = relu(mg.matmul(h, w3.T) + b3)
        h = relu(mg.matmul(h, w4.T) + b4)
        loss = softmax_crossentropy(mg.matmul(h, w5.T) + b5, y)
        loss.backward()
        for weight in weights:
            weight.data -= LEARNING_RATE * weight.grad
            weight.null_grad()
        return float(loss.item())

    return step


_ENGINES: dict[str, Callable[[], Callable[[], float]]] = {
    "tinygrad_cnn": ours,
    "PyTorch": lambda: pytorch(channels_last=False),
    "PyTorch channels_last": lambda: pytorch(channels_last=True),
    "MyGrad": mygrad,
}


@cache
def step_of(engine: str) -> Callable[[], float]:
    """The step of an engine by its name; the network lives on from call to call."""
    return _ENGINES[engine]()


def losses(engine: str, steps: int) -> list[float]:
    """The losses of the next steps."""
    step = step_of(engine)
    return [step() for _ in range(steps)]


def turn(engine: str, calls: int) -> float:
    """The seconds of a step: the median of some calls after a few that are not timed."""
    return seconds(step_of(engine), calls, untimed=4)
