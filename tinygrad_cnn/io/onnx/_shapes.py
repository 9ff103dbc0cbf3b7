"""Operators that arrange elements anew."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from ..._core.tensor import Tensor, as_tensor
from ...errors import DataError, ShapeError
from ...functional._sliding import padded
from ...typing import Array, Shape
from ._operators import Floats, Ints, Static, operator
from ._parsing import DTYPES

_MOST = 2**28  # elements of an array whose shape stands in the file
_WIDEST = 2**12  # border


def _bounded(shape: Shape, op: str) -> Shape:
    if any(n < 0 for n in shape) or math.prod(shape) >= _MOST:
        raise ShapeError(f"{op}: asked to make an array of shape {shape}")
    return shape


def _integers(values: Array) -> Shape:
    return tuple(int(v) for v in np.asarray(values).ravel())


@operator("Constant")
def _constant(
    *,
    value: Array | None = None,
    value_float: float | None = None,
    value_floats: Floats | None = None,
    value_int: int | None = None,
    value_ints: Ints | None = None,
) -> Tensor:
    if value is not None:
        return as_tensor(value)
    if value_int is not None or value_ints is not None:
        return as_tensor(np.array(value_int if value_ints is None else value_ints, np.int64))
    if value_float is None and value_floats is None:
        raise DataError("Constant: it has no value")
    return as_tensor(np.array(value_float if value_floats is None else value_floats, np.float32))


@operator("ConstantOfShape")
def _constant_of_shape(shape: Static, *, value: Array | None = None) -> Tensor:
    filling = np.zeros(1, np.float32) if value is None else value
    return as_tensor(np.full(_bounded(_integers(shape), "ConstantOfShape"), filling.ravel()[0]))


@operator("Shape")
def _shape(x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    return as_tensor(np.array(x.shape[start:end], np.int64))


@operator("Cast")
def _cast(x: Tensor, *, to: int, saturate: int = 1) -> Tensor:
    if to not in DTYPES:
        raise DataError(f"Cast: elements of type {to} are not known")
    return ops.astype(x, np.dtype(DTYPES[to][0]).newbyteorder("="))


@operator("Reshape")
def _reshape(x: Tensor, shape: Static, *, allowzero: int = 0, frees_batch: bool = False) -> Tensor:
    target = list(_integers(shape))
    if not allowzero:
        if any(not n and i >= x.ndim for i, n in enumerate(target)):
            raise ShapeError(f"Reshape: {x.shape} to {tuple(target)}: a 0 keeps an axis there is")
        target = [n or x.shape[i] for i, n in enumerate(target)]
    if frees_batch:
        target[0] = x.shape[0]
    return ops.reshape(x, tuple(target))


@operator("Flatten")
def _flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    rows = math.prod(x.shape[:axis])
    return ops.reshape(x, (rows, x.size // rows if rows else math.prod(x.shape[axis:])))


@operator("Squeeze")
def _squeeze(x: Tensor, axes: Static | None = None) -> Tensor:
    return ops.squeeze(x, None if axes is None else _integers(axes))


@operator("Unsqueeze")
def _unsqueeze(x: Tensor, axes: Static) -> Tensor:
    return ops.expand_dims(x, _integers(axes))


@operator("Transpose")
def _transpose(x: Tensor, *, perm: Ints | None = None) -> Tensor:
    return ops.transpose(x, perm) if perm else ops.transpose(x)


@operator("Concat")
def _concat(*xs: Tensor, axis: int) -> Tensor:
    return ops.concatenate(xs, axis)


@operator("Split")
def _split(
    x: Tensor,
    split: Static | None = None,
    *,
    axis: int = 0,
    num_outputs: int | None = None,
    outputs: int,
) -> list[Tensor]:
    axis %= x.ndim
    each = -(-x.shape[axis] // outputs)
    lengths = [each] * outputs if split is None else list(_integers(split))
    if len(lengths) != outputs:
        raise ShapeError(f"Split: {len(lengths)} lengths for {outputs} results")
    ends = np.cumsum(lengths)
    if split is not None and ends[-1] != x.shape[axis]:
        raise ShapeError(f"Split: lengths {lengths} of an axis of {x.shape[axis]}")
    parts = zip(ends - lengths, ends, strict=True)
    before = (slice(None),) * axis
    return [x[(*before, slice(int(a), int(b)))] for a, b in parts]


@operator("Slice")
def _slice(
    x: Tensor,
    starts: Static,
    ends: Static,
    axes: Static | None = None,
    steps: Static | None = None,
) -> Tensor:
    first, last = _integers(starts), _integers(ends)
    along = tuple(range(len(first))) if axes is None else _integers(axes)
    strides = (1,) * len(first) if steps is None else _integers(steps)
    index: list[Any] = [slice(None)] * x.ndim
    for a, b, axis, step in zip(first, last, along, strides, strict=True):
        if not -x.ndim <= axis < x.ndim or not step:
            raise ShapeError(f"Slice: axis {axis}, step {step} of an array of shape {x.shape}")
        n = x.shape[axis]
        # Beyond the first element a walk backwards ends at None: -1 would be the last.
        stop = None if step < 0 and b < -n else b
        index[axis] = slice(max(a, -n) if step > 0 else a, stop, step)
    return x[tuple(index)]


@operator("Gather")
def _gather(x: Tensor, indices: Static, *, axis: int = 0) -> Tensor:
    return ops.take(x, indices, axis)


@operator("Expand")
def _expand(x: Tensor, shape: Static) -> Tensor:
    target = _integers(shape)
    try:
        found = np.broadcast_shapes(x.shape, target)
    except ValueError:
        raise ShapeError(f"Expand: {x.shape} does not broadcast with {target}") from None
    return ops.broadcast_to(x, _bounded(found, "Expand"))


@operator("Tile")
def _tile(x: Tensor, repeats: Static) -> Tensor:
    counts = _integers(repeats)
    if len(counts) != x.ndim or not all(counts):
        raise ShapeError(f"Tile: {counts} times an array of shape {x.shape}")
    _bounded(tuple(n * count for n, count in zip(x.shape, counts, strict=True)), "Tile")
    for axis, count in enumerate(counts):
        x = x if count == 1 else ops.concatenate([x] * count, axis)
    return x


_MODES = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@operator("Pad")
def _pad(
    x: Tensor,
    pads: Static,
    value: Static | None = None,
    axes: Static | None = None,
    *,
    mode: str = "constant",
) -> Tensor:
    widths, along = _integers(pads), range(x.ndim) if axes is None else _integers(axes)
    if len(widths) != 2 * len(along) or any(not -x.ndim <= i < x.ndim for i in along):
        raise ShapeError(f"Pad: {len(widths)} widths for {len(along)} axes of {x.shape}")
    pairs = [(0, 0)] * x.ndim
    for i, before, after in zip(along, widths, widths[len(along) :], strict=False):
        pairs[i] = before, after
    if any(abs(width) > _WIDEST for width in widths):
        raise ShapeError(f"Pad: widths {widths}: at most {_WIDEST} are added")
    if mode in _MODES and not any(map(any, pairs[:2])):
        return padded(x, tuple(pairs[2:]), _MODES[mode], "Pad")  # type: ignore[arg-type]
    if mode != "constant":
        raise DataError(f"Pad: mode {mode!r} with the widths {widths} of an array {x.shape}")
    filling = 0 if value is None else np.asarray(value).item()
    added = [(max(a, 0), max(b, 0)) for a, b in pairs]
    cut = [(max(-a, 0), max(-b, 0)) for a, b in pairs]
    made = ops.pad(x, added, filling) if any(map(any, added)) else x
    return ops.crop(made, cut) if any(map(any, cut)) else made
