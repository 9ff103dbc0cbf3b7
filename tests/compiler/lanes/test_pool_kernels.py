"""Pools of a block of images against the compositions that they replace."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from lane_blocks import aligned, block, strides

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn.functional._pooling import Layout, divisors, layout

pytest.importorskip("llvmlite")

from tinygrad_cnn.compiler.lanes.expression import Expression, Place, Step
from tinygrad_cnn.compiler.lanes.kernels.pool import (
    AveragePool,
    AveragePoolGradient,
    MaxPool,
    MaxPoolGradient,
)
from tinygrad_cnn.compiler.lanes.kernels.windows import Windows
from tinygrad_cnn.compiler.lanes.library import Library, build
from tinygrad_cnn.compiler.lanes.target import host

CHANNELS = 3
BORDER = (1, 2, 3, 0)  # of the buffers: no pool may read it


class Case(NamedTuple):
    """The arguments of a pool, and the size of its images."""

    size: tuple[int, int]
    window: Any
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    ceil_mode: bool = False

    @property
    def layout(self) -> Layout:
        return layout(tc.zeros(1, 1, *self.size), *self[1:], None, name="pool")

    @property
    def axes(self) -> tuple[Windows, Windows]:
        """The same for a kernel."""
        placed = self.layout
        padded = tuple(n + a + b for n, (a, b) in zip(self.size, placed.padding, strict=True))
        rows, columns = (
            Windows(n, count, taps, stride, dilation, before)
            for n, count, taps, stride, dilation, (before, _) in zip(
                self.size, placed.window.output_size(padded), placed.window.kernel,
                placed.window.stride, placed.window.dilation, placed.padding, strict=True,
            )
        )  # fmt: skip
        return rows, columns


UNDILATED = [
    Case((6, 8), 2),
    Case((7, 9), 2),
    Case((7, 9), 2, ceil_mode=True),
    Case((9, 6), 3),
    Case((9, 9), 3, 2),
    Case((8, 11), 3, 2, 1),
    Case((7, 8), 3, 2, 1, 1, True),
    Case((6, 6), 3, 1, 1),
    Case((7, 5), (2, 3), (3, 1), (1, 0)),
    Case((8, 7), 2, 5),
    Case((1, 1), 1),
    Case((4, 5), (4, 5)),  # one window: the whole plane
    Case((5, 5), 4, 9, 2),  # one window, cut off on two sides
    Case((18, 19), (18, 19)),  # more than 256 taps
    Case((9, 8), 7, 1, 3),  # too many taps to write them out
    Case((13, 3), (9, 2), (2, 1), (4, 1)),
]
DILATED = [
    Case((9, 9), 2, 2, 0, 2),
    Case((8, 10), 3, (1, 2), 1, (2, 3)),
    Case((5, 7), (3, 2), 3, 1, 2, True),
    Case((1, 1), 2, 1, 1, 2),  # its taps see padding only
    Case((7, 7), 3, 4, 0, 3),
    Case((11, 10), 5, 1, 2, 2),
]
PRECISIONS = [np.float32, np.float64]


def doubled(to: np.ndarray, place: Place | None = None) -> Expression:
    """An epilogue that writes twice the result."""
    return Expression(1, (), (Step("multiply", (0, 2.0)),), ((1, place or Place(strides(to))),))


def interior(buffer: np.ndarray) -> Place:
    """Where the images of a bordered buffer are."""
    c, h, w = strides(buffer)
    return Place((c, h, w), BORDER[0] * h + BORDER[2] * w)


class Operands(NamedTuple):
    """Images with ties and their lane buffer, and the gradient of a pool's result."""

    images: np.ndarray
    x: np.ndarray
    y: np.ndarray
    g: np.ndarray
    dx: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        """The gradient of the images, out of its buffer."""
        top, bottom, left, right = BORDER
        rows, columns = self.dx.shape[1] - bottom, self.dx.shape[2] - right
        assert np.isnan(self.dx[:, :top]).all()
        assert np.isnan(self.dx[:, rows:]).all()
        assert np.isnan(self.dx[:, :, :left]).all()
        return np.moveaxis(self.dx[:, top:rows, left:columns], -1, 0)


def operands(case: Case, dtype: Any) -> Operands:
    lanes = host().lanes(np.dtype(dtype).itemsize)
    rng = np.random.default_rng([*case.size, 1])
    images = rng.integers(-3, 4, (lanes, CHANNELS, *case.size)).astype(dtype)
    images[:, 0] += rng.standard_normal(images[:, 0].shape)
    images[0, 1].fill(-np.inf)
    out = tuple(axis.outputs for axis in case.axes)
    g = rng.standard_normal((lanes, CHANNELS, *out)).astype(dtype)
    return Operands(
        images,
        block(images, BORDER),
        aligned(CHANNELS, *out, lanes, dtype=dtype),
        block(g),
        block(np.full_like(images, np.nan), BORDER),
    )


def reference(pool: Any, o: Operands) -> tuple[np.ndarray, np.ndarray]:
    """Twice what a composition computes, and the images' gradient."""
    x = tc.tensor(o.images, requires_grad=True)
    y = 2 * pool(x)
    y.backward(np.moveaxis(o.g, -1, 0).copy() / 2)
    assert x.grad is not None
    return np.moveaxis(y.data, 0, -1), 2 * x.grad.data


