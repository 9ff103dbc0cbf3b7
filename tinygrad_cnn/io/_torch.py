"""Files of ``torch.save`` without PyTorch: the zip format, and the one before PyTorch 1.6."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from ..errors import DataError
from ..typing import Array
from ._pickle import Bounded, unpickle
from ._reading import PathLike, archive, opened, size_of
from ._torch_tensors import Tensors

__all__ = ["read_torch"]

_ZIP = b"PK\x03\x04"
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_USUAL = ("state_dict", "model_state_dict", "model")  # the entries in which weights are kept
_PARALLEL = "module."  # before every name from torch.nn.DataParallel


def read_torch(path: PathLike) -> Any:
    """All that a .pth, .pt or .th file of ``torch.save`` holds, without PyTorch.

    Tensors become arrays (bfloat16 as float32; tensors that share numbers share them here too),
    in the dicts and lists that they were saved in. Nothing is executed: a file that names anything
    but tensors, OrderedDict, dicts, lists, tuples, numbers and strings is refused by that name.

    Args:
        path: the file, in the zip format or the older one.

    Raises:
        DataError: the file is damaged, holds something else, or states sizes that it doesn't have.
    """
    with opened(path, ".pth") as file:
        return _content(file)


def _content(file: IO[bytes]) -> Any:
    start = file.read(len(_ZIP))
    file.seek(0)
    return _read_zip(file) if start == _ZIP else _read_legacy(file)


def _read_zip(file: IO[bytes]) -> Any:
    """A zip archive NAME/data.pkl, NAME/data/KEY for every storage, stored as they are."""
    tensors = Tensors(size_of(file))
    with archive(file, deflated=False) as entries:
        sizes = {entry.filename: entry.file_size for entry in entries.infolist()}
        pickles = [name for name in sizes if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise DataError(f"a zip archive with {len(pickles)} data.pkl: torch.save writes one")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}constants.pkl" in sizes:
            raise DataError("a TorchScript program (torch.jit.save): save its state_dict()")
        order = f"{folder}byteorder"
        if order in sizes and entries.read(order) != b"little":
            raise DataError("written on a big-endian machine, which is not supported")
        with entries.open(pickles[0]) as content:
            data = content.read()  # to the end, where the checksum is compared
        found = unpickle(Bounded(io.BytesIO(data), len(data)), tensors.names(), tensors.storage)
        for key, storage in tensors.storages.items():
            name = f"{folder}data/{key}"
            stated = len(storage.array) * storage.itemsize
            if sizes.get(name) != stated:
                raise DataError(f"{name} has {sizes.get(name, 'no')} bytes, expected {stated}")
            with entries.open(name) as content:
                storage.fill(content)
                content.read(1)  # the end, as above
    return found


def _read_legacy(file: IO[bytes]) -> Any:
    """Pickles of a magic number, the protocol, the machine, the data and the keys; the storages."""
    size = size_of(file)
    content, tensors = Bounded(file, size), Tensors(size)
    if unpickle(content) != _MAGIC:
        raise DataError("it does not begin as a file of torch.save does")
    if unpickle(content) != _PROTOCOL:
        raise DataError("its version of the format is unknown")
    machine = unpickle(content)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise DataError("written on a big-endian machine, which is not supported")
    found = unpickle(content, tensors.names(), tensors.storage)
    keys = unpickle(content)
    if type(keys) is not list or len(keys) != len(tensors.storages):
        raise DataError("its list of storages is not that of its tensors")
    for key in dict.fromkeys(keys):
        storage = tensors.storages[key]
        if int.from_bytes(file.read(8), "little") != len(storage.array):
            raise DataError(f"its storage {key!r:.40} has another length than its tensors state")
        storage.fill(file)
    return found


def read(path: PathLike) -> tuple[dict[str, Array], dict[str, Any]]:
    """The weights in a file of ``torch.save``, and the numbers and texts beside them.

    Raises:
        DataError: as ``read_torch``, or there are no weights, or more than one set.
    """
    with opened(path, ".pth") as file:
        content = _content(file)
        found, metadata = (content, {}) if _is_state(content) else _weights_of(content)
    if all(name.startswith(_PARALLEL) for name in found):
        found = {name.removeprefix(_PARALLEL): array for name, array in found.items()}
    return dict(found), metadata


def _is_state(value: Any) -> bool:
    """Whether this is a dict of arrays by name."""
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(key, str) for key in value)
        and all(isinstance(array, np.ndarray) for array in value.values())
    )


def _weights_of(content: Any) -> tuple[dict[str, Array], dict[str, Any]]:
    """The entry of a checkpoint that is a state, and its numbers and texts."""
    entries = content if isinstance(content, dict) else {}
    states = {name: value for name, value in entries.items() if _is_state(value)}
    name = next((name for name in (*_USUAL, *states) if name in states), None)
    if name is None or (len(states) > 1 and name not in _USUAL):
        held = f"{type(content).__name__} with {', '.join(map(str, list(entries)[:20]))}"
        raise DataError(
            f"not one dict of tensors by name is in it, but {len(states)}, in a {held}: take what"
            " you need from tc.io.read_torch(path)"
        )
    plain = (str, int, float, bool)
    return states[name], {
        str(key): value for key, value in entries.items() if isinstance(value, plain)
    }
