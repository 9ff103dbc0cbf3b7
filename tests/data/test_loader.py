"""The loader: every example once in an epoch, the layout of batches, and what the seed fixes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_cnn as tc
from tinygrad_cnn.data import ArrayDataset, DataLoader, Digits, RandomCrop
from tinygrad_cnn.errors import ArgumentError, DtypeError


def _numbered(n: int, shape: tuple[int, ...] = (1, 2, 2)) -> ArrayDataset:
    """Examples whose pixels all hold their label."""
    labels = np.arange(n)
    images = np.broadcast_to(labels.reshape(-1, *[1] * len(shape)), (n, *shape))
    return ArrayDataset(images.astype(np.float32), labels)


def _order(loader: DataLoader) -> list[int]:
    return [int(label) for _, labels in loader for label in labels]


@given(
    n=st.integers(1, 60),
    batch_size=st.integers(1, 70),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    seed=st.integers(0, 2**70),
)
def test_every_example_comes_once_in_an_epoch(
    n: int, batch_size: int, shuffle: bool, drop_last: bool, seed: int
) -> None:
    loader = DataLoader(_numbered(n), batch_size, shuffle, drop_last=drop_last, seed=seed)
    batches = list(loader)
    assert len(batches) == len(loader)
    sizes = [len(labels) for _, labels in batches]
    assert all(size == batch_size for size in sizes[: None if drop_last else -1])
    seen = [int(label) for _, labels in batches for label in labels]
    assert len(set(seen)) == len(seen) == (n - n % batch_size if drop_last else n)
    assert shuffle or seen == list(range(len(seen)))
    for x, labels in batches:
        np.testing.assert_array_equal(x.data[:, 0, 0, 0], labels)


@given(
    n=st.integers(1, 40),
    shape=st.lists(st.integers(1, 6), min_size=3, max_size=3).map(tuple),
    dtype=st.sampled_from([np.uint8, np.float64]),
)
def test_batches_are_nchw_with_the_batch_innermost(n: int, shape: Any, dtype: type) -> None:
    images = np.random.default_rng(n).integers(0, 256, (n, *shape)).astype(dtype)
    [(x, labels)] = DataLoader((images, np.zeros(n, int)), n)
    assert isinstance(x, tc.Tensor)
    assert not x.requires_grad
    assert (x.shape, x.dtype, labels.dtype) == ((n, *shape), np.float32, np.int64)
    assert x.data.transpose(1, 2, 3, 0).flags.c_contiguous
    scale = 255 if dtype == np.uint8 else 1
    np.testing.assert_array_equal(x.data, images.astype(np.float32) / np.float32(scale))


def test_features_have_the_batch_innermost_too() -> None:
    [(x, targets)] = DataLoader((np.arange(12.0).reshape(4, 3), np.ones((4, 2))), 4)
    assert x.data.T.flags.c_contiguous
    np.testing.assert_array_equal(x.data, np.arange(12).reshape(4, 3))
    assert targets.dtype == np.float32


def test_epochs_differ_and_the_seed_repeats_them() -> None:
    loader, twin, other = (DataLoader(_numbered(50), 8, True, seed=seed) for seed in (5, 5, 6))
    epochs = [_order(loader) for _ in range(3)]
    assert epochs == [_order(twin) for _ in range(3)]
    assert len({*map(tuple, epochs), tuple(_order(other))}) == 4


def test_setting_the_epoch_resumes() -> None:
    loader = DataLoader(_numbered(50), 8, True, seed=5)
    epochs = [_order(loader) for _ in range(3)]
    assert loader.epoch == 3
    resumed = DataLoader(_numbered(50), 8, True, seed=5)
    resumed.epoch = 2
    assert _order(resumed) == epochs[2]


def test_the_seed_comes_from_the_default_generator() -> None:
    orders = []
    for seed in (1, 1, 2):
        tc.manual_seed(seed)
        orders.append(_order(DataLoader(_numbered(50), 8, True)))
    assert orders[0] == orders[1] != orders[2]


def test_what_the_transform_draws_is_fixed_by_seed_epoch_and_batch() -> None:
    def noise(images: Any, generator: Any = None) -> Any:
        return images * 0 + generator.random()

    def drawn(**options: Any) -> list[float]:
        loader = DataLoader(_numbered(12), 4, transform=noise, **options)
        return [x.data.flat[0] for _ in range(2) for x, _ in loader]

    assert drawn(seed=1) == drawn(seed=1)
    assert len({*drawn(seed=1), *drawn(seed=2)}) == 12  # 2 seeds, 2 epochs, 3 batches


def test_a_transform_changes_what_arrives() -> None:
    loader = DataLoader(Digits("test"), 100, transform=RandomCrop(6), seed=0)
    x, _ = next(iter(loader))
    assert x.shape == (100, 1, 6, 6)
    assert x.data.transpose(1, 2, 3, 0).flags.c_contiguous


def test_two_iterators_do_not_disturb_each_other() -> None:
    loader = DataLoader(_numbered(20), 4, True, seed=0)
    first, second = iter(loader), iter(loader)
    pairs = [(a[1].tolist(), b[1].tolist()) for a, b in zip(first, second, strict=True)]
    alone = DataLoader(_numbered(20), 4, True, seed=0)
    assert [a for a, _ in pairs] == [labels.tolist() for _, labels in alone]
    assert [b for _, b in pairs] == [labels.tolist() for _, labels in alone]


def test_writing_into_a_batch_leaves_the_data_alone() -> None:
    dataset = _numbered(6)
    [(x, _)] = DataLoader(dataset, 6)
    x.data[...] = -1
    np.testing.assert_array_equal(dataset.images[:, 0, 0, 0], np.arange(6))


def test_a_dataset_of_ones_own() -> None:
    class Squares:
        def __len__(self) -> int:
            return 5

        def batch(self, indices: Any) -> tuple[Any, Any]:
            return np.float32(indices**2)[:, None, None, None], indices

    batches = [(x.data.ravel().tolist(), y.tolist()) for x, y in DataLoader(Squares(), 3)]
    assert batches == [([0, 1, 4], [0, 1, 2]), ([9, 16], [3, 4])]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"batch_size": 0}, ArgumentError, "batch_size=0"),
        ({"batch_size": 2.0}, ArgumentError, "batch_size=2.0"),
        ({"seed": -1}, ArgumentError, "seed=-1"),
        ({"seed": "a"}, ArgumentError, "seed='a'"),
        ({"dataset": [1, 2, 3]}, DtypeError, "got list"),
    ],
)
def test_arguments_outside_their_domain(options: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        DataLoader(**{"dataset": _numbered(3), **options})
