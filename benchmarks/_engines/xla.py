"""JAX on the CPU: the whole step under ``jit``, images channels-last inside, parameters donated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from . import layers


class Functions:
    """Over (N, H, W, C), which XLA's convolutions on a CPU take as they are."""

    channels = (-1,)

    def conv2d(self, x: Any, weight: Any, bias: Any, stride: int, padding: int) -> Any:
        y = lax.conv_general_dilated(
            x,
            weight,
            (stride, stride),
            [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "OIHW", "NHWC"),
        )
        return y if bias is None else y + bias

    def relu(self, x: Any) -> Any:
        return jax.nn.relu(x)

    def max_pool2d(self, x: Any, size: int) -> Any:
        window = (1, size, size, 1)
        return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")

    def avg_pool2d(self, x: Any, size: int) -> Any:
        window = (1, size, size, 1)
        return lax.reduce_window(x, 0.0, lax.add, window, window, "VALID") / size**2

    def flatten(self, x: Any) -> Any:
        return x.transpose(0, 3, 1, 2).reshape(len(x), -1)

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        return x @ weight.T + bias

    def batch_norm(self, x: Any, weight: Any, bias: Any) -> tuple[Any, Any, Any]:
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        y = (x - mean) * (weight * lax.rsqrt(variance + layers.EPS)) + bias
        return y, lax.stop_gradient(mean), lax.stop_gradient(variance)


def training(
    build: layers.Build, weights: Sequence[layers.Array], sgd: Mapping[str, float]
) -> layers.Training:
    """A step."""
    network, parameters, buffers = layers.load(build, Functions(), weights, training=True)

    def loss_of(values: list[Any], kept: list[Any], x: Any, y: Any) -> tuple[Any, list[Any]]:
        parameters.write(values)
        buffers.write(kept)
        scores = jax.nn.log_softmax(network(x.transpose(0, 2, 3, 1)))
        return -jnp.take_along_axis(scores, y[:, None], 1).mean(), buffers.read()

    @partial(jax.jit, donate_argnums=0)
    def update(state: Any, x: Any, y: Any) -> tuple[Any, Any]:
        values, velocities, kept = state
        differentiate = jax.value_and_grad(loss_of, has_aux=True)
        (loss, kept), gradients = differentiate(values, kept, x, y)
        velocities = [sgd["momentum"] * v + g for v, g in zip(velocities, gradients, strict=True)]
        values = [p - sgd["lr"] * v for p, v in zip(values, velocities, strict=True)]
        return (values, velocities, kept), loss

    values = list(map(jnp.array, parameters.read()))
    state = values, list(map(jnp.zeros_like, values)), list(map(jnp.array, buffers.read()))

    def step(x: layers.Array, y: layers.Array) -> float:
        nonlocal state
        state, loss = update(state, x, y)
        # All of the step, not the loss alone: results are computed behind the caller's back.
        jax.block_until_ready(state)
        return float(loss)

    return step


def inference(build: layers.Build, weights: Sequence[layers.Array]) -> layers.Inference:
    """The scores of images."""
    network, parameters, buffers = layers.load(build, Functions(), weights, training=False)

    @jax.jit
    def scores(values: list[Any], kept: list[Any], x: Any) -> Any:
        parameters.write(values)
        buffers.write(kept)
        return network(x.transpose(0, 2, 3, 1))

    values, kept = (list(map(jnp.array, slots.read())) for slots in (parameters, buffers))
    return lambda x: jax.device_get(scores(values, kept, x))
