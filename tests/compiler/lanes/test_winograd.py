"""Winograd's kernels against the composition that they replace."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from lane_blocks import aligned, block

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn.errors import ArgumentError

pytest.importorskip("llvmlite")

from tinygrad_cnn.compiler.lanes.expression import Expression, Place, Step
from tinygrad_cnn.compiler.lanes.kernels._transforms import cook_toom
from tinygrad_cnn.compiler.lanes.kernels.winograd import FilterTransform, WinogradConvolution
from tinygrad_cnn.compiler.lanes.kernels.winograd_choice import worthwhile
from tinygrad_cnn.compiler.lanes.kernels.winograd_weight import (
    WinogradWeightGradient,
    WinogradWeightUnpack,
)
from tinygrad_cnn.compiler.lanes.library import Library, build
from tinygrad_cnn.compiler.lanes.target import VARIABLE, Target, host

BLOCKS = 2
BORDER = (1, 2, 3, 1)  # of NaN around what a kernel may read


class Case(NamedTuple):
    """A convolution, and the tiles of its kernels."""

    channels: int
    filters: int
    kernel: int
    size: tuple[int, int]
    padding: int
    tile: tuple[int, int]

    @property
    def output(self) -> tuple[int, int]:
        rows, columns = (n + 2 * self.padding - self.kernel + 1 for n in self.size)
        return rows, columns


SMALL = [
    Case(3, 5, 3, (7, 9), 1, (2, 2)),
    Case(5, 11, 3, (9, 6), 1, (4, 4)),
    Case(4, 9, 5, (9, 11), 2, (4, 4)),
    Case(5, 9, 3, (7, 10), 1, (2, 4)),
]
CASES = [
    *SMALL,
    Case(1, 1, 3, (2, 2), 1, (2, 2)),
    Case(3, 7, 3, (7, 9), 0, (2, 2)),
    Case(3, 2, 3, (6, 5), 2, (4, 4)),
    Case(3, 4, 3, (9, 6), 0, (4, 2)),
    Case(9, 10, 3, (8, 8), 1, (2, 4)),
    Case(2, 20, 5, (7, 6), 2, (2, 2)),  # three vectors of filters of float32, and five
    Case(2, 39, 3, (6, 6), 1, (2, 2)),
    Case(7, 3, 3, (14, 12), 1, (2, 2)),  # chunks of two rows of tiles, and of one
    Case(17, 6, 3, (3, 38), 1, (2, 2)),  # chunks of parts of a row, of two sizes
]


class Operands(NamedTuple):
    """Arrays of a case in the order that its functions take them."""

    x: np.ndarray
    weight: np.ndarray
    dy: np.ndarray


def operands(case: Case, dtype: Any, lanes: int) -> Operands:
    rng = np.random.default_rng([*case.output, case.channels, lanes])
    n, r = BLOCKS * lanes, case.kernel
    shapes = (
        (n, case.channels, *case.size),
        (case.filters, case.channels, r, r),
        (n, case.filters, *case.output),
    )
    return Operands(*(rng.standard_normal(shape).astype(dtype) for shape in shapes))


class Kernels(NamedTuple):
    """All that a training step needs of a case."""

    forward: WinogradConvolution
    input: WinogradConvolution
    weight: WinogradWeightGradient
    unpack: WinogradWeightUnpack
    filters: FilterTransform
    turned: FilterTransform


def padded(images: np.ndarray, padding: int) -> np.ndarray:
    """A block in a border of zeros, in one of NaN that is cut off."""
    sides = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
    top, _, left, _ = BORDER
    return block(np.pad(images, sides), BORDER)[:, top:, left:]


def plane(rows: int, columns: int, lanes: int) -> tuple[int, int, int]:
    """The strides of a dense block."""
    return rows * columns * lanes, columns * lanes, lanes


def adding(rows: int, columns: int, lanes: int) -> Expression:
    """An epilogue that adds to what is there: no pixel may be handled twice."""
    place = Place(plane(rows, columns, lanes))
    return Expression(1, (place,), (Step("add", (0, 1)),), ((2, place),))


def kernels(case: Case, lanes: int) -> Kernels:
    c, k, r, size, padding, tile = case
    bordered = [n + sum(side) for n, side in zip(size, (BORDER[:2], BORDER[2:]), strict=True)]
    x = plane(*(n + 2 * padding for n in bordered), lanes)
    turning = r - 1 - padding
    around = [n + sum(side) for n, side in zip(case.output, (BORDER[:2], BORDER[2:]), strict=True)]
    dy = plane(*(n + 2 * turning for n in around), lanes)
    return Kernels(
        WinogradConvolution(c, k, r, case.output, x, adding(*case.output, lanes), lanes, tile=tile),
        WinogradConvolution(k, c, r, size, dy, adding(*size, lanes), lanes, tile=tile),
        WinogradWeightGradient(c, k, r, case.output, x, plane(*around, lanes), lanes, tile=tile),
        WinogradWeightUnpack(c, k, r, lanes, tile),
        FilterTransform(c, k, r, tile),
        FilterTransform(c, k, r, tile, turned=True),
    )


def rows(library: Library, kernel: Any, arrays: Sequence[np.ndarray], count: int) -> None:
    """What is done once for all blocks, as two threads share it: the first row, and the others."""
    for start, some in ((0, 1), (1, count - 1)) if count > 1 else ((0, 1),):
        parts = [a.ravel()[start * n :] for a, n in zip(arrays, kernel.row, strict=True)]
        library.call(kernel, *parts, some)


def run(
    case: Case, library: Library, o: Operands, lanes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y - 1, dx - 1 and dw, of the images of all blocks."""
    made, dtype = kernels(case, lanes), o.x.dtype

    def scratch(numbers: int) -> np.ndarray:
        return aligned(numbers, dtype=dtype, fill=np.nan)

    transformed = []
    for kernel, count in ((made.filters, case.filters), (made.turned, case.channels)):
        transformed.append(scratch(kernel.transformed))
        rows(library, kernel, (o.weight, transformed[-1]), count)
    sums = aligned(made.weight.sums, dtype=dtype)
    ys, dxs = [], []
    for first in range(0, len(o.x), lanes):
        x = padded(o.x[first : first + lanes], case.padding)
        dy = o.dy[first : first + lanes]
        y = aligned(case.filters, *case.output, lanes, dtype=dtype, fill=1.0)
        dx = aligned(case.channels, *case.size, lanes, dtype=dtype, fill=1.0)
        library.call(made.forward, x, transformed[0], scratch(made.forward.scratch), y, y)
        turned = padded(dy, case.kernel - 1 - case.padding)
        library.call(made.input, turned, transformed[1], scratch(made.input.scratch), dx, dx)
        library.call(made.weight, x, padded(dy, 0), sums, scratch(made.weight.scratch))
        ys.append(np.moveaxis(y, -1, 0) - 1)
        dxs.append(np.moveaxis(dx, -1, 0) - 1)
    dw = np.full_like(o.weight, np.nan)
    rows(library, made.unpack, (sums, dw), case.channels)
    return np.concatenate(ys), np.concatenate(dxs), dw


