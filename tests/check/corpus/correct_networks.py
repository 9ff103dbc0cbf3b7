"""Right gradients in the many ways in which people write them: losses, normalisations, networks."""

from __future__ import annotations

import numpy as np

from . import dropout, losses, networks, normalization
from .case import normal, positive
from .losses import Y, cross_entropy, hinge, margins, mse, softmax, softmax_minus_one


@cross_entropy.correct()
def softmax_minus_one_hot(dout, scores, y):
    return dout * (softmax(scores) - np.eye(4)[y]) / len(y)


@cross_entropy.correct(arrays=True)
def scores_gradient_in_a_dictionary(dout, scores, y):
    return {"scores": dout * softmax_minus_one(scores, y) / len(y)}


@cross_entropy.correct()
def sample_by_sample(dout, scores, y):
    dscores = np.zeros_like(scores)
    for n, row in enumerate(scores):
        p = np.exp(row) / np.exp(row).sum()
        for c in range(len(row)):
            dscores[n, c] = dout / len(y) * (p[c] - (c == y[n]))
    return dscores


@cross_entropy.at(
    name="cross entropy of large scores", inputs={"scores": normal(6, 4) * 300, "y": Y}
).correct()
def stable(dout, scores, y):
    return dout * softmax_minus_one(scores, y) / len(y)


@losses.summed.correct()
def sum_of_losses(dout, scores, y):
    return (dout * softmax_minus_one(scores, y),)


@hinge.correct()
def counts_of_margins(dout, scores, y):
    return dout * losses.counted(margins(scores, y) > 0, y) / len(y)


@hinge.correct()
def pairs_of_classes(dout, scores, y):
    dscores = np.zeros_like(scores)
    for n, c in np.ndindex(scores.shape):
        if c != y[n] and scores[n, c] - scores[n, y[n]] + 1 > 0:
            dscores[n, c] += dout / len(y)
            dscores[n, y[n]] -= dout / len(y)
    return dscores


@hinge.at(inputs={"scores": np.zeros((6, 4)) + np.eye(4)[Y], "y": Y}).correct(
    nudges=(1e-7 * (1 - np.eye(4)[Y]),)
)
def margin_of_exactly_zero_counts(dout, scores, y):
    hits = margins(scores, y) >= 0
    hits[np.arange(len(y)), y] = False
    return dout * losses.counted(hits, y) / len(y)


@mse.correct()
def twice_the_mean_difference(dout, x, target):
    dx = np.multiply(2 * dout, x - target) / np.prod(x.shape)
    return dx, np.negative(dx)


@losses.bce.correct()
def sigmoid_minus_target(dout, x, t):
    return dout * (1 / (1 + np.exp(-x)) - t) / len(t)


@normalization.batch.correct()
def simplified_batch_norm(dout, cache):
    return normalization.right(dout, cache)


@normalization.batch.correct()
def staged_batch_norm(dout, cache):
    x, xhat, std, gamma = cache
    N = len(x)
    centered = x - x.mean(axis=0)
    dxhat = dout * gamma
    dvar = -0.5 * np.sum(dxhat * centered, axis=0) / std**3
    dmean = -np.sum(dxhat / std, axis=0) + dvar * np.mean(-2 * centered, axis=0)
    dx = dxhat / std + dvar * 2 * centered / N + dmean / N
    return {"gamma": np.sum(dout * xhat, axis=0), "beta": np.sum(dout, axis=0), "x": dx}


@normalization.batch.correct()
def one_formula(dout, cache):
    x, xhat, std, gamma = cache
    N, dgamma, dbeta = len(x), np.einsum("ij,ij->j", dout, xhat), dout.sum(0)
    return gamma / std / N * (N * dout - dbeta - xhat * dgamma), dgamma, dbeta


@normalization.batch.correct()
def jacobian_of_each_column(dout, cache):
    x, xhat, std, gamma = cache
    N = len(x)
    dx = np.zeros_like(x)
    for d in range(x.shape[1]):
        column = xhat[:, d]
        jacobian = (np.eye(N) - 1 / N - np.outer(column, column) / N) * gamma[d] / std[d]
        dx[:, d] = jacobian.T @ dout[:, d]
    return dx, (dout * xhat).sum(axis=0), dout.sum(axis=0)


@normalization.spatial.correct()
def channels_in_rows(dout, x, gamma, beta):
    return normalization.spatially(dout, x, gamma, beta)


@normalization.layer.correct()
def layer_norm_by_transposing(dout, x, gamma, beta):
    xhat, std = normalization.layer_parts(x)
    dx = normalization.normalised_gradient((dout * gamma).T, xhat.T, std.T).T
    return dx, (dout * xhat).sum(axis=0), dout.sum(axis=0)


@normalization.unit.correct()
def projection(dout, x):
    norm = np.sqrt((x**2).sum(axis=1, keepdims=True))
    y = x / norm
    return (dout - y * (y * dout).sum(axis=1, keepdims=True)) / norm


@normalization.center.correct()
def its_own_adjoint(dout, x):
    return dout - dout.mean(0)


@dropout.dropout.correct()
def mask_and_scale(dout, kept):
    return np.where(kept, dout / (1 - dropout.P), 0.0)


@dropout.spatial.correct()
def whole_channels(dout, kept):
    return np.einsum("nchw,nc->nchw", dout, kept / (1 - dropout.P))


@dropout.after_relu.correct()
def product_of_masks(dout, cache):
    x, kept = cache
    return dout * ((x > 0) & kept) / (1 - dropout.P)


@networks.net.correct()
def two_layer_net(dout, x, w1, b1, w2, b2, y):
    z, h, dscores = networks.parts(dout, x, w1, b1, w2, b2, y)
    return networks.gradients(dout, x, w1, w2, h, dscores, (z > 0) * (dscores @ w2.T))


@networks.residual.correct()
def skip_and_branch(dout, cache):
    x, w = cache
    dz = np.where(x @ w > 0, dout, 0)
    return np.add(dout, dz @ w.T), x.T @ dz


@networks.tied.correct()
def both_uses_of_the_weights(dout, x, w):
    h = np.tanh(x @ w)
    dh = dout @ w / np.cosh(x @ w) ** 2
    return dh @ w.T, np.vstack([x, dout]).T @ np.vstack([dh, h])


@networks.rnn.correct()
def backpropagation_through_time(dout, x, w, u):
    return networks.through_time(dout, x, w, u)


@networks.convnet.correct()
def small_convnet(dout, x, w, v, y):
    return networks.convnet_gradients(dout, x, w, v, y)


@normalization.batch.at(
    inputs={"x": normal(2, 3), "gamma": positive(3), "beta": np.zeros(3)}, upstream="ones"
).correct()
def batch_of_two_with_upstream_of_ones(dout, cache):
    return normalization.right(dout, cache)
