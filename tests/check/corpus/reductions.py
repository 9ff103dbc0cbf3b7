"""Mistakes in sums, means, statistics, norms and contractions."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F

from .case import Function, apart, normal, positive, whole_numbers

mean = Function("mean", lambda x: tc.mean(x, 0), {"x": normal(5, 3)})
total = Function("sum", lambda x: tc.sum(x, 1), {"x": normal(4, 4)})
largest = Function("max", lambda x: tc.max(x, 1), {"x": apart(4, 5)})
variance = Function("variance", lambda x: tc.var(x, 0), {"x": normal(5, 3)})
deviation = Function("std", lambda x: tc.std(x, 0), {"x": normal(5, 3)})
length = Function("norm", lambda x: tc.norm(x, 1), {"x": normal(4, 3)})
running = Function("cumsum", lambda x: tc.cumsum(x, 1), {"x": normal(3, 5)})
product = Function("prod", lambda x: tc.prod(x, 1), {"x": positive(3, 4)})
logsumexp = Function("logsumexp", lambda x: tc.logsumexp(x, 1), {"x": normal(4, 5)})
matmul = Function("matmul", lambda a, b: a @ b, {"a": normal(3, 3), "b": normal(3, 3, seed=1)})
bilinear = Function(
    "bilinear form",
    lambda x, m: tc.einsum("ni,ij,nj->n", x, m, x),
    {"x": normal(4, 3), "m": normal(3, 3)},
)


@mean.broken(x="missing_mean")
def only_repeated(dout, x):
    return np.tile(dout, (x.shape[0], 1))


@mean.broken(x="wrong_shape")
def left_to_broadcasting(dout, x):
    return dout / len(x)


@mean.broken(x="scale")
def divided_by_the_size(dout, x):
    return np.broadcast_to(dout / x.size, x.shape)


@total.broken(x="wrong_axis transposed")
def spread_along_rows(dout, x):
    return np.broadcast_to(dout, x.shape)


@total.broken(x="mean_for_sum")
def shared_out(dout, x):
    return np.outer(dout, np.ones(x.shape[1])) / x.shape[1]


@total.broken(x="ignores_upstream")
def ones(dout, x):
    return np.ones_like(x)


@total.at(upstream="ones").broken(x="ignores_upstream", shows_at={"x": normal(4, 4)})
def ones_for_ones(dout, x):
    return np.ones(x.shape)


@largest.broken(x="missing_mask")
def everyone_is_the_largest(dout, x):
    return np.repeat(dout[:, None], x.shape[1], axis=1)


@largest.broken(x="wrong_index wrong_mask")
def winner_of_the_column(dout, x):
    dx = np.zeros_like(x)
    dx[np.arange(len(x)), x.argmin(axis=1)] = dout
    return dx


@largest.at(inputs={"x": whole_numbers(4, 5)}).broken(x="tie_convention")
def equals_the_largest(dout, x):
    return (x == x.max(axis=1, keepdims=True)) * dout[:, None]


@variance.broken(x="scale")
def two_forgotten(dout, x):
    return dout * (x - x.mean(axis=0)) / len(x)


@variance.broken(x="missing_path wrong_saved_value")
def square_of_the_mean_forgotten(dout, x):
    return dout * 2 * x / len(x)


@variance.broken(x="missing_mean")
def sum_of_squares(dout, x):
    return dout * 2 * (x - x.mean(axis=0))


@variance.broken(x="scale")
def divided_by_n_minus_one(dout, x):
    return dout * 2 * (x - x.mean(axis=0)) / (len(x) - 1)


@variance.at(inputs={"x": normal(5, 3) + 3e3}).broken(x="precision")
def single_precision_far_from_zero(dout, x):
    x = x.astype(np.float32)
    return dout * 2 * (x - x.mean(axis=0)) / len(x)


@deviation.broken(x="wrong_saved_value")
def divided_by_the_variance(dout, x):
    return dout * (x - x.mean(axis=0)) / (len(x) * x.var(axis=0))


@deviation.broken(x="missing_mean")
def not_divided_by_n(dout, x):
    return dout * (x - x.mean(axis=0)) / x.std(axis=0)


@length.broken(x="scale")
def twice(dout, x):
    return 2 * x / np.linalg.norm(x, axis=1, keepdims=True) * dout[:, None]


@length.at(inputs={"x": normal(4, 3) * [[1], [0], [1], [1]]}).broken(x="kink")
def zero_vector(dout, x):
    with np.errstate(invalid="ignore"):
        return x / np.linalg.norm(x, axis=1, keepdims=True) * dout[:, None]


@running.broken(x="wrong_axis")
def down_the_columns(dout, x):
    return np.cumsum(dout[::-1], axis=0)[::-1]


@running.broken(x="missing_path diagonal_only")
def own_position_alone(dout, x):
    return dout.copy()


@product.broken(x="wrong_saved_value unknown")
def element_for_the_others(dout, x):
    return dout[:, None] * x


@product.broken(x="unknown")
def random_signs(dout, x):
    signs = np.sign(np.random.default_rng(3).normal(size=x.shape))
    return signs * dout[:, None] * x.prod(axis=1, keepdims=True) / x


@logsumexp.broken(x="ignores_upstream")
def softmax_alone(dout, x):
    weights = np.exp(x)
    return weights / weights.sum(axis=1, keepdims=True)


@logsumexp.broken(x="wrong_axis")
def softmax_of_the_columns(dout, x):
    weights = np.exp(x)
    return dout[:, None] * weights / weights.sum(axis=0, keepdims=True)


@matmul.broken(a="transposed", b="transposed")
def operands_not_transposed(dout, a, b):
    return dout @ b, a @ dout


@matmul.broken(a="swapped_outputs", b="swapped_outputs")
def second_operand_first(dout, a, b):
    return a.T @ dout, dout @ b.T


@bilinear.broken(x="missing_path overwritten")
def symmetric_half(dout, x, m):
    return dout[:, None] * (x @ m.T), np.einsum("n,ni,nj->ij", dout, x, x)


@bilinear.broken(x="repeated_term")
def left_term_twice(dout, x, m):
    dx = dout[:, None] * (x @ m.T)
    return dx + dx + dout[:, None] * (x @ m), np.einsum("n,ni,nj->ij", dout, x, x)


@bilinear.broken(x="transposed scale missing_path repeated_term")
def two_m_x(dout, x, m):
    return 2 * dout[:, None] * (x @ m.T), np.einsum("n,ni,nj->ij", dout, x, x)


l1 = Function(
    "lasso",
    lambda x, w: F.mse_loss(x @ w, np.ones((4, 2))) + 0.1 * tc.abs(w).sum(),
    {"x": normal(4, 3), "w": normal(3, 2)},
    upstream=0.5,
    layer=True,
)


def lasso_gradients(dout, x, w, penalty):
    dpred = dout * 2 * (x @ w - 1) / 8
    return dpred @ w.T, x.T @ dpred + dout * penalty


@l1.broken(w="missing_regularization")
def penalty_forgotten(dout, x, w):
    return lasso_gradients(dout, x, w, 0)


@l1.broken(w="missing_regularization sign")
def penalty_of_the_wrong_sign(dout, x, w):
    return lasso_gradients(dout, x, w, -0.1 * np.sign(w))


@l1.broken(w="extra_regularization")
def ridge_on_top_of_lasso(dout, x, w):
    return lasso_gradients(dout, x, w, 0.1 * np.sign(w) + 0.2 * w)
