"""Convolutions of a block of images, and their gradients, against the composition."""

from __future__ import annotations

import platform
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from lane_blocks import aligned, block, strides

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F

pytest.importorskip("llvmlite")

from tinygrad_cnn.compiler.lanes import target
from tinygrad_cnn.compiler.lanes.expression import Expression, Place, Step
from tinygrad_cnn.compiler.lanes.kernels.conv import Convolution, Filters, InputGradient
from tinygrad_cnn.compiler.lanes.kernels.conv_weight import WeightGradient
from tinygrad_cnn.compiler.lanes.kernels.correlation import best_tile
from tinygrad_cnn.compiler.lanes.library import Library, build

PRECISIONS = [np.float32, np.float64]


class Case(NamedTuple):
    """Channels and filters of a group, and the arguments of conv2d."""

    channels: int
    filters: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def geometry(self) -> Filters:
        return Filters(
            self.channels, self.filters, self.kernel, self.stride, self.dilation, self.groups
        )


def same(rows: int, columns: int | None = None) -> tuple[tuple[int, int], tuple[int, int]]:
    columns = rows if columns is None else columns
    return (rows, rows), (columns, columns)


CASES = [
    Case(1, 6, (12, 12), (5, 5), padding=same(2)),
    Case(3, 5, (9, 7), (5, 5)),
    Case(3, 7, (8, 9), (3, 3), padding=same(1)),
    Case(2, 13, (17, 16), (3, 3), padding=same(1)),  # no tap row is left out
    Case(2, 3, (4, 1), (3, 3), padding=same(1)),
    Case(3, 2, (1, 1), (3, 3), padding=same(1)),
    Case(2, 3, (2, 3), (3, 3), padding=same(4)),  # rows of the output see padding only
    Case(5, 4, (5, 6), (1, 1)),
    Case(131, 2, (2, 2), (1, 1)),
    Case(4, 33, (1, 1), (1, 1)),
    Case(2, 3, (1, 19), (1, 4), padding=((0, 0), (2, 1))),  # one axis in space
    Case(1, 2, (2, 20), (1, 13), padding=same(0, 3)),  # too many taps to write them out
    Case(2, 2, (13, 6), (11, 2), padding=same(5, 1)),
    Case(4, 6, (8, 9), (3, 3), stride=(2, 2), padding=same(1)),
    Case(3, 4, (7, 8), (1, 1), stride=(2, 2)),
    Case(2, 3, (10, 9), (2, 2), stride=(4, 3)),  # pixels that no tap meets
    Case(2, 2, (1, 1), (1, 1), stride=(4, 4), padding=same(1)),  # none at all is met
    Case(1, 3, (12, 11), (7, 7), stride=(2, 2), padding=same(3)),
    Case(2, 3, (7, 8), (3, 3), padding=same(2), dilation=(2, 2)),
    Case(2, 3, (11, 12), (3, 2), stride=(2, 3), padding=((2, 0), (1, 3)), dilation=(2, 2)),
    Case(1, 2, (11, 12), (4, 4), stride=(3, 2), dilation=(2, 3), padding=same(3, 4)),
    Case(1, 1, (7, 9), (3, 3), padding=same(1), groups=5),  # depthwise
    Case(1, 2, (7, 9), (3, 3), stride=(2, 2), padding=same(1), groups=3),
    Case(2, 3, (6, 5), (3, 2), padding=((0, 2), (1, 0)), groups=2),
]


class Operands(NamedTuple):
    """A convolution's arrays, and the same in blocks whose borders are as thin as may be."""

    x: np.ndarray
    weight: np.ndarray
    g: np.ndarray
    x_block: np.ndarray
    y_block: np.ndarray
    g_block: np.ndarray
    mask_block: np.ndarray
    dx_block: np.ndarray


def inside_nan(images: np.ndarray, border: Any) -> np.ndarray:
    """Images (lanes, ..., H, W) as a block in a border of zeros, and around it one of NaN."""
    widths = [(0, 0)] * (images.ndim - 2) + list(border)
    return block(np.pad(images, widths), (1, 2, 3, 1))[..., 1:-2, 3:-1, :]


def result(to: np.ndarray) -> tuple[tuple[int, Place], ...]:
    return ((2, Place(strides(to))),)


def relu(to: np.ndarray) -> Expression:
    return Expression(1, (), (Step("multiply", (0, 0.5)), Step("maximum", (1, 0.0))), result(to))


def masked(mask: np.ndarray, to: np.ndarray) -> Expression:
    """The gradient of ReLU, whose operand is the mask."""
    steps = Step("greater", (1, 0.0)), Step("where", (2, 0, 0.0))
    return Expression(1, (Place(strides(mask)),), steps, ((3, Place(strides(to))),))


