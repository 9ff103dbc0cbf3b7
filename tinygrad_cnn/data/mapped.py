"""Arrays that stay in their files: data sets larger than memory."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import IO, Any

import numpy as np

from ..errors import DataError
from ..typing import Array
from ._files import Path
from .dataset import ArrayDataset

__all__ = ["MappedDataset", "open_npy"]


def open_npy(path: Path) -> Array:
    """The array in an .npy file, read-only, of which only what is used comes into memory.

    Such a file is written in parts by ``numpy.lib.format.open_memmap(path, "w+", dtype, shape)``.

    Raises:
        DataError: it can't be read, is no .npy file, is cut off, or holds Python objects.

    >>> import os, tempfile, numpy as np
    >>> from tinygrad_cnn.data import open_npy
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(os.path.join(folder, "x.npy"), np.arange(3))
    ...     open_npy(os.path.join(folder, "x.npy")).tolist()
    [0, 1, 2]
    """
    try:
        with open(path, "rb") as file:
            shape, order, dtype = read_header(file, os.fstat(file.fileno()).st_size)
            return np.asarray(np.memmap(file, dtype, "r", file.tell(), shape, order))
    except Exception as error:  # whatever NumPy's parser says to a damaged header
        raise DataError(f"{path}: can't be mapped as an .npy file: {error}") from None


def array_in(content: bytes, name: str) -> Array:
    """The array in the bytes of an .npy file, read-only, in their memory.

    Raises:
        DataError: they are none; it names ``name``.
    """
    try:
        first = content[6:7] == b"\x01"  # the version: its headers say their length in two bytes
        end = 10 + int.from_bytes(content[8:10], "little") if first else len(content)
        shape, order, dtype, start = _header(content[:end], len(content))
        return np.ndarray(shape, dtype, content, start, order=order)
    except Exception as error:  # whatever NumPy's parser says to a damaged header
        raise DataError(f"{name}: can't be read as an .npy file: {error}") from None


@lru_cache(maxsize=64)  # the files of a data set have one header, which takes long to parse
def _header(header: bytes, size: int) -> tuple[tuple[int, ...], Any, np.dtype[Any], int]:
    file = io.BytesIO(header)
    return *read_header(file, size), file.tell()


def read_header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], Any, np.dtype[Any]]:
    """Shape, order and dtype of an array that the file of so many bytes really holds."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):  # the others are for names of fields
        raise ValueError(f"version {version} of the format is not read")
    first = version == (1, 0)
    header = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if dtype.kind not in "biuf" or not dtype.isnative:
        raise ValueError(f"numbers of dtype {dtype} are not read")
    held = size - file.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > held:
        raise ValueError(f"{held} bytes do not hold {shape} numbers of dtype {dtype}")
    return shape, "F" if fortran else "C", dtype


class MappedDataset(ArrayDataset):
    """Examples in two .npy files, of which only the batch at hand is read.

    The operating system keeps in memory what fits. Where the files do not, reading in random order
    waits for the disk: then cut them into ``Shards``.

    Args:
        images, labels: the files, with what an ``ArrayDataset`` takes.
        classes, max_value: as there.

    Raises:
        DataError: a file can't be read, or labels have no class.
        DtypeError, ShapeError: as ``ArrayDataset``.

    >>> import os, tempfile, numpy as np
    >>> from tinygrad_cnn.data import MappedDataset
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     x, y = (os.path.join(folder, name) for name in ("x.npy", "y.npy"))
    ...     np.save(x, np.zeros((5, 1, 8, 8), np.uint8))
    ...     np.save(y, np.array([0, 1, 0, 1, 1]))
    ...     MappedDataset(x, y)
    MappedDataset(5 examples of shape (1, 8, 8), 2 classes)
    """

    def __init__(
        self,
        images: Path,
        labels: Path,
        *,
        classes: Sequence[str] | None = None,
        max_value: float | None = None,
    ) -> None:
        arrays = open_npy(images), open_npy(labels)
        super().__init__(*arrays, classes=classes, max_value=max_value)
