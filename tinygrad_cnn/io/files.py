"""Weights to and from files; the suffix of the name chooses the format."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import models, nn
from .._core.tensor import raw
from .._files import file_path
from ..errors import ArgumentError, CheckpointError, DtypeError
from ..models.registry import architecture
from ..typing import Array
from . import _npz, _safetensors, _torch
from ._reading import PathLike

__all__ = ["State", "load", "load_model", "save"]

_Write = Callable[[PathLike, Mapping[str, Array], str], None]
_Read = Callable[[PathLike], tuple[dict[str, Array], dict[str, Any]]]

_WRITERS: dict[str, _Write] = {".npz": _npz.write, ".safetensors": _safetensors.write}
_READERS: dict[str, _Read] = {
    ".npz": _npz.read,
    ".safetensors": _safetensors.read,
    **dict.fromkeys((".pth", ".pt", ".th"), _torch.read),
}
_NUMBERS = "biufc"  # kinds of dtype
_LARGEST_OPTION = 1024  # of a model that a file asks for, such as its image_size
_NUMBERS_PER_CLASS = 256  # less than the last layer of a large model has


class State(dict[str, Array]):
    """Arrays by name, with what the file said about them: what ``load_state_dict`` takes.

    Attributes:
        metadata: plain data, such as what ``save`` adds.

    >>> import numpy as np, tinygrad_cnn as tc
    >>> state = tc.io.State({"w": np.zeros(3)}, {"classes": ["cat", "dog"]})
    >>> state["w"].shape, state.metadata["classes"]
    ((3,), ['cat', 'dog'])
    """

    def __init__(
        self, arrays: Mapping[str, Array] = {}, metadata: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(arrays)
        self.metadata: dict[str, Any] = dict(metadata or {})


def save(
    path: PathLike,
    what: nn.Module | Mapping[str, Any],
    *,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write the state of a model, or arrays by name, to one file that appears when it is whole.

    The file says which version of this package wrote it; that of a model also its class, its
    layers as ``repr`` shows them and, for one of ``models.model_names()``, the name and options
    that ``load_model`` builds it by. Nothing in it is code.

    Args:
        path: ends in .npz, or in .safetensors (extra ``io``).
        what: a Module, or arrays of numbers by name, such as a ``State``, whose metadata goes
            along.
        metadata: what JSON can hold, such as the names of classes, or mean and standard deviation
            of the images; arrays become lists. It stands over what is known by itself.

    Raises:
        ArgumentError: the path, a name or the metadata can't be written.
        DtypeError: something is no array of numbers, or the format has no such numbers.
        MissingExtraError: safetensors is not installed.

    >>> import os, tempfile, tinygrad_cnn as tc
    >>> model = tc.models.LeNet5()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "lenet.npz")
    ...     tc.io.save(path, model, metadata={"mean": [0.1307], "std": [0.3081]})
    ...     state = tc.io.load(path)
    >>> model.load_state_dict(state)
    IncompatibleKeys(missing_keys=[], unexpected_keys=[])
    >>> state.metadata["architecture"], state.metadata["mean"]
    ({'name': 'lenet5', 'options': {}}, [0.1307])
    """
    from .. import __version__

    write = _by_suffix(path, _WRITERS, "written")
    arrays = _arrays(what)
    about = {**_about(what), "version": __version__, **_checked(metadata)}
    write(file_path(path), arrays, _json(about))


def load(path: PathLike) -> State:
    """The arrays in a file, by name, and its metadata. Nothing is executed, whatever is in it.

    Args:
        path: an .npz or .safetensors file (extra ``io``), or a .pth, .pt or .th file of
            ``torch.save``, for which PyTorch is not needed: of a checkpoint the dict of tensors is
            taken, the numbers and texts beside it are the metadata; bfloat16 becomes float32; the
            "module." before all names, from torch.nn.DataParallel, goes.

    Raises:
        ArgumentError: the name has another suffix.
        DataError: the file is missing, damaged, or holds something else.
        MissingExtraError: safetensors is not installed.
    """
    return State(*_by_suffix(path, _READERS, "read")(path))


