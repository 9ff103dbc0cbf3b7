"""CIFAR-10 in its binary version."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from ..errors import ArgumentError, DataError
from ..typing import Array
from ._files import Path, dataset_folder, download, read_file
from .dataset import ArrayDataset, check_labels

__all__ = ["CIFAR10", "read_cifar10"]

_FOLDER = "cifar-10-batches-bin"
_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
_MD5 = {
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}
_FIRST_1000 = "test_batch_first_1000.bin"
_FIRST_1000_MD5 = "371f65da31ad652f5e24b3699a3e6515"
_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_IMAGE_SHAPE = (3, 32, 32)
_RECORD_SIZE = 1 + 3 * 32 * 32


def read_cifar10(path: Path, *, md5: str | None = None) -> tuple[Array, Array]:
    """The images, uint8 (N, 3, 32, 32), and the N labels of one file of the binary version.

    A record is a byte of label, then 1,024 bytes each of red, green and blue, row by row
    (Krizhevsky 2009).

    Raises:
        DataError: the file is missing, its hash is wrong, it is empty or ends within a record,
            or a label is not one of 0 to 9.

    >>> import os, tempfile
    >>> from tinygrad_cnn.data import read_cifar10
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "two.bin")
    ...     with open(path, "wb") as file:
    ...         _ = file.write((bytes([6]) + bytes(3072)) * 2)
    ...     images, labels = read_cifar10(path)
    >>> images.shape, labels
    ((2, 3, 32, 32), array([6, 6], dtype=uint8))
    """
    content = read_file(path, md5)
    if not content or len(content) % _RECORD_SIZE:
        raise DataError(
            f"{path}: {len(content)} bytes, expected whole records of {_RECORD_SIZE} bytes: the"
            " file is truncated or damaged"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD_SIZE)
    labels = records[:, 0]
    check_labels(os.fspath(path), labels, len(_CLASSES))
    return records[:, 1:].reshape(-1, *_IMAGE_SHAPE), labels


class CIFAR10(ArrayDataset):
    """Colour photographs of ten classes, 32x32: 50,000 to train on, 10,000 to test.

    From Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images.

    Args:
        root: the folder that holds the folder ``cifar-10-batches-bin`` with the files; by
            default the environment variable ``TINYGRAD_CNN_DATA``.
        split: "train", "test", or "test-first-1000": the first 1,000 test images, from a file
            ``test_batch_first_1000.bin`` that is not downloaded.
        batches: which of the five training files to read, 10,000 images each.
        download: whether to fetch the archive (170 MB) if a file is absent.

    Raises:
        ArgumentError: no folder given, an unknown split, or batches that do not exist.
        DataError: a file is missing, damaged or not the published one.
        MissingExtraError: a file must be fetched and pooch is not installed.

    >>> from tinygrad_cnn.data import CIFAR10
    >>> CIFAR10("~/data", batches=(1, 6))
    Traceback (most recent call last):
    tinygrad_cnn.errors.ArgumentError: CIFAR10: batches=(1, 6), expected different numbers of 1 to 5
    """

    def __init__(
        self,
        root: Path | None = None,
        split: str = "train",
        *,
        batches: Sequence[int] = (1, 2, 3, 4, 5),
        download: bool = False,
    ) -> None:
        files = _files_of(split, batches)
        folder = dataset_folder("CIFAR10", root, _FOLDER)
        paths = {os.path.join(folder, name): md5 for name, md5 in files.items()}
        if download and split != "test-first-1000" and not all(map(os.path.exists, paths)):
            _download_archive(folder)
        parts = [read_cifar10(path, md5=md5) for path, md5 in paths.items()]
        images, labels = map(np.concatenate, zip(*parts, strict=True))
        super().__init__(images, labels, classes=_CLASSES)


def _files_of(split: str, batches: Sequence[int]) -> dict[str, str]:
    """The names of the files of a split, with their hashes."""
    if split == "test-first-1000":
        return {_FIRST_1000: _FIRST_1000_MD5}
    if split == "test":
        return {"test_batch.bin": _MD5["test_batch.bin"]}
    if split != "train":
        raise ArgumentError(
            f"CIFAR10: split={split!r}, expected 'train', 'test' or 'test-first-1000'"
        )
    names = [f"data_batch_{number}.bin" for number in batches]
    if not names or len(set(names)) < len(names) or not _MD5.keys() >= set(names):
        raise ArgumentError(
            f"CIFAR10: batches={tuple(batches)}, expected different numbers of 1 to 5"
        )
    return {name: _MD5[name] for name in names}


def _download_archive(folder: str) -> None:
    """Fetch the archive and put in place the files that are absent, each one whole."""
    import shutil
    import tarfile
    import tempfile

    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        archive = os.path.join(scratch, os.path.basename(_URL))
        download(_URL, archive, _ARCHIVE_MD5)
        with tarfile.open(archive) as tar:
            for member in tar:
                name = os.path.basename(member.name)
                source = tar.extractfile(member)
                if source is None or name not in _MD5 or os.path.exists(os.path.join(folder, name)):
                    continue
                with source, open(os.path.join(scratch, name), "wb") as target:
                    shutil.copyfileobj(source, target)
                os.replace(target.name, os.path.join(folder, name))
