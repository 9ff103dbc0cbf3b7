# ruff: noqa: RUF059  (who writes a backward unpacks the whole cache)
"""Mistakes in networks of several layers, where an early one spreads."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F

from .case import Function, apart, labels, normal
from .losses import softmax_minus_one

Y = labels(2, 0, 1, 1)


def _two_layers(x, w1, b1, w2, b2, y):
    h = F.relu(x @ w1 + b1)
    return F.cross_entropy(h @ w2 + b2, y) + 0.05 * ((w1 * w1).sum() + (w2 * w2).sum())


net = Function(
    "two-layer net",
    _two_layers,
    {
        "x": normal(4, 5),
        "w1": normal(5, 4),
        "b1": normal(4),
        "w2": normal(4, 3),
        "b2": normal(3),
        "y": Y,
    },
    upstream=0.5,
    layer=True,
)


def parts(dout, x, w1, b1, w2, b2, y):
    """Pre-activation, hidden values and the gradient by the scores, all right."""
    z = x @ w1 + b1
    h = np.maximum(0, z)
    return z, h, dout * softmax_minus_one(h @ w2 + b2, y) / len(y)


def gradients(dout, x, w1, w2, h, dscores, dz, penalty=0.1):
    dw1 = x.T @ dz + dout * penalty * w1
    dw2 = h.T @ dscores + dout * penalty * w2
    return dz @ w1.T, dw1, dz.sum(0), dw2, dscores.sum(0)


@net.broken(x="missing_mask", w1="missing_mask", b1="missing_mask")
def no_relu_on_the_way_back(dout, x, w1, b1, w2, b2, y):
    z, h, dscores = parts(dout, x, w1, b1, w2, b2, y)
    return gradients(dout, x, w1, w2, h, dscores, dscores @ w2.T)


@net.broken(x="wrong_mask", w1="wrong_mask", b1="wrong_mask")
def relu_mask_of_the_upstream(dout, x, w1, b1, w2, b2, y):
    z, h, dscores = parts(dout, x, w1, b1, w2, b2, y)
    dh = dscores @ w2.T
    dh[dh < 0] = 0
    return gradients(dout, x, w1, w2, h, dscores, dh)


@net.broken(w2="wrong_saved_value")
def pre_activation_for_activation(dout, x, w1, b1, w2, b2, y):
    z, h, dscores = parts(dout, x, w1, b1, w2, b2, y)
    return gradients(dout, x, w1, w2, z, dscores, dscores @ w2.T * (z > 0))


@net.broken(w1="missing_regularization", w2="missing_regularization")
def penalty_forgotten(dout, x, w1, b1, w2, b2, y):
    z, h, dscores = parts(dout, x, w1, b1, w2, b2, y)
    return gradients(dout, x, w1, w2, h, dscores, dscores @ w2.T * (z > 0), penalty=0)


@net.broken(w1="missing_regularization")
def penalty_of_the_last_layer_alone(dout, x, w1, b1, w2, b2, y):
    z, h, dscores = parts(dout, x, w1, b1, w2, b2, y)
    dz = dscores @ w2.T * (z > 0)
    dx, _, db1, dw2, db2 = gradients(dout, x, w1, w2, h, dscores, dz)
    return {"x": dx, "w1": x.T @ dz, "b1": db1, "w2": dw2, "b2": db2}


@net.broken(b1="extra_regularization", b2="extra_regularization")
def biases_decay_too(dout, x, w1, b1, w2, b2, y):
    z, h, dscores = parts(dout, x, w1, b1, w2, b2, y)
    dz = dscores @ w2.T * (z > 0)
    dx, dw1, db1, dw2, db2 = gradients(dout, x, w1, w2, h, dscores, dz)
    return dx, dw1, db1 + dout * 0.1 * b1, dw2, db2 + dout * 0.1 * b2


plain = net.at(
    name="two-layer net without penalty",
    reference=lambda x, w1, b1, w2, b2, y: F.cross_entropy(F.relu(x @ w1 + b1) @ w2 + b2, y),
)


def plain_gradients(dout, x, w1, b1, w2, b2, y, change=lambda dscores: dscores):
    z, h, dscores = parts(dout, x, w1, b1, w2, b2, y)
    dscores = change(dscores)
    return gradients(dout, x, w1, w2, h, dscores, dscores @ w2.T * (z > 0), penalty=0)


@plain.broken(
    x="missing_mean", w1="missing_mean", b1="missing_mean", w2="missing_mean", b2="missing_mean"
)
def loss_not_averaged(dout, x, w1, b1, w2, b2, y):
    return plain_gradients(dout, x, w1, b1, w2, b2, y, lambda dscores: dscores * len(y))


@plain.broken(x="sign", w1="sign", b1="sign", w2="sign", b2="sign", arrays=True)
def all_downhill(dout, x, w1, b1, w2, b2, y):
    return plain_gradients(dout, x, w1, b1, w2, b2, y, lambda dscores: -dscores)


@plain.broken(w1="extra_regularization", w2="extra_regularization")
def weight_decay_on_top(dout, x, w1, b1, w2, b2, y):
    dx, dw1, db1, dw2, db2 = plain_gradients(dout, x, w1, b1, w2, b2, y)
    return dx, dw1 + 1e-2 * w1, db1, dw2 + 1e-2 * w2, db2


@plain.broken(w2="swapped_outputs", b1="swapped_outputs")
def parameters_in_another_order(dout, x, w1, b1, w2, b2, y):
    dx, dw1, db1, dw2, db2 = plain_gradients(dout, x, w1, b1, w2, b2, y)
    return dx, dw1, dw2, db1, db2


@plain.broken(whole="mutates_input", w1="wrong_saved_value mutates_input")
def centres_the_images_in_place(dout, x, w1, b1, w2, b2, y):
    dx, dw1, db1, dw2, db2 = plain_gradients(dout, x, w1, b1, w2, b2, y)
    z, h, dscores = parts(dout, x, w1, b1, w2, b2, y)
    x -= x.mean(axis=0)
    return dx, x.T @ (dscores @ w2.T * (z > 0)), db1, dw2, db2


@plain.broken(b2="missing_broadcast_sum", b1="missing_broadcast_sum")
def biases_for_each_sample(dout, x, w1, b1, w2, b2, y):
    z, h, dscores = parts(dout, x, w1, b1, w2, b2, y)
    dz = dscores @ w2.T * (z > 0)
    return dz @ w1.T, x.T @ dz, dz, h.T @ dscores, dscores


@plain.broken(w1="unknown", b1="unknown", x="unknown")
def shaken_below_the_first_layer(dout, x, w1, b1, w2, b2, y):
    z, h, dscores = parts(dout, x, w1, b1, w2, b2, y)
    noise = np.random.default_rng(9).normal(size=h.shape)
    return gradients(dout, x, w1, w2, h, dscores, dscores @ w2.T * (z > 0) + noise, penalty=0)


residual = Function(
    "residual block",
    lambda x, w: F.relu(x @ w) + x,
    {"x": normal(4, 3), "w": normal(3, 3)},
    lambda x, w: (np.maximum(0, x @ w) + x, (x, w)),
    layer=True,
)


@residual.broken(x="missing_path overwritten")
def skip_forgotten(dout, cache):
    x, w = cache
    dz = dout * (x @ w > 0)
    return dz @ w.T, x.T @ dz


@residual.broken(x="missing_path overwritten")
def branch_forgotten(dout, cache):
    x, w = cache
    dz = dout * (x @ w > 0)
    return dout, x.T @ dz


@residual.broken(x="repeated_term")
def skip_counted_twice(dout, cache):
    x, w = cache
    dz = dout * (x @ w > 0)
    dx = dout + dz @ w.T
    dx += dout
    return dx, x.T @ dz


tied = Function(
    "tied autoencoder",
    lambda x, w: F.tanh(x @ w) @ w.T,
    {"x": normal(4, 5), "w": normal(5, 3)},
    layer=True,
)


@tied.broken(w="overwritten missing_path")
def decoder_overwrites_the_encoder(dout, x, w):
    h = np.tanh(x @ w)
    dh = dout @ w * (1 - h * h)
    grads = {"x": dh @ w.T, "w": x.T @ dh}
    grads["w"] = dout.T @ h
    return grads


@tied.broken(w="repeated_term")
def encoder_counted_twice(dout, x, w):
    h = np.tanh(x @ w)
    dh = dout @ w * (1 - h * h)
    return dh @ w.T, x.T @ dh + dout.T @ h + x.T @ dh


@tied.broken(x="wrong_saved_value", w="wrong_saved_value")
def tanh_of_the_input(dout, x, w):
    z = x @ w
    h = np.tanh(z)
    dh = dout @ w * (1 - z**2)
    return dh @ w.T, x.T @ dh + dout.T @ h


STEPS = 3


def _recurrent(x, w, u):
    h = tc.zeros(x.shape[1], w.shape[1])
    for t in range(STEPS):
        h = F.tanh(x[t] @ w + h @ u)
    return h


rnn = Function(
    "recurrent net",
    _recurrent,
    {"x": normal(STEPS, 4, 2), "w": normal(2, 3), "u": normal(3, 3) * 0.5},
    layer=True,
)


def through_time(dout, x, w, u, add=np.add, decay=lambda h: 1 - h * h):
    states = [np.zeros((x.shape[1], w.shape[1]))]
    for t in range(STEPS):
        states.append(np.tanh(x[t] @ w + states[-1] @ u))
    dx, dw, du, dh = np.zeros_like(x), np.zeros_like(w), np.zeros_like(u), dout
    for t in reversed(range(STEPS)):
        dz = dh * decay(states[t + 1])
        dx[t], dh = dz @ w.T, dz @ u.T
        dw, du = add(dw, x[t].T @ dz), add(du, states[t].T @ dz)
    return dx, dw, du


@rnn.broken(w="overwritten", u="overwritten missing_path")
def each_step_overwrites(dout, x, w, u):
    return through_time(dout, x, w, u, add=lambda total, new: new)


@rnn.broken(x="missing_path", w="missing_path", u="missing_path")
def stops_after_one_step(dout, x, w, u):
    dx, dw, du = np.zeros_like(x), np.zeros_like(w), np.zeros_like(u)
    h = np.zeros((x.shape[1], w.shape[1]))
    for t in range(STEPS):
        last, h = h, np.tanh(x[t] @ w + h @ u)
    dz = dout * (1 - h * h)
    dx[-1], dw, du = dz @ w.T, x[-1].T @ dz, last.T @ dz
    return dx, dw, du


convnet = Function(
    "small convnet",
    lambda x, w, v, y: F.cross_entropy(F.max_pool2d(F.relu(F.conv2d(x, w)), 2).flatten(1) @ v, y),
    {"x": apart(4, 1, 5, 5) * 0.3, "w": normal(2, 1, 2, 2), "v": normal(8, 3), "y": Y},
    upstream=0.5,
    layer=True,
)


def convnet_gradients(dout, x, w, v, y, route=None, mask=True, average=True):
    """Right unless told otherwise; ``route`` gives the gradient by the pooled values back."""
    n = len(y)
    z = np.zeros((n, 2, 4, 4))
    for r, s in np.ndindex(2, 2):
        z += np.einsum("nij,k->nkij", x[:, 0, r : r + 4, s : s + 4], w[:, 0, r, s])
    h = np.maximum(0, z)
    pooled = h.reshape(n, 2, 2, 2, 2, 2).max(axis=(3, 5))
    dscores = dout * softmax_minus_one(pooled.reshape(n, -1) @ v, y) / (n if average else 1)
    dpooled = (dscores @ v.T).reshape(pooled.shape)
    wide, top = (a.repeat(2, 2).repeat(2, 3) for a in (dpooled, pooled))
    dh = wide * (h == top) if route is None else route(wide)
    dz = dh * (z > 0) if mask else dh
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for r, s in np.ndindex(2, 2):
        dw[:, 0, r, s] = np.einsum("nkij,nij->k", dz, x[:, 0, r : r + 4, s : s + 4])
        dx[:, 0, r : r + 4, s : s + 4] += np.einsum("nkij,k->nij", dz, w[:, 0, r, s])
    return dx, dw, pooled.reshape(n, -1).T @ dscores


@convnet.broken(x="missing_mask", w="missing_mask")
def pooling_spreads_to_all(dout, x, w, v, y):
    return convnet_gradients(dout, x, w, v, y, route=lambda wide: wide)


@convnet.broken(x="missing_mean", w="missing_mean", v="missing_mean")
def sum_over_the_batch(dout, x, w, v, y):
    return convnet_gradients(dout, x, w, v, y, average=False)


@convnet.broken(v="transposed")
def last_layer_transposed(dout, x, w, v, y):
    dx, dw, dv = convnet_gradients(dout, x, w, v, y)
    return dx, dw, dv.T


@convnet.broken(x="scale", w="scale", v="scale")
def learning_rate_included(dout, x, w, v, y):
    return tuple(0.01 * g for g in convnet_gradients(dout, x, w, v, y))
