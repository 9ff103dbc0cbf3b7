"""tinygrad on the CPU: the whole step under ``TinyJit``, without its search for kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad import Context, Tensor, TinyJit
from tinygrad.nn.optim import SGD

from . import layers


class Functions:
    """tinygrad's own methods; the statistics of a batch are kept in place."""

    channels = (1, -1, 1, 1)

    def conv2d(self, x: Any, weight: Any, bias: Any, stride: int, padding: int) -> Any:
        return x.conv2d(weight, bias, stride=stride, padding=padding)

    def relu(self, x: Any) -> Any:
        return x.relu()

    def max_pool2d(self, x: Any, size: int) -> Any:
        return x.max_pool2d((size, size))

    def avg_pool2d(self, x: Any, size: int) -> Any:
        return x.avg_pool2d((size, size))

    def flatten(self, x: Any) -> Any:
        return x.flatten(1)

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        return x.linear(weight.transpose(), bias)

    def batch_norm(self, x: Any, weight: Any, bias: Any) -> tuple[Any, Any, Any]:
        mean = x.mean((0, 2, 3))
        centred = x - mean.reshape(self.channels)
        variance = (centred * centred).mean((0, 2, 3))
        scale = weight / (variance + layers.EPS).sqrt()
        y = centred * scale.reshape(self.channels) + bias.reshape(self.channels)
        return y, mean.detach(), variance.detach()


def training(
    build: layers.Build, weights: Sequence[layers.Array], sgd: Mapping[str, float]
) -> layers.Training:
    """A step."""
    network, parameters, buffers = layers.load(build, Functions(), weights, training=True)
    parameters.write([Tensor(value).realize() for value in parameters.read()])
    kept = [Tensor(value).realize().is_param_(False) for value in buffers.read()]
    optimizer = SGD(parameters.read(), **sgd)

    @TinyJit
    def update(x: Any, y: Any) -> Any:
        buffers.write(kept)
        optimizer.zero_grad()
        loss = network(x).sparse_categorical_crossentropy(y).backward()
        changed = [a.assign(b) for a, b in zip(kept, buffers.read(), strict=True) if a is not b]
        return loss.realize(*optimizer.schedule_step(), *changed)

    def step(x: layers.Array, y: layers.Array) -> float:
        with Context(TRAINING=1):
            return float(update(Tensor(x).realize(), Tensor(y).realize()).item())

    return step


def inference(build: layers.Build, weights: Sequence[layers.Array]) -> layers.Inference:
    """The scores of images."""
    network, parameters, buffers = layers.load(build, Functions(), weights, training=False)
    for slots in (parameters, buffers):
        slots.write([Tensor(value).realize() for value in slots.read()])
    scores = TinyJit(lambda x: network(x).realize())
    return lambda x: scores(Tensor(x).realize()).numpy()
