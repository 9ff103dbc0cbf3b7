"""HIPS autograd: convolution as a matrix product of its NumPy functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad
from autograd.tracer import getval

from . import layers


class Functions:
    """Over ``autograd.numpy``.

    Its own convolution, ``autograd.scipy.signal.convolve``, knows no stride and takes longer.
    """

    channels = (1, -1, 1, 1)

    def conv2d(self, x: Any, weight: Any, bias: Any, stride: int, padding: int) -> Any:
        k, c, f, _ = weight.shape
        if padding:
            x = anp.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), "constant")
        n, _, h, w = x.shape
        oh, ow = (h - f) // stride + 1, (w - f) // stride + 1
        spans = [slice(i, i + stride * (oh - 1) + 1, stride) for i in range(f)]
        across = [slice(j, j + stride * (ow - 1) + 1, stride) for j in range(f)]
        taps = [x[:, :, i, j] for i in spans for j in across]
        columns = anp.stack(taps, 2).reshape(n, c * f * f, oh * ow)  # (N, C F F, OH OW)
        y = anp.matmul(weight.reshape(k, -1), columns).reshape(n, k, oh, ow)
        return y if bias is None else y + bias.reshape(1, -1, 1, 1)

    def relu(self, x: Any) -> Any:
        return anp.maximum(x, 0)

    def max_pool2d(self, x: Any, size: int) -> Any:
        return anp.max(_windows(x, size), (3, 5))

    def avg_pool2d(self, x: Any, size: int) -> Any:
        return anp.mean(_windows(x, size), (3, 5))

    def flatten(self, x: Any) -> Any:
        return x.reshape(x.shape[0], -1)

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        return anp.dot(x, weight.T) + bias

    def batch_norm(self, x: Any, weight: Any, bias: Any) -> tuple[Any, Any, Any]:
        mean = anp.mean(x, (0, 2, 3), keepdims=True)
        centred = x - mean
        variance = anp.mean(centred * centred, (0, 2, 3), keepdims=True)
        scale = weight.reshape(self.channels) / anp.sqrt(variance + layers.EPS)
        y = centred * scale + bias.reshape(self.channels)
        return y, *(_constant(value).reshape(-1) for value in (mean, variance))


def training(
    build: layers.Build, weights: Sequence[layers.Array], sgd: Mapping[str, float]
) -> layers.Training:
    """A step."""
    network, slots, _ = layers.load(build, Functions(), weights, training=True)
    parameters = [value.copy() for value in slots.read()]
    velocities = list(map(np.zeros_like, parameters))

    @value_and_grad
    def loss_of(values: list[Any], x: layers.Array, y: layers.Array) -> Any:
        slots.write(values)
        scores = network(x)
        scores = scores - anp.max(scores, 1, keepdims=True)
        taken = scores[np.arange(len(y)), y]
        return anp.mean(anp.log(anp.sum(anp.exp(scores), 1)) - taken)

    def step(x: layers.Array, y: layers.Array) -> float:
        loss, gradients = loss_of(parameters, x, y)
        for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
            velocity *= sgd["momentum"]
            velocity += gradient
            parameter -= sgd["lr"] * velocity
        return float(loss)

    return step


def inference(build: layers.Build, weights: Sequence[layers.Array]) -> layers.Inference:
    """The scores of images."""
    network, _, _ = layers.load(build, Functions(), weights, training=False)
    return network


def _windows(x: Any, size: int) -> Any:
    """As (N, C, OH, size, OW, size); what is left over is cut off."""
    n, c, h, w = x.shape
    oh, ow = h // size, w // size
    return x[:, :, : oh * size, : ow * size].reshape(n, c, oh, size, ow, size)


def _constant(value: Any) -> Any:
    """The array below all tracing."""
    while (inner := getval(value)) is not value:
        value = inner
    return value
