"""Right gradients in the many ways in which people write them: formulas."""

from __future__ import annotations

import numpy as np

from . import activations, elementwise, indexing, reductions
from .case import normal, whole_numbers

TIED = {"x": whole_numbers(4, 5, low=-1, high=2)}


@activations.relu.correct()
def product_with_the_mask(dout, x):
    return dout * (x > 0)


@activations.relu.at(inputs=TIED).correct(nudges=(1e-7,))
def one_at_zero(dout, x):
    return dout * (x >= 0)


@activations.relu.at(inputs=TIED).correct(nudges=(-1e-7, 1e-7))
def half_at_zero(dout, x):
    return dout * np.heaviside(x, 0.5)


@activations.relu.correct()
def copy_and_clear(dout, x):
    dx = np.array(dout, copy=True)
    dx[x <= 0] = 0
    return dx


@activations.leaky.correct()
def two_branches(dout, x):
    return {"x": np.select([x > 0, x <= 0], [dout, 0.1 * dout])}


@activations.sigmoid.correct()
def from_the_output(dout, x):
    s = 1 / (1 + np.exp(-x))
    return s * (1 - s) * dout


@activations.sigmoid.correct()
def by_hyperbolic_functions(dout, x):
    return dout / (4 * np.cosh(x / 2) ** 2)


@activations.sigmoid.at(
    name="sigmoid in float32", inputs={"x": normal(4, 5).astype(np.float32)}
).correct()
def single_precision(dout, x):
    s = np.float32(1) / (np.float32(1) + np.exp(-x))
    return dout.astype(np.float32) * s * (1 - s)


@activations.tanh.correct()
def one_minus_square(dout, x):
    return dout * (1 + np.tanh(x)) * (1 - np.tanh(x))


@activations.softmax.correct()
def without_a_jacobian(dout, x):
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    return p * (dout - np.einsum("nc,nc->n", dout, p)[:, None])


@activations.softmax.correct()
def jacobian_for_each_row(dout, x):
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    return np.stack([(np.diag(q) - np.outer(q, q)) @ d for q, d in zip(p, dout, strict=True)])


@activations.log_softmax.correct()
def minus_probabilities_of_the_total(dout, x):
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    return dout - p * dout.sum(axis=1, keepdims=True)


@activations.swish.correct()
def from_output_and_sigmoid(dout, x):
    s = 1 / (1 + np.exp(-x))
    out = x * s
    return dout * (out + s * (1 - out))


@elementwise.add.correct()
def vector_of_ones(dout, x, y):
    return dout.copy(), np.ones(len(dout)) @ dout


@elementwise.add.correct()
def dout_itself(dout, x, y):
    return dout, sum(dout)


@elementwise.multiply.correct()
def kept_axis(dout, x, y):
    return y * dout, np.einsum("ij,ij->i", dout, x).reshape(-1, 1)


@elementwise.divide.correct()
def through_the_output(dout, x, y):
    dx = dout / y
    return dx, -dx * (x / y)


@elementwise.log10.correct()
def logarithm_of_e(dout, x):
    return dout * np.log10(np.e) / x


@elementwise.absolute.correct()
def sign_of_x(dout, x):
    return dout * np.sign(x)


@elementwise.absolute.correct(nudges=(1e-7,))
def plus_one_at_zero(dout, x):
    return np.where(x >= 0, dout, -dout)


@elementwise.clip.correct()
def between_the_bounds(dout, x):
    return dout * ((x > -0.5) & (x < 0.5))


@elementwise.maximum.correct()
def larger_one_wins(dout, x, y):
    return dout * (x > y), dout * (y > x)


@elementwise.maximum.at(
    inputs={"x": whole_numbers(4, 3), "y": whole_numbers(4, 3, seed=1)}
).correct(nudges=(1e-7, -1e-7))
def halves_for_a_tie(dout, x, y):
    share = np.heaviside(x - y, 0.5)
    return dout * share, dout * (1 - share)


@reductions.mean.correct()
def divided_then_repeated(dout, x):
    return np.repeat(dout[None] / x.shape[0], x.shape[0], axis=0)


@reductions.variance.correct()
def all_pairs(dout, x):
    return dout * 2 * np.mean(x[:, None] - x[None], axis=1) / len(x)


@reductions.largest.correct()
def one_hot_winner(dout, x):
    return dout[:, None] * np.eye(x.shape[1])[x.argmax(axis=1)]


@reductions.length.at(inputs={"x": normal(4, 3) * [[1], [0], [1], [1]]}).correct()
def zero_at_the_origin(dout, x):
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return dout[:, None] * np.divide(x, norm, out=np.zeros_like(x), where=norm > 0)


@reductions.running.correct()
def reversed_cumsum(dout, x):
    return dout[:, ::-1].cumsum(axis=1)[:, ::-1]


@reductions.product.correct()
def product_by_quotient(dout, x):
    return (dout * np.prod(x, axis=1))[:, None] / x


@reductions.bilinear.correct()
def both_sides(dout, x, m):
    return dout[:, None] * (x @ (m + m.T)), (dout[:, None] * x).T @ x


@indexing.embedding.correct()
def one_hot_product(dout, w, words):
    return np.eye(len(w))[:, words] @ dout


@indexing.embedding.correct()
def unbuffered_addition(dout, w, words):
    dw = np.zeros_like(w)
    np.add.at(dw, words, dout)
    return dw


@indexing.joined.correct()
def two_views(dout, x, y):
    return np.split(dout, 2, axis=1)


@indexing.turned.correct()
def view_turned_back(dout, x):
    return dout.swapaxes(1, 2)


@indexing.rolled.correct()
def minus_its_own_difference(dout, x):
    return -np.diff(dout, axis=0, prepend=0, append=0)
