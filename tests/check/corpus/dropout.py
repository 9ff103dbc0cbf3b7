# ruff: noqa: RUF059  (who writes a backward unpacks the whole cache)
"""Mistakes in dropout layers; the mask is an input, so that every call drops the same."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn import functional as F

from .case import Function, apart, mask, normal

P = 0.4
MASK = mask(5, 6, keep=1 - P)


def forward(x, kept):
    return x * kept / (1 - P), kept


dropout = Function(
    "dropout",
    lambda x, kept: x * (kept / (1 - P)),
    {"x": normal(5, 6), "kept": MASK},
    forward,
    layer=True,
)
spatial = dropout.at(
    name="spatial dropout",
    reference=lambda x, kept: x * (kept[:, :, None, None] / (1 - P)),
    inputs={"x": normal(4, 3, 3, 4), "kept": mask(4, 3, keep=1 - P)},
    forward=lambda x, kept: (x * kept[:, :, None, None] / (1 - P), kept),
)
after_relu = dropout.at(
    name="relu and dropout",
    reference=lambda x, kept: F.relu(x) * (kept / (1 - P)),
    inputs={"x": apart(5, 6), "kept": MASK},
    forward=lambda x, kept: (np.maximum(x, 0) * kept / (1 - P), (x, kept)),
)


@dropout.broken(x="missing_dropout_scale")
def not_divided_by_the_kept_share(dout, kept):
    return dout * kept


@spatial.broken(x="missing_dropout_scale")
def channels_not_rescaled(dout, kept):
    return dout * kept[:, :, None, None]


@after_relu.broken(x="missing_dropout_scale")
def both_masks_without_the_scale(dout, cache):
    x, kept = cache
    return dout * kept * (x > 0)


@dropout.broken(x="missing_mask")
def scaled_everywhere(dout, kept):
    return dout / (1 - P)


@after_relu.broken(x="missing_mask")
def relu_forgotten(dout, cache):
    x, kept = cache
    return dout * kept / (1 - P)


@after_relu.broken(x="missing_mask")
def dropout_forgotten(dout, cache):
    x, kept = cache
    return dout * (x > 0) / (1 - P)


@dropout.broken(x="wrong_mask")
def dropped_ones_learn(dout, kept):
    return dout * ~kept / (1 - P)


@dropout.broken(x="wrong_mask")
def another_mask(dout, kept):
    drawn = np.random.default_rng(1).random(dout.shape) >= P
    return dout * drawn / (1 - P)


@dropout.broken(x="scale")
def divided_by_the_dropped_share(dout, kept):
    return dout * kept / P


@dropout.broken(x="ignores_upstream")
def mask_and_scale_alone(dout, kept):
    return kept / (1 - P)


@dropout.broken(whole="state_between_calls", x="state_between_calls wrong_mask", fresh=True)
def draws_a_mask_at_every_call():
    rng = np.random.default_rng(7)

    def backward(dout, kept):
        return dout * (rng.random(dout.shape) >= P) / (1 - P)

    return backward


@dropout.broken(whole="mutates_input")
def scales_in_place(dout, kept):
    dout *= kept
    dout /= 1 - P
    return dout


@dropout.at(name="dropout without the scale", forward=lambda x, kept: (x * kept, kept)).broken(
    whole="forward_differs"
)
def vanilla_dropout(dout, kept):
    return dout * kept


@spatial.broken(x="wrong_mask")
def mask_of_the_next_image(dout, kept):
    return dout * np.roll(kept, 1, axis=0)[:, :, None, None] / (1 - P)


@after_relu.broken(x="wrong_mask")
def relu_mask_of_the_gradient(dout, cache):
    x, kept = cache
    return dout * kept * (dout > 0) / (1 - P)


@dropout.at(inputs={"x": normal(5, 6) * 10, "kept": MASK}).broken(
    x="missing_dropout_scale", arrays=True
)
def scaled_in_the_forward_alone(dout, kept):
    dx = np.zeros_like(dout)
    dx[kept] = dout[kept]
    return dx
