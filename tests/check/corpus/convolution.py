# ruff: noqa: RUF059  (who writes a backward unpacks the whole cache)
"""Mistakes in convolutional layers."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F

from .case import Function, normal
from .windows import convolve, corners, crop, input_gradient, pad, weight_gradient


def conv(stride, padding, size=(5, 6), kernel=(3, 3), **more):
    """A convolution with its forward; the cache is (x, w, padded x)."""

    def forward(x, w, b):
        x_pad = pad(x, padding)
        return convolve(x_pad, w, stride) + b[:, None, None], (x, w, x_pad)

    def reference(x, w, b):
        return F.conv2d(x, w, b, stride=stride, padding=padding)

    inputs = {"x": normal(4, 2, *size), "w": normal(3, 2, *kernel), "b": normal(3)}
    name = f"conv stride {stride} padding {padding}"
    return Function(name, reference, inputs, forward, layer=True).at(**more)


plain = conv(1, 0)
padded = conv(1, 1)
strided = conv(2, 1, size=(5, 7))
bare = Function("conv", plain.reference, plain.inputs, layer=True)


def right(dout, cache, stride=1, padding=0):
    x, w, x_pad = cache
    dx = crop(input_gradient(dout, x_pad, w, stride), padding)
    return dx, weight_gradient(dout, x_pad, w, stride), dout.sum(axis=(0, 2, 3))


@plain.broken(x="unflipped_kernel")
def full_convolution_without_the_flip(dout, cache):
    x, w, _ = cache
    _, dw, db = right(dout, cache)
    dx = convolve(pad(dout, 2), w.transpose(1, 0, 2, 3), 1)
    return dx, dw, db


@padded.broken(x="unflipped_kernel")
def flips_rows_alone(dout, cache):
    x, w, _ = cache
    _, dw, db = right(dout, cache, padding=1)
    return convolve(pad(dout, 1), w.transpose(1, 0, 2, 3)[:, :, ::-1], 1), dw, db


@plain.at(inputs={**plain.inputs, "w": np.ones((3, 2, 3, 3))}).broken(
    x="unflipped_kernel", shows_at=plain.inputs
)
def symmetric_filter_hides_the_missing_flip(dout, cache):
    return full_convolution_without_the_flip(dout, cache)


@plain.broken(w="unflipped_kernel")
def filter_gradient_flipped(dout, cache):
    dx, dw, db = right(dout, cache)
    return dx, dw[:, :, ::-1, ::-1], db


@plain.broken(x="overwritten")
def windows_overwrite_each_other(dout, cache):
    x, w, _ = cache
    _, dw, db = right(dout, cache)
    dx = np.zeros_like(x)
    for i, j, top, left in corners(dout, 1):
        dx[:, :, top : top + 3, left : left + 3] = np.tensordot(dout[:, :, i, j], w, axes=1)
    return dx, dw, db


@plain.broken(w="overwritten")
def last_position_wins(dout, cache):
    x, _, _ = cache
    dx, dw, db = right(dout, cache)
    for i, j, top, left in corners(dout, 1):
        window = x[:, :, top : top + 3, left : left + 3]
        dw = np.tensordot(dout[:, :, i, j], window, axes=(0, 0))
    return dx, dw, db


@strided.broken(x="stride_ignored")
def input_gradient_steps_by_one(dout, cache):
    x, w, x_pad = cache
    _, dw, db = right(dout, cache, 2, 1)
    dx_pad = input_gradient(dout, x_pad, w, 1)
    return crop(dx_pad, 1), dw, db


@strided.broken(w="stride_ignored")
def filter_gradient_steps_by_one(dout, cache):
    x, w, x_pad = cache
    dx, _, db = right(dout, cache, 2, 1)
    dw = np.zeros_like(w)
    OH, OW = dout.shape[2:]
    for r in range(3):
        for c in range(3):
            patch = x_pad[:, :, r : r + OH, c : c + OW]
            dw[:, :, r, c] = np.einsum("nkij,ncij->kc", dout, patch)
    return dx, dw, db


@padded.broken(x="padding_offset")
def crops_the_far_end_alone(dout, cache):
    x, w, x_pad = cache
    _, dw, db = right(dout, cache, padding=1)
    H, W = x.shape[2:]
    return input_gradient(dout, x_pad, w, 1)[:, :, :H, :W], dw, db


@padded.broken(x="padding_offset")
def crops_the_near_end_alone(dout, cache):
    x, w, x_pad = cache
    _, dw, db = right(dout, cache, padding=1)
    return input_gradient(dout, x_pad, w, 1)[:, :, 2:, 2:], dw, db


@padded.broken(x="padding_offset wrong_shape")
def padding_not_removed(dout, cache):
    x, w, x_pad = cache
    _, dw, db = right(dout, cache, padding=1)
    return input_gradient(dout, x_pad, w, 1), dw, db


@strided.broken(w="padding_offset")
def pads_the_far_end_alone(dout, cache):
    x, w, _ = cache
    dx, _, db = right(dout, cache, 2, 1)
    x_pad = np.pad(x, ((0, 0), (0, 0), (0, 2), (0, 2)))
    return dx, weight_gradient(dout, x_pad, w, 2), db


@plain.broken(x="rows_columns_swapped wrong_shape")
def result_reshaped_columns_first(dout, cache):
    x, w, x_pad = cache
    N, C, H, W = x.shape
    dx, dw, db = right(dout, cache)
    return dx.reshape(N, C, W, H), dw, db


@conv(1, 0, size=(5, 5)).broken(x="rows_columns_swapped", shows_at=plain.inputs)
def square_images_hide_the_reshape(dout, cache):
    return result_reshaped_columns_first(dout, cache)


@conv(1, 0, size=(5, 5)).broken(x="rows_columns_swapped transposed")
def writes_columns_as_rows(dout, cache):
    x, w, _ = cache
    _, dw, db = right(dout, cache)
    dx = np.zeros_like(x)
    for i, j, top, left in corners(dout, 1):
        spread = np.tensordot(dout[:, :, i, j], w, axes=1).transpose(0, 1, 3, 2)
        dx[:, :, left : left + 3, top : top + 3] += spread
    return dx, dw, db


@plain.broken(w="rows_columns_swapped transposed")
def filters_transposed(dout, cache):
    dx, dw, db = right(dout, cache)
    return dx, dw.transpose(0, 1, 3, 2), db


@conv(1, 0, kernel=(2, 3)).broken(w="rows_columns_swapped transposed")
def filters_of_another_form(dout, cache):
    dx, dw, db = right(dout, cache)
    return dx, dw.swapaxes(2, 3), db


@padded.broken(b="wrong_axis")
def bias_per_column(dout, cache):
    x, w, _ = cache
    dx, dw, _ = right(dout, cache, padding=1)
    return dx, dw, dout.sum(axis=(0, 1, 2))


@plain.broken(b="missing_broadcast_sum")
def bias_summed_over_the_batch_alone(dout, cache):
    dx, dw, _ = right(dout, cache)
    return dx, dw, dout.sum(axis=0)


@plain.broken(b="mean_for_sum")
def bias_averaged_over_positions(dout, cache):
    dx, dw, _ = right(dout, cache)
    return dx, dw, dout.mean(axis=(2, 3)).sum(axis=0)


@strided.broken(w="mean_for_sum", b="mean_for_sum")
def averages_the_batch(dout, cache):
    dx, dw, db = right(dout, cache, 2, 1)
    N = dout.shape[0]
    return dx, dw / N, db / N


@plain.broken(w="ignores_upstream", b="ignores_upstream")
def sums_windows_without_dout(dout, cache):
    dx, _, _ = right(dout, cache)
    _, dw, db = right(np.ones_like(dout), cache)
    return dx, dw, db


@(
    conv(1, 0, size=(4, 4), kernel=(3, 3))
    .at(inputs={"x": normal(4, 3, 4, 4), "w": normal(3, 3, 3, 3), "b": normal(3)})
    .broken(w="transposed")
)
def channels_of_input_and_output_exchanged(dout, cache):
    dx, dw, db = right(dout, cache)
    return dx, dw.transpose(1, 0, 2, 3), db


@padded.broken(whole="state_between_calls", fresh=True)
def filter_gradient_never_zeroed():
    grads = {}

    def backward(dout, cache):
        dx, dw, db = right(dout, cache, padding=1)
        grads["w"] = grads.get("w", 0) + dw
        return dx, grads["w"], db

    return backward


def _mathematical(x, w, b):
    flipped = w[:, :, ::-1, ::-1]
    return convolve(x, flipped, 1) + b[:, None, None], (x, flipped, x)


@plain.at(name="true convolution", forward=_mathematical).broken(whole="forward_differs")
def convolves_instead_of_correlating(dout, cache):
    dx, dw, db = right(dout, cache)
    return dx, dw[:, :, ::-1, ::-1], db


@padded.at(
    name="conv of images without their border",
    forward=lambda x, w, b: (
        convolve(pad(x[:, :, 1:-1, 1:-1], 2), w, 1) + b[:, None, None],
        (x, w, pad(x[:, :, 1:-1, 1:-1], 2)),
    ),
).broken(whole="forward_differs")
def blanks_the_border(dout, cache):
    x, w, x_pad = cache
    dx = pad(crop(input_gradient(dout, x_pad, w, 1), 2), 1)
    return dx, weight_gradient(dout, x_pad, w, 1), dout.sum(axis=(0, 2, 3))


flipped = Function(
    "true convolution by flip",
    lambda x, w: F.conv2d(x, tc.flip(w, (2, 3))),
    {"x": normal(3, 2, 5, 6), "w": normal(3, 2, 3, 3)},
    layer=True,
)


@flipped.broken(w="unflipped_kernel")
def filter_gradient_not_flipped_back(dout, x, w):
    dw = weight_gradient(dout, x, w, 1)
    return input_gradient(dout, x, w[:, :, ::-1, ::-1], 1), dw


@bare.broken(x="sign", w="sign", b="sign", arrays=True)
def ready_to_be_added(dout, x, w, b):
    dx, dw, db = right(dout, (x, w, x))
    return -dx, -dw, -db


@bare.broken(x="swapped_outputs", w="swapped_outputs", arrays=True)
def filters_first(dout, x, w, b):
    dx, dw, db = right(dout, (x, w, x))
    return {"x": dw, "w": dx, "b": db}


@bare.broken(x="unknown")
def noise_in_the_images(dout, x, w, b):
    dx, dw, db = right(dout, (x, w, x))
    return dx + np.random.default_rng(1).normal(size=dx.shape), dw, db


@bare.broken(w="precision", arrays=True)
def one_sided_differences(dout, x, w, b):
    dx, dw, db = right(dout, (x, w, x))
    eps = 1e-12
    for index in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[index] = eps
        change = convolve(x, w + step, 1) - convolve(x, w, 1)
        dw[index] = (change * dout).sum() / eps
    return dx, dw, db
