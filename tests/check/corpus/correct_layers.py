# ruff: noqa: RUF059  (who writes a backward unpacks the whole cache)
"""Right gradients in the many ways in which people write them: affine, convolution, pooling."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn import functional as F

from . import convolution, pooling
from .affine import affine, flat, linear, ridge, square
from .case import apart, normal, whole_numbers
from .windows import convolve, corners, crop, pad


@affine.correct()
def textbook(dout, cache):
    x, w, _ = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


@affine.correct()
def loops(dout, cache):
    x, w, b = cache
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(b)
    for n in range(x.shape[0]):
        for j in range(w.shape[1]):
            db[j] += dout[n, j]
            for i in range(w.shape[0]):
                dx[n, i] += dout[n, j] * w[i, j]
                dw[i, j] += dout[n, j] * x[n, i]
    return dx, dw, db


@affine.correct()
def einsum_and_a_dictionary(dout, cache):
    x, w, _ = cache
    return {
        "b": np.einsum("nj->j", dout),
        "w": np.einsum("ni,nj->ij", x, dout),
        "x": np.einsum("nj,ij->ni", dout, w),
    }


@affine.correct()
def a_list_in_fortran_order(dout, cache):
    x, w, _ = cache
    return [np.asfortranarray(dout @ w.T), (dout.T @ x).T, np.ones(len(x)) @ dout]


@affine.correct(arrays=True)
def arrays(dout, cache):
    return textbook(dout, cache)


@affine.correct(arrays=True)
def arrays_by_name(dout, cache):
    return einsum_and_a_dictionary(dout, cache)


@square.correct()
def views_of_larger_arrays(dout, cache):
    x, w, _ = cache
    room = np.full((8, 12), np.nan)
    room[::2, ::3] = dout @ w.T
    return room[::2, ::3], (x.T @ dout)[:], np.add.reduce(dout)


@flat.correct()
def reshapes_there_and_back(dout, cache):
    x, w, _ = cache
    rows = x.reshape(len(x), -1)
    return (dout @ w.T).reshape(x.shape), rows.T @ dout, dout.sum(0)


@affine.at(
    inputs={name: x.astype(np.float32) for name, x in affine.inputs.items()},
    name="affine in float32",
).correct()
def single_precision(dout, cache):
    x, w, _ = cache
    dout = dout.astype(np.float32)
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


@linear.correct(fresh=True)
def a_class_that_remembers_its_last_gradient():
    class Linear:
        grad = None

        def __call__(self, dout, x, weight):
            self.grad = dout.T @ x
            return dout @ weight, self.grad

    return Linear()


@ridge.correct()
def sum_of_squares_and_penalty(dout, x, w):
    dpred = dout * 2 * (x @ w) / (len(x) * w.shape[1])
    dw = x.T @ dpred
    dw += 0.2 * dout * w
    return dpred @ w.T, dw


@convolution.padded.correct()
def convolution_by_windows(dout, cache):
    return convolution.right(dout, cache, padding=1)


@convolution.strided.correct()
def strided_convolution_by_windows(dout, cache):
    dx, dw, db = convolution.right(dout, cache, 2, 1)
    return {"w": dw, "b": np.sum(dout, (0, 2, 3)), "x": dx}


@convolution.plain.correct()
def full_convolution_with_flipped_filters(dout, cache):
    x, w, _ = cache
    dx = convolve(pad(dout, 2), w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3), 1)
    dw = convolve(x.transpose(1, 0, 2, 3), dout.transpose(1, 0, 2, 3), 1)
    return dx, dw.transpose(1, 0, 2, 3), dout.sum(axis=(0, 2, 3))


@convolution.bare.correct()
def strided_views(dout, x, w, b):
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    dw = np.einsum("ncijrs,nkij->kcrs", windows, dout)
    dx = np.zeros(x.shape)
    for r, s in np.ndindex(3, 3):
        H, W = dout.shape[2:]
        dx[:, :, r : r + H, s : s + W] += np.einsum("nkij,kc->ncij", dout, w[:, :, r, s])
    return dx, dw, np.einsum("nkij->k", dout)


@convolution.strided.correct()
def dilated_dout(dout, cache):
    x, w, x_pad = cache
    _, dw, db = convolution.right(dout, cache, 2, 1)
    N, K, OH, OW = dout.shape
    wide = np.zeros((N, K, 2 * OH - 1, 2 * OW - 1))
    wide[:, :, ::2, ::2] = dout
    dx_pad = convolve(pad(wide, 2), w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3), 1)
    return crop(dx_pad, 1), dw, db


@convolution.flipped.correct()
def true_convolution(dout, x, w):
    dx, dw, _ = convolution.right(dout, (x, w[:, :, ::-1, ::-1], x))
    return dx, dw[:, :, ::-1, ::-1]


@pooling.max2.correct()
def switches(dout, x):
    return pooling.spread(dout, x, 2, 2)


@pooling.max3.correct()
def overlapping_windows(dout, x):
    return pooling.spread(dout, x, 3, 1)


@pooling.max3by2.correct()
def masks_that_add_up(dout, x):
    dx = np.zeros_like(x)
    for i, j, top, left in corners(dout, 2):
        window = x[:, :, top : top + 3, left : left + 3]
        hit = window == window.max(axis=(2, 3), keepdims=True)
        dx[:, :, top : top + 3, left : left + 3] += hit * dout[:, :, i, j, None, None]
    return dx


@pooling.max2.correct()
def reshaped_windows(dout, x):
    n, c, h, w = x.shape
    split = x.reshape(n, c, h // 2, 2, w // 2, 2)
    hit = split == split.max(axis=(3, 5), keepdims=True)
    return (hit * dout[:, :, :, None, :, None]).reshape(x.shape)


TIED = {"x": whole_numbers(3, 2, 4, 6)}


@pooling.max2.at(inputs=TIED).correct()
def first_winner_of_a_tie(dout, x):
    return pooling.spread(dout, x, 2, 2)


@pooling.max2.at(inputs=TIED).correct(nudges=(1e-7 * np.arange(144).reshape(3, 2, 4, 6),))
def last_winner_of_a_tie(dout, x):
    turned = pooling.spread(dout[:, :, ::-1, ::-1], x[:, :, ::-1, ::-1], 2, 2)
    return turned[:, :, ::-1, ::-1]


def _each_corner_first():
    for r, s in np.ndindex(2, 2):
        bonus = np.zeros((3, 2, 4, 6))
        bonus[:, :, r::2, s::2] = 1e-7
        yield bonus


@pooling.max_pool(2, 2, {"x": np.zeros((3, 2, 4, 6))}).correct(nudges=tuple(_each_corner_first()))
def winners_share(dout, x):
    n, c, h, w = x.shape
    split = x.reshape(n, c, h // 2, 2, w // 2, 2)
    hit = split == split.max(axis=(3, 5), keepdims=True)
    share = hit / hit.sum(axis=(3, 5), keepdims=True)
    return (share * dout[:, :, :, None, :, None]).reshape(x.shape)


@pooling.average2.correct()
def repeated_quarters(dout, x):
    return dout.repeat(2, axis=2).repeat(2, axis=3) * 0.25


@pooling.average3.correct()
def nine_shifts(dout, x):
    dx = np.zeros_like(x)
    for r, s in np.ndindex(3, 3):
        dx[:, :, r : r + dout.shape[2], s : s + dout.shape[3]] += dout / 9.0
    return dx


@pooling.average_padded.correct()
def cropped(dout, x):
    dx = np.zeros_like(pad(x, 1))
    for i, j, top, left in corners(dout, 2):
        dx[:, :, top : top + 3, left : left + 3] += dout[:, :, i, j, None, None] / 9
    return dx[:, :, 1:-1, 1:-1]


@pooling.global_average.correct()
def broadcast_view(dout, x):
    return np.broadcast_to(dout[..., None, None] / (x.shape[2] * x.shape[3]), x.shape)


@linear.at(inputs={"x": np.asfortranarray(normal(5, 4)), "weight": normal(3, 8)[:, ::2]}).correct()
def inputs_that_are_views(dout, x, weight):
    return np.einsum("nk,kd->nd", dout, weight), (x.T @ dout).T


@pooling.max_pool(2, 2, {"x": apart(1, 1, 2, 2)}).correct()
def one_window(dout, x):
    return pooling.spread(dout, x, 2, 2)


@linear.at(
    name="linear without gradient", reference=lambda x, weight: F.relu(F.linear(x, weight) - 100.0)
).correct()
def all_zeros(dout, x, weight):
    return np.zeros_like(x), np.zeros_like(weight)
