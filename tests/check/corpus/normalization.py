# ruff: noqa: RUF059  (who writes a backward unpacks the whole cache)
"""Mistakes in batch, layer and other normalisations."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F

from .case import Function, normal, positive

EPS = 1e-5


def batch_forward(x, gamma, beta, eps=EPS):
    mean, var = x.mean(axis=0), x.var(axis=0)
    std = np.sqrt(var + eps)
    xhat = (x - mean) / std
    return gamma * xhat + beta, (x, xhat, std, gamma)


batch = Function(
    "batch norm",
    lambda x, gamma, beta: F.batch_norm(x, None, None, gamma, beta, training=True, eps=EPS),
    {"x": normal(6, 4), "gamma": positive(4), "beta": normal(4)},
    batch_forward,
    layer=True,
)


def normalised_gradient(dxhat, xhat, std, axis=0):
    """The gradient through (x - mean) / std."""
    return (
        dxhat
        - dxhat.mean(axis=axis, keepdims=True)
        - xhat * (dxhat * xhat).mean(axis=axis, keepdims=True)
    ) / std


def right(dout, cache):
    x, xhat, std, gamma = cache
    dx = normalised_gradient(dout * gamma, xhat, std)
    return dx, (dout * xhat).sum(axis=0), dout.sum(axis=0)


@batch.broken(x="diagonal_only")
def statistics_are_constants(dout, cache):
    x, xhat, std, gamma = cache
    _, dgamma, dbeta = right(dout, cache)
    return dout * gamma / std, dgamma, dbeta


@batch.broken(x="missing_path")
def variance_is_a_constant(dout, cache):
    x, xhat, std, gamma = cache
    _, dgamma, dbeta = right(dout, cache)
    dxhat = dout * gamma
    dmean = -(dxhat / std).sum(axis=0)
    return dxhat / std + dmean / x.shape[0], dgamma, dbeta


@batch.broken(x="missing_path")
def mean_is_a_constant(dout, cache):
    x, xhat, std, gamma = cache
    _, dgamma, dbeta = right(dout, cache)
    dxhat = dout * gamma
    dvar = (dxhat * (x - x.mean(axis=0)) * -0.5 / std**3).sum(axis=0)
    return dxhat / std + dvar * 2 * (x - x.mean(axis=0)) / x.shape[0], dgamma, dbeta


@batch.broken(gamma="wrong_saved_value")
def input_for_the_normalised_input(dout, cache):
    x = cache[0]
    dx, _, dbeta = right(dout, cache)
    return dx, (dout * x).sum(axis=0), dbeta


@batch.broken(gamma="wrong_saved_value")
def output_for_the_normalised_input(dout, cache):
    dx, dgamma, dbeta = right(dout, cache)
    x, xhat, std, gamma = cache
    return dx, (dout * (gamma * xhat)).sum(axis=0), dbeta


@batch.broken(gamma="swapped_outputs", beta="swapped_outputs")
def shift_before_scale(dout, cache):
    dx, dgamma, dbeta = right(dout, cache)
    return dx, dbeta, dgamma


@batch.broken(gamma="missing_broadcast_sum", beta="missing_broadcast_sum")
def parameters_not_summed(dout, cache):
    dx, _, _ = right(dout, cache)
    return {"x": dx, "gamma": dout * cache[1], "beta": dout}


@batch.broken(gamma="mean_for_sum", beta="mean_for_sum")
def parameters_averaged(dout, cache):
    dx, _, _ = right(dout, cache)
    return dx, np.mean(dout * cache[1], axis=0), np.mean(dout, axis=0)


@batch.broken(gamma="wrong_axis", beta="wrong_axis")
def parameters_summed_over_features(dout, cache):
    dx, _, _ = right(dout, cache)
    return dx, (dout * cache[1]).sum(axis=1), dout.sum(axis=1)


@batch.broken(gamma="ignores_upstream", beta="ignores_upstream")
def parameters_without_dout(dout, cache):
    dx, _, _ = right(dout, cache)
    xhat = cache[1]
    return dx, (np.ones_like(dout) * xhat).sum(axis=0), np.ones(4) * len(xhat)


@batch.broken(x="repeated_term")
def mean_path_twice(dout, cache):
    x, xhat, std, gamma = cache
    _, dgamma, dbeta = right(dout, cache)
    dxhat = dout * gamma
    dx = normalised_gradient(dxhat, xhat, std)
    dx -= dxhat.mean(axis=0) / std
    return dx, dgamma, dbeta


@batch.broken(x="sign")
def sign_of_everything(dout, cache):
    dx, dgamma, dbeta = right(dout, cache)
    return -dx, dgamma, dbeta


@batch.broken(x="unknown")
def unrelated_to_the_batch(dout, cache):
    _, dgamma, dbeta = right(dout, cache)
    noise = np.random.default_rng(8).normal(size=dout.shape)
    return noise, dgamma, dbeta


@batch.at(
    name="batch norm of another eps",
    forward=lambda x, gamma, beta: batch_forward(x, gamma, beta, eps=1e-1),
).broken(whole="forward_differs")
def large_epsilon(dout, cache):
    return right(dout, cache)


def _with_running_statistics():
    seen = []

    def backward(dout, cache):
        seen.append(dout)
        dx, dgamma, dbeta = right(dout, cache)
        return dx, dgamma, sum(seen).sum(axis=0)

    return backward


batch.broken(whole="state_between_calls", fresh=True)(_with_running_statistics)

spatial = Function(
    "spatial batch norm",
    batch.reference,
    {"x": normal(3, 2, 3, 4), "gamma": positive(2), "beta": normal(2)},
    layer=True,
)


def rows(x):
    """(N, C, H, W) as (N*H*W, C)."""
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def images(flat, shape):
    n, c, h, w = shape
    return flat.reshape(n, h, w, c).transpose(0, 3, 1, 2)


def spatially(dout, x, gamma, beta, backward=right):
    _, cache = batch_forward(rows(x), gamma, beta)
    dx, dgamma, dbeta = backward(rows(dout), cache)
    return images(dx, x.shape), dgamma, dbeta


@spatial.broken(x="diagonal_only")
def statistics_of_each_channel_are_constants(dout, x, gamma, beta):
    return spatially(dout, x, gamma, beta, statistics_are_constants)


@spatial.broken(beta="missing_broadcast_sum")
def shift_summed_over_images_alone(dout, x, gamma, beta):
    dx, dgamma, _ = spatially(dout, x, gamma, beta)
    return dx, dgamma, dout.sum(axis=0)


@spatial.broken(beta="mean_for_sum", gamma="mean_for_sum")
def averaged_over_everything(dout, x, gamma, beta):
    dx, dgamma, dbeta = spatially(dout, x, gamma, beta)
    count = x.size // x.shape[1]
    return dx, dgamma / count, dbeta / count


@spatial.broken(x="wrong_shape")
def left_in_rows(dout, x, gamma, beta):
    dx, dgamma, dbeta = spatially(dout, x, gamma, beta)
    return rows(dx), dgamma, dbeta


@spatial.broken(gamma="swapped_outputs", beta="swapped_outputs", arrays=True)
def names_mixed_up(dout, x, gamma, beta):
    dx, dgamma, dbeta = spatially(dout, x, gamma, beta)
    return {"x": dx, "gamma": dbeta, "beta": dgamma}


def _layer_norm(x, gamma, beta):
    centered = x - x.mean(1, keepdims=True)
    return centered / tc.sqrt(tc.var(x, 1, keepdims=True) + EPS) * gamma + beta


layer = Function(
    "layer norm",
    _layer_norm,
    {"x": normal(4, 6), "gamma": positive(6), "beta": normal(6)},
    layer=True,
)


def layer_parts(x):
    std = np.sqrt(x.var(axis=1, keepdims=True) + EPS)
    return (x - x.mean(axis=1, keepdims=True)) / std, std


@layer.broken(x="diagonal_only")
def only_scaled(dout, x, gamma, beta):
    xhat, std = layer_parts(x)
    return dout * gamma / std, (dout * xhat).sum(0), dout.sum(0)


@layer.broken(x="wrong_axis")
def copied_from_batch_norm(dout, x, gamma, beta):
    xhat, std = layer_parts(x)
    dx = normalised_gradient(dout * gamma, xhat, std, axis=0)
    return dx, (dout * xhat).sum(0), dout.sum(0)


@layer.broken(gamma="wrong_saved_value")
def not_normalised(dout, x, gamma, beta):
    xhat, std = layer_parts(x)
    dx = normalised_gradient(dout * gamma, xhat, std, axis=1)
    return dx, (dout * x).sum(0), dout.sum(0)


@layer.broken(x="ignores_upstream")
def jacobian_times_ones(dout, x, gamma, beta):
    xhat, std = layer_parts(x)
    dx = normalised_gradient(np.ones_like(dout) * gamma, xhat, std, axis=1)
    return dx, (dout * xhat).sum(0), dout.sum(0)


@layer.broken(whole="mutates_input")
def centres_in_place(dout, x, gamma, beta):
    xhat, std = layer_parts(x)
    dout *= gamma
    dbeta = (dout / gamma).sum(axis=0)
    dgamma = (dout / gamma * xhat).sum(axis=0)
    return normalised_gradient(dout, xhat, std, axis=1), dgamma, dbeta


unit = Function(
    "l2 normalise",
    lambda x: x / tc.norm(x, 1, keepdims=True),
    {"x": normal(4, 5)},
    layer=True,
)
center = Function("subtract mean", lambda x: F.subtract_mean(x), {"x": normal(5, 3)})


@unit.broken(x="diagonal_only missing_path")
def norm_is_a_constant(dout, x):
    return dout / np.linalg.norm(x, axis=1, keepdims=True)


@unit.broken(x="wrong_axis")
def projects_over_the_batch(dout, x):
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    y = x / norm
    return (dout - y * (dout * y).sum(axis=0)) / norm


@unit.broken(x="missing_path")
def direct_term_forgotten(dout, x):
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return -x * (dout * x).sum(axis=1, keepdims=True) / norm**3


@center.broken(x="missing_path diagonal_only")
def mean_forgotten(dout, x):
    return dout


@center.broken(x="wrong_axis")
def mean_of_each_row(dout, x):
    return dout - dout.mean(axis=1, keepdims=True)
