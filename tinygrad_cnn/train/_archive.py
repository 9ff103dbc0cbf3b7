"""A file that holds a tree of plain values and arrays, and shows any damage.

It is an uncompressed .npz file with a JSON text, ``tree``, that says where each array belongs; the
SHA-256 of all that stands at its end. ``np.load`` opens it, too. Reading it carries nothing out.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from ..errors import CheckpointError
from ..typing import Array

_TREE = "tree"
_MARK = b"sha256:"
_END = len(_MARK) + 2 * hashlib.sha256().digest_size
_KINDS = "biufc"  # of dtypes: numbers only
_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Packed:
    """A tree taken apart: the JSON text and the arrays it names.

    Args:
        tree: dicts, lists and tuples of None, numbers, texts and numeric arrays.

    Raises:
        CheckpointError: something else is in it; the message says where.
    """

    def __init__(self, tree: Any) -> None:
        self.arrays: dict[str, Array] = {}
        try:
            self.text = json.dumps(self._packed(tree, "the state"))
        except (RecursionError, ValueError) as error:
            raise CheckpointError(f"the state can't be saved: {error}") from None

    def write(self, file: IO[bytes]) -> None:
        """Write all of it; the hash is computed on the way."""
        hashed = _Hashed(file)
        with zipfile.ZipFile(hashed, "w") as archive:  # type: ignore[call-overload]
            archive.writestr(_TREE, self.text)
            for name, array in self.arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, array, allow_pickle=False)
        file.write(_MARK + hashed.hash.hexdigest().encode())

    def _packed(self, value: Any, where: str) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, np.ndarray) and value.dtype.kind in _KINDS:
            name = str(len(self.arrays))
            self.arrays[name] = value
            return {"$array": name}
        if isinstance(value, (list, tuple)):
            items = [self._packed(item, f"{where}[{n}]") for n, item in enumerate(value)]
            return {"$tuple": items} if isinstance(value, tuple) else items
        if isinstance(value, Mapping):
            pairs = [
                (self._packed(key, where), self._packed(item, f"{where}[{key!r}]"))
                for key, item in value.items()
            ]
            if all(isinstance(key, str) and key[:1] != "$" for key in value):
                return dict(pairs)
            return {"$items": pairs}
        raise CheckpointError(
            f"{where} is a {type(value).__name__}, which no checkpoint holds: expected numbers,"
            " texts, numeric arrays, and dicts, lists and tuples of them"
        )


class _Hashed:
    """A stream that is hashed while it is written, and has no way back."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.hash = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def read(path: str | os.PathLike[str]) -> Any:
    """The tree in a file, all of which is checked first; its arrays are new.

    Raises:
        CheckpointError: there is no such file, it is damaged, or it is another kind of file.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{os.fspath(path)}: can't be read: {error}") from None
    return parsed(content, os.fspath(path))


def parsed(content: bytes, name: str) -> Any:
    """The tree in the content of a file; errors as of ``read``, about ``name``."""
    body, end = memoryview(content)[:-_END], content[-_END:]
    if end != _MARK + hashlib.sha256(body).hexdigest().encode():
        raise CheckpointError(
            f"{name}: damaged, or no checkpoint: the hash at its end is not that of its"
            f" {len(content)} bytes"
        )
    try:
        return _unpacked(*_parts(content))
    except Exception as error:  # whatever zipfile, json and NumPy say to what was made to harm
        raise CheckpointError(f"{name}: no checkpoint: {error!r:.200}") from error


def _parts(content: bytes) -> tuple[Any, dict[str, Array]]:
    """The tree as in the file, and the arrays by name; what they take is in the file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
        if not stored or sum(entry.file_size for entry in entries) > len(content):
            raise ValueError("its entries claim more than it holds")
        tree = json.loads(archive.read(_TREE))
        names = [entry for entry in entries if entry.filename != _TREE]
        return tree, {
            entry.filename.removesuffix(".npy"): _array(bytearray(archive.read(entry)))
            for entry in names
        }


def _array(content: bytearray) -> Array:
    """The array of an .npy file, in the memory of its content."""
    stream = io.BytesIO(content)
    shape, fortran, dtype = _READ_HEADER[np.lib.format.read_magic(stream)](stream)
    if dtype.kind not in _KINDS:
        raise ValueError(f"an array of {dtype}")
    if min(shape, default=0) < 0:
        raise ValueError(f"an array of shape {shape}")
    return np.ndarray(shape, dtype, content, stream.tell(), order="F" if fortran else "C")


def _unpacked(value: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(value, list):
        return [_unpacked(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        return arrays[value["$array"]]
    if "$tuple" in value:
        return tuple(_unpacked(item, arrays) for item in value["$tuple"])
    if "$items" in value:
        pairs = value["$items"]
        return {_unpacked(key, arrays): _unpacked(item, arrays) for key, item in pairs}
    return {key: _unpacked(item, arrays) for key, item in value.items()}
