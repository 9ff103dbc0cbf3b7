"""Weights that Keras saved, loaded into a model of this package.

Keras 3 writes ``model.weights.h5``: a group for each layer, in it the group ``vars`` with the
layer's arrays by number. Images there have their channels last, here first, so kernels change from
(H, W, C, K) to (K, C, H, W), and so do the rows of a dense kernel behind a flatten.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import nn
from ..errors import ArgumentError, CheckpointError
from ..typing import Array, Shape
from ._keras_file import KerasLayer, array_of, flaw_of, reading

__all__ = ["Transfer", "load_keras"]

_KINDS: dict[type[nn.Module], str] = {
    nn.Linear: "dense",
    nn.Conv1d: "conv1d",
    nn.Conv2d: "conv2d",
    nn.Conv3d: "conv3d",
    nn.ConvTranspose1d: "conv1d_transpose",
    nn.ConvTranspose2d: "conv2d_transpose",
    nn.ConvTranspose3d: "conv3d_transpose",
    nn.BatchNorm1d: "batch_normalization",
    nn.BatchNorm2d: "batch_normalization",
    nn.BatchNorm3d: "batch_normalization",
    nn.LayerNorm: "layer_normalization",
    nn.GroupNorm: "group_normalization",
}
# In Keras's order: kernel, bias; or gamma, beta, moving mean, moving variance.
_TENSORS = ("weight", "bias", "running_mean", "running_var")


class Transfer(NamedTuple):
    """Where an array of the model came from.

    Attributes:
        key: its name in ``state_dict()``.
        source: its path in the file.
        change: how its axes were changed; empty if they were not.
    """

    key: str
    source: str
    change: str

    def __str__(self) -> str:
        return f"{self.key} <- {self.source}{self.change and f' ({self.change})'}"


class _Ours(NamedTuple):
    """A module that wants weights; ``channels`` of the images whose flattened pixels it sees."""

    path: str
    module: Any
    kind: str
    channels: int | None


def load_keras(
    path: str | os.PathLike[str],
    model: nn.Module,
    *,
    layers: Mapping[str, str] | None = None,
    channels: Mapping[str, int] | None = None,
) -> list[Transfer]:
    """Load a ``.weights.h5`` file of Keras 3 into ``model``.

    The layers of each kind (convolutions, dense layers, …) are taken in order, the model's as it
    defines them. The file says nothing of the architecture: strides, padding and the epsilon of
    batch norm, in Keras 1e-3, are the model's.

    Args:
        path: the file, of a Keras model whose images have their channels last.
        model: the same architecture, for images (N, C, H, W). The first linear layer behind
            convolutions is taken to see their flattened pixels.
        layers: for the path of a module, the path of its layer in the file, where the order does
            not tell: for models inside of models, and layers that are attributes of a class.
        channels: for the path of a module, how many channels the images had whose flattened pixels
            it sees, where no convolution before it tells; 1 leaves the order as it is.

    Returns:
        Where each array of the model came from.

    Raises:
        ArgumentError: an argument of the wrong type.
        CheckpointError: the weights do not fit the model. The message lists all that does not, and
            nothing is changed.
        DataError: the file is missing, damaged, or of another kind.
        MissingExtraError: h5py is not installed.

    >>> import tinygrad_cnn as tc
    >>> model = tc.models.LeNet5()
    >>> for transfer in tc.io.load_keras("lenet.weights.h5", model):  # doctest: +SKIP
    ...     print(transfer)
    conv1.weight <- layers/conv2d/vars/0 ((5, 5, 1, 6) to (6, 1, 5, 5))
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"load_keras: expected a Module to load into, got {model!r:.60}")
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"load_keras: expected the path of a file, got {path!r:.60}")
    for name, given in (("layers", layers), ("channels", channels)):
        if not isinstance(given, Mapping | None):
            raise ArgumentError(f"load_keras: {name}={given!r:.60}, expected a dict by module path")
    with reading(path) as theirs:
        ours, problems = _modules(model, {layer.kind for layer in theirs}, channels or {})
        pairs = list(_pairs(ours, theirs, layers or {}, problems))
        for mine, layer in pairs:
            problems += _misfits(mine, layer)
        if problems:
            listed = "".join(f"\n  {problem}" for problem in problems)
            raise CheckpointError(f"{os.fspath(path)}: does not fit, nothing was loaded:{listed}")
        taken = [found for mine, layer in pairs for found in _take(mine, layer)]
    model.load_state_dict({transfer.key: array for transfer, array in taken}, strict=False)
    return [transfer for transfer, _ in taken]


