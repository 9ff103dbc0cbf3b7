"""The .npz format: a zip archive of NumPy arrays, and one entry of JSON for the metadata."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from .._files import replacing
from ..errors import ArgumentError, DataError
from ..typing import Array
from ._reading import PathLike, archive, check_bool, fill, opened, parse_metadata

_METADATA = "metadata.json"  # an array of that name is the entry metadata.json.npy
_MAGIC = b"\x93NUMPY"
_MAX_HEADER = 10_000
_MAX_NAME = 60_000


def write(path: PathLike, arrays: Mapping[str, Array], metadata: str) -> None:
    """Write arrays and metadata; the same ones give the same bytes.

    Raises:
        ArgumentError: a name that the format can't hold.
    """
    for name in arrays:
        if "\0" in name or len(name.encode("utf-8", "replace")) > _MAX_NAME:
            raise ArgumentError(f"{name!r:.60}: a name in an .npz file is short and has no NUL")
    with replacing(path) as file, zipfile.ZipFile(file, "w") as entries:
        for name, array in arrays.items():
            # ZipInfo has the date 1980-01-01. A size is not known before it is written.
            with entries.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
        entries.writestr(zipfile.ZipInfo(_METADATA), metadata)


def read(path: PathLike) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and the metadata of a file, no matter what wrote it.

    Raises:
        DataError: it is damaged, or holds something else.
    """
    arrays: dict[str, Array] = {}
    metadata: dict[str, Any] = {}
    with opened(path, ".npz") as file, archive(file, deflated=True) as entries:
        for entry in entries.infolist():
            name = entry.filename.removesuffix(".npy")
            with entries.open(entry) as content:
                if entry.filename == _METADATA:
                    metadata = parse_metadata(content.read())
                elif entry.filename == name:
                    raise DataError(f"its entry {name!r:.80} is no array")
                elif name in arrays:
                    raise DataError(f"it holds {name!r:.80} twice")
                else:
                    arrays[name] = _array(content, entry.file_size, name)
    return arrays, metadata


def _array(content: IO[bytes], size: int, name: str) -> Array:
    """The array of one entry of ``size`` bytes (the format: numpy.lib.format)."""
    start = content.read(8)
    version = start[6:8]
    if start[:6] != _MAGIC or version not in (b"\1\0", b"\2\0", b"\3\0"):
        raise DataError(f"{name!r:.80} is no array")
    width = 2 if version == b"\1\0" else 4
    length = int.from_bytes(content.read(width), "little")
    if length > _MAX_HEADER:
        raise DataError(f"{name!r:.80} has a header of {length} bytes")
    header = content.read(length).decode("latin-1")
    # Looked for, not evaluated: three fields are all that an array of numbers has.
    dtype = re.search(r"'descr'\s*:\s*'([<>|=]?[biufc]\d{1,2})'", header)
    order = re.search(r"'fortran_order'\s*:\s*(True|False)", header)
    lengths = re.search(r"'shape'\s*:\s*\(([\d\s,]*)\)", header)
    if not (dtype and order and lengths):
        raise DataError(f"{name!r:.80} is no array of numbers: {header.strip()[:120]}")
    shape = tuple(map(int, re.findall(r"\d+", lengths[1])))
    stored = np.dtype(dtype[1])
    expected = size - len(start) - width - length
    if math.prod(shape) * stored.itemsize != expected:
        raise DataError(f"{name!r:.80} has {expected} bytes, not those of {stored} {shape}")
    fortran = order[1] == "True"
    flat = np.empty(math.prod(shape), stored)
    fill(flat, content)
    if content.read(1):  # reaches the end, where the checksum is compared
        raise DataError(f"{name!r:.80} is longer than stated")
    check_bool(flat)
    native = flat.astype(stored.newbyteorder("="), copy=False)
    return native.reshape(shape, order="F" if fortran else "C")