def close(actual: np.ndarray, expected: np.ndarray, dtype: Any) -> None:
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=1e-30)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * largest)


# -- the largest element -------------------------------------------------------------------


def max_kernels(case: Case, o: Operands, switches: bool = True) -> tuple[MaxPool, MaxPoolGradient]:
    pool = MaxPool(CHANNELS, *case.axes, interior(o.x), doubled(o.y), switches)
    gradient = MaxPoolGradient(
        CHANNELS, *case.axes, Place(strides(o.g)), doubled(o.dx, interior(o.dx))
    )
    return pool, gradient


@pytest.fixture(scope="module", params=PRECISIONS)
def built(request: pytest.FixtureRequest) -> tuple[Any, Library]:
    """All kernels of these tests, of one precision."""
    kernels: list[Any] = []
    for case in UNDILATED + DILATED:
        o = operands(case, request.param)
        kernels += [*max_kernels(case, o), max_kernels(case, o, False)[0]]
    for case in UNDILATED:
        o = operands(case, request.param)
        for include in (True, False):
            kernels += average_kernels(case, o, include)
    return request.param, build(kernels, np.dtype(request.param).itemsize)


@pytest.mark.parametrize("case", UNDILATED + DILATED, ids=str)
def test_max_pool_and_its_gradient_equal_the_composition(
    built: tuple[Any, Library], case: Case
) -> None:
    dtype, library = built
    o = operands(case, dtype)
    pool, gradient = max_kernels(case, o)
    numbers = pool.switch_numbers(o.x.shape[-1], o.x.itemsize)
    guarded = aligned(numbers + 1, dtype=dtype, fill=7.0)
    library.call(pool, o.x, guarded, o.y)
    y, dx = reference(lambda x: F.max_pool2d(x, *case[1:]), o)
    np.testing.assert_array_equal(o.y, y)
    assert guarded[-1] == 7.0
    library.call(gradient, o.g, guarded, o.dx)
    close(o.inside, dx, dtype)
    o.y.fill(0.0)
    library.call(max_kernels(case, o, switches=False)[0], o.x, o.y)
    np.testing.assert_array_equal(o.y, y)


@pytest.mark.parametrize("case", [UNDILATED[0], UNDILATED[5]], ids=str)
def test_nan_wins_and_takes_the_gradient(built: tuple[Any, Library], case: Case) -> None:
    dtype, library = built
    o = operands(case, dtype)
    places = np.random.default_rng(0).random(o.images.shape) < 0.2
    o.images[places] = np.nan
    np.copyto(o.x, block(o.images, BORDER))
    pool, gradient = max_kernels(case, o)
    switches = aligned(pool.switch_numbers(o.x.shape[-1], o.x.itemsize), dtype=dtype)
    library.call(pool, o.x, switches, o.y)
    library.call(gradient, o.g, switches, o.dx)
    y, dx = reference(lambda x: F.max_pool2d(x, *case[1:]), o)
    assert np.isnan(y).any()
    np.testing.assert_array_equal(o.y, y)
    close(o.inside, dx, dtype)


def test_switches_are_bytes_unless_a_window_has_more_taps() -> None:
    axis, nowhere = Windows(32, 16, 2, 2), Place((0, 0, 0))
    pool = MaxPool(16, axis, axis, nowhere, Expression(1))
    assert pool.switch_numbers(8, 4) == 16 * 16 * 16 * 8 // 4
    whole = Windows(32, 1, 32)
    assert MaxPool(3, whole, whole, nowhere, Expression(1)).switch_numbers(8, 4) == 3 * 8 // 2
    assert MaxPool(1, axis, Windows(1, 1, 1), nowhere, Expression(1)).switch_numbers(1, 8) == 2


# -- the mean ------------------------------------------------------------------------------


def shares(case: Case, include: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The divisors of rows and of columns, whose products are the composition's."""
    counts = divisors(case.layout, include)
    rows, columns = (axis.outputs for axis in case.axes)
    if isinstance(counts, int):
        return (float(counts),) * rows, (1.0,) * columns
    return tuple(counts[:, 0] / counts[0, 0]), tuple(map(float, counts[0]))


def average_kernels(
    case: Case, o: Operands, include: bool
) -> tuple[AveragePool, AveragePoolGradient]:
    counts = shares(case, include)
    return (
        AveragePool(CHANNELS, *case.axes, interior(o.x), doubled(o.y), counts),
        AveragePoolGradient(
            CHANNELS, *case.axes, Place(strides(o.g)), doubled(o.dx, interior(o.dx)), counts
        ),
    )


@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("case", UNDILATED, ids=str)
def test_average_pool_and_its_gradient_equal_the_composition(
    built: tuple[Any, Library], case: Case, include: bool
) -> None:
    dtype, library = built
    o = operands(case, dtype)
    o.images[np.isinf(o.images)] = 1.0
    np.copyto(o.x, block(o.images, BORDER))
    pool, gradient = average_kernels(case, o, include)
    library.call(pool, o.x, o.y)
    library.call(gradient, o.g, o.dx)
    settings = case.window, case.stride, case.padding, case.ceil_mode, include
    y, dx = reference(lambda x: F.avg_pool2d(x, *settings), o)
    close(o.y, y, dtype)
    close(o.inside, dx, dtype)