# -- the model -------------------------------------------------------------------------------


def _modules(
    model: nn.Module, present: set[str], given: Mapping[str, int]
) -> tuple[list[_Ours], list[str]]:
    """The modules that hold weights, and what about them can't be translated."""
    modules: dict[str, Any] = dict(model.named_modules())
    problems = [f"channels: the model has no module {path!r}" for path in given.keys() - modules]
    found = []
    images: int | None = None  # the channels of the images at this place, as far as is known
    flattened = False
    for path, module in modules.items():
        flattened |= isinstance(module, nn.Flatten)
        if isinstance(module, nn.Unflatten):
            problems.append(f"{path}: the order of pixels behind an Unflatten is not translated")
        if not (any(True for _ in module.parameters(recurse=False)) or module._buffers):
            continue
        kind = next((kind for cls, kind in _KINDS.items() if isinstance(module, cls)), None)
        if kind is None:
            problems.append(f"{path}: no layer of Keras is known for a {type(module).__name__}")
            continue
        if f"depthwise_{kind}" in present and module.groups == module.in_channels > 1:
            kind = f"depthwise_{kind}"
        channels = given.get(path)
        if isinstance(module, (nn.Linear, nn.BatchNorm1d, nn.LayerNorm)):
            width = _width(module)
            if channels is None and flattened and images is None:
                problems.append(
                    f"{path}: how many channels have the images that are flattened into its"
                    f" {width} numbers? Say channels={{{path!r}: …}}"
                )
            channels = channels or (images if images != width else None)
            if channels and (type(channels) is not int or channels < 1 or width % channels):
                problems.append(f"{path}: {width} numbers are no images of {channels!r} channels")
            if isinstance(module, nn.Linear):
                images, flattened = None, False
        images = getattr(module, "out_channels", images)
        found.append(_Ours(path, module, kind, channels))
    return found, problems


def _width(module: Any) -> int:
    """How many numbers of each example a module sees."""
    if isinstance(module, nn.Linear):
        return module.in_features
    if isinstance(module, nn.LayerNorm):
        return math.prod(module.normalized_shape)
    return int(module.num_features)


# -- what belongs to what --------------------------------------------------------------------


def _pairs(
    ours: list[_Ours], theirs: list[KerasLayer], named: Mapping[str, str], problems: list[str]
) -> Iterator[tuple[_Ours, KerasLayer]]:
    """Modules and layers: those that the user named, the others of each kind in order."""
    by_path = {mine.path: mine for mine in ours}
    left = list(theirs)
    for path, wanted in named.items():
        mine = by_path.pop(path, None)
        layer = next((layer for layer in left if layer.path == wanted), None)
        if mine is None:
            problems.append(f"layers: the model has no module {path!r} with weights")
        elif layer is None:
            listed = ", ".join(layer.path for layer in left)
            problems.append(f"layers: {wanted!r} for {path!r} is none of the file's {listed}")
        else:
            left.remove(layer)
            yield mine, layer
    if nameless := [layer.path for layer in left if not layer.kind]:
        problems.append(
            f"the file does not tell what {', '.join(nameless)} correspond to; say it:"
            f" layers={{{next(iter(by_path), 'module')!r}: {nameless[0]!r}, …}}"
        )
        return
    for kind in dict.fromkeys([*(mine.kind for mine in by_path.values()), *(t.kind for t in left)]):
        some = [mine for mine in by_path.values() if mine.kind == kind]
        others = [layer for layer in left if layer.kind == kind]
        if len(some) != len(others):
            problems.append(
                f"{kind}: the model has {_listed(m.path for m in some)}, the file"
                f" {_listed(layer.path for layer in others)}"
            )
        elif len({layer.place[0] for layer in others}) > 1:
            problems.append(
                f"{kind}: the file does not tell the order of {_listed(t.path for t in others)};"
                f" say which is which: layers={{{some[0].path!r}: {others[0].path!r}, …}}"
            )
        else:
            yield from zip(some, others, strict=True)


