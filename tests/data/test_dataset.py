"""Data sets in memory: dtypes, scale, statistics, splits, and the bundled digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.data import ArrayDataset, Dataset, Digits, stratified_split
from tinygrad_cnn.errors import ArgumentError, DataError, DtypeError, ShapeError

IMAGES = np.arange(5 * 3 * 4 * 2, dtype=np.uint8).reshape(5, 3, 4, 2)
LABELS = np.array([0, 2, 1, 2, 0])


def test_bytes_stay_bytes_and_a_batch_is_float32_up_to_one() -> None:
    dataset = ArrayDataset(np.array([[0, 51, 255]], np.uint8), [0])
    assert dataset.images.dtype == np.uint8
    images, labels = dataset.batch(np.array([0]))
    assert images.dtype == np.float32
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(images, np.array([[0, 0.2, 1]], np.float32))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_is_taken_as_it_is(dtype: type) -> None:
    dataset = ArrayDataset(np.array([[-3.0, 2.5]], dtype), [1])
    np.testing.assert_array_equal(dataset.batch(np.array([0]))[0], np.float32([[-3.0, 2.5]]))


def test_arrays_are_shared_and_batches_are_new() -> None:
    dataset = ArrayDataset(IMAGES, LABELS)
    assert np.shares_memory(dataset.images, IMAGES)
    floats = ArrayDataset(IMAGES.astype(np.float32), LABELS)
    assert not np.shares_memory(floats.batch(slice(0, 2))[0], floats.images)


def test_items_subset_and_classes_belong_together() -> None:
    dataset = ArrayDataset(IMAGES, LABELS, classes=["a", "b", "c"], max_value=100)
    image, label = dataset[-2]
    np.testing.assert_array_equal(image, np.float32(IMAGES[3]) / np.float32(100))
    assert label == 2
    assert len(list(dataset)) == len(dataset) == 5
    part = dataset.subset(np.array([3, 1]))
    np.testing.assert_array_equal(part[0][0], image)
    assert (part.classes, part.max_value, part.labels.tolist()) == (("a", "b", "c"), 100.0, [2, 2])


def test_targets_may_be_numbers() -> None:
    dataset = ArrayDataset(np.zeros((3, 2)), np.ones((3, 4)))
    assert dataset.classes == ()
    assert dataset.batch(np.array([0, 2]))[1].shape == (2, 4)
    assert dataset.labels.dtype == np.float32


def test_anything_with_the_two_methods_is_a_dataset() -> None:
    assert isinstance(ArrayDataset(IMAGES, LABELS), Dataset)
    assert not isinstance([1, 2], Dataset)


@pytest.mark.parametrize("shape", [(2500, 3, 5, 4), (7, 2, 3, 3), (1030, 6)])
def test_statistics_are_those_of_each_channel(shape: tuple[int, ...], rng: Any) -> None:
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    dataset = ArrayDataset(images, np.zeros(shape[0], int))
    axes = (0, *range(2, len(shape)))
    np.testing.assert_allclose(dataset.mean, (images / 255).mean(axes), rtol=1e-6)
    np.testing.assert_allclose(dataset.std, (images / 255).std(axes), rtol=1e-6)


@pytest.mark.parametrize(
    ("images", "labels", "options", "error", "match"),
    [
        (IMAGES, LABELS[:4], {}, ShapeError, r"\(5, 3, 4, 2\) with labels \(4,\)"),
        (IMAGES[:0], LABELS[:0], {}, ShapeError, "N at least 1"),
        (np.zeros(5), LABELS, {}, ShapeError, "expected images"),
        (IMAGES, 3, {}, ShapeError, "expected images"),
        (IMAGES, LABELS[:, None], {}, ShapeError, "one number for each example"),
        (IMAGES.astype(int), LABELS, {}, DtypeError, "images of dtype int64: expected uint8"),
        (IMAGES, list("abcde"), {}, DtypeError, "labels of dtype <U1"),
        (IMAGES, LABELS, {"classes": ["a", "b"]}, DataError, "example 1 is 2, expected 0 to 1"),
        (IMAGES, LABELS - 1, {}, DataError, "example 0 is -1"),
        (IMAGES, [-1] * 5, {}, DataError, "example 0 is -1"),
        (IMAGES, LABELS, {"max_value": 0}, ArgumentError, "max_value=0"),
        (IMAGES, LABELS, {"max_value": np.nan}, ArgumentError, "max_value=nan"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    images: Any, labels: Any, options: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        ArrayDataset(images, labels, **options)


# -- splits and digits -----------------------------------------------------------------------


def test_split_takes_the_fraction_of_every_class_and_shares_nothing(rng: Any) -> None:
    labels = rng.permutation(np.repeat([0, 1, 2], [100, 50, 10]))
    dataset = ArrayDataset(np.arange(160.0).reshape(-1, 1), labels)
    rest, held_out = stratified_split(dataset, 0.3, seed=4)
    assert np.bincount(held_out.labels).tolist() == [30, 15, 3]
    both = np.concatenate([rest.images, held_out.images]).ravel()
    np.testing.assert_array_equal(np.sort(both), dataset.images.ravel())


def test_split_follows_its_seed() -> None:
    dataset = Digits("all")
    first, again, other = (stratified_split(dataset, seed=seed)[1].images for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 2, np.nan])
def test_split_refuses_what_is_no_fraction(fraction: float) -> None:
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        stratified_split(Digits(), fraction)


def test_split_refuses_targets_and_an_empty_part() -> None:
    with pytest.raises(ArgumentError, match="needs classes"):
        stratified_split(ArrayDataset(np.zeros((3, 2)), np.ones(3)))
    with pytest.raises(ShapeError, match="at least 1"):
        stratified_split(ArrayDataset(np.zeros((3, 2)), [0, 1, 2]), 0.1)


def test_digits_are_the_published_ones() -> None:
    published = pytest.importorskip("sklearn.datasets").load_digits()
    digits = Digits("all")
    np.testing.assert_array_equal(digits.images[:, 0], published.images)
    np.testing.assert_array_equal(digits.labels, published.target)


def test_digits_hold_out_a_fifth_of_each_class() -> None:
    train, test, everything = (Digits(split) for split in ("train", "test", "all"))
    assert (len(train), len(test), len(everything)) == (1438, 359, 1797)
    assert np.bincount(test.labels).tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
    reference = stratified_split(everything, 0.2, seed=0)
    np.testing.assert_array_equal(train.images, reference[0].images)
    np.testing.assert_array_equal(test.images, reference[1].images)
    assert not np.array_equal(Digits("test", seed=1).images, test.images)


def test_digits_reach_from_zero_to_one() -> None:
    images, _ = Digits("all").batch(slice(None))
    assert (images.shape, images.min(), images.max()) == ((1797, 1, 8, 8), 0, 1)


def test_digits_refuse_an_unknown_split() -> None:
    with pytest.raises(ArgumentError, match="split='valid'"):
        Digits("valid")
