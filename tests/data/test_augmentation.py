"""Transforms of batches against the same thing done image by image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tc
from tinygrad_cnn.data import (
    ArrayDataset,
    CenterCrop,
    ColorJitter,
    ColorPCA,
    Compose,
    Cutout,
    Digits,
    FiveCrop,
    Mirrored,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomShift,
    RandomVerticalFlip,
    SubtractMeanImage,
    TenCrop,
)
from tinygrad_cnn.errors import ArgumentError, DtypeError, ShapeError

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


# -- pixel values --------------------------------------------------------------------------


def _photographs(rng: Any, n: int = 6) -> Any:
    return rng.random((n, 3, 5, 4)).astype(np.float32)


def test_the_mean_image_is_that_of_the_training_images_alone(rng: Any) -> None:
    images = rng.integers(0, 256, (2500, 3, 4, 5), dtype=np.uint8)
    train, test = ArrayDataset(images[:2000], [0] * 2000), ArrayDataset(images[2000:], [0] * 500)
    mean = images[:2000].mean(0) / 255
    np.testing.assert_allclose(train.mean_image, mean)
    assert train.mean_image.dtype == np.float64
    x, _ = test.batch(slice(None))
    found = SubtractMeanImage(train.mean_image)(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, x - mean, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_jitter_image_by_image(rng: Any, dtype: type) -> None:
    images = _photographs(rng).astype(dtype)
    found = ColorJitter(0.4, 0.3, 0.2)(images, _rng())
    assert found.dtype == dtype
    factors = 1 + np.array([0.4, 0.3, 0.2]) * _rng().uniform(-1, 1, (6, 3))
    weights = np.reshape([0.299, 0.587, 0.114], (3, 1, 1))
    for image, (brightness, contrast, saturation), result in zip(
        images.astype(float), factors, found, strict=True
    ):
        image = np.clip(brightness * image, 0, 1)
        middle = (weights * image).sum(0).mean()
        image = np.clip(middle + contrast * (image - middle), 0, 1)
        grey = (weights * image).sum(0)
        image = np.clip(grey + saturation * (image - grey), 0, 1)
        np.testing.assert_allclose(result, image, atol=1e-6)


def test_jitter_by_nothing_and_of_grey_images(rng: Any) -> None:
    images = _photographs(rng)
    np.testing.assert_allclose(ColorJitter()(images), images, atol=1e-6)
    grey = images[:, :1]
    np.testing.assert_allclose(ColorJitter(saturation=1)(grey), grey, atol=1e-6)


def test_principal_colours_of_the_training_images(rng: Any) -> None:
    axes = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    colours = 0.5 + (rng.standard_normal((40, 50, 3)) * [0.01, 0.03, 0.1]) @ axes.T
    train = ArrayDataset(np.moveaxis(colours.reshape(40, 5, 10, 3), 3, 1), [0] * 40)
    transform = ColorPCA.from_data(train, sigma=0.5)
    np.testing.assert_allclose(
        np.linalg.norm(transform.components, axis=0), [0.01, 0.03, 0.1], rtol=0.05
    )
    images = np.zeros((4000, 3, 2, 2), np.float32)
    shifted = transform(images, _rng())
    assert shifted.dtype == np.float32
    assert (shifted == shifted[:, :, :1, :1]).all()  # one colour for an image
    moved = shifted[:, :, 0, 0].astype(float)
    np.testing.assert_allclose(
        np.cov(moved.T) / 0.5**2, transform.components @ transform.components.T, atol=5e-4
    )


@given(shape=shapes, side=st.tuples(*[st.integers(1, 9)] * 2), seed=st.integers(0, 99))
def test_a_cutout_is_a_window_about_a_pixel(shape: Any, side: Any, seed: int) -> None:
    images = _images(shape)
    found = Cutout(side, fill=-1)(images, np.random.default_rng(seed))
    generator = np.random.default_rng(seed)
    rows, columns = (generator.integers(0, n, (shape[0], 1))[:, 0] for n in shape[2:])
    for image, result, row, column in zip(images, found, rows, columns, strict=True):
        top, left = row - side[0] // 2, column - side[1] // 2
        expected = image.copy()
        inside = slice(max(0, top), top + side[0]), slice(max(0, left), left + side[1])
        expected[:, inside[0], inside[1]] = -1
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("transform", [ColorJitter(0.5), ColorPCA(np.eye(3)), Cutout(2)])
def test_colours_and_holes_are_drawn_from_the_generator(transform: Any, rng: Any) -> None:
    images = _photographs(rng)
    before = images.copy()
    np.testing.assert_array_equal(transform(images, _rng()), transform(images, _rng()))
    tc.manual_seed(3)
    first, second = transform(images), transform(images)
    tc.manual_seed(3)
    np.testing.assert_array_equal(transform(images), first)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(images, before)


def test_views_are_the_corners_the_middle_and_their_mirror_images() -> None:
    images = _images((2, 3, 6, 9))
    crops = TenCrop((4, 6))(images)
    places = [(0, 0), (0, 3), (2, 0), (2, 3), (1, 1)]
    for (top, left), crop, mirrored in zip(places, crops[:5], crops[5:], strict=True):
        np.testing.assert_array_equal(crop, images[:, :, top : top + 4, left : left + 6])
        np.testing.assert_array_equal(mirrored, crop[..., ::-1])
    np.testing.assert_array_equal(FiveCrop((4, 6))(images), crops[:5])
    np.testing.assert_array_equal(FiveCrop((4, 6))(images)[4], CenterCrop((4, 6))(images))
    whole, mirror = Mirrored()(images)
    np.testing.assert_array_equal(whole, images)
    np.testing.assert_array_equal(mirror, images[..., ::-1])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: ColorJitter(brightness=1.5), ArgumentError, "brightness=1.5"),
        (lambda: ColorJitter(contrast=-0.1), ArgumentError, "contrast=-0.1"),
        (lambda: ColorJitter(saturation=np.nan), ArgumentError, "saturation=nan"),
        (lambda: ColorPCA(np.eye(2)), ShapeError, r"components \(2, 2\)"),
        (lambda: ColorPCA(np.eye(3), sigma=-1), ArgumentError, "sigma=-1"),
        (lambda: ColorPCA.from_data(Digits("test")), ShapeError, "ColorPCA: images .* C=3"),
        (lambda: Cutout(0), ArgumentError, "size=0"),
        (lambda: SubtractMeanImage([0.5, 0.5, 0.5]), ShapeError, "there is Normalize"),
        (lambda: SubtractMeanImage(np.full((1, 2, 2), np.nan)), ArgumentError, "NaN"),
        (lambda: FiveCrop(0), ArgumentError, "FiveCrop: size=0"),
        (lambda: TenCrop("8"), ArgumentError, "TenCrop: size='8'"),
    ],
)
def test_statistics_and_sizes_that_make_no_sense(call: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize(
    ("transform", "images", "error", "match"),
    [
        (ColorJitter(), np.zeros((2, 3, 4, 4), np.uint8), DtypeError, "uint8, expected floating"),
        (ColorJitter(), np.zeros((2, 4, 4, 4)), ShapeError, "C=1 or 3"),
        (ColorPCA(np.eye(3)), np.zeros((2, 1, 4, 4)), ShapeError, "C=3"),
        (Cutout(2), np.zeros((4, 4)), ShapeError, "Cutout: images"),
        (SubtractMeanImage(np.zeros((1, 4, 4))), np.zeros((2, 1, 3, 3)), ShapeError, "cropped"),
        (TenCrop(5), np.zeros((2, 3, 4, 9)), ShapeError, r"TenCrop: a window of \(5, 5\)"),
        (Mirrored(), np.zeros((2, 9)), ShapeError, "Mirrored: images"),
    ],
)
def test_batches_that_do_not_fit(transform: Any, images: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        transform(images)
