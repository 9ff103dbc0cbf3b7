# ruff: noqa: E501  (the table of errors has one line for each)
"""Operations beyond the cases: conventions at ties, broadcasting at large, and bad input."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn.errors import ArgumentError, DtypeError, OutOfBoundsError, ShapeError
from tinygrad_cnn.ops.windows import window_of

TIES = np.array([[3.0, 3.0, 1.0], [0.0, 3.0, 3.0]])


def gradient(f: Any, *xs: Any) -> Any:
    return np.asarray(tc.grad(lambda *xs: f(*xs).sum(), tuple(range(len(xs))))(*xs)[0])


# -- conventions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("axis", "first", "split"),
    [
        (None, [[1, 0, 0], [0, 0, 0]], [[1 / 4, 1 / 4, 0], [0, 1 / 4, 1 / 4]]),
        (0, [[1, 1, 0], [0, 0, 1]], [[1, 1 / 2, 0], [0, 1 / 2, 1]]),
        (1, [[1, 0, 0], [0, 1, 0]], [[1 / 2, 1 / 2, 0], [0, 1 / 2, 1 / 2]]),
        ((1, 0), [[1, 0, 0], [0, 0, 0]], [[1 / 4, 1 / 4, 0], [0, 1 / 4, 1 / 4]]),
    ],
)
@pytest.mark.parametrize(("f", "sign"), [(tc.max, 1.0), (tc.min, -1.0)])
def test_ties_of_extrema(f: Any, sign: float, axis: Any, first: Any, split: Any) -> None:
    x = sign * TIES
    np.testing.assert_array_equal(gradient(lambda x: f(x, axis), x), first)
    with tc.conventions(ties="split"):
        np.testing.assert_array_equal(gradient(lambda x: f(x, axis), x), split)


def test_row_major_order_is_that_of_the_array_not_of_the_axes_argument() -> None:
    x = np.ones((2, 3, 2))
    expected = np.zeros_like(x)
    expected[0, :, 0] = 1
    for axis in ((0, 2), (2, 0), (-1, 0)):
        np.testing.assert_array_equal(gradient(lambda x, a=axis: tc.max(x, a), x), expected)


@pytest.mark.parametrize("f", [tc.maximum, tc.minimum])
def test_ties_of_two_operands(f: Any) -> None:
    def shares() -> list[float]:
        return [g.item() for g in tc.grad(f, (0, 1))(2.0, 2.0)]

    assert shares() == [1.0, 0.0]
    with tc.conventions(ties="split"):
        assert shares() == [0.5, 0.5]


def test_ties_of_max_pool() -> None:
    x = np.ones((1, 1, 2, 2))
    np.testing.assert_array_equal(gradient(lambda x: F.max_pool2d(x, 2), x)[0, 0], [[1, 0], [0, 0]])
    with tc.conventions(ties="split"):
        np.testing.assert_array_equal(gradient(lambda x: F.max_pool2d(x, 2), x), x / 4)
        y = np.random.default_rng(0).standard_normal((2, 2, 5, 5))
        found = F.max_pool2d(y, 3, 2, 1)
    np.testing.assert_array_equal(found, F.max_pool2d(y, 3, 2, 1))


@pytest.mark.parametrize("at_zero", [0, 0.5, 1])
def test_relu_at_zero(at_zero: float) -> None:
    with tc.conventions(relu_at_zero=at_zero):
        np.testing.assert_array_equal(gradient(F.relu, np.array([-1.0, 0.0, 1.0])), [0, at_zero, 1])
    assert gradient(F.relu, 0.0) == 0.0


def test_conventions_nest_are_restored_and_belong_to_a_thread() -> None:
    seen: list[Any] = []

    def broken() -> None:
        with tc.conventions(relu_at_zero=1):
            seen.append(tc.current_conventions())
            thread = threading.Thread(target=lambda: seen.append(tc.current_conventions()))
            thread.start()
            thread.join()
            raise KeyError

    with tc.conventions(ties="split"), pytest.raises(KeyError):
        broken()
    seen.append(tc.current_conventions())
    assert seen == [("split", 1.0), ("first", 0.0), ("first", 0.0)]
    for wrong in ({"ties": "last"}, {"relu_at_zero": 2}):
        with pytest.raises(ArgumentError, match="expected"), tc.conventions(**wrong):
            pass


def test_a_convention_holds_when_recorded_not_when_differentiated() -> None:
    x = tc.tensor([2.0, 2.0], requires_grad=True)
    with tc.conventions(ties="split"):
        y = x.max()
    y.backward()
    assert x.grad.tolist() == [0.5, 0.5]


def test_the_ends_of_clip_pass_the_gradient() -> None:
    x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    np.testing.assert_array_equal(gradient(lambda x: tc.clip(x, -1.0, 1.0), x), [0, 1, 1, 1, 0])


def test_clip_without_bounds_gives_what_every_function_gives() -> None:
    x = tc.tensor([1.0, 2.0])
    assert tc.clip(x) is x
    assert type(tc.clip([1.0, 2.0])) is np.ndarray


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_sorting_is_stable_and_agrees_with_numpy(axis: Any) -> None:
    x = np.array([[2.0, 1.0, 2.0], [1.0, 1.0, 0.0]])
    np.testing.assert_array_equal(
        tc.argsort(tc.tensor(x), axis), np.argsort(x, axis, kind="stable")
    )
    np.testing.assert_array_equal(tc.sort(tc.tensor(x), axis), np.sort(x, axis))


@pytest.mark.parametrize("axis", [None, 0, (0, 1)])
def test_any_and_all_read(axis: Any) -> None:
    x = tc.tensor([[0.0, 1.0], [0.0, np.nan]], requires_grad=True)
    np.testing.assert_array_equal(x.any(axis), x.numpy().any(axis), strict=True)
    np.testing.assert_array_equal(
        x.all(axis, True), x.numpy().all(axis, keepdims=True), strict=True
    )


def test_nan_wins() -> None:
    x = np.array([1.0, np.nan, 2.0])
    assert np.isnan([tc.max(x), tc.min(x), tc.maximum(1.0, np.nan), tc.minimum(np.nan, 1.0)]).all()
    assert tc.pool_switches(x.reshape(1, 1, 1, 3), (1, 3), 1).item() == 1


# -- broadcasting and indexing at large -----------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3))
def test_gradients_of_broadcast_operands(shapes: hnp.BroadcastableShapes) -> None:
    (a, b), result = shapes.input_shapes, shapes.result_shape
    x, y = np.full(a, 2.0), np.full(b, 3.0)
    for f, dx, dy in ((tc.multiply, 3.0, 2.0), (tc.divide, 1 / 3, -2 / 9), (tc.subtract, 1, -1)):
        gx, gy = tc.grad(lambda x, y, f=f: f(x, y).sum(), (0, 1))(x, y)
        times = int(np.prod(result))
        np.testing.assert_allclose(gx, np.full(a, dx * times / max(x.size, 1)), strict=True)
        np.testing.assert_allclose(gy, np.full(b, dy * times / max(y.size, 1)), strict=True)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_getitem_and_its_adjoint(data: Any) -> None:
    shape = data.draw(hnp.array_shapes(max_dims=3, max_side=4))
    integers = hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2))
    index = data.draw(st.one_of(hnp.basic_indices(shape, allow_newaxis=True), integers))
    x = np.random.default_rng(0).standard_normal(shape)
    picked = tc.getitem(tc.as_tensor(x), index)
    np.testing.assert_array_equal(picked, x[index])
    y = np.random.default_rng(1).standard_normal(picked.shape)
    back = tc.scatter_add(y, index, shape)
    expected = np.zeros(shape)
    np.add.at(expected, index, y)
    np.testing.assert_allclose(back, expected, rtol=1e-13, atol=1e-14)


@settings(max_examples=60, deadline=None)
@given(
    hnp.mutually_broadcastable_shapes(signature="(n?,k),(k,m?)->(n?,m?)", max_dims=2, max_side=3)
)
def test_matmul_of_any_shapes(shapes: hnp.BroadcastableShapes) -> None:
    x, y = (np.random.default_rng(0).standard_normal(s) for s in shapes.input_shapes)
    np.testing.assert_allclose(tc.matmul(x, y), x @ y, rtol=1e-12, strict=True)
    gx, gy = tc.grad(lambda x, y: (tc.matmul(x, y) ** 2).sum() / 2, (0, 1))(x, y)
    # sum(z z) / 2 is of second degree, so by Euler each gradient brings back sum(z z)
    for g, operand in ((gx, x), (gy, y)):
        assert g.shape == operand.shape
        np.testing.assert_allclose(np.vdot(g.numpy(), operand), ((x @ y) ** 2).sum(), rtol=1e-10)


def test_forward_never_changes_its_inputs_nor_the_gradient_it_is_given() -> None:
    weight = np.ones((2, 2))
    weight.flags.writeable = False
    x = tc.tensor(TIES[:, :2], requires_grad=True)
    y = (tc.cumsum(x, 0) * 2)[[0, 1]]
    y.backward(weight)
    assert x.grad.tolist() == [[4, 4], [2, 2]]


# -- bad input ------------------------------------------------------------------------------

X, IMAGES = np.zeros((2, 3)), np.zeros((1, 1, 4, 4))
ERRORS: list[tuple[Any, str]] = [
    (lambda: tc.tensor(X) + np.zeros(2), "add: operands could not be broadcast together with shapes (2,3) (2,)"),
    (lambda: tc.maximum(X, np.zeros(2)), "maximum: operands could not be broadcast"),
    (lambda: tc.where(X > 0, X, np.zeros(2)), "where: operands could not be broadcast"),
    (lambda: tc.tensor(X) == np.zeros(2), "equal: operands could not be broadcast"),
    (lambda: tc.matmul(X, X), "matmul: (2, 3) @ (2, 3): the inner lengths differ"),
    (lambda: tc.matmul(X, 2.0), "matmul: (2, 3) @ (): a scalar is multiplied with *"),
    (lambda: tc.matmul(np.zeros((2, 1, 1)), np.zeros((3, 1, 1))), "the leading axes do not broadcast"),
    (lambda: tc.einsum("ij,jk", X, X), "einsum 'ij,jk' on shapes [(2, 3), (2, 3)]"),
    (lambda: tc.einsum("ij", X, X), "einsum 'ij' names 1 operands, got 2"),
    (lambda: tc.einsum("ijk", X), "einsum 'ijk': operand 0 has 2 axes"),
    (lambda: tc.einsum("ij->k", X), "the output names an unknown or repeated index"),
    (lambda: tc.einsum("ij->ii", X), "the output names an unknown or repeated index"),
    (lambda: tc.einsum("ii", X), "index 'i' has lengths"),
    (lambda: tc.sum(X, 2), "sum: axis 2 does not exist in an array of 2 axes"),
    (lambda: tc.sum(X, (0, -2)), "sum: axis (0, -2) names an axis twice"),
    (lambda: tc.max(np.zeros((2, 0)), 1), "max of no elements: shape (2, 0) over axis 1"),
    (lambda: tc.cumsum(1.0, 0), "cumsum: axis 0 does not exist in an array of 0 axes"),
    (lambda: tc.reshape(X, 4), "reshape: (2, 3) has 6 elements, which do not fit (4,)"),
    (lambda: tc.reshape(X, -1, 4), "which do not fit (-1, 4)"),
    (lambda: tc.reshape(X, -1, -1), "which do not fit (-1, -1)"),
    (lambda: tc.reshape(X, -2, -3), "which do not fit (-2, -3)"),
    (lambda: tc.transpose(X, 0), "transpose: 2 axes can't be put into the order (0,)"),
    (lambda: tc.transpose(X, 0, 0), "names an axis twice"),
    (lambda: tc.squeeze(X, 0), "squeeze: axis 0 of shape (2, 3) is longer than 1"),
    (lambda: tc.flatten(X, 1, 0), "flatten: start_dim 1 lies behind end_dim 0"),
    (lambda: tc.broadcast_to(X, (2, 2)), "broadcast_to: (2, 3) does not broadcast to (2, 2)"),
    (lambda: tc.sum_to(X, (2, 2)), "sum_to: (2, 3) can't be summed to (2, 2)"),
    (lambda: tc.concatenate([]), "concatenate: nothing to join"),
    (lambda: tc.concatenate([X, X[0]]), "differ in more than axis 0"),
    (lambda: tc.stack([X, X.T]), "stack: expected equal shapes, got [(2, 3), (3, 2)]"),
    (lambda: tc.pad(X, [(1, 1)]), "pad: expected (before, after) >= 0 for each of 2 axes"),
    (lambda: tc.pad(X, [(1, 1), (-1, 0)]), "pad: expected (before, after) >= 0"),
    (lambda: tc.crop(X, [(1, 1), (2, 2)]), "crop: widths ((1, 1), (2, 2)) exceed the shape (2, 3)"),
    (lambda: tc.tensor(X)[2], "indexing an array of shape (2, 3): index 2 is out of bounds"),
    (lambda: tc.tensor(X)[0, 0, 0], "indexing an array of shape (2, 3): too many indices"),
    (lambda: tc.scatter_add(X, [0, 3], (3, 3)), "scatter_add into shape (3, 3): index 3 is out of bounds"),
    (lambda: tc.scatter_add(X, [0], (3, 4)), "scatter_add into shape (3, 4)"),
    (lambda: tc.take_along_axis(X, [0], 0), "take_along_axis: indices of 1 axes for an array of 2"),
    (lambda: tc.take_along_axis(X, [[0]], 2), "take_along_axis: axis 2 does not exist"),
    (lambda: tc.pad(X, 1), "pad: expected (before, after) >= 0 for each of 2 axes, got 1"),
    (lambda: tc.im2col(X, 2), "im2col: expected images of shape (N, C, H, W), got (2, 3)"),
    (lambda: tc.gather_windows(IMAGES, np.zeros((1, 1, 3, 3), int), 2, 2), "gather_windows: switches of shape (1, 1, 3, 3), images of (1, 1, 4, 4) need (1, 1, 2, 2)"),
    (lambda: tc.scatter_windows(IMAGES, np.zeros((1, 1, 2, 2), int), IMAGES.shape, 2, 2), "scatter_windows: numbers of shape (1, 1, 4, 4)"),
    (lambda: tc.take(X, 2, 0), "indexing an array of shape (2, 3): index 2 is out of bounds"),
    (lambda: tc.diagonal(X[0]), "diagonal: axis 1 does not exist in an array of 1 axes"),
    (lambda: tc.trace(X, axis2=0), "diagonal: axis (0, 0) names an axis twice"),
    (lambda: tc.dot(X, IMAGES), "dot: (1, 1, 4, 4) on the right: use matmul or einsum"),
    (lambda: tc.col2im(X, (1, 1, 3, 3), 2), "col2im: columns of shape (2, 3), images of (1, 1, 3, 3) need (4, 4)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: tc.tensor([1, 2]) ** -1,
            "power: integers to a negative integer power: write -1.0 for -1",
        ),
        (lambda: tc.einsum(X), "einsum: expected subscripts such as 'ij,jk->ik', got ndarray"),
        (lambda: tc.take(X, [0.5]), "take: indices of dtype float64, expected integers"),
        (
            lambda: tc.gather_windows(IMAGES, np.zeros((1, 1, 2, 2)), 2, 2),
            "gather_windows: switches are integers, got float64",
        ),
        (lambda: tc.sum(X, 1.0), "sum: axis=1.0: expected an integer"),
        (lambda: tc.mean(X, "rows"), "mean: axis='rows': expected an integer"),
        (lambda: tc.reshape(X, 6.0), "reshape: expected integers, got (6.0,)"),
        (lambda: tc.transpose(X, ("a", "b")), "transpose: expected integers, got ('a', 'b')"),
    ],
)
def test_wrong_kinds_are_refused(act: Any, message: str) -> None:
    with pytest.raises(DtypeError) as raised:
        act()
    assert str(raised.value) == message


@pytest.mark.parametrize("switch", [-1, 4])
def test_switches_name_places_of_the_window(switch: int) -> None:
    switches = np.full((1, 1, 2, 2), switch)
    with pytest.raises(OutOfBoundsError, match=rf"from {switch} to {switch}, a window of \(2, 2\)"):
        tc.gather_windows(IMAGES, switches, 2, 2)


@pytest.mark.parametrize("repeats", [-1, 0.5, [1, 2, 3, 4], [1, -1, 1]])
def test_repeats_are_counts(repeats: Any) -> None:
    with pytest.raises(ArgumentError, match=r"expected an integer from 0 up, or 3 of them"):
        tc.repeat(X, repeats, 1)


@pytest.mark.parametrize(("act", "message"), ERRORS, ids=[message for _, message in ERRORS])
def test_errors(act: Any, message: str) -> None:
    outside = ("index" in message and "bounds" in message) or "too many indices" in message
    with pytest.raises(OutOfBoundsError if outside else ShapeError) as raised:
        act()
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "dilation"),
    [((2, 3, 7), 3, 2, 1), ((2, 2, 5, 6), (2, 3), (1, 2), (2, 1)), ((1, 2, 4, 5, 3), 2, (2, 1, 1), 1)],
)  # fmt: skip
def test_im2col_holds_every_window_as_a_column(
    shape: tuple[int, ...], kernel: Any, stride: Any, dilation: Any
) -> None:
    x = np.arange(math.prod(shape), dtype=float).reshape(shape)
    window = window_of(shape, kernel, stride, dilation, "test")
    columns = np.asarray(tc.im2col(x, kernel, stride, dilation))
    out = window.output_size(shape[2:])
    assert columns.shape == (shape[1] * window.places, math.prod(out) * shape[0])
    parts = columns.reshape(shape[1], *window.kernel, *out, shape[0])
    for channel, image in np.ndindex(shape[1], shape[0]):
        for place in np.ndindex(*window.kernel):
            for position in np.ndindex(*out):
                where = tuple(
                    i * s + j * d
                    for i, s, j, d in zip(
                        position, window.stride, place, window.dilation, strict=True
                    )
                )
                assert parts[(channel, *place, *position, image)] == x[(image, channel, *where)]
