"""One training step of LeNet-5 in three engines: forward, loss, backward, SGD.

The same network from the same parameters on the same batch, float32, each written as a user of
the engine would.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from _measure import seconds
from _nets import Array, Step, lenet5, training, training_in_pytorch

BATCH = 64
LEARNING_RATE = 0.05
_SHAPES = {
    "conv1": (6, 1, 5, 5),
    "conv2": (16, 6, 5, 5),
    "fc1": (120, 400),
    "fc2": (84, 120),
    "fc3": (10, 84),
}


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


def ours() -> Step:
    """A step of tinygrad_cnn, on a batch as its DataLoader delivers it."""
    import tinygrad_cnn as tc

    model = tc.models.LeNet5()
    model.load_state_dict(parameters())
    optimizer = tc.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    [(x, y)] = tc.data.DataLoader(batch(), batch_size=BATCH)
    return training(model, optimizer, tc.functional.cross_entropy, x, y)


def pytorch(channels_last: bool) -> Step:
    """A step of PyTorch, with contiguous or channels-last images and weights."""
    from torch import nn

    weights = parameters().values()
    return training_in_pytorch(lenet5(nn), weights, batch(), channels_last, lr=LEARNING_RATE)


def mygrad() -> Step:
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


_ENGINES: dict[str, Callable[[], Step]] = {
    "tinygrad_cnn": ours,
    "PyTorch": lambda: pytorch(channels_last=False),
    "PyTorch channels_last": lambda: pytorch(channels_last=True),
    "MyGrad": mygrad,
}


@cache
def step_of(engine: str) -> Step:
    """The step of an engine by its name; the network lives on from call to call."""
    return _ENGINES[engine]()


def losses(engine: str, steps: int) -> list[float]:
    """The losses of the next steps."""
    step = step_of(engine)
    return [step() for _ in range(steps)]


def turn(engine: str, calls: int) -> float:
    """The seconds of a step: the median of some calls after a few that are not timed."""
    return seconds(step_of(engine), calls, untimed=4)
