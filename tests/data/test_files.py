"""The published file formats: real files, and every way in which one can be damaged."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinygrad_cnn.data import CIFAR10, MNIST, FashionMNIST, read_cifar10, read_idx
from tinygrad_cnn.errors import ArgumentError, DataError

PIXELS = np.arange(3 * 4 * 2, dtype=np.uint8).reshape(3, 4, 2)
IDX = bytes([0, 0, 8, 3]) + struct.pack(">3I", 3, 4, 2) + PIXELS.tobytes()
RECORDS = b"".join(bytes([label]) + bytes([10 * label + 1]) * 3072 for label in (0, 9, 4))


def _write(folder: Path, content: bytes, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


# -- the real ones ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "mean", "std", "first"),
    [
        (MNIST, 0.1325, 0.3105, [7, 2, 1, 0, 4]),
        (FashionMNIST, 0.2868, 0.3524, [9, 2, 1, 1, 6]),
    ],
)
def test_idx_test_set(shared: Path, dataset: Any, mean: float, std: float, first: Any) -> None:
    test = dataset(shared / "data", split="test")
    assert test.images.shape == (10_000, 1, 28, 28)
    assert test.labels[:5].tolist() == first
    assert len(test.classes) == 10
    np.testing.assert_allclose((test.mean[0], test.std[0]), (mean, std), atol=1e-4)


def test_mnist_training_set_through_the_environment(shared: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("TINYGRAD_CNN_DATA", str(shared / "data"))
    train = MNIST()
    assert train.images.shape == (60_000, 1, 28, 28)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    np.testing.assert_allclose((train.mean[0], train.std[0]), (0.1307, 0.3081), atol=1e-4)


def test_cifar10_batches_that_are_there(shared: Path) -> None:
    train = CIFAR10(shared / "data", batches=(2, 1))
    test = CIFAR10(shared / "data", "test-first-1000")
    assert train.images.shape == (20_000, 3, 32, 32)
    assert test.images.shape == (1_000, 3, 32, 32)
    names = (shared / "data/cifar-10-batches-bin/batches.meta.txt").read_text().split()
    assert list(train.classes) == names
    second = read_cifar10(shared / "data/cifar-10-batches-bin/data_batch_2.bin")
    np.testing.assert_array_equal(train.images[:10_000], second[0])
    np.testing.assert_array_equal(train.labels[:10_000], second[1])
    np.testing.assert_allclose(train.mean, (0.4914, 0.4822, 0.4465), atol=0.005)


def test_cifar10_names_the_file_that_is_missing(shared: Path) -> None:
    with pytest.raises(DataError, match=r"data_batch_3\.bin: no such file"):
        CIFAR10(shared / "data")


# -- IDX -------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [IDX, gzip.compress(IDX)], ids=["plain", "gzip"])
def test_idx_is_read(tmp_path: Path, content: bytes) -> None:
    np.testing.assert_array_equal(read_idx(_write(tmp_path, content), 3), PIXELS)


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_idx_truncated_anywhere_is_refused(tmp_path: Path, compress: Any) -> None:
    content = compress(IDX)
    for size in range(len(content)):
        with pytest.raises(DataError, match=r"truncated|damaged") as caught:
            read_idx(_write(tmp_path, content[:size]), 3)
        assert str(tmp_path / "file") in str(caught.value)


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_idx_with_more_than_it_states_is_refused(tmp_path: Path, compress: Any) -> None:
    with pytest.raises(DataError, match=r"\(3, 4, 2\), 24 bytes, but more follow"):
        read_idx(_write(tmp_path, compress(IDX + b"\0")), 3)


@pytest.mark.parametrize("position", range(4))
def test_idx_with_a_flipped_magic_number_is_refused(tmp_path: Path, position: int) -> None:
    content = bytearray(IDX)
    content[position] ^= 1
    with pytest.raises(DataError, match=f"0x{content[:4].hex()}, expected 0x00000803"):
        read_idx(_write(tmp_path, bytes(content)), 3)


def test_labels_are_no_images(tmp_path: Path) -> None:
    labels = bytes([0, 0, 8, 1, 0, 0, 0, 20]) + bytes(20)
    with pytest.raises(DataError, match="0x00000801, expected 0x00000803"):
        read_idx(_write(tmp_path, labels), 3)


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_idx_header_that_lies_allocates_nothing(tmp_path: Path, compress: Any) -> None:
    content = bytes([0, 0, 8, 3]) + struct.pack(">3I", *[2**32 - 1] * 3) + bytes(24)
    with pytest.raises(DataError, match="but only 24 follow"):
        read_idx(_write(tmp_path, compress(content)), 3)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, len(gzip.compress(IDX)) - 1), mask=st.integers(1, 255))
def test_idx_with_a_damaged_byte_is_right_or_refused(
    tmp_path: Path, position: int, mask: int
) -> None:
    content = bytearray(gzip.compress(IDX, mtime=0))
    content[position] ^= mask
    path = _write(tmp_path, bytes(content))
    # Harmless where the byte does not matter, such as those of the time in gzip's header.
    with contextlib.suppress(DataError):
        np.testing.assert_array_equal(read_idx(path, 3), PIXELS)


def test_wrong_hash_names_both(tmp_path: Path) -> None:
    path = _write(tmp_path, IDX)
    found, expected = hashlib.md5(IDX).hexdigest(), "0" * 32
    with pytest.raises(DataError, match=f"MD5 of its 40 bytes is {found}, expected {expected}"):
        read_idx(path, 3, md5=expected)
    np.testing.assert_array_equal(read_idx(path, 3, md5=found), PIXELS)


def test_a_folder_or_nothing_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        read_idx(tmp_path, 3)
    with pytest.raises(DataError, match="no such file"):
        read_cifar10(tmp_path / "absent")


# -- MNIST made up ---------------------------------------------------------------------------


def _made_up_mnist(folder: Path, labels: list[int], monkeypatch: Any) -> None:
    """A test set of three images in the place of MNIST's, with its hashes."""
    (folder / "mnist").mkdir()
    contents = {
        "t10k-images-idx3-ubyte.gz": IDX,
        "t10k-labels-idx1-ubyte.gz": bytes([0, 0, 8, 1, 0, 0, 0, len(labels), *labels]),
    }
    for name, content in contents.items():
        path = _write(folder / "mnist", gzip.compress(content), name)
        monkeypatch.setitem(MNIST._md5, name, hashlib.md5(path.read_bytes()).hexdigest())


