"""Mistakes in losses."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F

from .case import Function, labels, normal, positive

Y = labels(2, 0, 1, 1, 3, 2)
SCORES = {"scores": normal(6, 4), "y": Y}
cross_entropy = Function(
    "cross entropy", lambda scores, y: F.cross_entropy(scores, y), SCORES, upstream=0.5, layer=True
)
summed = cross_entropy.at(
    name="summed cross entropy",
    reference=lambda scores, y: F.cross_entropy(scores, y, reduction="sum"),
)
hinge = Function("svm", lambda scores, y: F.hinge_loss(scores, y), SCORES, upstream=0.5, layer=True)


def softmax(x):
    weights = np.exp(x - x.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def softmax_minus_one(scores, y):
    p = softmax(scores)
    p[np.arange(len(y)), y] -= 1
    return p


@cross_entropy.broken(scores="missing_mean")
def not_divided_by_the_batch(dout, scores, y):
    return dout * softmax_minus_one(scores, y)


@summed.broken(scores="mean_for_sum")
def divided_by_the_batch(dout, scores, y):
    return dout * softmax_minus_one(scores, y) / len(y)


@cross_entropy.broken(scores="scale")
def divided_by_the_classes(dout, scores, y):
    return dout * softmax_minus_one(scores, y) / scores.shape[1]


@cross_entropy.broken(scores="missing_path")
def one_not_subtracted(dout, scores, y):
    return dout * softmax(scores) / len(y)


@cross_entropy.broken(scores="diagonal_only missing_path")
def derivative_of_the_right_score_alone(dout, scores, y):
    dscores = np.zeros_like(scores)
    rows = np.arange(len(y))
    dscores[rows, y] = softmax(scores)[rows, y] - 1
    return dout * dscores / len(y)


@cross_entropy.broken(scores="sign")
def target_minus_prediction(dout, scores, y):
    return -dout * softmax_minus_one(scores, y) / len(y)


@cross_entropy.broken(scores="wrong_index")
def classes_counted_from_one(dout, scores, y):
    return dout * softmax_minus_one(scores, y - 1) / len(y)


@cross_entropy.broken(scores="wrong_index")
def predicted_class_instead(dout, scores, y):
    return dout * softmax_minus_one(scores, scores.argmax(axis=1)) / len(y)


@cross_entropy.broken(scores="wrong_index")
def every_column_named_in_y(dout, scores, y):
    p = softmax(scores)
    p[:, y] -= 1
    return dout * p / len(y)


@cross_entropy.at(inputs={"scores": normal(6, 4), "y": labels(0, 0, 0, 0, 0, 0)}).broken(
    scores="wrong_index", shows_at=SCORES
)
def first_column_always(dout, scores, y):
    p = softmax(scores)
    p[:, 0] -= 1
    return dout * p / len(y)


@cross_entropy.broken(scores="wrong_saved_value")
def scores_for_probabilities(dout, scores, y):
    dscores = scores.copy()
    dscores[np.arange(len(y)), y] -= 1
    return dout * dscores / len(y)


@cross_entropy.broken(scores="ignores_upstream")
def last_layer_never_looks_at_dout(dout, scores, y):
    return softmax_minus_one(scores, y) / len(y)


@cross_entropy.broken(whole="mutates_input")
def shifts_the_scores_in_place(dout, scores, y):
    scores -= scores.max(axis=1, keepdims=True)
    p = np.exp(scores)
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    return dout * p / len(y)


@cross_entropy.broken(scores="precision", arrays=True)
def rounded(dout, scores, y):
    return np.round(dout * softmax_minus_one(scores, y) / len(y), 3)


@cross_entropy.broken(scores="wrong_shape")
def one_number_for_each_sample(dout, scores, y):
    p = softmax_minus_one(scores, y)
    return (dout * p / len(y)).ravel()


@cross_entropy.at(
    name="summed for mean cross entropy",
    forward=lambda scores, y: (
        -np.log(softmax(scores)[np.arange(len(y)), y]).sum(),
        (scores, y),
    ),
).broken(whole="forward_differs")
def loss_of_the_sum(dout, cache):
    return dout * softmax_minus_one(*cache)


def margins(scores, y):
    rows = np.arange(len(y))
    found = scores - scores[rows, y][:, None] + 1
    found[rows, y] = 0
    return found


def counted(hits, y):
    dscores = hits.astype(float)
    dscores[np.arange(len(y)), y] -= hits.sum(axis=1)
    return dscores


@hinge.broken(scores="missing_path")
def right_class_forgotten(dout, scores, y):
    hits = margins(scores, y) > 0
    return dout * hits / len(y)


@hinge.broken(scores="wrong_mask")
def margins_above_one(dout, scores, y):
    hits = margins(scores, y) > 1
    return dout * counted(hits, y) / len(y)


@hinge.broken(scores="missing_mask")
def every_margin_counts(dout, scores, y):
    hits = np.ones(scores.shape)
    hits[np.arange(len(y)), y] = 0
    return dout * counted(hits, y) / len(y)


@hinge.broken(scores="wrong_index")
def subtracts_from_the_first_class(dout, scores, y):
    hits = (margins(scores, y) > 0).astype(float)
    hits[:, 0] -= hits.sum(axis=1)
    return dout * hits / len(y)


@hinge.broken(scores="missing_mean")
def sum_of_margins(dout, scores, y):
    return dout * counted(margins(scores, y) > 0, y)


@hinge.broken(scores="sign")
def towards_larger_margins(dout, scores, y):
    hits = margins(scores, y) > 0
    return -dout * counted(hits, y) / len(y)


TARGETS = {"x": normal(5, 3), "target": normal(5, 3, seed=1)}
mse = Function("mse", lambda x, target: F.mse_loss(x, target), TARGETS, upstream=0.5, layer=True)


@mse.broken(x="scale", target="scale")
def two_forgotten(dout, x, target):
    dx = dout * (x - target) / x.size
    return dx, -dx


@mse.broken(x="missing_mean", target="missing_mean")
def sum_of_squares(dout, x, target):
    dx = dout * 2 * (x - target)
    return dx, -dx


@mse.broken(x="scale missing_mean", target="scale missing_mean")
def divided_by_the_rows_alone(dout, x, target):
    dx = dout * 2 * (x - target) / x.shape[0]
    return dx, -dx


@mse.broken(target="sign")
def same_gradient_for_both(dout, x, target):
    dx = dout * 2 * (x - target) / x.size
    return dx, dx


@mse.broken(x="swapped_outputs sign", target="swapped_outputs sign")
def target_first(dout, x, target):
    dx = dout * 2 * (x - target) / x.size
    return -dx, dx


@mse.broken(x="unknown", target="unknown")
def gradient_of_the_absolute_value(dout, x, target):
    dx = dout * np.sign(x - target) * np.abs(x - target) ** 0.3 / x.size
    return dx, -dx


bce = Function(
    "binary cross entropy",
    lambda x, t: -(t * tc.log(F.sigmoid(x)) + (1.0 - t) * tc.log(1.0 - F.sigmoid(x))).mean(),
    {"x": normal(6), "t": labels(1, 0, 0, 1, 1, 0)},
    upstream=0.5,
    layer=True,
)


@bce.broken(x="missing_path overwritten")
def positives_alone(dout, x, t):
    s = 1 / (1 + np.exp(-x))
    return -dout * t * (1 - s) / x.size


@bce.broken(x="missing_mean")
def classic_without_the_mean(dout, x, t):
    return dout * (1 / (1 + np.exp(-x)) - t)


entropy = Function(
    "entropy",
    lambda p: -(p * tc.log(p)).sum(),
    {"p": positive(3, 4)},
    upstream=0.5,
)


@entropy.broken(p="missing_path")
def logarithm_is_a_constant(dout, p):
    return -dout * np.log(p)


@entropy.broken(p="sign")
def minus_forgotten(dout, p):
    return dout * (np.log(p) + 1)