def reference(case: Case, o: Operands) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the composition computes in float64."""
    x, w = (tc.tensor(a.astype(np.float64), requires_grad=True) for a in (o.x, o.weight))
    y = F.conv2d(x, w, padding=case.padding)
    y.backward(o.dy.astype(np.float64))
    assert x.grad is not None
    assert w.grad is not None
    return y.data, x.grad.data, w.grad.data


def close(case: Case, library: Library, dtype: Any, lanes: int) -> None:
    o = operands(case, dtype, lanes)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for actual, expected in zip(run(case, library, o, lanes), reference(case, o), strict=True):
        largest = np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * largest)


@pytest.fixture(scope="module", params=[np.float32, np.float64])
def built(request: pytest.FixtureRequest) -> tuple[Any, Library, int]:
    itemsize = np.dtype(request.param).itemsize
    lanes = host().lanes(itemsize)
    made = [kernel for case in CASES for kernel in kernels(case, lanes)]
    return request.param, build(made, itemsize), lanes


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernels_equal_the_composition(built: tuple[Any, Library, int], case: Case) -> None:
    dtype, library, lanes = built
    close(case, library, dtype, lanes)


def machine(name: str, monkeypatch: pytest.MonkeyPatch) -> Target:
    """Vectors and registers that differ from this machine's; LLVM splits what is too wide."""
    if name == "wide":
        return replace(host(), vector_bytes=64, registers=32)
    monkeypatch.setenv(VARIABLE, "sse2")
    return host()


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 targets")
@pytest.mark.parametrize("name", ["wide", "sse2"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_other_machines(name: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    target, itemsize = machine(name, monkeypatch), np.dtype(dtype).itemsize
    lanes = target.lanes(itemsize)
    cases = [SMALL[0], SMALL[1], SMALL[3]]
    made = [kernel for case in cases for kernel in kernels(case, lanes)]
    library = build(made, itemsize, target)
    for case in cases:
        close(case, library, dtype, lanes)


# The root of the mean square of the errors of y, dx and dw, against the largest value.
BOUNDS = [
    (Case(64, 64, 3, (12, 12), 1, (2, 2)), 1e-7),
    (Case(64, 64, 3, (12, 12), 1, (2, 4)), 1.6e-7),
    (Case(64, 64, 3, (12, 12), 1, (4, 4)), 3e-7),
    (Case(16, 20, 5, (12, 12), 2, (2, 2)), 3e-7),
    (Case(16, 20, 5, (12, 12), 2, (4, 4)), 1e-6),
]


@pytest.mark.parametrize(("case", "bound"), BOUNDS, ids=str)
def test_rounding_errors(case: Case, bound: float) -> None:
    lanes = host().lanes(4)
    o = operands(case, np.float32, lanes)
    o.x[o.x < 0] = 0  # like the activations of a network
    actual = run(case, build(list(kernels(case, lanes)), 4), o, lanes)
    for a, b in zip(actual, reference(case, o), strict=True):
        assert np.sqrt(((a - b) ** 2).mean()) < bound * np.abs(b).max()


def test_nan_reaches_the_pixels_that_see_it(built: tuple[Any, Library, int]) -> None:
    dtype, library, lanes = built
    case = next(case for case in CASES if case.size == (14, 12))
    o = operands(case, dtype, lanes)
    o.x[1, 2, 4, 4] = np.nan
    y, _, dw = run(case, library, o, lanes)
    expected, _, expected_dw = reference(case, o)
    assert np.isnan(y[np.isnan(expected)]).all()
    assert np.isnan(dw[np.isnan(expected_dw)]).all()
    assert np.isfinite(y[0]).all()
    assert np.isfinite(y[2:]).all()


# -- sizes that have no kernel -------------------------------------------------------------


def test_an_output_smaller_than_a_tile_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"\(3, 8\) is smaller than a tile of \(4, 4\)"):
        WinogradConvolution(1, 1, 3, (3, 8), (0, 0, 0), Expression(1), 8, tile=(4, 4))
    with pytest.raises(ArgumentError, match=r"use the direct kernel"):
        WinogradWeightGradient(1, 1, 3, (8, 1), (0, 0, 0), (0, 0, 0), 8)


@pytest.mark.parametrize(("m", "r"), [(2, 8), (1, 4), (4, 1), (3, 3)])
def test_other_filters_are_refused(m: int, r: int) -> None:
    with pytest.raises(ArgumentError, match=f"{m} x {m}, {r} x {r}"):
        cook_toom(m, r)


def test_a_kernel_for_other_vectors_is_refused() -> None:
    lanes = 2 * host().lanes(8)
    case = SMALL[0]
    for kernel in kernels(case, lanes)[:3]:
        with pytest.raises(ArgumentError, match=f"{lanes} lanes"):
            build([kernel], 8)


# -- where it pays -------------------------------------------------------------------------

ALL = {"forward", "input", "weight"}
RESNET_20 = [(16, 16, 32), (32, 32, 16), (64, 64, 8)]
VGG = [(64, 64, 32), (64, 128, 16), (128, 128, 16), (128, 256, 8), (256, 256, 4)]


@pytest.mark.parametrize(("channels", "filters", "n"), RESNET_20 + VGG)
def test_wide_layers_are_worthwhile(channels: int, filters: int, n: int) -> None:
    for accuracy, tile in (("default", (2, 4)), ("fast", (4, 4))):
        found = worthwhile(channels, filters, (n, n), 3, accuracy)
        assert set(found) == ALL
        assert n < 8 or set(found.values()) == {tile}


def test_the_input_gradient_has_channels_and_filters_exchanged() -> None:
    assert set(worthwhile(3, 16, (32, 32), 5, "fast")) == {"forward"}
    assert set(worthwhile(16, 3, (32, 32), 5, "fast")) == {"input"}


@pytest.mark.parametrize("sizes", [(1, 32, (28, 28), 3), (3, 64, (32, 32), 3)])
def test_few_channels_are_not_worthwhile(sizes: Any) -> None:
    assert worthwhile(*sizes) == {}
    assert worthwhile(*sizes, "fast") == {}


def test_tiles_fit_the_accuracy_and_the_image() -> None:
    assert set(worthwhile(64, 64, (16, 16), 5).values()) == {(2, 2)}
    assert worthwhile(64, 64, (16, 16), 7, "fast") == {}
    assert worthwhile(64, 64, (1, 16), 3, "fast") == {}
    assert set(worthwhile(64, 64, (3, 16), 3, "fast").values()) == {(2, 4)}
    with pytest.raises(ArgumentError, match="'exact', expected 'default' or 'fast'"):
        worthwhile(64, 64, (16, 16), 3, "exact")
