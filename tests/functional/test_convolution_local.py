"""Locally connected layers against loops; every kind of convolution to second order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from arrays import close, normal, variable

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn.check import gradcheck
from tinygrad_cnn.errors import ShapeError


def window(x: np.ndarray, place: Any, kernel: Any, stride: Any, dilation: Any) -> Any:
    """What the window at a place sees of one image, (C, …), in which it fits."""
    axes = zip(place, kernel, stride, dilation, strict=True)
    return (slice(None), *(slice(i * s, i * s + d * (f - 1) + 1, d) for i, f, s, d in axes))


def by_loops(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    g: np.ndarray,
    stride: Any,
    pairs: Any,
    dilation: Any,
) -> tuple[np.ndarray, ...]:
    """The output, and with ``g`` as its gradient those by x, w and b, one number at a time."""
    axes = len(pairs)
    out, dx = np.zeros(g.shape), np.zeros_like(x)
    dx = np.pad(dx, ((0, 0), (0, 0), *pairs))
    padded, dw, db = np.pad(x, ((0, 0), (0, 0), *pairs)), np.zeros_like(w), np.zeros_like(b)
    for image, k, *place in np.ndindex(g.shape):
        here = (k, *place)
        inside = window(padded[image], place, w.shape[-axes:], stride, dilation)
        out[image, *here] = (padded[image][inside] * w[here]).sum() + b[here]
        dx[image][inside] += g[image, *here] * w[here]
        dw[here] += g[image, *here] * padded[image][inside]
        db[here] += g[image, *here]
    inner = tuple(slice(a, a + n) for n, (a, _) in zip(x.shape[2:], pairs, strict=True))
    return out, dx[:, :, *inner], dw, db


@pytest.mark.parametrize(
    ("shape", "kernel", "size", "stride", "padding", "dilation", "pairs"),
    [
        ((2, 3, 5, 6), (3, 2), (3, 5), 1, 0, 1, ((0, 0), (0, 0))),
        ((3, 2, 7, 5), (3, 3), (2, 3), (2, 1), (0, 1), (2, 2), ((0, 0), (1, 1))),
        ((2, 1, 4, 5), (2, 3), (4, 5), 1, "same", 1, ((0, 1), (1, 1))),
        ((1, 2, 3, 3), (1, 1), (2, 2), 2, 0, 1, ((0, 0), (0, 0))),
        ((2, 3, 7), (3,), (4,), 2, 1, 1, ((1, 1),)),
        ((2, 2, 5), (2,), (6,), 1, ((2, 1),), 2, ((2, 1),)),
    ],
)
def test_by_loops(
    shape: Any, kernel: Any, size: Any, stride: Any, padding: Any, dilation: Any, pairs: Any
) -> None:
    axes = len(size)
    layer = F.locally_connected1d if axes == 1 else F.locally_connected2d
    operands = [variable(*shape), variable(3, *size, shape[1], *kernel), variable(3, *size)]
    out = layer(*operands, stride, padding, dilation)
    g = normal(*out.shape, seed=1)
    each = [v if isinstance(v, tuple) else (v,) * axes for v in (stride, dilation)]
    expected = by_loops(*(np.array(v.data) for v in operands), g, each[0], pairs, each[1])
    for found, right in zip((out, *tc.gradients(out, operands, g)), expected, strict=True):
        close(found, right)


@pytest.mark.parametrize("axes", [1, 2])
def test_equal_filters_are_a_convolution(axes: int) -> None:
    """Whose gradient by a filter is the sum of those by its copies."""
    local, conv = [(F.locally_connected1d, F.conv1d), (F.locally_connected2d, F.conv2d)][axes - 1]
    kernel, space = (3, 2)[:axes], (7, 6)[:axes]
    x, shared, bias = normal(2, 3, *space), variable(4, 3, *kernel), variable(4)
    expected = conv(x, shared, bias, stride=2, padding=1)
    size = expected.shape[2:]
    ones = (1,) * axes
    copies = tc.broadcast_to(shared.reshape(4, *ones, 3, *kernel), (4, *size, 3, *kernel))
    biases = tc.broadcast_to(bias.reshape(4, *ones), (4, *size))
    found = local(x, copies, biases, stride=2, padding=1)
    close(found, expected)
    g = normal(*found.shape, seed=1)
    for one, other in zip(
        tc.gradients(found, [shared, bias], g),
        tc.gradients(expected, [shared, bias], g),
        strict=True,
    ):
        close(one, other)


def test_alexnets_first_layer_without_sharing() -> None:
    """55*55*96 = 290,400 neurons with 11*11*3 weights and a bias each, by the notes."""
    zero = np.float32(0.0)  # repeated: as many weights as the layer has, in the memory of one
    weight = np.broadcast_to(zero, (96, 55, 55, 3, 11, 11))
    bias = np.broadcast_to(zero, (96, 55, 55))
    assert weight.size + bias.size == 290_400 * 364 == 105_705_600
    image = np.ones((1, 3, 227, 227), np.float32)
    assert F.locally_connected2d(image, weight, bias, stride=4).shape == (1, 96, 55, 55)
    with pytest.raises(ShapeError, match=r"outputs of 55 x 55, .* has filters for 54 x 55"):
        F.locally_connected2d(image, weight[:, 1:], bias, stride=4)


X, W, B = normal(2, 4, 4, 5), normal(2, 2, 3, 2), normal(2)
SECOND_ORDER: dict[str, Any] = {
    "conv1d": (lambda x, w: F.conv1d(x, w, stride=2, padding="same"), (2, 2, 5), (3, 2, 3)),
    "conv2d": (
        lambda x, w: F.conv2d(x, w, padding=1, groups=2, padding_mode="reflect", flip=True),
        (1, 2, 3, 3), (2, 1, 2, 2),
    ),
    "conv3d": (lambda x, w: F.conv3d(x, w, dilation=(1, 2, 1)), (1, 2, 2, 3, 3), (2, 2, 2, 2, 2)),
    "conv_transpose1d": (
        lambda x, w: F.conv_transpose1d(x, w, None, 2, 1, 1), (2, 2, 3), (2, 3, 3)
    ),
    "conv_transpose2d": (
        lambda x, w: F.conv_transpose2d(x, w, None, (2, 1), groups=2), (1, 2, 3, 2), (2, 1, 2, 2)
    ),
    "conv_transpose3d": (lambda x, w: F.conv_transpose3d(x, w), (1, 1, 2, 2, 2), (1, 2, 2, 1, 2)),
    "locally_connected1d": (
        lambda x, w: F.locally_connected1d(x, w, padding=1), (2, 2, 3), (2, 3, 2, 3)
    ),
    "locally_connected2d": (
        lambda x, w: F.locally_connected2d(x, w, stride=2), (2, 1, 4, 4), (2, 2, 2, 1, 2, 2)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_second_order(name: str) -> None:
    function, x, w = SECOND_ORDER[name]
    report = gradcheck(function, [variable(*x), variable(*w, seed=1)], order=2)
    assert report.ok, str(report)