def _listed(paths: Iterator[str]) -> str:
    names = list(paths)
    return f"{len(names)} ({', '.join(names)})" if names else "none"


# -- one layer -------------------------------------------------------------------------------


def _tensors(module: Any) -> dict[str, Shape]:
    """The tensors of a module in Keras's order."""
    held = {name: getattr(module, name, None) for name in _TENSORS}
    return {name: tensor.shape for name, tensor in held.items() if tensor is not None}


def _misfits(mine: _Ours, layer: KerasLayer) -> list[str]:
    wanted = _tensors(mine.module)
    if len(wanted) != len(layer.arrays):
        return [
            f"{mine.path}: {layer.path} has {len(layer.arrays)} arrays, the module {len(wanted)}:"
            f" {', '.join(wanted)}"
        ]
    problems = []
    for (name, shape), dataset in zip(wanted.items(), layer.arrays, strict=True):
        there = _shape_there(shape, _depthwise(mine.module, dataset.shape))
        if dataset.shape != there:
            problems.append(
                f"{mine.path}.{name}: {dataset.name} has shape {dataset.shape}, expected {there}"
                f" for the model's {shape}"
            )
        elif flaw := flaw_of(dataset):
            problems.append(f"{mine.path}.{name}: {dataset.name} {flaw}")
    return problems


def _depthwise(module: Any, there: Shape) -> int:
    """C if a kernel is one of ``DepthwiseConv2D``, (H, W, C, M), else 0."""
    channels: int = getattr(module, "in_channels", 0)
    alone = len(there) > 2 and getattr(module, "groups", 1) == channels == there[-2]
    return channels if alone else 0


def _shape_there(shape: Shape, depthwise: int) -> Shape:
    """What has this shape here, in Keras: (K, C, H, W) is (H, W, C, K), (K, C) is (C, K)."""
    if len(shape) == 1:
        return shape
    k, c, *window = shape
    return (*window, depthwise, k // depthwise) if depthwise else (*window, c, k)


def _take(mine: _Ours, layer: KerasLayer) -> Iterator[tuple[Transfer, Array]]:
    """The arrays of a layer with their axes in the model's order."""
    is_linear = isinstance(mine.module, nn.Linear)
    for (name, shape), dataset in zip(_tensors(mine.module).items(), layer.arrays, strict=True):
        array = array_of(dataset)
        changes = []
        if mine.channels and not (is_linear and name == "bias"):
            # The first axis is (pixels, channels) there, (channels, pixels) here.
            pixels = array.reshape(-1, mine.channels, *array.shape[1:])
            array = pixels.swapaxes(0, 1).reshape(array.shape)
            changes = [f"pixels of {mine.channels} channels"]
        if array.ndim > 1:
            last = (-2, -1) if _depthwise(mine.module, array.shape) else (-1, -2)
            array = np.moveaxis(array, last, (0, 1)).reshape(shape)
            changes.append(f"{dataset.shape} to {shape}")
        if getattr(mine.module, "flip", False) and name == "weight":
            array = np.flip(array, tuple(range(2, array.ndim)))
        key = f"{mine.path}.{name}" if mine.path else name
        yield Transfer(key, dataset.name.lstrip("/"), ", ".join(changes)), array
