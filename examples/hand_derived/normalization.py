"""Subtracting means, and batch normalisation in training and at test time.

Batch normalisation (Ioffe and Szegedy, 2015) works on x (N, C) or (N, C, H, W), on each channel
alone; gamma, beta and the statistics are (C,). M is the number of values a channel has: N, or
N*H*W. Below, an index stands for one of these M places, and the channel is left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .windows import Array


def mean_subtraction_forward(
    x: Array, axis: int | tuple[int, ...] = 0
) -> tuple[Array, int | tuple[int, ...]]:
    """out_i = x_i - (1/M) sum_j x_j, the mean over ``axis``: 0 takes off the mean image."""
    return x - x.mean(axis=axis, keepdims=True), axis


def mean_subtraction_backward(dout: Array, cache: int | tuple[int, ...]) -> Array:
    """From dout to dx, both of the shape of x.

    d out_j / d x_i = [i = j] - 1/M: x_i enters its own output, and every output by the mean.

        dx_i = dout_i - (1/M) sum_j dout_j

    The map is symmetric, so the gradient of mean subtraction is mean subtraction.
    """
    dx, _ = mean_subtraction_forward(dout, axis=cache)
    return dx


def _over_batch(x: Array) -> tuple[int, ...]:
    """All axes but the channels'."""
    return 0, *range(2, x.ndim)


def _beside(values: Array, x: Array) -> Array:
    """(C,) -> (1, C, 1, ...), to broadcast against x."""
    return values.reshape(1, -1, *(1,) * (x.ndim - 2))


def running_statistics(
    x: Array, running_mean: Array, running_var: Array, momentum: float = 0.1
) -> tuple[Array, Array]:
    """Move the (C,) averages kept for test time by ``momentum`` towards those of batch x.

    A batch's variance about its own mean is too small by (M - 1)/M on average: ``ddof=1``.
    """
    axes = _over_batch(x)
    mean = (1 - momentum) * running_mean + momentum * x.mean(axis=axes)
    var = (1 - momentum) * running_var + momentum * x.var(axis=axes, ddof=1)
    return mean, var


def batchnorm_train_forward(
    x: Array, gamma: Array, beta: Array, eps: float = 1e-5
) -> tuple[Array, Any]:
    """z = (x - mu) / s and out = gamma z + beta, with the batch's own statistics.

    mu = (1/M) sum_j x_j and s = sqrt((1/M) sum_j (x_j - mu)^2 + eps), for each channel.
    """
    axes = _over_batch(x)
    s = np.sqrt(x.var(axis=axes, keepdims=True) + eps)
    z = (x - x.mean(axis=axes, keepdims=True)) / s
    return _beside(gamma, x) * z + _beside(beta, x), (z, s, gamma)


def batchnorm_train_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """From dout to dx (both of x's shape), dgamma (C,) and dbeta (C,).

    out is linear in gamma and beta: dgamma = sum_j dout_j z_j and dbeta = sum_j dout_j. Then
    g_j = dout_j gamma arrives at z_j, which x_i reaches by three ways: itself, mu and s.

        d mu / d x_i = 1/M
        2 s ds = d(s^2) = (2/M) (x_i - mu) d x_i,    so   d s / d x_i = z_i / M
        (mu's share of d(s^2) is zero, because the deviations x_j - mu sum to zero)

    The quotient z_j = (x_j - mu) / s therefore has

        d z_j / d x_i = ([i = j] - 1/M - z_j z_i / M) / s

    and the sum over j, with the averages written as means over the M places, is

        dx_i = (g_i - mean(g) - z_i mean(g z)) / s
    """
    z, s, gamma = cache
    axes = _over_batch(z)
    g = dout * _beside(gamma, z)
    mean_g, mean_gz = (a.mean(axis=axes, keepdims=True) for a in (g, g * z))
    return (g - mean_g - z * mean_gz) / s, (dout * z).sum(axis=axes), dout.sum(axis=axes)


def batchnorm_test_forward(
    x: Array,
    gamma: Array,
    beta: Array,
    running_mean: Array,
    running_var: Array,
    eps: float = 1e-5,
) -> tuple[Array, Any]:
    """The same with statistics that were fixed before: one straight line a channel."""
    s = np.sqrt(_beside(running_var, x) + eps)
    z = (x - _beside(running_mean, x)) / s
    return _beside(gamma, x) * z + _beside(beta, x), (z, s, gamma)


def batchnorm_test_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """From dout to dx (both of x's shape), dgamma (C,) and dbeta (C,).

    mu and s no longer depend on x, so of the three ways of training one is left:

        dx_i = dout_i gamma / s,    dgamma = sum_j dout_j z_j,    dbeta = sum_j dout_j
    """
    z, s, gamma = cache
    axes = _over_batch(z)
    return dout * _beside(gamma, z) / s, (dout * z).sum(axis=axes), dout.sum(axis=axes)
