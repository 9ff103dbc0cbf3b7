"""Fully connected layers on blocks of images against the composition that they replace."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from lane_blocks import aligned

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F

pytest.importorskip("llvmlite")

from tinygrad_cnn.compiler.lanes.expression import Expression, Place, Step
from tinygrad_cnn.compiler.lanes.kernels.linear import Linear
from tinygrad_cnn.compiler.lanes.kernels.linear_weight import LinearWeightGradient
from tinygrad_cnn.compiler.lanes.library import Library, build
from tinygrad_cnn.compiler.lanes.target import host


class Case(NamedTuple):
    inputs: int
    outputs: int
    blocks: int


CASES = [
    Case(*sizes)
    for sizes in (
        (1, 1, 1), (2, 1, 3), (1, 3, 2), (5, 6, 1), (7, 13, 2), (16, 10, 1), (33, 7, 3),
        (84, 10, 5), (400, 12, 4), (2048, 3, 1), (2050, 14, 3), (4100, 3, 2), (9, 300, 2),
        (20, 519, 3), (6, 257, 1),
    )
]  # fmt: skip
PRECISIONS = [np.float32, np.float64]
GAP = 3  # vectors between a block and the next


class Layer(NamedTuple):
    """A layer's arrays: images as rows, and the same in blocks."""

    lanes: int
    x: np.ndarray
    weight: np.ndarray
    g: np.ndarray
    x_blocks: np.ndarray
    g_blocks: np.ndarray


def in_blocks(rows: np.ndarray, lanes: int) -> np.ndarray:
    """Rows (blocks * lanes, features) as (blocks, features, lanes), NaN behind each block."""
    blocks, features = len(rows) // lanes, rows.shape[1]
    made = aligned(blocks, features + GAP, lanes, dtype=rows.dtype, fill=np.nan)
    made[:, :features] = rows.reshape(blocks, lanes, features).transpose(0, 2, 1)
    return made


def layer(case: Case, dtype: Any) -> Layer:
    lanes = host().lanes(np.dtype(dtype).itemsize)
    rng = np.random.default_rng(case)
    images = case.blocks * lanes

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype)

    x, g = normal(images, case.inputs), normal(images, case.outputs)
    weight = normal(case.outputs, case.inputs)
    return Layer(lanes, x, weight, g, in_blocks(x, lanes), in_blocks(g, lanes))


def relu(features: int, lanes: int) -> Expression:
    """An epilogue that writes the result and what is left of it above 0."""
    to = Place(((features + GAP) * lanes, lanes))
    return Expression(1, (), (Step("maximum", (0, 0.0)),), ((0, to), (1, to)))


def forward(case: Case, lanes: int) -> Linear:
    x = (case.inputs + GAP) * lanes
    epilogue = relu(case.outputs, lanes)
    weight = case.inputs, 1
    return Linear(case.outputs, case.inputs, case.blocks, lanes, x, weight, epilogue)


def backward(case: Case, lanes: int) -> Linear:
    """The input gradient: inputs and outputs have changed places."""
    g = (case.outputs + GAP) * lanes
    epilogue = relu(case.inputs, lanes)
    weight = 1, case.inputs
    return Linear(case.inputs, case.outputs, case.blocks, lanes, g, weight, epilogue)


def weights(case: Case, lanes: int) -> LinearWeightGradient:
    strides = (case.inputs + GAP) * lanes, (case.outputs + GAP) * lanes
    sizes = case.outputs, case.inputs, case.blocks, lanes
    return LinearWeightGradient(*sizes, *strides)


@pytest.fixture(scope="module", params=PRECISIONS)
def built(request: pytest.FixtureRequest) -> tuple[Any, Library]:
    itemsize = np.dtype(request.param).itemsize
    lanes = host().lanes(itemsize)
    kernels: list[Any] = []
    for case in CASES:
        kernels += [forward(case, lanes), backward(case, lanes), weights(case, lanes)]
    return request.param, build(kernels, itemsize)


def scratch(kernel: Any, dtype: Any) -> np.ndarray:
    """Its room, full of NaN, and a number behind that must stay."""
    room = aligned(kernel.scratch + 1, dtype=dtype, fill=np.nan)
    room[-1] = 7.0
    return room


def close(actual: np.ndarray, expected: np.ndarray, dtype: Any) -> None:
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def check(
    library: Library, kernel: Linear, x: np.ndarray, weight: np.ndarray, rows: np.ndarray
) -> None:
    """The kernel's results, ReLU's too, equal these rows."""
    shape = kernel.blocks, kernel.outputs + GAP, kernel.lanes
    y, above = (aligned(*shape, dtype=x.dtype, fill=np.nan) for _ in range(2))
    room = scratch(kernel, x.dtype)
    library.call(kernel, x, weight, room, y, above)
    assert room[-1] == 7.0
    expected = in_blocks(rows, kernel.lanes)
    assert np.isnan(y[:, kernel.outputs :]).all()
    close(y[:, : kernel.outputs], expected[:, : kernel.outputs], x.dtype)
    np.testing.assert_array_equal(above, np.maximum(y, 0.0))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_linear_equals_the_composition(built: tuple[Any, Library], case: Case) -> None:
    dtype, library = built
    o = layer(case, dtype)
    rows = F.linear(o.x, o.weight).data
    check(library, forward(case, o.lanes), o.x_blocks, o.weight, rows)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_linear_across_is_the_input_gradient(built: tuple[Any, Library], case: Case) -> None:
    dtype, library = built
    o = layer(case, dtype)
    x = tc.tensor(o.x, requires_grad=True)
    F.linear(x, o.weight).backward(o.g)
    assert x.grad is not None
    check(library, backward(case, o.lanes), o.g_blocks, o.weight, x.grad.data)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_weight_gradient_equals_the_composition(built: tuple[Any, Library], case: Case) -> None:
    dtype, library = built
    o = layer(case, dtype)
    w = tc.tensor(o.weight, requires_grad=True)
    F.linear(o.x, w).backward(o.g)
    assert w.grad is not None
    kernel = weights(case, o.lanes)
    guarded = np.full((case.outputs + 1, case.inputs), 2.0, dtype)
    room = scratch(kernel, dtype)
    library.call(kernel, o.x_blocks, o.g_blocks, room, guarded)
    assert room[-1] == 7.0
    close(guarded[:-1], w.grad.data, dtype)
    assert (guarded[-1] == 2.0).all()


def test_nan_passes_through(built: tuple[Any, Library]) -> None:
    dtype, library = built
    case = Case(84, 10, 5)
    o = layer(case, dtype)
    o.x[3, 5] = np.nan
    kernel = forward(case, o.lanes)
    rows = F.linear(o.x, o.weight).data
    y, above = (aligned(5, 10 + GAP, o.lanes, dtype=dtype) for _ in range(2))
    library.call(kernel, in_blocks(o.x, o.lanes), o.weight, scratch(kernel, dtype), y, above)
    expected = np.isnan(in_blocks(rows, o.lanes)[:, :10])
    assert expected.any()
    np.testing.assert_array_equal(np.isnan(y[:, :10]), expected)
    np.testing.assert_array_equal(np.isnan(above[:, :10]), expected)
