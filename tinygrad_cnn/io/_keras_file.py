"""The layers in a ``.weights.h5`` file of Keras 3: what is there, before a number is read.

HDF5 can do much that no such file needs: links to other files, values kept in other files,
filters, chunks. Whatever is not a plain array in a plain group is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import DataError, MissingExtraError, TinygradCnnError
from ..typing import Array

if TYPE_CHECKING:
    import h5py

__all__ = ["KerasLayer", "array_of", "flaw_of", "reading"]

_DEPTH, _OBJECTS = 16, 100_000  # far above the ResNets
# The state of an optimiser, and of the generators of dropout, is not the model's.
_SKIPPED = re.compile(r"optimizer|seed_generator(_\d+)?")


class KerasLayer(NamedTuple):
    """A layer with weights.

    Attributes:
        path: of its group in the file.
        kind: ``conv2d``, ``dense``, …; empty for an attribute of a class, which has any name.
        place: its group and its number among those of its kind there.
        arrays: the datasets of the file, in order.
    """

    path: str
    kind: str
    place: tuple[str, int]
    arrays: tuple[h5py.Dataset, ...]


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[list[KerasLayer]]:
    """The layers of a file that is open inside the block; whatever HDF5 stumbles over is damage.

    Raises:
        DataError: the file is missing, damaged, or of another kind.
        MissingExtraError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise MissingExtraError("h5py", "keras", "reading the weights of Keras") from None
    shown = os.fspath(path)
    if not os.path.isfile(path):
        raise DataError(f"{shown}: no such file")
    try:
        with h5py.File(path, "r") as file:
            if "layer_names" in file.attrs or "model_weights" in file:
                raise DataError(
                    f"{shown}: written in the layout of Keras 2; load it there or in Keras 3, and"
                    " save it anew: model.save_weights('….weights.h5')"
                )
            layers = sorted(_layers(file, shown), key=lambda layer: (layer.place, layer.path))
            if not layers:
                raise DataError(f"{shown}: no weights of a Keras model in this HDF5 file")
            yield layers
    except TinygradCnnError:
        raise
    except (OSError, RuntimeError, ValueError, TypeError, LookupError) as error:
        raise DataError(
            f"{shown}: damaged, or no .weights.h5 file of Keras 3 ({type(error).__name__}: {error})"
        ) from None


def _layers(file: h5py.File, shown: str) -> Iterator[KerasLayer]:
    """The groups that hold variables, without recursion into what could be a circle."""
    import h5py

    stack: list[tuple[str, h5py.Group, int]] = [("", file, 0)]
    count = 0
    while stack:
        path, group, depth = stack.pop()
        for key in group:
            count += 1
            if count > _OBJECTS or depth > _DEPTH:
                raise DataError(f"{shown}: more groups inside of groups than any model has")
            inner = f"{path}/{key}" if path else key
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise DataError(
                    f"{shown}: {inner} is a link to another place, which is not followed"
                )
            child = group[key]
            if _SKIPPED.fullmatch(key):
                continue
            if not isinstance(child, h5py.Group):
                raise DataError(f"{shown}: {inner} is an array outside of a layer's 'vars'")
            if key != "vars":
                stack.append((inner, child, depth + 1))
            elif len(child):
                yield _layer(path, child, shown)


def _layer(path: str, variables: h5py.Group, shown: str) -> KerasLayer:
    import h5py

    keys = [str(number) for number in range(len(variables))]
    if len(keys) > 64 or set(keys) != set(variables):
        raise DataError(f"{shown}: {path}/vars holds {list(variables)[:5]}, expected 0, 1, …")
    for key in keys:
        link = variables.get(key, getlink=True)
        if not isinstance(link, h5py.HardLink) or not isinstance(variables[key], h5py.Dataset):
            raise DataError(f"{shown}: {path}/vars/{key} is no array")
    parent, _, key = path.rpartition("/")
    # The attribute "name" is not asked for: in a damaged file HDF5 may look for it for ever.
    kind, number = key, 0
    if found := re.fullmatch(r"(.+?)_(\d{1,9})", key, re.DOTALL):
        kind, number = found[1], int(found[2])
    listed = parent.rpartition("/")[2] == "layers"
    arrays = tuple(variables[key] for key in keys)
    return KerasLayer(path, kind if listed else "", (parent, number), arrays)


def array_of(dataset: Any) -> Array:
    """The numbers of a dataset of which ``flaw_of`` knows no flaw."""
    array = np.empty(dataset.shape, dataset.dtype)
    dataset.read_direct(array)
    return array


def flaw_of(dataset: Any) -> str | None:
    """Why a dataset is not read: it is none that Keras writes, or holds no floating point."""
    if dataset.dtype.kind != "f":
        return f"has dtype {dataset.dtype}, expected floating point: save the model in float32"
    if dataset.chunks is not None or dataset.is_virtual or dataset.external:
        return "is not stored in one piece, as Keras does: load it there and save it anew"
    return None
