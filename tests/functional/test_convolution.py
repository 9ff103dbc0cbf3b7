"""Convolutions against SciPy, loops and the numbers of the course; adjoints; how windows fit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from arrays import close, normal, variable
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn import ops
from tinygrad_cnn._core.backprop import consumers_first
from tinygrad_cnn.errors import ShapeError

# -- true convolution -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "padding"), [("full", "full"), ("valid", "valid"), ("same", "same_lower")]
)
@pytest.mark.parametrize("kernel", [(3, 3), (2, 4), (1, 5), (4, 3)])
def test_flipped_convolution_is_scipys(mode: Any, padding: str, kernel: tuple[int, int]) -> None:
    """The middle that SciPy calls "same" has one more element before it where it is not even."""
    signal = pytest.importorskip("scipy.signal")
    x, w = normal(6, 7), normal(*kernel)
    out = F.conv2d(x[None, None], w[None, None], padding=padding, flip=True)
    close(out[0, 0], signal.convolve2d(x, w, mode))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_flipped_convolution_commutes(axes: int) -> None:
    conv = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    a, b = normal(1, 1, *(4, 5, 3)[:axes]), normal(1, 1, *(2, 3, 4)[:axes])
    out = conv(a, b, padding="full", flip=True)
    assert out.shape[2:] == tuple(m + k - 1 for m, k in zip(a.shape[2:], b.shape[2:], strict=True))
    close(out, conv(b, a, padding="full", flip=True))
    assert not np.allclose(conv(a, b, padding="full"), conv(b, a, padding="full"))
    signal = pytest.importorskip("scipy.signal")
    close(out[0, 0], signal.convolve(a[0, 0], b[0, 0], method="direct"))


def test_flip_turns_every_filter_and_leaves_the_channels() -> None:
    x, w = normal(2, 4, 5, 6), normal(6, 2, 3, 2)
    close(F.conv2d(x, w, groups=2, flip=True), F.conv2d(x, w[:, :, ::-1, ::-1], groups=2))


# -- padding --------------------------------------------------------------------------------


@given(
    n=st.integers(1, 12), f=st.integers(1, 6), s=st.integers(1, 4), d=st.integers(1, 3),
    name=st.sampled_from(["same", "same_lower", "full", "valid"]),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_sizes_by_name(n: int, f: int, s: int, d: int, name: str) -> None:
    extent = d * (f - 1) + 1
    if name == "valid" and extent > n:
        return
    out = F.conv1d(np.ones((1, 1, n)), np.ones((1, 1, f)), stride=s, dilation=d, padding=name)
    expected = {
        "same": math.ceil(n / s),
        "same_lower": math.ceil(n / s),
        "valid": (n - extent) // s + 1,
        "full": (n + extent - 2) // s + 1,
    }
    assert out.shape == (1, 1, expected[name])


def test_an_even_filter_sees_one_more_on_the_side_that_is_named() -> None:
    x, w = tc.tensor([[[1.0, 2.0, 4.0]]]), tc.ones(1, 1, 2)
    assert F.conv1d(x, w, padding="same").tolist() == [[[3.0, 6.0, 4.0]]]
    assert F.conv1d(x, w, padding="same_lower").tolist() == [[[1.0, 3.0, 6.0]]]
    assert F.conv1d(x, w, padding=((1, 0),)).tolist() == [[[1.0, 3.0, 6.0]]]
    assert F.conv1d(x, w, padding="full").tolist() == [[[1.0, 3.0, 6.0, 4.0]]]


@pytest.mark.parametrize(
    ("mode", "numpys"),
    [("zeros", "constant"), ("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")],
)
def test_padding_modes_are_numpys(mode: Any, numpys: Any) -> None:
    x, one = normal(2, 1, 4, 5), np.ones((1, 1, 1, 1))
    for pairs in (((2, 1), (0, 3)), ((3, 3), (4, 4)), ((0, 0), (0, 1))):
        found = F.conv2d(x, one, padding=pairs, padding_mode=mode)
        np.testing.assert_array_equal(found, np.pad(x, ((0, 0), (0, 0), *pairs), mode=numpys))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_the_batch_stays_innermost_in_memory(mode: Any) -> None:
    x = normal(3, 2, 6, 6)
    outputs = [
        F.conv2d(x, normal(4, 2, 3, 3), normal(4), padding=1, padding_mode=mode),
        F.conv_transpose2d(x, normal(2, 4, 3, 3), normal(4), stride=2, padding=1),
        F.locally_connected2d(x, normal(4, 4, 4, 2, 3, 3), normal(4, 4, 4)),
    ]
    for out in outputs:
        assert np.argmin(out.numpy().strides) == 0


def test_dilation_spreads_the_filter() -> None:
    """The notes: w[0]*x[0] + w[1]*x[2] + w[2]*x[4], dilation 1 there, 2 here and in PyTorch."""
    x, w = normal(1, 1, 7), normal(1, 1, 3)
    out = F.conv1d(x, w, dilation=2)
    close(out[0, 0, 0], w[0, 0, 0] * x[0, 0, 0] + w[0, 0, 1] * x[0, 0, 2] + w[0, 0, 2] * x[0, 0, 4])
    spread = np.zeros((1, 1, 5))
    spread[..., ::2] = w
    close(out, F.conv1d(x, spread))
    close(F.conv1d(x, w, dilation=1), F.conv1d(x, w))


# -- how the windows fit --------------------------------------------------------------------


def test_ten_pixels_three_wide_at_stride_two() -> None:
    x, w = variable(1, 1, 10), normal(1, 1, 3)
    with pytest.raises(ShapeError, match=r"\(10 - 3 \+ 2\*0\)/2 \+ 1 = 4\.5: the windows do not"):
        F.conv1d(x, w, stride=2, fit="exact")
    floor, crop, pad = (F.conv1d(x, w, stride=2, fit=fit) for fit in ("floor", "crop", "pad"))
    assert (floor.shape[2], crop.shape[2], pad.shape[2]) == (4, 4, 5)
    close(crop, floor)
    close(pad, F.conv1d(x, w, stride=2, padding=((0, 1),)))
    for out in (floor, crop):
        [slope] = tc.gradients(out.sum(), [x])
        assert slope[0, 0, 9].item() == 0.0
    close(F.conv1d(x[:, :, :9], w, stride=2, fit="exact"), floor)


def test_alexnets_first_layer() -> None:
    filters = np.zeros((96, 3, 11, 11), np.float32)

    def layer(size: int, **options: Any) -> tc.Tensor:
        return F.conv2d(np.zeros((1, 3, size, size), np.float32), filters, stride=4, **options)

    assert layer(227, fit="exact").shape == (1, 96, 55, 55)
    with pytest.raises(ShapeError) as raised:
        layer(224, fit="exact")
    message = str(raised.value)
    assert "(224 - 11 + 2*0)/4 + 1 = 54.25" in message
    assert "3 more of padding in total (227) would give 55" in message
    assert "padding 2 with fit='floor'" in message
    assert layer(224, padding=2).shape[2:] == (55, 55)
    assert layer(224, padding=((1, 2), (1, 2)), fit="exact").shape[2:] == (55, 55)
    assert layer(224, fit="pad").shape[2:] == (55, 55)
    assert layer(224, fit="crop").shape[2:] == layer(224).shape[2:] == (54, 54)


@given(
    n=st.integers(8, 14), f=st.integers(1, 14), s=st.integers(1, 5), p=st.integers(0, 2),
    mode=st.sampled_from(["zeros", "replicate", "circular"]),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_what_the_message_proposes_fits(n: int, f: int, s: int, p: int, mode: Any) -> None:
    x, w = normal(1, 1, n), normal(1, 1, f)
    if n + 2 * p < f:
        for fit in ("floor", "exact", "pad", "crop"):
            with pytest.raises(ShapeError, match="does not fit into images"):
                F.conv1d(x, w, stride=s, padding=p, fit=fit, padding_mode=mode)
        return
    exact = (n + 2 * p - f) % s == 0
    outputs = {
        fit: F.conv1d(x, w, stride=s, padding=p, fit=fit, padding_mode=mode)
        for fit in ("floor", "pad", "crop")
    }
    np.testing.assert_array_equal(outputs["crop"], outputs["floor"])
    sizes = {fit: out.shape[2] for fit, out in outputs.items()}
    assert sizes["floor"] == sizes["crop"] == (n + 2 * p - f) // s + 1
    assert sizes["pad"] == sizes["floor"] + (not exact)
    if exact:
        assert F.conv1d(x, w, stride=s, padding=p, fit="exact").shape[2] == sizes["floor"]
        return
    with pytest.raises(ShapeError) as raised:
        F.conv1d(x, w, stride=s, padding=p, fit="exact")
    proposed = str(raised.value).partition("as would padding ")[2].partition(";")[0]
    options: dict[str, Any] = {"padding": int(proposed.split()[0]), "fit": "exact"}
    if "floor" in proposed:
        with pytest.raises(ShapeError):
            F.conv1d(x, w, stride=s, **options)
        options["fit"] = "floor"
    assert F.conv1d(x, w, stride=s, **options).shape[2] == sizes["pad"]


# -- the matrix product of the course ---------------------------------------------------------


def test_im2col_of_the_course() -> None:
    x, w = normal(1, 3, 227, 227), normal(96, 3, 11, 11)
    x_col, w_row = tc.im2col(x, 11, stride=4), w.reshape(96, -1)
    assert x_col.shape == (363, 3025)
    assert w_row.shape == (96, 363)
    product = w_row @ x_col
    assert product.shape == (96, 3025)
    out = F.conv2d(x, w, stride=4)
    np.testing.assert_array_equal(out[0], product.reshape(96, 55, 55))


def test_the_windows_of_the_course() -> None:
    """The notes, with axes as here: V[0, 0, 1, 0] = np.sum(X[2:7, :5, :] * W0) + b0."""
    x, w, b = normal(1, 4, 11, 11), normal(2, 4, 5, 5), normal(2)
    out = F.conv2d(x, w, b, stride=2, fit="exact")
    assert out.shape == (1, 2, 4, 4)
    close(out[0, 0, 1, 0], np.sum(x[0, :, 2:7, :5] * w[0]) + b[0])
    close(out[0, 1, 2, 3], np.sum(x[0, :, 4:9, 6:11] * w[1]) + b[1])


def test_a_filter_of_one_pixel_is_a_linear_layer_at_each_pixel() -> None:
    x, w, b = variable(2, 3, 4, 5), variable(6, 3, 1, 1), variable(6)
    convolved = F.conv2d(x, w, b)
    linear = F.linear(tc.moveaxis(x, 1, -1), w.reshape(6, 3), b)
    close(tc.moveaxis(convolved, 1, -1), linear)
    g = normal(2, 6, 4, 5)
    for one, other in zip(
        tc.gradients(convolved, [x, w, b], g),
        tc.gradients(linear, [x, w, b], np.moveaxis(g, 1, -1)),
        strict=True,
    ):
        close(one, other)


def test_the_backward_pass_in_one_dimension_by_hand() -> None:
    """y = (a x0 + b x1, a x1 + b x2): dx = (a g0, b g0 + a g1, b g1), dw = (x0 g0 + x1 g1, …)."""
    x, w = tc.tensor([[[2.0, 3.0, 5.0]]], requires_grad=True), tc.tensor([[[7.0, 11.0]]])
    w.requires_grad = True
    dx, dw = tc.gradients(F.conv1d(x, w), [x, w], np.array([[[1.0, 10.0]]]))
    assert dx.tolist() == [[[7.0, 11.0 + 70.0, 110.0]]]
    assert dw.tolist() == [[[2.0 + 30.0, 3.0 + 50.0]]]


def test_the_backward_pass_of_a_convolution_is_a_convolution() -> None:
    x, w = variable(2, 3, 6, 7), variable(4, 3, 3, 2)
    g = normal(2, 4, 4, 6)
    dx, dw = tc.gradients(F.conv2d(x, w), [x, w], g)
    channels_exchanged = np.swapaxes(w.numpy(), 0, 1)
    close(dx, F.conv2d(g, channels_exchanged, padding="full", flip=True))
    close(dw, F.conv2d(x.numpy().swapaxes(0, 1), g.swapaxes(0, 1)).numpy().swapaxes(0, 1))


# -- transposed -----------------------------------------------------------------------------


@given(
    axes=st.integers(1, 3), groups=st.integers(1, 2),
    settings_=st.lists(
        st.tuples(*[st.integers(1, 3)] * 2, st.integers(0, 2), st.integers(1, 2)),
        min_size=3, max_size=3,
    ),
    size=st.tuples(*[st.integers(5, 8)] * 3),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_adjoint(axes: int, groups: int, settings_: Any, size: Any) -> None:
    """<conv(x), y> = <x, conv_transpose(y)> for all x and y, whatever the stride leaves over."""
    kernel, stride, padding, dilation = zip(*settings_[:axes], strict=True)
    conv = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    back = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
    x, w = normal(2, 4, *size[:axes]), normal(6, 4 // groups, *kernel)
    out = conv(x, w, None, stride, padding, dilation, groups)
    y = normal(*out.shape, seed=1)
    rest = tuple(
        (n + 2 * p - d * (f - 1) - 1) % s
        for n, f, s, p, d in zip(size, kernel, stride, padding, dilation, strict=False)
    )
    returned = back(y, w, None, stride, padding, rest, groups, dilation)
    assert returned.shape == x.shape
    assert (out.numpy() * y).sum() == pytest.approx((x * returned.numpy()).sum(), rel=1e-10)


def test_transposed_is_the_gradient_of_convolution() -> None:
    x, w = variable(2, 3, 7, 7), normal(4, 3, 3, 3)
    out = F.conv2d(x, w, stride=2, padding=1)
    g = normal(*out.shape, seed=1)
    [slope] = tc.gradients(out, [x], g)
    close(slope, F.conv_transpose2d(g, w, stride=2, padding=1))


def test_what_a_transposed_convolution_records() -> None:
    x, w, b = variable(2, 3, 4, 4), variable(3, 4, 3, 3), variable(4)
    out = F.conv_transpose2d(x, w, b, stride=2, padding=1)
    nodes = [n for n in consumers_first([out.node]) if n.primitive is not None]
    names = {n.primitive.name for n in nodes}
    assert names == {"transpose", "reshape", "matmul", "col2im", "crop", "add"}
    assert {n.scope.path for n in nodes} == {"conv_transpose2d"}
    cost = sum(
        ops.flops(n.primitive.name, [np.shape(a) for a in n.args], np.shape(n.ans), n.params)
        for n in nodes
    )
    pixels, filters = 2 * 3 * 16, 4 * 9
    sums = 2 * 16 * filters  # of a pixel's channels, each added where it lies
    assert cost == 2 * pixels * filters + sums + 2 * 4 * 7 * 7
