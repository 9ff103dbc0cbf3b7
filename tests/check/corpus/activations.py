"""Mistakes in activation functions."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F

from .case import Function, apart, normal, whole_numbers


def _sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def _softmax(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


relu = Function("relu", lambda x: F.relu(x), {"x": apart(4, 5)}, lambda x: (np.maximum(0, x), x))
leaky = Function("leaky relu", lambda x: F.leaky_relu(x, 0.1), {"x": apart(4, 5)})
sigmoid = Function("sigmoid", lambda x: F.sigmoid(x), {"x": normal(4, 5)})
tanh = Function("tanh", lambda x: F.tanh(x), {"x": normal(4, 5)})
softmax = Function("softmax", lambda x: F.softmax(x), {"x": normal(4, 5)}, layer=True)
log_softmax = Function("log softmax", lambda x: F.log_softmax(x), {"x": normal(4, 5)}, layer=True)
softplus = Function("softplus", lambda x: tc.log(1.0 + tc.exp(x)), {"x": normal(4, 5)})
swish = Function("swish", lambda x: x * F.sigmoid(x), {"x": normal(4, 5)})


@relu.broken(x="missing_mask")
def passes_everything(dout, x):
    return dout


@relu.broken(x="wrong_mask")
def masks_by_the_sign_of_the_gradient(dout, x):
    return dout * (dout > 0)


@relu.broken(x="wrong_mask")
def mask_inverted(dout, x):
    dx = dout.copy()
    dx[x > 0] = 0
    return dx


@relu.broken(x="ignores_upstream")
def mask_alone(dout, x):
    return np.where(x > 0, 1.0, 0.0)


@relu.at(upstream="ones").broken(x="ignores_upstream", shows_at={"x": apart(4, 5)})
def mask_alone_with_ones_upstream(dout, x):
    return (x > 0).astype(float)


@relu.broken(x="wrong_saved_value")
def multiplies_by_the_output(dout, x):
    return dout * np.maximum(0, x)


@relu.broken(whole="mutates_input")
def writes_into_dout(dout, x):
    dx = dout
    dx[x <= 0] = 0
    return dx


@leaky.broken(x="missing_mask scale")
def slope_everywhere_one(dout, x):
    return dout.copy()


@leaky.broken(x="wrong_mask")
def branches_exchanged(dout, x):
    return np.where(x < 0, dout, 0.1 * dout)


@leaky.at(inputs={"x": whole_numbers(4, 5, low=-2)}).broken(x="kink tie_convention")
def zero_belongs_to_both_branches(dout, x):
    dx = np.zeros_like(x)
    dx[x >= 0] += dout[x >= 0]
    dx[x <= 0] += 0.1 * dout[x <= 0]
    return dx


@relu.at(inputs={"x": whole_numbers(4, 5, low=-2)}).broken(x="kink")
def zero_divided_by_zero(dout, x):
    with np.errstate(invalid="ignore"):
        return dout * np.maximum(0, x) / x


@leaky.at(
    forward=lambda x: (np.where(x > 0, x, 0.01 * x), x), name="leaky relu of another slope"
).broken(whole="forward_differs")
def default_slope(dout, x):
    return np.where(x > 0, dout, 0.01 * dout)


@sigmoid.broken(x="wrong_saved_value")
def input_for_output(dout, x):
    return dout * x * (1 - x)


@sigmoid.broken(x="wrong_saved_value")
def sigmoid_of_the_output(dout, x):
    s = _sigmoid(x)
    return dout * _sigmoid(s) * (1 - _sigmoid(s))


@sigmoid.broken(x="sign")
def one_on_the_wrong_side(dout, x):
    s = _sigmoid(x)
    return dout * s * (s - 1)


@sigmoid.broken(x="precision", arrays=True)
def forward_difference(dout, x):
    h = 1e-2
    return dout * (_sigmoid(x + h) - _sigmoid(x)) / h


@sigmoid.broken(x="precision", arrays=True)
def copied_from_the_screen(dout, x):
    s = _sigmoid(x)
    return np.round(dout * s * (1 - s), 3)


@sigmoid.broken(x="unknown")
def clipped(dout, x):
    s = _sigmoid(x)
    return np.clip(dout * s * (1 - s), -0.1, 0.1)


def _in_place_after_saving(x):
    out = _sigmoid(x)
    cache = out
    out *= 2.0
    return out - 1.0, cache


@sigmoid.at(
    name="scaled sigmoid",
    reference=lambda x: 2.0 * F.sigmoid(x) - 1.0,
    forward=_in_place_after_saving,
).broken(x="wrong_saved_value")
def saved_then_changed_in_place(dout, s):
    return dout * 2.0 * s * (1 - s)


@tanh.broken(x="wrong_saved_value")
def square_of_the_input(dout, x):
    return dout * (1 - x**2)


@tanh.broken(x="ignores_upstream")
def derivative_alone(dout, x):
    return 1 - np.tanh(x) ** 2


@tanh.broken(x="precision", arrays=True)
def half_precision(dout, x):
    t = np.tanh(x).astype(np.float16)
    return dout.astype(np.float16) * (1 - t * t)


@tanh.broken(x="sign", arrays=True)
def derivative_of_tan(dout, x):
    return -(1 - np.tanh(x) ** 2) * dout


@softmax.broken(x="diagonal_only")
def like_a_sigmoid(dout, x):
    p = _softmax(x)
    return dout * p * (1 - p)


@softmax.broken(x="wrong_axis")
def sums_over_the_batch(dout, x):
    p = _softmax(x)
    return p * (dout - np.sum(dout * p, axis=0, keepdims=True))


@softmax.broken(x="ignores_upstream")
def row_sums_of_the_jacobian(dout, x):
    dx = np.zeros_like(x)
    for i, p in enumerate(_softmax(x)):
        jacobian = np.diag(p) - np.outer(p, p)
        dx[i] = jacobian @ np.ones_like(p)
    return dx


@softmax.broken(x="overwritten")
def last_column_of_the_jacobian_wins(dout, x):
    dx = np.zeros_like(x)
    for n, p in enumerate(_softmax(x)):
        for j in range(len(p)):
            for i in range(len(p)):
                dx[n, i] = dout[n, j] * p[j] * ((i == j) - p[i])
    return dx


@softmax.at(name="softmax at a temperature", reference=lambda x: F.softmax(x / 3.0)).broken(
    x="scale"
)
def forgets_the_temperature(dout, x):
    p = _softmax(x / 3.0)
    return p * (dout - (dout * p).sum(axis=1, keepdims=True))


def _normalised_over_the_batch(x):
    weights = np.exp(x)
    p = weights / weights.sum(axis=0)
    return p, p


@softmax.at(forward=_normalised_over_the_batch).broken(whole="forward_differs")
def over_the_batch(dout, p):
    return p * (dout - (dout * p).sum(axis=0))


@log_softmax.broken(x="diagonal_only")
def only_the_own_score(dout, x):
    return dout * (1 - _softmax(x))


@log_softmax.broken(x="missing_path diagonal_only")
def normaliser_is_a_constant(dout, x):
    return dout


@log_softmax.broken(x="wrong_saved_value")
def log_probabilities_for_probabilities(dout, x):
    logp = np.log(_softmax(x))
    return dout - logp * dout.sum(axis=1, keepdims=True)


@log_softmax.broken(x="sign")
def negative_log_likelihood(dout, x):
    return _softmax(x) * dout.sum(axis=1, keepdims=True) - dout


@softplus.broken(x="wrong_saved_value")
def sigmoid_of_softplus(dout, x):
    return dout * _sigmoid(np.log1p(np.exp(x)))


@softplus.broken(x="sign")
def minus_from_the_exponent(dout, x):
    return -dout * _sigmoid(x)


@swish.broken(x="missing_path")
def sigmoid_is_a_constant(dout, x):
    return dout * _sigmoid(x)


@swish.broken(x="repeated_term")
def direct_term_twice(dout, x):
    s = _sigmoid(x)
    dx = dout * s
    dx += dout * (s + x * s * (1 - s))
    return dx


@swish.broken(x="unknown", arrays=True)
def noisy(dout, x):
    s = _sigmoid(x)
    noise = np.random.default_rng(5).normal(size=x.shape)
    return dout * (s + x * s * (1 - s)) + 0.3 * noise
