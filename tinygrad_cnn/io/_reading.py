"""What all readers share: files are taken as if somebody hostile had written them."""

from __future__ import annotations

import json
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, TypeAlias

import numpy as np

from ..errors import DataError, TinygradCnnError
from ..typing import Array

PathLike: TypeAlias = str | os.PathLike[str]

_PIECE = 1 << 20
_DEFLATE_MAX_RATIO = 1032  # 258 bytes, the longest match, from codes of 2 bits
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, TypeError, LookupError,
    OverflowError, NotImplementedError, RuntimeError,
    Warning,  # of pickletools about odd escapes, where warnings are errors
)  # fmt: skip


@contextmanager
def opened(path: PathLike, kind: str) -> Iterator[IO[bytes]]:
    """A file to read; all that goes wrong inside is a DataError that names the file.

    Args:
        path: the file.
        kind: what it should be, such as ".npz".
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DataError("no ordinary file")  # a pipe might never end
        with open(path, "rb") as file:
            yield file
    except DataError as error:
        raise DataError(f"{os.fspath(path)}: {error}") from None
    except TinygradCnnError:
        raise
    except FileNotFoundError:
        raise DataError(f"{os.fspath(path)}: no such file") from None
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: can't be read: {error}") from error
    except _DAMAGE as error:
        message = f"{os.fspath(path)}: damaged, or no {kind} file: {str(error)[:200]}"
        raise DataError(message) from error


def size_of(file: IO[bytes]) -> int:
    """How many bytes an open file has."""
    return os.fstat(file.fileno()).st_size


@contextmanager
def archive(file: IO[bytes], *, deflated: bool) -> Iterator[zipfile.ZipFile]:
    """A zip archive whose entries together cannot fill more memory than their bytes can mean.

    Args:
        file: the open file.
        deflated: whether entries may be compressed.

    Raises:
        DataError: entries overlap, are encrypted, or are packed in another way.
    """
    with zipfile.ZipFile(file) as entries:
        listed = entries.infolist()
        if sum(entry.compress_size for entry in listed) > size_of(file):
            raise DataError("its entries are larger than the file, so they overlap")
        for entry in listed:
            ratio = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: _DEFLATE_MAX_RATIO * deflated}
            if entry.flag_bits & 1 or not ratio.get(entry.compress_type):
                raise DataError(f"its entry {entry.filename!r:.80} is encrypted or compressed")
            if entry.file_size > entry.compress_size * ratio[entry.compress_type]:
                raise DataError(f"its entry {entry.filename!r:.80} states a size that can't be")
        yield entries


def fill(array: Array, file: IO[bytes]) -> None:
    """Read a contiguous array, piece by piece, so that a large one takes no second place.

    Raises:
        EOFError: the file ends before.
    """
    flat: Any = array.reshape(-1).view(np.uint8)
    view = memoryview(flat)
    for start in range(0, len(view), _PIECE):
        part = view[start : start + _PIECE]
        content = file.read(len(part))
        if len(content) != len(part):
            raise EOFError("it ends in the middle of an array")
        part[:] = content


def check_bool(array: Array) -> None:
    """Refuse bytes that are neither False nor True, with which NumPy would compute nonsense."""
    if array.dtype == bool and array.size and array.view(np.uint8).max() > 1:
        raise DataError("an array of bools holds other values")


def from_bfloat16(halves: Array) -> Array:
    """float32 from the upper halves of its bits, which is what bfloat16 is."""
    bits: Array = halves.astype(np.uint32) << np.uint32(16)
    return bits.view(np.float32)


def parse_metadata(text: bytes | str) -> dict[str, Any]:
    """The JSON object that ``save`` wrote.

    Raises:
        DataError: it is something else.
    """
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"its metadata can't be read: {str(error)[:200]}") from None
    if not isinstance(metadata, dict):
        raise DataError(f"its metadata is a {type(metadata).__name__}, expected an object")
    return metadata
