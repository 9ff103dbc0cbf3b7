"""The reference networks, each written once for every engine that has PyTorch's names.

``build(nn)`` takes the module ``nn`` of an engine, so that what is compared is one definition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

CLASSES = 10
SGD = {"lr": 0.01, "momentum": 0.9}

Array = np.ndarray[Any, np.dtype[Any]]


class Net(NamedTuple):
    """A network and the images that it takes."""

    build: Callable[[Any], Any]
    image: tuple[int, int, int]


def convnetjs_mnist(nn: Any) -> Any:
    """ConvNetJS's demonstration on MNIST (Karpathy 2014)."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3),
        nn.Flatten(), nn.Linear(256, CLASSES),
    )  # fmt: skip


def lenet5(nn: Any) -> Any:
    """LeNet-5 with ReLU and max-pooling (LeCun et al. 1998)."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
        nn.Linear(84, CLASSES),
    )  # fmt: skip


def keras_mnist(nn: Any) -> Any:
    """The ConvNet of Keras's MNIST example, without its dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, CLASSES),
    )  # fmt: skip


def convnetjs_cifar(nn: Any) -> Any:
    """ConvNetJS's demonstration on CIFAR-10."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 20, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(20, 20, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(320, CLASSES),
    )  # fmt: skip


def small_vgg(nn: Any) -> Any:
    """Five 3x3 convolutions in three stages, as VGG has them."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(128, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(4096, 256), nn.ReLU(), nn.Linear(256, CLASSES),
    )  # fmt: skip


def resnet20(nn: Any) -> Any:
    """The ResNet-20 of He et al. (2015) for CIFAR-10, with projections (option B)."""

    class Block(nn.Module):  # type: ignore[misc]
        """Two convolutions and a shortcut."""

        def __init__(self, inside: int, outside: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(outside)
            self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(outside)
            self.relu = nn.ReLU()
            self.shortcut = nn.Sequential()
            if stride > 1:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
                )

        def forward(self, x: Any) -> Any:
            """The sum of what two convolutions add and the shortcut."""
            y = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.bn2(self.conv2(y)) + self.shortcut(x))

    stages = [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
    blocks = [
        Block(inside if first else outside, outside, stride if first else 1)
        for inside, outside, stride in stages
        for first in (True, False, False)
    ]
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), *blocks,
        nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, CLASSES),
    )  # fmt: skip


NETS = {
    "ConvNetJS MNIST": Net(convnetjs_mnist, (1, 28, 28)),
    "LeNet-5": Net(lenet5, (1, 28, 28)),
    "Keras MNIST": Net(keras_mnist, (1, 28, 28)),
    "ConvNetJS CIFAR-10": Net(convnetjs_cifar, (3, 32, 32)),
    "small VGG": Net(small_vgg, (3, 32, 32)),
    "CIFAR ResNet-20": Net(resnet20, (3, 32, 32)),
}


def batch(net: str, images: int) -> tuple[Array, Array]:
    """Images and labels: noise, so that no engine gains from zeros."""
    generator = np.random.default_rng(1)
    shape = (images, *NETS[net].image)
    return generator.standard_normal(shape, dtype=np.float32), generator.integers(0, 10, images)


def model(net: str) -> Any:
    """The network here, from a fixed seed."""
    import tinygrad_cnn as tc

    tc.manual_seed(0)
    return NETS[net].build(tc.nn)


def weights(net: str) -> list[Array]:
    """Its parameters and buffers, in the order of a state dict."""
    return [np.array(value) for value in model(net).state_dict().values()]


class Work(NamedTuple):
    """What a training step must do at least."""

    gflop: float
    mebibytes: float

    @property
    def intensity(self) -> float:
        """Operations for each byte that moves between memory and processor."""
        return 1e9 * self.gflop / (2**20 * self.mebibytes)


def work(net: str, images: int, training: bool = True) -> Work:
    """Of a step, or of inference, counted from the network's summary.

    Operations: products and sums of convolutions and linear layers, once forward, twice
    backward (for the input, which the first layer leaves out, and for the weights). Bytes: the
    result of each layer that is no ReLU is written and read; backward, it is read once more, its
    gradient written and read twice; a parameter is read twice, its gradient and its velocity
    written and read, and itself written and read.
    """
    import tinygrad_cnn as tc

    summary = tc.models.summary(model(net), (1, *NETS[net].image))
    first = next(row.multiply_adds for row in summary.rows if row.multiply_adds)
    passes = 3 * summary.multiply_adds - first if training else summary.multiply_adds
    layers = [row for row in summary.rows if row.type not in ("ReLU", "Flatten", "Sequential")]
    moved = sum(row.activation_bytes for row in layers) + 4 * int(np.prod(NETS[net].image))
    per_image, per_parameter = (6, 8) if training else (2, 1)
    total = images * per_image * moved + 4 * per_parameter * summary.parameters
    return Work(2e-9 * images * passes, total / 2**20)
