"""The layers that can be asked for: inputs that reveal mistakes, and the right function.

The inputs are never square, hold several examples, and have windows that overlap; numbers keep
away from kinks and ties; eps is large enough for its absence to show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ... import functional as F
from ..._core.tensor import Tensor
from ...ops import reshape, sqrt
from ...typing import Array

Generator = np.random.Generator


class Case(NamedTuple):
    """One call: inputs by name, the reference, and the dict that the forward gets besides."""

    inputs: dict[str, Array]
    reference: Callable[..., Tensor]
    param: dict[str, Any] | None = None

    def arguments(self) -> list[Any]:
        """Fresh copies of what the submission's forward is called with."""
        return [*map(np.array, self.inputs.values()), *self.options()]

    def options(self) -> list[Any]:
        """A fresh copy of the dict, if there is one."""
        if self.param is None:
            return []
        return [{k: np.array(v) if np.ndim(v) else v for k, v in self.param.items()}]


@dataclass(frozen=True)
class Layer:
    """A kind of question: its cases, the name of its output, and its formula."""

    cases: Callable[[Generator], list[Case]]
    formula: str
    output: str = "out"


def _affine(rng: Generator) -> list[Case]:
    inputs = {
        "x": rng.normal(size=(3, 2, 4)),
        "w": rng.normal(size=(8, 5)),
        "b": rng.normal(size=5),
    }

    def reference(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return reshape(x, (len(x), -1)) @ w + b  # (N, D) @ (D, M)

    return [Case(inputs, reference)]


def _relu(rng: Generator) -> list[Case]:
    signs = np.where(rng.random((4, 7)) < 0.5, -1.0, 1.0)
    return [Case({"x": signs * rng.uniform(0.1, 2.0, (4, 7))}, F.relu)]


def _conv(rng: Generator) -> list[Case]:
    def case(x: tuple[int, ...], w: tuple[int, ...], stride: int, pad: int) -> Case:
        inputs = {"x": rng.normal(size=x), "w": rng.normal(size=w), "b": rng.normal(size=w[0])}

        def reference(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
            return F.conv2d(x, w, b, stride=stride, padding=pad)

        return Case(inputs, reference, {"stride": stride, "pad": pad})

    return [case((2, 3, 7, 6), (4, 3, 3, 4), 2, 1), case((2, 2, 4, 5), (3, 2, 3, 2), 1, 0)]


def _max_pool(rng: Generator) -> list[Case]:
    def case(shape: tuple[int, ...], window: tuple[int, int], stride: int) -> Case:
        size = int(np.prod(shape))
        x = rng.permutation(size).reshape(shape) / size - 0.5  # no two numbers are equal

        def reference(x: Tensor) -> Tensor:
            return F.max_pool2d(x, window, stride)

        height, width = window
        return Case(
            {"x": x}, reference, {"pool_height": height, "pool_width": width, "stride": stride}
        )

    return [case((2, 3, 4, 6), (2, 2), 2), case((2, 2, 5, 6), (3, 2), 1)]


def _batchnorm(rng: Generator) -> list[Case]:
    eps = 1e-3
    inputs = _normalised(rng, (6, 5))
    size = inputs["x"].shape[1]
    running = {"running_mean": rng.normal(size=size), "running_var": rng.uniform(1, 2, size)}

    def reference(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        return F.batch_norm(x, weight=gamma, bias=beta, training=True, eps=eps)

    return [Case(inputs, reference, {"mode": "train", "eps": eps, "momentum": 0.8, **running})]


def _layernorm(rng: Generator) -> list[Case]:
    eps = 1e-3

    def reference(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        centered = x - F.mean(x, -1, keepdims=True)
        return gamma * centered / sqrt(F.var(x, -1, keepdims=True) + eps) + beta

    return [Case(_normalised(rng, (4, 6)), reference, {"eps": eps})]


def _normalised(rng: Generator, shape: tuple[int, int]) -> dict[str, Array]:
    return {
        "x": 2.0 * rng.normal(size=shape) + 3.0,
        "gamma": rng.uniform(0.5, 2.0, shape[1]),
        "beta": rng.normal(size=shape[1]),
    }


def _softmax_loss(rng: Generator) -> list[Case]:
    return [_loss(rng, F.cross_entropy, 2.0)]


def _svm_loss(rng: Generator) -> list[Case]:
    return [_loss(rng, F.hinge_loss, 1.0)]


def _loss(rng: Generator, loss: Callable[..., Tensor], scale: float) -> Case:
    scores = scale * rng.normal(size=(5, 4))
    labels = rng.integers(0, 4, 5)

    def reference(x: Tensor, y: Any) -> Tensor:
        return loss(x, y)

    return Case({"x": scores, "y": labels}, reference)


LAYERS = {
    "affine": Layer(_affine, "out = x.reshape(N, D) @ w + b"),
    "relu": Layer(_relu, "out = max(0, x)"),
    "conv": Layer(
        _conv,
        "out[n, k, i, j] = b[k] + sum over c, p, q of\n"
        "    x_pad[n, c, i * stride + p, j * stride + q] * w[k, c, p, q]",
    ),
    "max_pool": Layer(
        _max_pool,
        "out[n, c, i, j] = the largest of\n"
        "    x[n, c, i * stride : i * stride + pool_height, j * stride : j * stride + pool_width]",
    ),
    "batchnorm": Layer(
        _batchnorm,
        "out = gamma * (x - mean) / sqrt(var + eps) + beta, over the batch (axis 0)\n"
        "running = momentum * running + (1 - momentum) * batch, for mean and var\n"
        "mode 'test': the running mean and variance in place of the batch's",
    ),
    "layernorm": Layer(
        _layernorm,
        "out = gamma * (x - mean) / sqrt(var + eps) + beta, over the features (last axis)",
    ),
    "softmax_loss": Layer(
        _softmax_loss, "loss = mean over n of log(sum_j exp(x[n, j])) - x[n, y[n]]", "loss"
    ),
    "svm_loss": Layer(
        _svm_loss,
        "loss = mean over n of the sum over j != y[n] of max(0, x[n, j] - x[n, y[n]] + 1)",
        "loss",
    ),
}
