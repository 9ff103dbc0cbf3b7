"""The safetensors format, by its own library (extra ``io``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._files import replacing
from ..errors import ArgumentError, DataError, DtypeError, MissingExtraError
from ..typing import Array
from ._reading import PathLike, check_bool, from_bfloat16, opened, parse_metadata

_METADATA = "tinygrad_cnn"  # the metadata of the format is text by key; ours is one JSON text
_RESERVED = "__metadata__"
_DTYPES = (
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64",
    "float16", "float32", "float64", "complex64",
)  # fmt: skip
_CODES = {
    "BOOL", "U8", "U16", "U32", "U64", "I8", "I16", "I32", "I64", "F16", "F32", "F64", "C64",
}  # fmt: skip


def _library() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingExtraError("safetensors", "io", "a .safetensors file") from None
    return safetensors


def write(path: PathLike, arrays: Mapping[str, Array], metadata: str) -> None:
    """Write arrays, which must be C-contiguous: the library writes others as garbage.

    Raises:
        MissingExtraError: safetensors is not installed.
        DtypeError: the format has no such numbers.
        ArgumentError: a name that is reserved.
    """
    library = _library()
    for name, array in arrays.items():
        if array.dtype.name not in _DTYPES:
            raise DtypeError(
                f"{name!r}: a .safetensors file can't hold {array.dtype}, but {', '.join(_DTYPES)}"
            )
    if _RESERVED in arrays:
        raise ArgumentError(f"{_RESERVED!r} is reserved in .safetensors files: choose another name")
    content = library.numpy.save(dict(arrays), {_METADATA: metadata})
    with replacing(path) as file:
        file.write(content)


def read(path: PathLike) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and the metadata of a file, no matter what wrote it; bfloat16 as float32.

    Raises:
        MissingExtraError: safetensors is not installed.
        DataError: it is damaged, or holds numbers that NumPy does not have.
    """
    library = _library()
    with opened(path, ".safetensors") as file:
        try:
            with library.safe_open(path, "np") as content:
                texts: dict[str, Any] = dict(content.metadata() or {})
                codes = {name: content.get_slice(name).get_dtype() for name in content.keys()}  # noqa: SIM118
                if other := sorted(set(codes.values()) - _CODES - {"BF16"}):
                    raise DataError(f"it holds numbers of type {', '.join(map(str, other))}")
                arrays = {
                    name: np.array(content.get_tensor(name))
                    for name, code in codes.items()
                    if code != "BF16"
                }
            if "BF16" in codes.values():
                arrays |= _halves(library.deserialize(file.read()))
        except library.SafetensorError as error:
            raise DataError(f"damaged, or no .safetensors file: {error}") from None
        for array in arrays.values():
            check_bool(array)
        ours = parse_metadata(texts.pop(_METADATA, "{}"))
    return {name: arrays[name] for name in codes}, texts | ours


def _halves(views: list[tuple[str, dict[str, Any]]]) -> dict[str, Array]:
    """The arrays of bfloat16, which NumPy does not have."""
    return {
        name: from_bfloat16(np.frombuffer(view["data"], "<u2")).reshape(view["shape"])
        for name, view in views
        if view["dtype"] == "BF16"
    }
