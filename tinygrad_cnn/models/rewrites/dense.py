"""Fully connected layers as convolutions, and convolutions as fully connected layers.

The two differ only in which weights are shared and which are zero (CS231n, "Converting FC layers
to CONV layers").
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from itertools import count
from typing import Any, TypeVar

import numpy as np

from ... import nn
from ..._core.context import no_grad
from ..._core.tensor import raw
from ...errors import ArgumentError, GraphError
from ...nn._mode import mode
from ...typing import Array, Shape
from .._chain import Link, chain
from ._proof import Rewrite, in_float64, proved

__all__ = ["conv_to_fc", "fc_to_conv"]

# What acts on each number by itself does the same wherever the number lies.
_ELEMENTWISE = (
    nn.Dropout, nn.ELU, nn.GELU, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh, nn.Identity,
    nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid,
    nn.Softplus, nn.Tanh,
)  # fmt: skip
_POOLS_WHOLE = (
    nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.GlobalAvgPool2d, nn.GlobalMaxPool2d,
)  # fmt: skip
# What a crop of an image gives is no part of what they give for the image.
_SEES_WHOLE = (
    *_POOLS_WHOLE, nn.ConvTranspose2d, nn.GroupNorm, nn.InstanceNorm2d, nn.LayerNorm,
    nn.LocallyConnected2d,
)  # fmt: skip
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_MOST_WEIGHTS = 2**28  # of one dense matrix: 2 GiB in float64
_UNIT_IMAGES = 256  # at once: all of them would be as many numbers as the square of an image

Part = TypeVar("Part", bound=nn.Module)


def fc_to_conv(model: nn.Module, input_shape: Shape) -> Rewrite:
    """The model with convolutions in place of its fully connected layers.

    The first fully connected layer becomes a convolution whose filters are as large as the
    volume it looks at, the others 1x1 convolutions. The new model returns (N, classes, 1, 1) for
    images of the given size, and for larger ones a map of scores, as if the given model had slid
    over them; exactly so where the layers before do not pad.

    Args:
        model: a chain of layers that ends in fully connected ones.
        input_shape: of images that the model takes, such as (1, 3, 224, 224).

    Raises:
        GraphError: the model is no chain, or holds no fully connected layer that looks at a
            volume, or a layer after it that is not done number by number, or one before it that
            looks at the whole image.

    >>> import tinygrad_cnn as tc
    >>> net = tc.nn.Sequential(tc.nn.Conv2d(3, 4, 2, 2), tc.nn.Flatten(), tc.nn.Linear(64, 10))
    >>> slid = tc.models.rewrites.fc_to_conv(net, (1, 3, 8, 8))
    >>> slid.model(tc.zeros(1, 3, 12, 12)).shape
    (1, 10, 3, 3)
    >>> print(slid.proof.changes[-1])
    2: Linear(64, 10) -> Conv2d(4, 10, kernel_size=(4, 4), stride=(1, 1))
    """
    what = "fc_to_conv"
    links = chain(in_float64(model, what), input_shape, what)
    flat, first = _first_dense(links, what)
    volume = links[flat].input_shape[1:]
    layers: dict[str, nn.Module] = {}
    changes: list[str] = []
    for number, link in enumerate(links):
        new = _body(link) if number < flat else _head(link, volume if number == first else None)
        if new is None:
            changes.append(f"{link.name}: {link.module!r} left out")
            continue
        if new is not link.module:
            changes.append(f"{link.name}: {link.module!r} -> {new!r}")
        layers[_free(link.name, layers)] = copy.deepcopy(new)
    return proved(model, _row(layers, model), input_shape, changes, what)


def _row(layers: dict[str, nn.Module], model: nn.Module) -> nn.Sequential:
    """Layers, each of which has its mode, in the place of a model."""
    row = nn.Sequential(layers)
    row.training = model.training
    return row


def _first_dense(links: list[Link], what: str) -> tuple[int, int]:
    """The places of the layer that flattens a volume, and of the first that looks at all of it."""
    dense = [i for i, link in enumerate(links) if isinstance(link.module, nn.Linear)]
    if not dense:
        raise GraphError(f"{what}: there is no fully connected layer")
    first = dense[0]
    earlier = (i for i in reversed(range(first)) if not isinstance(links[i].module, _ELEMENTWISE))
    flat = next(earlier, None)
    if flat is None or not _flattens_volume(links[flat]):
        raise GraphError(
            f"{what}: {links[first].name} is given {links[first].input_shape}, not a flattened"
            " volume (N, C, H, W): there is nothing to slide over"
        )
    return flat, first


def _flattens_volume(link: Link) -> bool:
    flattens = isinstance(link.module, nn.Flatten)
    return flattens and (len(link.input_shape), len(link.output_shape)) == (4, 2)


def _body(link: Link) -> nn.Module | None:
    """A layer before the head: as it is, but none that looks at the whole image."""
    if not isinstance(link.module, _SEES_WHOLE):
        return link.module
    if not isinstance(link.module, _POOLS_WHOLE):
        raise GraphError(
            f"fc_to_conv: {link.name} ({type(link.module).__name__}) looks at the whole image or"
            " knows its size: what it makes of a larger image does not slide over it"
        )
    if link.input_shape == link.output_shape:
        return None
    raise GraphError(
        f"fc_to_conv: {link.name} pools {link.input_shape} to {link.output_shape} whatever the size"
        " of the image: there is nothing to slide over; give images of the model's own size"
    )


def _head(link: Link, volume: Shape | None) -> nn.Module | None:
    """The same at every place: a convolution for a fully connected layer."""
    module = link.module
    if isinstance(module, nn.Linear):
        c, h, w = volume or (module.weight.shape[1], 1, 1)
        out = module.weight.shape[0]
        conv = nn.Conv2d(c, out, (h, w), bias=module.bias is not None, dtype=module.weight.dtype)
        filled = {key: value.numpy() for key, value in module.named_parameters()}
        filled["weight"] = filled["weight"].reshape(out, c, h, w)
        return _filled(conv, module, filled)
    if isinstance(module, nn.BatchNorm1d):
        norm = nn.BatchNorm2d(module.num_features, module.eps, module.momentum,
            module.weight is not None, module.running_mean is not None)  # fmt: skip
        return _filled(norm, module, module.state_dict())
    if isinstance(module, nn.Flatten):
        return None
    if isinstance(module, (nn.Softmax, nn.LogSoftmax)) and module.axis in (1, -1):
        return type(module)(1).train(module.training)
    if isinstance(module, _ELEMENTWISE):
        return module
    raise GraphError(
        f"fc_to_conv: {link.name} ({type(module).__name__}) comes after the volume is flattened and"
        " does not act on each number by itself, so that it can't be done at every place"
    )


def _filled(new: Part, old: nn.Module, state: Mapping[str, Array]) -> Part:
    """A layer with this state, which learns what the one that it replaces learnt."""
    new.load_state_dict(state)
    frozen = {name for name, parameter in old.named_parameters() if not parameter.requires_grad}
    for name, parameter in new.named_parameters():
        parameter.requires_grad = name not in frozen
    return new.train(old.training)


def _free(name: str, taken: dict[str, nn.Module]) -> str:
    """A name for a module in a Sequential: without dots, and not there yet."""
    name = name.replace(".", "_")
    same = (name if number == 1 else f"{name}_{number}" for number in count(1))
    return next(candidate for candidate in same if candidate not in taken)


def conv_to_fc(model: nn.Module, input_shape: Shape) -> Rewrite:
    """The model with a fully connected layer in place of each convolution.

    Its matrix is large and mostly zero, except for blocks where the windows lie, and the same
    weights return in every block. The proof says how sparse it is.

    Args:
        model: a chain of layers with convolutions.
        input_shape: of the images, such as (1, 3, 8, 8); the new model takes this size alone.

    Raises:
        ArgumentError: a matrix would have more than 2**28 weights.
        GraphError: the model is no chain, or has no convolution.

    >>> import tinygrad_cnn as tc
    >>> net = tc.nn.Sequential(tc.nn.Conv2d(1, 2, 3))
    >>> print(tc.models.rewrites.conv_to_fc(net, (1, 1, 5, 5)).proof.changes[0])
    0: Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1)) -> Linear(25, 18): 450 weights, 36.0 % of \
    them not zero, 18 different
    """
    what = "conv_to_fc"
    layers: dict[str, nn.Module] = {}
    changes: list[str] = []
    for link in chain(in_float64(model, what), input_shape, what):
        new = link.module
        if isinstance(new, CONVOLUTIONS):
            new, told = _dense(link, what)
            changes.append(f"{link.name}: {link.module!r} -> {told}")
        layers[_free(link.name, layers)] = copy.deepcopy(new)
    if not changes:
        raise GraphError(f"{what}: there is no convolution")
    return proved(model, _row(layers, model), input_shape, changes, what)


def _dense(link: Link, what: str) -> tuple[nn.Module, str]:
    """A convolution as Flatten, Linear, Unflatten, and what its matrix is like."""
    inside, outside = link.input_shape[1:], link.output_shape[1:]
    columns, rows = math.prod(inside), math.prod(outside)
    if rows * columns > _MOST_WEIGHTS:
        raise ArgumentError(
            f"{what}: {link.name} as a matrix of {rows:,} x {columns:,} would have"
            f" {rows * columns:,} weights, at most {_MOST_WEIGHTS:,} are made: use smaller images"
        )
    conv: Any = copy.deepcopy(link.module)
    bias, dtype = conv.bias, conv.weight.dtype
    conv.bias = None
    matrix = np.empty((rows, columns), dtype)  # column j is the response to the j-th unit image
    with no_grad(), mode(conv, training=False):
        for start in range(0, columns, _UNIT_IMAGES):
            units = np.eye(min(_UNIT_IMAGES, columns - start), columns, start, dtype)
            response = raw(conv(units.reshape(-1, *inside)))
            matrix[:, start : start + len(units)] = response.reshape(len(units), rows).T
    dense = nn.Linear(columns, rows, bias=bias is not None, dtype=dtype)
    filled: dict[str, Array] = {"weight": matrix}
    if bias is not None:
        filled["bias"] = np.repeat(bias.numpy(), rows // bias.size)
    _filled(dense, link.module, filled)
    there: Array = matrix[matrix != 0]
    told = (
        f"{dense!r}: {matrix.size:,} weights, {100 * there.size / matrix.size:.1f} % of them not"
        f" zero, {np.unique(there).size:,} different"
    )
    row = nn.Sequential(nn.Flatten(), dense, nn.Unflatten(1, outside))
    return row.train(link.module.training), told
