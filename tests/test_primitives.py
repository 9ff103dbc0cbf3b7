# ruff: noqa: E501  (a table has one line for each operation)
"""Every case: forward, gradients of first and second order, dtypes, memory layouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from cases import CASES, REGISTERED, Array, Case, normal

import tinygrad_cnn as tc
from tinygrad_cnn._core.backprop import consumers_first

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def _variables(case: Case, dtype: Any = np.float64) -> list[tc.Tensor]:
    return [tc.Tensor(x.astype(dtype, copy=False), requires_grad=True) for x in case.inputs]


def _weights_like(shape: tuple[int, ...], salt: int) -> Array:
    return np.random.default_rng([salt, *shape]).uniform(0.5, 1.5, shape)


def _gradient(case: Case, inputs: Sequence[tc.Tensor], create_graph: bool = False) -> list[Any]:
    """The gradient of the randomly weighted sum of the result, zero without dependence."""
    y = case.function(*inputs)
    found: list[Any] = [None] * len(inputs)
    if y.requires_grad:
        weights = _weights_like(y.shape, 0).astype(y.dtype)
        found = tc.gradients(y, inputs, weights, create_graph=create_graph)
    return [tc.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True)]


def _weighted(case: Case, inputs: Sequence[Array]) -> float:
    y = np.asarray(case.function(*inputs))
    return float(np.vdot(_weights_like(y.shape, 0), y))


def _slope(case: Case, inputs: Sequence[Any], create_graph: bool = False) -> Any:
    """The gradient, weighted once more: its derivatives are those of second order."""
    variables = [
        x if isinstance(x, tc.Tensor) else tc.Tensor(x, requires_grad=True) for x in inputs
    ]
    gradient = _gradient(case, variables, create_graph)
    parts = [(g * _weights_like(g.shape, 1 + i)).sum() for i, g in enumerate(gradient)]
    return sum(parts[1:], parts[0])


def _differences(f: Callable[[list[Array]], float], inputs: Sequence[Array]) -> Iterator[Array]:
    """Central differences, extrapolated once (Richardson 1911), for each input."""
    for which, x in enumerate(inputs):
        slope = np.empty(x.size)
        for place in range(x.size):

            def at(step: float, which: int = which, place: int = place) -> float:
                moved = [np.array(other) for other in inputs]
                moved[which].flat[place] += step
                return f(moved)

            coarse, fine = (at(h) - at(-h) for h in (2e-3, 1e-3))
            slope[place] = (4 * fine / 2e-3 - coarse / 4e-3) / 3
        yield slope.reshape(x.shape)


def _assert_near(analytic: Any, numeric: Array) -> None:
    """A relative error below 1e-6; where all is zero, 1e-9 for what the differences leave."""
    analytic = np.asarray(analytic)
    assert analytic.shape == numeric.shape
    scale = max(np.linalg.norm(analytic), np.linalg.norm(numeric), 1e-3)
    assert np.linalg.norm(analytic - numeric) <= 1e-6 * scale, (analytic, numeric)


def test_every_registered_primitive_has_a_case() -> None:
    used = {
        node.primitive.name
        for case in CASES
        if (y := case.function(*_variables(case))).node is not None
        for node in consumers_first([y.node])
        if node.primitive is not None
    }
    assert used == set(REGISTERED)


@pytest.mark.parametrize("case", [case for case in CASES if case.reference], ids=lambda c: c.name)
def test_forward_agrees_with_numpy(case: Case) -> None:
    expected = case.reference(*case.inputs)
    tensor, array = case.function(*map(tc.as_tensor, case.inputs)), case.function(*case.inputs)
    np.testing.assert_allclose(tensor.numpy(), expected, rtol=1e-13, atol=1e-14, strict=True)
    np.testing.assert_array_equal(np.asarray(array), tensor.numpy(), strict=True)


@cases
def test_operations_take_arrays_to_arrays_and_compositions_make_tensors(case: Case) -> None:
    """Gradient rules rely on the first."""
    node = case.function(*_variables(case)).node
    is_composed = node.scope is not None or node.primitive is None
    kind = tc.Tensor if is_composed else np.ndarray | np.float64
    assert isinstance(case.function(*case.inputs), kind)
    assert type(case.function(*map(tc.as_tensor, case.inputs))) is tc.Tensor


@cases
def test_gradient_against_central_differences(case: Case) -> None:
    numeric = _differences(lambda xs: _weighted(case, xs), case.inputs)
    for g, expected in zip(_gradient(case, _variables(case)), numeric, strict=True):
        _assert_near(g, expected)


@cases
def test_second_order_against_central_differences(case: Case) -> None:
    inputs = _variables(case)
    slope = _slope(case, inputs, create_graph=True)
    found = tc.gradients(slope, inputs) if slope.requires_grad else [None] * len(inputs)
    numeric = _differences(lambda xs: _slope(case, xs).item(), case.inputs)
    for g, x, expected in zip(found, inputs, numeric, strict=True):
        _assert_near(np.zeros(x.shape) if g is None else g, expected)


@cases
def test_recording_the_gradient_does_not_change_it(case: Case) -> None:
    plain, recorded = (_gradient(case, _variables(case), create) for create in (False, True))
    for a, b in zip(plain, recorded, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-13, atol=1e-15)


@cases
def test_jvp_is_the_transpose_of_vjp(case: Case) -> None:
    tangents = tuple(_weights_like(x.shape, 7 + i) for i, x in enumerate(case.inputs))
    y, pushed = tc.jvp(case.function, case.inputs, tangents)
    weights = _weights_like(y.shape, 0)
    _, pull_back = tc.vjp(case.function, *case.inputs)
    pulled = pull_back(weights)
    left = np.vdot(weights, pushed.numpy())
    right = sum(np.vdot(g.numpy(), t) for g, t in zip(pulled, tangents, strict=True))
    assert left == pytest.approx(right, rel=1e-11, abs=1e-12)


@cases
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(case: Case, dtype: type) -> None:
    inputs = _variables(case, dtype)
    assert case.function(*inputs).dtype == dtype
    assert {g.dtype for g in _gradient(case, inputs)} == {np.dtype(dtype)}
    assert {g.dtype for g in _gradient(case, inputs, create_graph=True)} == {np.dtype(dtype)}


def _strided(x: Array) -> Array:
    """Every second element of a larger array, axes reversed in memory."""
    return np.repeat(x.T, 2, 0)[::2].T if x.ndim else x


def _batch_innermost(x: Array) -> Array:
    return np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0) if x.ndim else x


def _backwards(x: Array) -> Array:
    """Negative strides."""
    return np.flip(np.flip(x).copy())


@pytest.mark.parametrize("layout", [_strided, _batch_innermost, _backwards])
@cases
def test_memory_layout_does_not_matter(case: Case, layout: Callable[[Array], Array]) -> None:
    inputs = [tc.Tensor(layout(x), requires_grad=True) for x in case.inputs]
    np.testing.assert_allclose(
        case.function(*inputs).numpy(), case.function(*_variables(case)).numpy(), rtol=1e-13, atol=1e-14
    )  # fmt: skip
    for g, expected in zip(_gradient(case, inputs), _gradient(case, _variables(case)), strict=True):
        np.testing.assert_allclose(g.numpy(), expected.numpy(), rtol=1e-12, atol=1e-13)


_WINDOW = (3, 2), (2, 1), (1, 2)
_SWITCHES = np.random.default_rng(1).integers(0, 6, (2, 3, 2, 4))
_INDEX = (np.array([1, 1, 0]), slice(None), np.array([2, 2, -1]))
ADJOINTS = {
    "im2col": (lambda x: tc.im2col(x, *_WINDOW), lambda y: tc.col2im(y, (2, 3, 5, 6), *_WINDOW), (2, 3, 5, 6), (18, 16)),
    "im2col of volumes": (lambda x: tc.im2col(x, 2, (1, 2, 1)), lambda y: tc.col2im(y, (2, 3, 3, 4, 2), 2, (1, 2, 1)), (2, 3, 3, 4, 2), (24, 8)),
    "gather_windows": (lambda x: tc.gather_windows(x, _SWITCHES, *_WINDOW), lambda y: tc.scatter_windows(y, _SWITCHES, (2, 3, 5, 6), *_WINDOW), (2, 3, 5, 6), (2, 3, 2, 4)),
    "getitem": (lambda x: tc.getitem(x, _INDEX), lambda y: tc.scatter_add(y, _INDEX, (2, 3, 4)), (2, 3, 4), (3, 3)),
    "broadcast_to": (lambda x: tc.broadcast_to(x, (2, 3, 4)), lambda y: tc.sum_to(y, (3, 1)), (3, 1), (2, 3, 4)),
    "pad": (lambda x: tc.pad(x, [(1, 0), (2, 3)]), lambda y: tc.crop(y, [(1, 0), (2, 3)]), (2, 3), (3, 8)),
    "reshape": (lambda x: tc.reshape(x, 4, 6), lambda y: tc.reshape(y, 2, 3, 4), (2, 3, 4), (4, 6)),
    "transpose": (lambda x: tc.transpose(x, 2, 0, 1), lambda y: tc.transpose(y, 1, 2, 0), (2, 3, 4), (4, 2, 3)),
    "flip": (lambda x: tc.flip(x, 0), lambda y: tc.flip(y, 0), (2, 3), (2, 3)),
    "subtract_mean": (tc.functional.subtract_mean, tc.functional.subtract_mean, (4, 3), (4, 3)),
}  # fmt: skip


@pytest.mark.parametrize("layout", [np.ascontiguousarray, _strided, _batch_innermost, _backwards])
@pytest.mark.parametrize("pair", ADJOINTS.values(), ids=ADJOINTS)
def test_linear_operations_are_adjoint(pair: Any, layout: Callable[[Array], Array]) -> None:
    forward, adjoint, shape_x, shape_y = pair
    x, y = layout(normal(*shape_x)), layout(normal(*shape_y))
    left, right = np.asarray(forward(x)), np.asarray(adjoint(y))
    assert np.vdot(left, y) == pytest.approx(np.vdot(x, right), rel=1e-12)


@pytest.mark.parametrize("pair", ADJOINTS.values(), ids=ADJOINTS)
def test_the_gradient_of_a_linear_operation_is_its_adjoint(pair: Any) -> None:
    forward, adjoint, shape_x, shape_y = pair
    y = normal(*shape_y)
    _, pull_back = tc.vjp(forward, normal(*shape_x))
    np.testing.assert_allclose(pull_back(y)[0].numpy(), adjoint(y), rtol=1e-14)