def load_model(path: PathLike) -> nn.Module:
    """The model that ``save`` wrote, in training mode, if it is one of ``models.model_names()``.

    Raises:
        CheckpointError: the file does not say how to build the model, or the model was changed
            after it was built. Build it yourself, then ``model.load_state_dict(tc.io.load(path))``.
        ArgumentError, DataError, MissingExtraError: as ``load``.

    >>> import os, tempfile, tinygrad_cnn as tc
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.npz")
    ...     tc.io.save(path, tc.models.LeNet5(classes=3))
    ...     tc.io.load_model(path).fc3
    Linear(84, 3)
    """
    return model_of(load(path), path)


def model_of(state: State, path: PathLike) -> nn.Module:
    """The model that a state says it is of; ``path`` is named in errors."""
    match state.metadata.get("architecture"):
        case {"name": str(name), "options": dict(options)}:
            pass
        case _:
            raise CheckpointError(
                f"{os.fspath(path)} does not say which model it is of: build it, then"
                " model.load_state_dict(tc.io.load(path))"
            )
    numbers = sum(array.size for array in state.values())
    largest = {"classes": max(_LARGEST_OPTION, numbers // _NUMBERS_PER_CLASS)}
    for option, value in options.items():
        if isinstance(value, int) and value > largest.get(option, _LARGEST_OPTION):
            raise CheckpointError(
                f"{os.fspath(path)}: {option}={value} is too large for so few weights"
            )
    generator = np.random.default_rng(0)  # no draw from the thread's: every value is replaced
    try:
        model = models.build(name, **{**options, "generator": generator})
    except (ValueError, TypeError, MemoryError) as error:
        raise CheckpointError(f"{os.fspath(path)}: its model can't be built: {error}") from None
    if repr(model) != state.metadata.get("layers"):
        raise CheckpointError(
            f"{os.fspath(path)}: {name!r} as built has other layers than were saved: make"
            " the model as it was, then model.load_state_dict(tc.io.load(path))"
        )
    model.load_state_dict(state)
    return model


def _by_suffix(path: PathLike, known: Mapping[str, Any], verb: str) -> Any:
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"expected the path of a file, got {type(path).__name__}")
    found = known.get(Path(path).suffix.lower())
    if found is None:
        raise ArgumentError(
            f"{os.fspath(path)!r}: the suffix chooses the format; {', '.join(known)} can be {verb}"
        )
    return found


def _arrays(what: Any) -> dict[str, Array]:
    """C-contiguous arrays of native numbers, checked one and all."""
    if isinstance(what, nn.Module):
        what = what.state_dict()
    if not isinstance(what, Mapping):
        raise ArgumentError(
            f"save: expected a Module or a dict of arrays by name, got {type(what).__name__}"
        )
    arrays = {}
    for name, value in what.items():
        if not isinstance(name, str):
            raise ArgumentError(f"save: the name {name!r:.60} is a {type(name).__name__}, no text")
        try:
            name.encode()
            array = np.asarray(raw(value), order="C")
        except ValueError as error:
            raise ArgumentError(f"save: {name!r:.60} can't be written: {error}") from None
        if array.dtype.kind not in _NUMBERS:
            raise DtypeError(f"save: {name!r} holds {array.dtype}, expected numbers")
        arrays[name] = array.astype(array.dtype.newbyteorder("="), copy=False)
    return arrays


def _about(what: Any) -> dict[str, Any]:
    """What is known of a model, or was known of a state."""
    if not isinstance(what, nn.Module):
        return _checked(getattr(what, "metadata", None))
    about: dict[str, Any] = {
        "module": f"{type(what).__module__}.{type(what).__qualname__}",
        "layers": repr(what),
    }
    if (known := architecture(what)) is not None:
        about["architecture"] = {"name": known[0], "options": known[1]}
    return about


def _checked(metadata: Any) -> dict[str, Any]:
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping) or not all(isinstance(key, str) for key in metadata):
        raise ArgumentError("save: metadata is a dict with texts as keys")
    return dict(metadata)


def _json(metadata: Mapping[str, Any]) -> str:
    try:
        return json.dumps(metadata, default=_listed)
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(f"save: the metadata can't be written as JSON: {error}") from None


def _listed(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r:.40} is no plain data")
