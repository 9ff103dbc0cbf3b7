"""Operators that slide windows, and those that normalise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import functional as F
from ... import ops
from ..._core.tensor import Tensor
from ...errors import ShapeError
from ...functional._pooling import lowest_of, too_wide
from ._operators import Buffer, Ints, operator, refuses

_MOST_WIDTH = 2**12  # of a window and its border along an axis
_PADDING = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}
_CONVOLUTIONS = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}
_TRANSPOSED = {3: F.conv_transpose1d, 4: F.conv_transpose2d, 5: F.conv_transpose3d}
_MAX_POOLS = {3: F.max_pool1d, 4: F.max_pool2d, 5: F.max_pool3d}
_AVG_POOLS = {3: F.avg_pool1d, 4: F.avg_pool2d, 5: F.avg_pool3d}


def _window_refused(attributes: dict[str, Any]) -> str:
    """Also what would take memory without end."""
    for name in ("kernel_shape", "strides", "dilations", "pads", "output_padding"):
        least = 0 if name in ("pads", "output_padding") else 1
        if any(not least <= n <= _MOST_WIDTH for n in attributes.get(name) or ()):
            return f"with {name}={attributes[name]}"
    kind = attributes.get("auto_pad", "NOTSET")
    if kind not in (*_PADDING, "NOTSET"):
        return f"with auto_pad={kind!r}"
    if attributes.get("storage_order"):
        return "with storage_order=1"
    if "output_shape" in attributes or ("output_padding" in attributes and kind != "NOTSET"):
        return "with output_shape"
    return ""


refuses("Conv", "MaxPool")(_window_refused)


def _by_axes(functions: dict[int, Any], x: Tensor, op: str) -> Any:
    if x.ndim not in functions:
        raise ShapeError(f"{op}: an operand of shape {x.shape}, expected (N, C, …)")
    return functions[x.ndim]


def _padding(pads: Ints | None, auto_pad: str, axes: int, op: str) -> Any:
    if auto_pad != "NOTSET":
        return _PADDING[auto_pad]
    pads = pads or (0,) * 2 * axes
    if len(pads) != 2 * axes:
        raise ShapeError(f"{op}: pads={pads} for {axes} axes in space")
    return tuple(zip(pads[:axes], pads[axes:], strict=True))


@operator("Conv")
def _conv(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Tensor:
    function = _by_axes(_CONVOLUTIONS, x, "Conv")
    padding = _padding(pads, auto_pad, x.ndim - 2, "Conv")
    found: Tensor = function(x, w, b, strides or 1, padding, dilations or 1, group)
    return found


@operator("ConvTranspose")
def _conv_transpose(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints | None = None,
    group: int = 1,
    kernel_shape: Ints | None = None,
    output_padding: Ints | None = None,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Tensor:
    function = _by_axes(_TRANSPOSED, x, "ConvTranspose")
    axes = x.ndim - 2
    pairs = _padding(pads, auto_pad, axes, "ConvTranspose")
    same = all(a == b for a, b in pairs)
    padding = tuple(a for a, _ in pairs) if same else 0
    made: Tensor = function(
        x, w, b, strides or 1, padding, output_padding or 0, group, dilations or 1
    )
    return made if same else ops.crop(made, ((0, 0), (0, 0), *pairs))


@refuses("ConvTranspose")
def _transposed_refused(attributes: dict[str, Any]) -> str:
    kind = attributes.get("auto_pad", "NOTSET")
    return f"with auto_pad={kind!r}" if kind != "NOTSET" else _window_refused(attributes)


@operator("MaxPool")
def _max_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints | None = None,
    kernel_shape: Ints,
    pads: Ints | None = None,
    storage_order: int = 0,
    strides: Ints | None = None,
) -> Tensor:
    function = _by_axes(_MAX_POOLS, x, "MaxPool")
    padding = _padding(pads, auto_pad, x.ndim - 2, "MaxPool")
    if not isinstance(padding, str) and too_wide(padding, kernel_shape):
        x, padding = ops.pad(x, ((0, 0), (0, 0), *padding), lowest_of(x)), 0
    found: Tensor = function(
        x, kernel_shape, strides or 1, padding, dilations or 1, bool(ceil_mode)
    )
    return found


@operator("AveragePool")
def _average_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: Ints | None = None,
    kernel_shape: Ints,
    pads: Ints | None = None,
    strides: Ints | None = None,
) -> Tensor:
    function = _by_axes(_AVG_POOLS, x, "AveragePool")
    padding = _padding(pads, auto_pad, x.ndim - 2, "AveragePool")
    included, ceiled = bool(count_include_pad), bool(ceil_mode)
    if isinstance(padding, str) or not too_wide(padding, kernel_shape):
        found: Tensor = function(x, kernel_shape, strides or 1, padding, ceiled, included)
        return found
    border = ((0, 0), (0, 0), *padding)
    found = function(ops.pad(x, border), kernel_shape, strides or 1, 0, ceiled)
    if included:
        return found
    seen = np.pad(np.ones((1, 1, *x.shape[2:]), x.dtype), border)
    counts: Tensor = function(seen, kernel_shape, strides or 1, 0, ceiled)
    return found / counts


@refuses("AveragePool")
def _average_refused(attributes: dict[str, Any]) -> str:
    if any(d != 1 for d in attributes.get("dilations") or ()):
        return f"with dilations={attributes['dilations']}"
    return _window_refused(attributes)


@operator("GlobalAveragePool")
def _global_average_pool(x: Tensor) -> Tensor:
    return ops.sum(x, tuple(range(2, x.ndim)), keepdims=True) / max(math.prod(x.shape[2:]), 1)


@operator("GlobalMaxPool")
def _global_max_pool(x: Tensor) -> Tensor:
    return ops.max(x, tuple(range(2, x.ndim)), keepdims=True)


@operator("BatchNormalization")
def _batch_normalization(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    mean: Buffer,
    var: Buffer,
    *,
    epsilon: float = 1e-5,
    is_test: int = 1,
    momentum: float = 0.9,
    spatial: int = 1,
    training_mode: int = 0,
    training: bool = False,
) -> Tensor:
    return F.batch_norm(x, mean, var, scale, shift, training, 1.0 - momentum, epsilon)


@refuses("BatchNormalization")
def _batch_refused(attributes: dict[str, Any]) -> str:
    if attributes.get("training_mode"):
        return "with training_mode=1"
    return "with spatial=0" if not attributes.get("spatial", 1) else ""


@operator("InstanceNormalization")
def _instance_normalization(
    x: Tensor, scale: Tensor, shift: Tensor, *, epsilon: float = 1e-5
) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=shift, eps=epsilon)


@operator("LayerNormalization")
def _layer_normalization(
    x: Tensor,
    scale: Tensor,
    shift: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Tensor:
    return F.layer_norm(x, x.shape[axis:], scale, shift, epsilon)


@operator("LRN")
def _lrn(
    x: Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Tensor:
    return F.local_response_norm(x, size, alpha, beta, bias)


@refuses("LRN")
def _lrn_refused(attributes: dict[str, Any]) -> str:
    size = attributes.get("size", 1)
    return "" if size % 2 and size > 0 else f"with size={size}, which is not odd"
