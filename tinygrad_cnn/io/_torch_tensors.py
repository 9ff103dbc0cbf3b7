"""Tensors of files that PyTorch wrote: storages of numbers, and views of them."""

from __future__ import annotations

import math
from typing import IO, Any, NamedTuple

import numpy as np

from .._arguments import is_whole
from ..errors import DataError
from ..typing import Array
from ._pickle import Constant, Function
from ._reading import check_bool, fill, from_bfloat16

_MAX_AXES = 64  # NumPy's
_MAX_RATIO = 16  # of all tensors to the file: some storages are seen by more than one
_ARRAY = 100  # bytes of an array itself
_LEAST_LIMIT = 1 << 20  # so that small files may have small tensors in any number

_BFLOAT16 = "bfloat16"
_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": _BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
    "ComplexFloatStorage": "<c8",
    "ComplexDoubleStorage": "<c16",
}
_UNTYPED = "|u1"
_LATER = {"uint16": "<u2", "uint32": "<u4", "uint64": "<u8"}  # kept in storages of bytes


class Storage(NamedTuple):
    """Numbers in a row.

    Attributes:
        array: of one axis.
        stored: the dtype in the file, or "bfloat16".
    """

    array: Array
    stored: str

    @property
    def itemsize(self) -> int:
        """Bytes of a number in the file."""
        return 2 if self.stored == _BFLOAT16 else self.array.itemsize

    def fill(self, file: IO[bytes]) -> None:
        """Read the numbers."""
        if self.stored == _BFLOAT16:
            halves = np.empty(len(self.array), "<u2")
            fill(halves, file)
            self.array[:] = from_bfloat16(halves)
        else:
            fill(self.array, file)
            check_bool(self.array)


class Tensors:
    """The storages and tensors of one file.

    Args:
        size: of the file in bytes, which bounds what it may state.

    Attributes:
        storages: by key, allocated but not read.
    """

    def __init__(self, size: int) -> None:
        self.storages: dict[str, Storage] = {}
        self._room = size
        self._limit = max(_MAX_RATIO * size, _LEAST_LIMIT)

    def names(self) -> dict[str, Function | Constant]:
        """What the names in such a pickle stand for."""
        return {
            "torch._utils._rebuild_tensor": Function(self._tensor),
            "torch._utils._rebuild_tensor_v2": Function(self._tensor),
            "torch._utils._rebuild_tensor_v3": Function(self._tensor_v3),
            "torch._utils._rebuild_parameter": Function(lambda data, *_: _tensor(data)),
            "torch.storage.UntypedStorage": Constant(_UNTYPED),
            **{f"torch.{name}": Constant(dtype) for name, dtype in (_STORAGES | _LATER).items()},
        }

    def storage(self, identifier: Any) -> Storage:
        """The storage that an identifier in a pickle means.

        It is ("storage", type, key, device, numbers), in older files with a sixth: None, or the
        (key, offset, numbers) of a part of it.
        """
        if type(identifier) is not tuple or identifier[:1] != ("storage",):
            raise DataError("it holds a whole module with its code: save its state_dict()")
        _, kind, key, _, count, *rest = identifier
        if not isinstance(kind, Constant) or type(key) is not str or not is_whole(count, 0):
            raise DataError("it has a storage without a type, a key or a length")
        storage = self.storages.get(key)
        if storage is None:
            storage = self._new(key, kind.value, count)
        elif (storage.stored, len(storage.array)) != (kind.value, count):
            raise DataError(f"its storage {key!r:.40} is of two types or lengths")
        if rest and rest[0] is not None:
            _, offset, count = rest[0]
            return Storage(self._view(storage.array, offset, (count,), (1,)), storage.stored)
        return storage

    def _new(self, key: str, stored: str, count: int) -> Storage:
        dtype = np.dtype(np.float32 if stored == _BFLOAT16 else stored)
        needed = count * (2 if stored == _BFLOAT16 else dtype.itemsize)
        if needed > self._room:
            raise DataError(f"it states {needed} bytes for the storage {key!r:.40} and has fewer")
        self._room -= needed
        storage = Storage(np.empty(count, dtype), stored)
        self.storages[key] = storage
        return storage

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Array:
        """What follows the stride tells how PyTorch trains it."""
        if not isinstance(storage, Storage):
            raise DataError("it has a tensor without a storage")
        return self._view(storage.array, offset, size, stride)

    def _tensor_v3(self, storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Array:
        """As before, with a dtype, from a storage of bytes."""
        dtype = rest[2]
        if not isinstance(dtype, Constant) or dtype.value not in _LATER.values():
            raise DataError("it has a tensor of a dtype that NumPy does not have")
        if not isinstance(storage, Storage) or storage.stored != _UNTYPED:
            raise DataError("it has a tensor without a storage of bytes")
        return self._view(storage.array.view(dtype.value), offset, size, stride)

    def _view(self, numbers: Array, offset: Any, size: Any, stride: Any) -> Array:
        """A view of a storage; several share it, as they do in PyTorch."""
        if type(size) is not tuple or type(stride) is not tuple or len(size) != len(stride):
            raise DataError("it has a tensor whose sizes and strides do not belong together")
        if len(size) > _MAX_AXES or not all(is_whole(n, 0) for n in (offset, *size, *stride)):
            raise DataError("it has a tensor whose offset, sizes or strides are no numbers")
        item = numbers.itemsize
        self._limit -= math.prod(size) * item + _ARRAY + 16 * len(size)
        if self._limit < 0:
            raise DataError(f"its tensors together are more than {_MAX_RATIO} times the file")
        if 0 in size:
            return np.empty(size, numbers.dtype)
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if last >= len(numbers):
            raise DataError(f"it has a tensor {size} that reaches beyond its storage")
        strides = tuple(s * item for s in stride)
        return np.ndarray(size, numbers.dtype, numbers, offset * item, strides)


def _tensor(value: Any) -> Array:
    if not isinstance(value, np.ndarray):
        raise DataError("it has a parameter without a tensor")
    return value