def input_gradient(case: Case, g: np.ndarray, epilogue: Expression) -> InputGradient:
    image, weight = (tc.zeros(shape) for shape in shapes(case, 1))
    _, _, rows, columns = F.conv2d(image, weight, **settings(case)).shape
    before = (case.padding[0][0], case.padding[1][0])
    return InputGradient(case.geometry, case.size, (rows, columns), strides(g), epilogue, before)


def shapes(case: Case, lanes: int) -> list[tuple[int, ...]]:
    return [
        (lanes, case.channels * case.groups, *case.size),
        (case.filters * case.groups, case.channels, *case.kernel),
    ]


def settings(case: Case) -> dict[str, Any]:
    names = "stride", "padding", "dilation", "groups"
    return {name: getattr(case, name) for name in names}


@cache
def operands(case: Case, dtype: Any, lanes: int) -> Operands:
    rng = np.random.default_rng([*case.size, case.filters])
    x, weight = (rng.standard_normal(shape).astype(dtype) for shape in shapes(case, lanes))
    g = rng.standard_normal(F.conv2d(x, weight, **settings(case)).shape).astype(dtype)
    return in_blocks(case, x, weight, g)


def in_blocks(case: Case, x: np.ndarray, weight: np.ndarray, g: np.ndarray) -> Operands:
    border = input_gradient(case, block(g), Expression(1)).border
    (top, bottom), (left, right) = border
    padded = inside_nan(g, border)
    h, w = padded.shape[1:3]
    return Operands(
        x, weight, g,
        inside_nan(x, case.padding),
        block(np.full_like(g, np.nan)),
        padded[:, top : h - bottom, left : w - right],
        block(np.random.default_rng(0).standard_normal(x.shape).astype(x.dtype)),
        block(np.full_like(x, np.nan), (1, 0, 0, 2))[:, 1:, :-2],
    )  # fmt: skip


class Kernels(NamedTuple):
    forward: Convolution
    input: InputGradient
    weight: WeightGradient


def kernels(case: Case, o: Operands) -> Kernels:
    filters, out = case.geometry, o.y_block.shape[1:3]
    rows = (case.padding[0][0], case.size[0])
    return Kernels(
        Convolution(filters, out, strides(o.x_block), relu(o.y_block), rows),
        input_gradient(case, o.g_block, masked(o.mask_block, o.dx_block)),
        WeightGradient(filters, out, strides(o.x_block), strides(o.g_block)),
    )


class Built(NamedTuple):
    dtype: Any
    lanes: int
    library: Library

    def close(self, actual: np.ndarray, expected: np.ndarray) -> None:
        tolerance = 1e-5 if self.dtype == np.float32 else 1e-12
        largest = np.abs(expected).max(initial=1e-30)
        np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * largest)


MACHINES = [(dtype, "") for dtype in PRECISIONS]
if platform.machine().lower() in ("x86_64", "amd64"):
    MACHINES.append((np.float32, "sse2"))  # narrow vectors, and no instruction for a b + c


@pytest.fixture(scope="module", params=MACHINES, ids=str)
def built(request: pytest.FixtureRequest) -> Any:
    """All kernels of these tests, for one precision and one machine."""
    dtype, name = request.param
    with pytest.MonkeyPatch.context() as patch:
        if name:
            patch.setenv(target.VARIABLE, name)
        itemsize = np.dtype(dtype).itemsize
        lanes = target.host().lanes(itemsize)
        wanted: list[Any] = []
        for case in CASES:
            wanted += kernels(case, operands(case, dtype, lanes))
        yield Built(dtype, lanes, build(wanted, itemsize))


class Gradients(NamedTuple):
    y: np.ndarray
    x: np.ndarray
    weight: np.ndarray


def reference(case: Case, o: Operands) -> Gradients:
    """What the composition and its gradients are, of the same precision."""
    x, weight = (tc.tensor(array, requires_grad=True) for array in (o.x, o.weight))
    y = F.conv2d(x, weight, **settings(case))
    y.backward(o.g)
    assert x.grad is not None
    assert weight.grad is not None
    return Gradients(y.data, x.grad.data, weight.grad.data)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_equals_the_composition(built: Built, case: Case) -> None:
    o = operands(case, built.dtype, built.lanes)
    built.library.call(kernels(case, o).forward, o.x_block, o.weight, o.y_block)
    expected = np.maximum(reference(case, o).y / 2, 0)
    built.close(np.moveaxis(o.y_block, -1, 0), expected)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_input_gradient_equals_the_composition(built: Built, case: Case) -> None:
    o = operands(case, built.dtype, built.lanes)
    built.library.call(kernels(case, o).input, o.g_block, o.weight, o.mask_block, o.dx_block)
    mask = np.moveaxis(o.mask_block, -1, 0) > 0
    built.close(np.moveaxis(o.dx_block, -1, 0), np.where(mask, reference(case, o).x, 0))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_weight_gradient_is_added_to_what_is_there(built: Built, case: Case) -> None:
    o = operands(case, built.dtype, built.lanes)
    made, expected = kernels(case, o), reference(case, o)
    weight = aligned(*o.weight.shape, dtype=built.dtype, fill=3.0)
    built.library.call(made.weight, o.x_block, o.g_block, weight)
    built.close(weight, 3 + expected.weight)


