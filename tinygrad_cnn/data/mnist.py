"""MNIST, Fashion-MNIST, and the IDX format that they are published in."""

from __future__ import annotations

import math
import os
from typing import ClassVar

import numpy as np

from ..errors import ArgumentError, DataError
from ..typing import Array, Shape
from ._files import Path, dataset_folder, download, read_file
from .dataset import ArrayDataset, check_labels

__all__ = ["MNIST", "FashionMNIST", "read_idx"]

_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
_DEFLATE_MAX_RATIO = 1032  # 258 bytes, the longest match, from codes of 2 bits


def read_idx(path: Path, ndim: int, *, md5: str | None = None) -> Array:
    """An IDX file of unsigned bytes, gzipped or not, as uint8 array with ``ndim`` axes.

    The header is 0, 0, the code of the type, the number of axes, then the length of each axis
    in 4 bytes, most significant first; the numbers follow in row-major order (LeCun, Cortes and
    Burges 1998).

    Args:
        path: the file.
        ndim: how many axes the file must have: 3 for grey images, 1 for labels.
        md5: the hash that the file must have, if it is known.

    Raises:
        DataError: the file is missing, its hash or its magic number is wrong, or its size is
            not the one that its header states.

    >>> import os, tempfile
    >>> from tinygrad_cnn.data import read_idx
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "labels-idx1-ubyte")
    ...     with open(path, "wb") as file:
    ...         _ = file.write(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path, 1)
    array([7, 2, 1], dtype=uint8)
    """
    import gzip
    import io
    import zlib

    content = read_file(path, md5)
    stream: io.BytesIO | gzip.GzipFile = io.BytesIO(content)
    limit = len(content)
    if content.startswith(_GZIP_MAGIC):
        stream, limit = gzip.GzipFile(fileobj=stream), limit * _DEFLATE_MAX_RATIO
    try:
        shape = _parse_header(path, stream.read(4 + 4 * ndim), ndim)
        size = math.prod(shape)
        # Reading allocates what is asked for, so a header that lies must not ask for much. The
        # byte too many shows whether the file goes on, and lets gzip check its sum.
        values = stream.read(min(size, limit) + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path}: {len(content)} bytes of damaged gzip data: {error}") from error
    if len(values) != size:
        found = f"only {len(values)}" if len(values) < size else "more"
        raise DataError(
            f"{path}: the header states {shape}, {size} bytes, but {found} follow it: the file is"
            " truncated or damaged"
        )
    return np.frombuffer(values, np.uint8).reshape(shape)


def _parse_header(path: Path, header: bytes, ndim: int) -> Shape:
    """The lengths of the axes."""
    if len(header) != 4 + 4 * ndim:
        raise DataError(
            f"{path}: truncated: {len(header)} bytes, but a header for {ndim} axes alone has"
            f" {4 + 4 * ndim}"
        )
    expected = bytes([0, 0, _UNSIGNED_BYTE, ndim])
    if header[:4] != expected:
        raise DataError(
            f"{path}: magic number 0x{header[:4].hex()}, expected 0x{expected.hex()}, IDX with"
            f" {ndim} axes of unsigned bytes"
        )
    return tuple(int(length) for length in np.frombuffer(header, ">u4", offset=4))


class _IdxDataset(ArrayDataset):
    """Grey images of ten classes in the four files that MNIST introduced."""

    _folder: ClassVar[str]
    _url: ClassVar[str]
    _class_names: ClassVar[tuple[str, ...]]
    _md5: ClassVar[dict[str, str]]

    def __init__(
        self, root: Path | None = None, split: str = "train", *, download: bool = False
    ) -> None:
        if split not in ("train", "test"):
            name = type(self).__name__
            raise ArgumentError(f"{name}: split={split!r}, expected 'train' or 'test'")
        stem = "train" if split == "train" else "t10k"
        images_path, images = self._read(root, f"{stem}-images-idx3-ubyte.gz", 3, download)
        labels_path, labels = self._read(root, f"{stem}-labels-idx1-ubyte.gz", 1, download)
        if len(images) != len(labels):
            raise DataError(
                f"{labels_path}: {len(labels)} labels, expected {len(images)}, one for each image"
                f" in {images_path}"
            )
        check_labels(labels_path, labels, len(self._class_names))
        # (N, H, W) -> (N, C=1, H, W)
        super().__init__(images[:, np.newaxis], labels, classes=self._class_names)

    @classmethod
    def _read(cls, root: Path | None, name: str, ndim: int, fetch: bool) -> tuple[str, Array]:
        """The path of a file and its array; the file is fetched first if it is absent."""
        path = os.path.join(dataset_folder(cls.__name__, root, cls._folder), name)
        if fetch and not os.path.exists(path):
            download(cls._url + name, path, cls._md5[name])
        return path, read_idx(path, ndim, md5=cls._md5[name])


class MNIST(_IdxDataset):
    """Handwritten digits, grey 28x28: 60,000 to train on and 10,000 to test (LeCun et al. 1998).

    Args:
        root: the folder that holds the folder ``mnist`` with the four gzipped files; by default
            the environment variable ``TINYGRAD_CNN_DATA``.
        split: "train" or "test".
        download: whether to fetch files that are absent.

    Raises:
        ArgumentError: no folder given, or an unknown split.
        DataError: a file is missing, damaged or not the published one.
        MissingExtraError: a file must be fetched and pooch is not installed.

    >>> from tinygrad_cnn.data import MNIST
    >>> MNIST("~/data", split="validation")
    Traceback (most recent call last):
    tinygrad_cnn.errors.ArgumentError: MNIST: split='validation', expected 'train' or 'test'
    """

    _folder = "mnist"
    _url = "https://ossci-datasets.s3.amazonaws.com/mnist/"
    _class_names = tuple("0123456789")
    _md5: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    }


class FashionMNIST(_IdxDataset):
    """Ten kinds of clothing in the size and format of MNIST (Xiao, Rasul and Vollgraf 2017).

    The arguments and errors are those of ``MNIST``; the folder is ``fashion-mnist``.
    """

    _folder = "fashion-mnist"
    _url = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
    _class_names = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    _md5: ClassVar[dict[str, str]] = {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    }
