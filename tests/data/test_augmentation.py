"""Transforms of batches against the same thing done image by image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tc
from tinygrad_cnn.data import (
    CenterCrop,
    Compose,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomShift,
    RandomVerticalFlip,
)
from tinygrad_cnn.errors import ArgumentError, ShapeError

RANDOM = [
    RandomHorizontalFlip(),
    RandomVerticalFlip(),
    RandomShift(2),
    RandomCrop((4, 3), padding=(1, 0)),
]


def _images(shape: tuple[int, ...], dtype: type = np.float32) -> Any:
    """Images without two equal pixels in one plane, none of them 0."""
    return np.arange(1, np.prod(shape) + 1, dtype=dtype).reshape(shape)


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)


def _is_window(window: Any, padded: Any) -> bool:
    """Whether ``window`` (C, H, W) is somewhere in ``padded``."""
    _, h, w = window.shape
    rows, columns = (big - small + 1 for big, small in zip(padded.shape[1:], (h, w), strict=True))
    places = ((top, left) for top in range(rows) for left in range(columns))
    return any(np.array_equal(padded[:, i : i + h, j : j + w], window) for i, j in places)


shapes = st.tuples(*[st.integers(1, 6)] * 2, *[st.integers(3, 7)] * 2)


@given(shape=shapes, seed=st.integers(0, 2**32 - 1))
def test_a_flip_mirrors_each_image_or_leaves_it(shape: Any, seed: int) -> None:
    images = _images(shape)
    for flip, axis in ((RandomHorizontalFlip(), 2), (RandomVerticalFlip(), 1)):
        result = flip(images, np.random.default_rng(seed))
        for image, found in zip(images, result, strict=True):
            choices = (image, np.flip(image, axis))
            assert any(np.array_equal(found, choice) for choice in choices)
    np.testing.assert_array_equal(images, _images(shape))


@given(
    shape=shapes,
    padding=st.tuples(*[st.integers(0, 3)] * 2),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_a_crop_is_a_window_of_the_padded_image(
    shape: Any, padding: tuple[int, int], seed: int, data: Any
) -> None:
    images, (ph, pw) = _images(shape), padding
    size = tuple(
        data.draw(st.integers(1, n + 2 * p)) for n, p in zip(shape[2:], padding, strict=True)
    )
    result = RandomCrop(size, padding, fill=-1)(images, np.random.default_rng(seed))
    assert result.shape == (*shape[:2], *size)
    padded = np.pad(images, [(0, 0), (0, 0), (ph, ph), (pw, pw)], constant_values=-1)
    assert all(map(_is_window, result, padded))


@given(shape=shapes, shift=st.tuples(*[st.integers(0, 3)] * 2), seed=st.integers(0, 99))
def test_a_shift_keeps_the_size_and_moves_all_channels_alike(
    shape: Any, shift: tuple[int, int], seed: int
) -> None:
    images = _images(shape)
    result = RandomShift(shift)(images, np.random.default_rng(seed))
    assert result.shape == shape
    padded = np.pad(images, [(0, 0), (0, 0), *[(s, s) for s in shift]])
    assert all(map(_is_window, result, padded))


def test_each_image_is_treated_by_itself_and_every_place_occurs() -> None:
    images = np.broadcast_to(_images((1, 1, 5, 5)), (2000, 1, 5, 5))
    crops = RandomCrop(3)(images, _rng())
    places, counts = np.unique(crops[:, 0, 0, 0], return_counts=True)
    assert len(places) == 9
    assert counts.min() > 150
    flipped = RandomHorizontalFlip(p=0.25)(images, _rng())[:, 0, 0, 0] != 1
    assert 0.2 < flipped.mean() < 0.3


@pytest.mark.parametrize("p", [0, 1])
def test_certain_flips(p: int) -> None:
    images = _images((3, 2, 4, 5))
    np.testing.assert_array_equal(
        RandomVerticalFlip(p)(images), images[:, :, ::-1] if p else images
    )


@pytest.mark.parametrize("transform", RANDOM)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_layout_does_not_matter_and_the_dtype_stays(transform: Any, dtype: type) -> None:
    images = _images((6, 3, 5, 4), dtype)
    innermost = np.moveaxis(np.ascontiguousarray(np.moveaxis(images, 0, -1)), -1, 0)
    result = transform(images, _rng())
    assert result.dtype == dtype
    np.testing.assert_array_equal(transform(innermost, _rng()), result)


@pytest.mark.parametrize("transform", RANDOM)
def test_the_default_generator_is_used(transform: Any) -> None:
    images = _images((20, 1, 5, 5))
    tc.manual_seed(3)
    first, second = transform(images), transform(images)
    tc.manual_seed(3)
    np.testing.assert_array_equal(transform(images), first)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [(2, (1, 3), (1, 3)), ((4, 5), (0, 4), (0, 5)), ((1, 3), (1, 2), (1, 4))],
)
def test_the_middle(size: Any, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    images = _images((2, 3, 4, 5))
    result = CenterCrop(size)(images)
    np.testing.assert_array_equal(result, images[:, :, slice(*rows), slice(*columns)])
    assert not np.shares_memory(result, images)


def test_normalize_by_channel(rng: Any) -> None:
    images = rng.random((50, 3, 4, 4)) * np.reshape([1, 5, 20], (3, 1, 1))
    mean, std = images.mean((0, 2, 3)), images.std((0, 2, 3))
    result = Normalize(mean, std)(images)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.mean((0, 2, 3), dtype=float), 0, atol=1e-6)
    np.testing.assert_allclose(result.std((0, 2, 3), dtype=float), 1, atol=1e-6)


def test_normalize_by_one_number_and_of_features() -> None:
    np.testing.assert_array_equal(
        Normalize(1, 2)(np.full((2, 3, 1, 1), 5.0)), np.full((2, 3, 1, 1), 2)
    )
    np.testing.assert_array_equal(Normalize([1, 3], [1, 2])(np.ones((4, 2))), [[0, -1]] * 4)


def test_compose_applies_in_order_and_hands_on_the_generator() -> None:
    images = _images((8, 1, 6, 6))
    generator = _rng()
    by_hand = RandomHorizontalFlip()(RandomCrop(4)(images, generator), generator)
    composed = Compose([RandomCrop(4), RandomHorizontalFlip()])
    np.testing.assert_array_equal(composed(images, _rng()), by_hand)


@pytest.mark.parametrize("transform", [*RANDOM, CenterCrop(2)])
def test_images_without_four_axes_are_refused(transform: Any) -> None:
    with pytest.raises(ShapeError, match=rf"{type(transform).__name__}: images \(4, 5\)"):
        transform(np.zeros((4, 5)))


@pytest.mark.parametrize(
    ("transform", "match"),
    [
        (CenterCrop(6), r"CenterCrop: a window of \(6, 6\) in images of \(5, 9\)"),
        (RandomCrop((2, 12), 1), r"RandomCrop: a window of \(2, 12\) in images of \(7, 11\)"),
        (Normalize([0, 0], 1), "2 numbers for the channels"),
        (Normalize(0, [1, 1]), "2 numbers for the channels"),
    ],
)
def test_images_that_do_not_fit_are_refused(transform: Any, match: str) -> None:
    with pytest.raises(ShapeError, match=match):
        transform(np.zeros((2, 3, 5, 9)))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: RandomHorizontalFlip(1.5), "p=1.5"),
        (lambda: RandomVerticalFlip(np.nan), "p=nan"),
        (lambda: RandomShift(-1), "max_shift=-1"),
        (lambda: RandomCrop(0), "size=0"),
        (lambda: RandomCrop((2, 2, 2)), "size="),
        (lambda: RandomCrop(2.5), "size=2.5"),
        (lambda: RandomCrop(2, padding=(0, -1)), "padding="),
        (lambda: Normalize(0, 0), "std above 0"),
        (lambda: Normalize([0, np.inf], 1), "finite"),
    ],
)
def test_arguments_outside_their_domain(make: Any, match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        make()
