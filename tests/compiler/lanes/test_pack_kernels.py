"""Arrays into blocks of lanes and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from lane_blocks import aligned, strides

pytest.importorskip("llvmlite")

from tinygrad_cnn.compiler.lanes.expression import Place
from tinygrad_cnn.compiler.lanes.kernels.pack import Fill, Mask, Pack, Unpack, ZeroBorder
from tinygrad_cnn.compiler.lanes.library import Library, build
from tinygrad_cnn.compiler.lanes.target import host

SHAPES = [
    (),
    (1,),
    (3,),
    (37,),
    (2, 5),
    (3, 16),
    (1, 28, 28),
    (3, 9, 17),
    (2, 3, 5, 8),
]
LAYOUTS: dict[str, Any] = {
    "contiguous": lambda a: a,
    "batch innermost": lambda a: np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 0, -1)), -1, 0),
    "reversed axes": lambda a: np.ascontiguousarray(a.T).T,
    "every second": lambda a: np.repeat(a, 2, -1)[..., ::2],
    "channels last": lambda a: (
        a if a.ndim < 3 else np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)
    ),
}


def numbered(count: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    return np.arange(1, 1 + count * int(np.prod(shape)), dtype=dtype).reshape(count, *shape)


def in_numbers(array: np.ndarray) -> tuple[int, ...]:
    return tuple(s // array.itemsize for s in array.strides)


def bordered(shape: tuple[int, ...], lanes: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """A buffer of NaN, and the part of it that is inside of a border."""
    grown = tuple(n + 3 if i >= len(shape) - 2 and i else n for i, n in enumerate(shape))
    buffer = aligned(*grown, lanes, dtype=dtype, fill=np.nan)
    inside = tuple(
        slice(1, 1 + n) if g > n else slice(n) for n, g in zip(shape, grown, strict=True)
    )
    return buffer, buffer[inside]


def place(buffer: np.ndarray, inside: np.ndarray) -> Place:
    offset = (inside.ctypes.data - buffer.ctypes.data) // buffer.itemsize
    return Place(strides(inside), offset)


def exchange(
    kind: Any, images: int, shape: tuple[int, ...], layout: str, dtype: Any, border: bool
) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """A kernel, its array with one image more, the buffer, and the buffer's inside."""
    lanes = host().lanes(np.dtype(dtype).itemsize)
    array = LAYOUTS[layout](numbered(images + 1, shape, dtype))
    if border:
        buffer, inside = bordered(shape, lanes, dtype)
    else:
        buffer = inside = aligned(*shape, lanes, dtype=dtype, fill=np.nan)
    return kind(shape, in_numbers(array), place(buffer, inside), images), array, buffer, inside


CASES = [
    (shape, layout, border) for shape in SHAPES for layout in LAYOUTS for border in (False, True)
]


@pytest.fixture(scope="module", params=[np.float32, np.float64])
def built(request: pytest.FixtureRequest) -> tuple[Any, Library]:
    itemsize = np.dtype(request.param).itemsize
    kernels = [
        exchange(kind, images, shape, layout, request.param, border)[0]
        for shape, layout, border in CASES
        for kind in (Pack, Unpack)
        for images in counts(request.param)
    ]
    return request.param, build(kernels, itemsize)


def counts(dtype: Any) -> list[int]:
    """Of images in a block: all, and one less."""
    lanes = host().lanes(np.dtype(dtype).itemsize)
    return [lanes - 1, lanes]


@pytest.mark.parametrize(("shape", "layout", "border"), CASES)
def test_pack_puts_one_image_into_each_lane(
    built: tuple[Any, Library], shape: tuple[int, ...], layout: str, border: bool
) -> None:
    dtype, library = built
    for images in counts(dtype):
        kernel, array, buffer, inside = exchange(Pack, images, shape, layout, dtype, border)
        library.call(kernel, array, buffer)
        expected = np.moveaxis(array[:images], 0, -1)
        np.testing.assert_array_equal(inside[..., :images], expected)
        last = expected[..., -1:]
        again = np.broadcast_to(last, inside[..., images:].shape)
        np.testing.assert_array_equal(inside[..., images:], again)
        inside[...] = np.nan
        assert np.isnan(buffer).all()  # nothing was written outside


@pytest.mark.parametrize(("shape", "layout", "border"), CASES)
def test_unpack_returns_the_images_alone(
    built: tuple[Any, Library], shape: tuple[int, ...], layout: str, border: bool
) -> None:
    dtype, library = built
    for images in counts(dtype):
        kernel, array, buffer, inside = exchange(Unpack, images, shape, layout, dtype, border)
        expected = numbered(inside.shape[-1], shape, dtype)
        inside[...] = np.moveaxis(expected, 0, -1)
        library.call(kernel, array, buffer)
        np.testing.assert_array_equal(array[:images], expected[:images])
        np.testing.assert_array_equal(array[images], numbered(images + 1, shape, dtype)[images])


# -- inside of blocks ----------------------------------------------------------------------

BUFFERS = [(), (10,), (3, 4), (2, 5, 6)]
BORDERS = [(1, 1, 1, 1), (0, 2, 3, 0), (2, 0, 0, 1), (0, 0, 0, 0), (2, 3, 3, 4)]


def random(*shape: int) -> np.ndarray:
    lanes = host().lanes(8)
    made = aligned(*shape, lanes)
    made[...] = np.random.default_rng(0).standard_normal(made.shape)
    return made


def inner(made: np.ndarray) -> np.ndarray:
    """All of a buffer but the first row of its first axis."""
    return made[1:] if made.ndim > 1 else made


@pytest.fixture(scope="module")
def helpers() -> Library:
    kernels: list[Any] = []
    for shape in BUFFERS:
        made = random(*shape)
        at = inner(made).shape[:-1], place(made, inner(made))
        kernels += [Mask(*at, images) for images in (1, made.shape[-1] - 1)]
        kernels += [Fill(*at, 2.5), Fill(*at)]
    kernels += [ZeroBorder((2, 5, 7), strides(random(2, 5, 7)), border) for border in BORDERS]
    return build(kernels, 8)


@pytest.mark.parametrize("shape", BUFFERS)
def test_mask_clears_lanes_without_image_even_of_nan(
    helpers: Library, shape: tuple[int, ...]
) -> None:
    made = random(*shape)
    for images in (1, made.shape[-1] - 1):
        made[..., images:] = np.nan
        expected = made.copy()
        inner(expected)[..., images:] = 0.0
        helpers.call(Mask(inner(made).shape[:-1], place(made, inner(made)), images), made)
        np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("value", [2.5, 0.0])
@pytest.mark.parametrize("shape", BUFFERS)
def test_fill_writes_a_number_everywhere(
    helpers: Library, shape: tuple[int, ...], value: float
) -> None:
    made = random(*shape)
    expected = made.copy()
    inner(expected)[...] = value
    helpers.call(Fill(inner(made).shape[:-1], place(made, inner(made)), value), made)
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("border", BORDERS)
def test_zero_border_leaves_the_inside(helpers: Library, border: tuple[int, int, int, int]) -> None:
    made = random(2, 5, 7)
    expected = np.zeros_like(made)
    top, bottom, left, right = border
    inside = np.s_[:, top : 5 - bottom, left : 7 - right]
    expected[inside] = made[inside]
    helpers.call(ZeroBorder((2, 5, 7), strides(made), border), made)
    np.testing.assert_array_equal(made, expected)
