# ruff: noqa: RUF059  (who writes a backward unpacks the whole cache)
"""Mistakes in fully connected layers."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn import functional as F

from .case import Function, normal


def forward(x, w, b):
    return x @ w + b, (x, w, b)


affine = Function(
    "affine",
    lambda x, w, b: x @ w + b,
    {"x": normal(5, 4), "w": normal(4, 3), "b": normal(3)},
    forward,
    layer=True,
)
square = affine.at(
    name="square affine", inputs={"x": normal(4, 4), "w": normal(4, 4, seed=1), "b": normal(4)}
)


@affine.broken(w="transposed")
def weight_gradient_has_the_shape_of_the_transpose(dout, cache):
    x, w, _ = cache
    return dout @ w.T, dout.T @ x, dout.sum(axis=0)


@square.broken(w="transposed")
def weight_gradient_transposed(dout, cache):
    x, w, _ = cache
    return dout @ w.T, dout.T @ x, dout.sum(axis=0)


@square.broken(x="transposed")
def weights_not_transposed(dout, cache):
    x, w, _ = cache
    return dout @ w, x.T @ dout, dout.sum(axis=0)


@affine.broken(b="missing_broadcast_sum")
def bias_not_summed(dout, cache):
    x, w, _ = cache
    return dout @ w.T, x.T @ dout, dout


@affine.broken(b="wrong_axis")
def bias_summed_over_features(dout, cache):
    x, w, _ = cache
    return dout @ w.T, x.T @ dout, np.sum(dout, axis=1)


@square.broken(b="wrong_axis")
def bias_summed_over_features_unnoticed(dout, cache):
    x, w, _ = cache
    return {"x": dout @ w.T, "w": x.T @ dout, "b": np.sum(dout, axis=1)}


@affine.broken(b="mean_for_sum")
def bias_averaged(dout, cache):
    x, w, _ = cache
    return dout.dot(w.T), x.T.dot(dout), np.mean(dout, axis=0)


@affine.broken(w="mean_for_sum", b="mean_for_sum")
def divides_by_the_batch_again(dout, cache):
    x, w, _ = cache
    N = x.shape[0]
    dw = x.T.dot(dout) / N
    db = dout.sum(axis=0) / N
    return dout.dot(w.T), dw, db


@affine.broken(x="swapped_outputs", w="swapped_outputs")
def returns_dw_first(dout, cache):
    x, w, _ = cache
    dx, dw, db = dout @ w.T, x.T @ dout, dout.sum(0)
    return dw, dx, db


@square.broken(x="swapped_outputs", w="swapped_outputs")
def returns_dw_first_unnoticed(dout, cache):
    x, w, _ = cache
    dx, dw, db = dout @ w.T, x.T @ dout, dout.sum(0)
    return dw, dx, db


@affine.broken(x="ignores_upstream", w="ignores_upstream", b="ignores_upstream")
def local_derivatives_alone(dout, cache):
    x, w, b = cache
    N, M = x.shape[0], w.shape[1]
    ones = np.ones((N, M))
    return ones @ w.T, x.T @ ones, np.full(M, float(N))


@affine.at(upstream="ones").broken(b="ignores_upstream", shows_at=affine.inputs)
def bias_counts_samples(dout, cache):
    x, w, b = cache
    return dout @ w.T, x.T @ dout, np.full_like(b, x.shape[0])


@affine.broken(w="overwritten")
def only_the_last_sample_counts(dout, cache):
    x, w, _ = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(x.shape[0]):
        dx[i] = w @ dout[i]
        dw = np.outer(x[i], dout[i])
    return dx, dw, dout.sum(axis=0)


@affine.broken(b="wrong_shape")
def bias_keeps_the_batch_axis(dout, cache):
    x, w, _ = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0, keepdims=True)


@affine.broken(whole="mutates_input")
def takes_a_step_on_the_way(dout, cache):
    x, w, b = cache
    dx, dw, db = dout @ w.T, x.T @ dout, dout.sum(axis=0)
    w -= 0.1 * dw
    b -= 0.1 * db
    return dx, dw, db


@affine.broken(whole="mutates_input", x="wrong_saved_value mutates_input")
def uses_the_weights_after_the_step(dout, cache):
    x, w, _ = cache
    dw, db = x.T @ dout, dout.sum(axis=0)
    w -= 0.1 * dw
    return dout @ w.T, dw, db


@affine.broken(whole="state_between_calls", fresh=True)
def accumulates_in_the_layer():
    class Affine:
        dw = 0.0

        def backward(self, dout, cache):
            x, w, _ = cache
            self.dw = self.dw + x.T @ dout
            return dout @ w.T, self.dw, dout.sum(axis=0)

    return Affine().backward


@affine.broken(whole="state_between_calls", fresh=True)
def default_argument_remembers():
    def backward(dout, cache, db=np.zeros(3)):  # noqa: B008
        x, w, _ = cache
        for row in dout:
            db += row
        return dout @ w.T, x.T @ dout, db.copy()

    return backward


flat = affine.at(
    name="affine on images",
    reference=lambda x, w, b: x.reshape(x.shape[0], -1) @ w + b,
    inputs={"x": normal(4, 2, 3), "w": normal(6, 3), "b": normal(3)},
    forward=lambda x, w, b: (x.reshape(x.shape[0], -1) @ w + b, (x, w, b)),
)


@flat.broken(x="wrong_shape")
def input_left_flat(dout, cache):
    x, w, _ = cache
    return dout @ w.T, x.reshape(x.shape[0], -1).T @ dout, dout.sum(axis=0)


@flat.broken(x="wrong_shape", b="wrong_shape")
def column_vectors(dout, cache):
    x, w, _ = cache
    N = x.shape[0]
    dx = dout @ w.T
    return dx.reshape(N, -1, 1), x.reshape(N, -1).T @ dout, dout.sum(axis=0)[:, None]


@flat.at(
    name="affine without bias",
    forward=lambda x, w, b: (x.reshape(x.shape[0], -1) @ w, (x, w, b)),
).broken(whole="forward_differs")
def forgets_the_bias(dout, cache):
    x, w, b = cache
    rows = x.reshape(x.shape[0], -1)
    return (dout @ w.T).reshape(x.shape), rows.T @ dout, np.zeros_like(b)


linear = Function(
    "linear",
    lambda x, weight: F.linear(x, weight),
    {"x": normal(5, 4), "weight": normal(3, 4)},
    layer=True,
)


@linear.broken(weight="transposed")
def other_weight_layout(dout, x, weight):
    return dout @ weight, x.T @ dout


@linear.broken(x="ignores_upstream")
def derivative_by_the_input_is_the_weight(dout, x, weight):
    return np.tile(weight.sum(axis=0), (x.shape[0], 1)), dout.T @ x


@linear.broken(x="sign", weight="sign", arrays=True)
def descent_direction(dout, x, weight):
    return -(dout @ weight), -(dout.T @ x)


@linear.broken(weight="wrong_index")
def rows_of_the_next_sample(dout, x, weight):
    dweight = np.zeros_like(weight)
    for i in range(x.shape[0]):
        dweight += np.outer(dout[i], x[i - 1])
    return dout @ weight, dweight


@linear.broken(weight="unknown")
def random_feedback_and_momentum(dout, x, weight):
    velocity = np.random.default_rng(3).normal(size=weight.shape)
    return dout @ weight, 0.9 * velocity + dout.T @ x


@linear.broken(x="unknown")
def feedback_alignment(dout, x, weight):
    feedback = np.random.default_rng(4).normal(size=weight.shape)
    return dout @ feedback, dout.T @ x


ridge = Function(
    "ridge",
    lambda x, w: ((x @ w) ** 2).mean() + 0.1 * (w * w).sum(),
    {"x": normal(5, 4), "w": normal(4, 3)},
    layer=True,
)


@ridge.broken(w="missing_regularization")
def forgets_the_penalty(dout, x, w):
    out = x @ w
    dpred = 2.0 * out / out.size * dout
    return dpred @ w.T, x.T @ dpred


@ridge.broken(w="missing_regularization scale")
def half_of_the_penalty(dout, x, w):
    out = x @ w
    dpred = 2.0 * out / out.size * dout
    return dpred @ w.T, x.T @ dpred + 0.1 * w * dout


@linear.broken(weight="extra_regularization")
def decays_the_weights(dout, x, weight):
    return dout @ weight, dout.T @ x + 0.05 * weight


@ridge.broken(w="repeated_term")
def data_term_twice(dout, x, w):
    out = x @ w
    dpred = 2.0 * out / out.size * dout
    dw = x.T @ dpred
    dw += 0.2 * w * dout
    dw += x.T @ dpred
    return dpred @ w.T, dw
