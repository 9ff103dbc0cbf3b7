"""Mistakes in pooling layers."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn import functional as F

from .case import Function, apart, normal, whole_numbers
from .windows import corners, crop, pad


def max_pool(size, stride, inputs=None, **more):
    """Max pooling with its forward; the cache is x."""

    def forward(x):
        oh, ow = ((length - size) // stride + 1 for length in x.shape[2:])
        out = np.zeros((*x.shape[:2], oh, ow))
        for i, j, top, left in corners(out, stride):
            out[:, :, i, j] = x[:, :, top : top + size, left : left + size].max(axis=(2, 3))
        return out, x

    def reference(x):
        return F.max_pool2d(x, size, stride)

    inputs = {"x": apart(3, 2, 4, 6)} if inputs is None else inputs
    name = f"max pool {size} stride {stride}"
    return Function(name, reference, inputs, forward, layer=True).at(**more)


def winners(x, i, j, size, top, left):
    window = x[i, j, top : top + size, left : left + size]
    return np.unravel_index(window.argmax(), window.shape)


max2 = max_pool(2, 2)
max3 = max_pool(3, 1, {"x": apart(2, 2, 5, 6)})
max3by2 = max_pool(3, 2, {"x": apart(2, 2, 5, 7)})


def spread(dout, x, size, stride, step=None):
    dx = np.zeros_like(x)
    for i, j, _, _ in corners(dout, stride):
        top, left = i * (step or stride), j * (step or stride)
        for n, c in np.ndindex(x.shape[:2]):
            r, s = winners(x, n, c, size, i * stride, j * stride)
            dx[n, c, top + r, left + s] += dout[n, c, i, j]
    return dx


@max3.broken(x="overwritten")
def overlapping_windows_overwrite(dout, x):
    dx = np.zeros_like(x)
    for i, j, top, left in corners(dout, 1):
        for n, c in np.ndindex(x.shape[:2]):
            r, s = winners(x, n, c, 3, top, left)
            dx[n, c, top + r, left + s] = dout[n, c, i, j]
    return dx


@max3by2.broken(x="overwritten")
def assigns_through_a_mask(dout, x):
    dx = np.zeros_like(x)
    for i, j, top, left in corners(dout, 2):
        window = x[:, :, top : top + 3, left : left + 3]
        hit = window == window.max(axis=(2, 3), keepdims=True)
        dx[:, :, top : top + 3, left : left + 3] = hit * dout[:, :, i, j, None, None]
    return dx


@max3by2.broken(x="stride_ignored")
def window_starts_at_i_j(dout, x):
    return spread(dout, x, 3, 2, step=1)


@max2.broken(x="missing_mask")
def every_element_gets_it(dout, x):
    return dout.repeat(2, axis=2).repeat(2, axis=3)


@max2.broken(x="wrong_mask wrong_index")
def smallest_element_gets_it(dout, x):
    dx = np.zeros_like(x)
    for i, j, top, left in corners(dout, 2):
        window = x[:, :, top : top + 2, left : left + 2]
        hit = window == window.min(axis=(2, 3), keepdims=True)
        dx[:, :, top : top + 2, left : left + 2] += hit * dout[:, :, i, j, None, None]
    return dx


@max2.broken(x="wrong_index wrong_mask")
def first_element_gets_it(dout, x):
    dx = np.zeros_like(x)
    dx[:, :, ::2, ::2] = dout
    return dx


@max2.at(inputs={"x": whole_numbers(3, 2, 4, 6)}).broken(x="tie_convention")
def all_winners_get_everything(dout, x):
    dx = np.zeros_like(x)
    for i, j, top, left in corners(dout, 2):
        window = x[:, :, top : top + 2, left : left + 2]
        hit = window == window.max(axis=(2, 3), keepdims=True)
        dx[:, :, top : top + 2, left : left + 2] += hit * dout[:, :, i, j, None, None]
    return dx


@max_pool(2, 2, {"x": np.maximum(0, apart(3, 2, 4, 6))}).broken(x="tie_convention")
def ties_after_a_relu(dout, x):
    rows, columns = dout.repeat(2, 2).repeat(2, 3), max2.forward(x)[0].repeat(2, 2).repeat(2, 3)
    return rows * (x == columns)


@max2.broken(x="ignores_upstream")
def switches_alone(dout, x):
    return spread(np.ones_like(dout), x, 2, 2)


@max2.broken(x="rows_columns_swapped wrong_shape")
def reshaped_columns_first(dout, x):
    N, C, H, W = x.shape
    return spread(dout, x, 2, 2).reshape(N, C, W, H)


@max2.at(inputs={"x": apart(3, 2, 4, 4)}).broken(x="rows_columns_swapped", shows_at=max2.inputs)
def square_images_hide_the_reshape(dout, x):
    return reshaped_columns_first(dout, x)


@max2.broken(whole="mutates_input")
def spends_the_image(dout, x):
    dx = np.zeros_like(x)
    for i, j, top, left in corners(dout, 2):
        for n, c in np.ndindex(x.shape[:2]):
            r, s = winners(x, n, c, 2, top, left)
            dx[n, c, top + r, left + s] = dout[n, c, i, j]
            x[n, c, top + r, left + s] = -np.inf
    return dx


def _average(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).mean(axis=(3, 5)), x


def _average_gradient(dout, x):
    return dout.repeat(2, axis=2).repeat(2, axis=3) / 4


max2.at(name="average for max pool", forward=_average).broken(whole="forward_differs")(
    _average_gradient
)

average2 = Function(
    "average pool", lambda x: F.avg_pool2d(x, 2), {"x": normal(3, 2, 4, 6)}, _average, layer=True
)
average3 = Function(
    "overlapping average pool",
    lambda x: F.avg_pool2d(x, 3, 1),
    {"x": normal(3, 2, 5, 6)},
    layer=True,
)
average_padded = Function(
    "padded average pool",
    lambda x: F.avg_pool2d(x, 3, 2, padding=1),
    {"x": normal(3, 2, 5, 7)},
    layer=True,
)
global_average = Function(
    "global average pool", lambda x: x.mean((2, 3)), {"x": normal(3, 2, 4, 6)}, layer=True
)


@average2.broken(x="scale missing_mean")
def not_divided_by_the_window(dout, x):
    return np.kron(dout, np.ones((2, 2)))


@average2.broken(x="scale")
def divided_by_one_side_alone(dout, x):
    return dout.repeat(2, axis=2).repeat(2, axis=3) / 2


@average3.broken(x="overwritten")
def windows_overwrite(dout, x):
    dx = np.zeros_like(x)
    for i, j, top, left in corners(dout, 1):
        dx[:, :, top : top + 3, left : left + 3] = dout[:, :, i, j, None, None] / 9
    return dx


@average_padded.broken(x="stride_ignored")
def windows_one_apart(dout, x):
    dx = np.zeros_like(pad(x, 1))
    for i, j, _, _ in corners(dout, 2):
        dx[:, :, i : i + 3, j : j + 3] += dout[:, :, i, j, None, None] / 9
    return crop(dx, 1)


@average_padded.broken(x="padding_offset")
def windows_without_padding(dout, x):
    dx = np.zeros_like(pad(x, 1))
    for i, j, top, left in corners(dout, 2):
        dx[:, :, top : top + 3, left : left + 3] += dout[:, :, i, j, None, None] / 9
    return dx[:, :, : x.shape[2], : x.shape[3]]


@global_average.broken(x="missing_mean scale")
def not_divided_by_the_area(dout, x):
    return np.broadcast_to(dout[:, :, None, None], x.shape)


@global_average.broken(x="rows_columns_swapped transposed wrong_shape")
def width_before_height(dout, x):
    N, C, H, W = x.shape
    return np.ones((N, C, W, H)) * dout[:, :, None, None] / (H * W)


@global_average.at(inputs={"x": normal(3, 2, 5, 5)}).broken(
    x="rows_columns_swapped", shows_at=global_average.inputs
)
def square_images_hide_it(dout, x):
    return width_before_height(dout, x)


@global_average.at(inputs={"x": normal(3, 2, 5, 5)}).broken(
    x="scale rows_columns_swapped", shows_at=global_average.inputs
)
def square_of_the_height(dout, x):
    H = x.shape[2]
    return np.broadcast_to(dout[:, :, None, None] / H**2, x.shape).copy()


@global_average.broken(x="wrong_shape")
def left_to_broadcasting(dout, x):
    return dout[:, :, None, None] / np.prod(x.shape[2:])