# -- beside the composition ----------------------------------------------------------------


def test_nan_reaches_what_it_takes_part_in() -> None:
    case = Case(3, 4, (6, 5), (3, 3), stride=(2, 2), padding=same(1))
    fresh = operands(case, np.float64, target.host().lanes(8))
    x, g = fresh.x.copy(), fresh.g.copy()
    x[1, 0, 3, 2] = g[0, 1, 2, 0] = np.nan
    o = in_blocks(case, x, fresh.weight, g)
    made, expected = kernels(case, o), reference(case, o)
    library = build(made, 8)
    weight = np.zeros_like(o.weight)
    o.mask_block.fill(1.0)
    library.call(made.forward, o.x_block, o.weight, o.y_block)
    library.call(made.input, o.g_block, o.weight, o.mask_block, o.dx_block)
    library.call(made.weight, o.x_block, o.g_block, weight)
    y, dx = (np.moveaxis(array, -1, 0) for array in (o.y_block, o.dx_block))
    for actual, reference_ in zip((y, dx, weight), expected, strict=True):
        assert 0 < np.isnan(reference_).sum() < reference_.size
        np.testing.assert_array_equal(np.isnan(actual), np.isnan(reference_))


def test_input_gradient_is_a_transposed_convolution() -> None:
    case = Case(3, 2, (9, 8), (4, 3), stride=(2, 3), padding=same(1), groups=2)
    lanes = target.host().lanes(8)
    o = operands(case, np.float64, lanes)
    bias = np.linspace(-1.0, 1.0, o.x.shape[1])
    add = Expression(
        1,
        (Place((1, 0, 0), lanes=False),),
        (Step("add", (0, 1)),),
        ((2, Place(strides(o.dx_block))),),
    )
    kernel = input_gradient(case, o.g_block, add)
    build([kernel], 8).call(kernel, o.g_block, o.weight, bias, o.dx_block)
    rows, columns = (
        size - ((g - 1) * stride - 2 + taps)
        for size, g, stride, taps in zip(
            case.size, o.g.shape[2:], case.stride, case.kernel, strict=True
        )
    )
    expected = F.conv_transpose2d(
        o.g, o.weight, bias, case.stride, 1, (rows, columns), groups=case.groups
    )
    actual = np.moveaxis(o.dx_block, -1, 0)
    np.testing.assert_allclose(actual, expected.data, rtol=0, atol=1e-12)


def test_the_border_of_a_gradient_is_no_thicker_than_its_taps_reach() -> None:
    def border(case: Case) -> Any:
        return input_gradient(case, np.zeros((1, 1, 1, 1)), Expression(1)).border

    assert border(Case(1, 1, (9, 9), (5, 3))) == ((4, 4), (2, 2))
    assert border(Case(1, 1, (9, 9), (5, 3), padding=same(2, 1))) == ((2, 2), (1, 1))
    assert border(Case(1, 1, (9, 9), (3, 3), padding=same(4))) == ((0, 0), (0, 0))
    assert border(Case(1, 1, (8, 8), (3, 3), stride=(2, 2), padding=same(1))) == ((0, 1), (0, 1))
    assert border(Case(1, 1, (8, 8), (1, 1), stride=(2, 2))) == ((0, 0), (0, 0))


@pytest.mark.parametrize("registers", [16, 32])
@pytest.mark.parametrize("sizes", [(64, 32, 32), (1, 16, 16), (20, 8, 8), (5, 1, 1), (3, 1, 7)])
def test_a_tile_stays_in_registers(registers: int, sizes: tuple[int, ...]) -> None:
    filters, rows, columns = tile = best_tile(registers, *sizes, shared=True)
    assert all(1 <= part <= size for part, size in zip(tile, sizes, strict=True))
    assert filters * rows * columns + rows * columns + 1 < registers


def test_pointers_are_named_in_the_order_of_the_arrays() -> None:
    filters = Filters(1, 1, (3, 3))
    epilogue = masked(np.zeros((1, 1, 1, 1)), np.zeros((1, 1, 1, 1)))
    forward = Convolution(filters, (4, 4), (1, 1, 1), epilogue)
    others = "operand 0 of the epilogue", "result 0 of the epilogue"
    assert forward.pointers == ("x", "weight", *others)
    gradient = InputGradient(filters, (4, 4), (2, 2), (1, 1, 1), epilogue)
    assert gradient.pointers == ("gradient", "weight", *others)
