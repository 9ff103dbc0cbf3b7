"""MyGrad, its checks of memory turned off as its manual advises for speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet import activations, losses
from mygrad.nnet.layers import batchnorm, conv_nd, max_pool

from . import layers


class Functions:
    """MyGrad's own layers; the mean of a window by a reshape."""

    channels = (1, -1, 1, 1)

    def conv2d(self, x: Any, weight: Any, bias: Any, stride: int, padding: int) -> Any:
        # conv_nd wants windows that end where the image does, its padding is the same on all sides.
        if over := (x.shape[-1] + 2 * padding - weight.shape[-1]) % stride:
            x, padding = _padded(x, padding, padding - over), 0
        y = conv_nd(x, weight, stride=stride, padding=padding)
        return y if bias is None else y + bias.reshape(1, -1, 1, 1)

    def relu(self, x: Any) -> Any:
        return activations.relu(x)

    def max_pool2d(self, x: Any, size: int) -> Any:
        height, width = (side // size * size for side in x.shape[2:])
        return max_pool(x[:, :, :height, :width], (size, size), size)

    def avg_pool2d(self, x: Any, size: int) -> Any:
        n, c, h, w = x.shape
        return x.reshape(n, c, h // size, size, w // size, size).mean((3, 5))

    def flatten(self, x: Any) -> Any:
        return x.reshape(len(x), -1)

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        return mg.matmul(x, weight.T) + bias

    def batch_norm(self, x: Any, weight: Any, bias: Any) -> tuple[Any, Any, Any]:
        y = batchnorm(x, gamma=weight, beta=bias, eps=layers.EPS)
        return y, x.data.mean((0, 2, 3)), x.data.var((0, 2, 3))


def _padded(x: Any, before: int, after: int) -> Any:
    """Zeros around square images; a negative number cuts off."""
    x = x[:, :, : x.shape[2] + min(after, 0), : x.shape[3] + min(after, 0)]
    for axis in (2, 3):
        sides = [(*x.shape[:axis], wide, *x.shape[axis + 1 :]) for wide in (before, max(after, 0))]
        first, last = (np.zeros(side, np.float32) for side in sides)
        x = mg.concatenate([first, x, last], axis)
    return x


def training(
    build: layers.Build, weights: Sequence[layers.Array], sgd: Mapping[str, float]
) -> layers.Training:
    """A step."""
    mg.turn_memory_guarding_off()
    network, slots, _ = layers.load(build, Functions(), weights, training=True)
    parameters = [mg.tensor(value) for value in slots.read()]
    slots.write(parameters)
    velocities = [np.zeros_like(parameter.data) for parameter in parameters]

    def step(x: layers.Array, y: layers.Array) -> float:
        loss = losses.softmax_crossentropy(network(mg.tensor(x, constant=True)), y)
        loss.backward()
        for parameter, velocity in zip(parameters, velocities, strict=True):
            velocity *= sgd["momentum"]
            velocity += parameter.grad
            parameter.data -= sgd["lr"] * velocity
            parameter.null_grad()
        return float(loss.item())

    return step


def inference(build: layers.Build, weights: Sequence[layers.Array]) -> layers.Inference:
    """The scores of images."""
    mg.turn_memory_guarding_off()
    network, slots, _ = layers.load(build, Functions(), weights, training=False)
    slots.write([mg.tensor(value) for value in slots.read()])

    def scores(x: layers.Array) -> Any:
        with mg.no_autodiff:
            return network(mg.tensor(x)).data

    return scores