def test_mnist_reads_its_files(tmp_path: Path, monkeypatch: Any) -> None:
    _made_up_mnist(tmp_path, [9, 0, 3], monkeypatch)
    dataset = MNIST(tmp_path, "test")
    np.testing.assert_array_equal(dataset.images[:, 0], PIXELS)
    assert dataset.labels.tolist() == [9, 0, 3]


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ([1, 10, 2], "labels-idx1-ubyte.gz: the label of example 1 is 10, expected 0 to 9"),
        ([1, 2], "labels-idx1-ubyte.gz: 2 labels, expected 3, one for each image in .*images"),
    ],
)
def test_mnist_with_wrong_labels(
    tmp_path: Path, monkeypatch: Any, labels: list[int], match: str
) -> None:
    _made_up_mnist(tmp_path, labels, monkeypatch)
    with pytest.raises(DataError, match=match):
        MNIST(tmp_path, "test")


def test_damaged_mnist_is_not_read(tmp_path: Path, monkeypatch: Any) -> None:
    _made_up_mnist(tmp_path, [1, 2, 3], monkeypatch)
    path = tmp_path / "mnist/t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz: the MD5 of its"):
        MNIST(tmp_path, "test", download=True)
    assert path.exists()


@pytest.mark.parametrize("dataset", [MNIST, FashionMNIST, CIFAR10])
def test_a_root_and_a_known_split_are_needed(dataset: Any, monkeypatch: Any) -> None:
    monkeypatch.delenv("TINYGRAD_CNN_DATA", raising=False)
    with pytest.raises(ArgumentError, match=r"pass root= or set .* TINYGRAD_CNN_DATA"):
        dataset()
    with pytest.raises(ArgumentError, match="split='valid'"):
        dataset("somewhere", "valid")


# -- CIFAR-10 made up ------------------------------------------------------------------------


def test_cifar10_records_are_planes(tmp_path: Path) -> None:
    content = bytes([7]) + bytes([1]) * 1024 + bytes([2]) * 1024 + bytes(range(32)) * 32
    images, labels = read_cifar10(_write(tmp_path, content))
    assert labels.tolist() == [7]
    assert [np.unique(plane).tolist() for plane in images[0]] == [[1], [2], list(range(32))]
    np.testing.assert_array_equal(images[0, 2, 5], np.arange(32))


@pytest.mark.parametrize("size", [0, 1, 3072, 3074, 2 * 3073 - 1, len(RECORDS) - 1])
def test_truncated_cifar10_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(DataError, match=f"{size} bytes, expected whole records of 3073 bytes"):
        read_cifar10(_write(tmp_path, RECORDS[:size]))


def test_cifar10_label_out_of_range_is_refused(tmp_path: Path) -> None:
    content = bytearray(RECORDS)
    content[3073] = 10
    with pytest.raises(DataError, match="file: the label of example 1 is 10, expected 0 to 9"):
        read_cifar10(_write(tmp_path, bytes(content)))


@pytest.mark.parametrize("batches", [(), (0,), (6,), (1, 1), ("1", 1)])
def test_cifar10_batches_that_do_not_exist(batches: Any) -> None:
    with pytest.raises(ArgumentError, match="different numbers of 1 to 5"):
        CIFAR10("somewhere", batches=batches)
