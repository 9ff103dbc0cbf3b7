"""NumPy's functions on symbols, under the names and settings that primitives have."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ops.arithmetic import where_p
from ..ops.reduce import max_p, min_p, prod_p, sum_p
from ..ops.shape import broadcast_to_p, concatenate_p, flip_p, reshape_p, stack_p, transpose_p


def _axes(x: Any, axis: Any) -> tuple[int, ...]:
    ndim = np.ndim(x)
    if axis is None:
        return tuple(range(ndim))
    return tuple(i % ndim for i in (axis if isinstance(axis, tuple) else (axis,)))


def _sum(tracer: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    settings = {"axis": _axes(x, axis), "keepdims": keepdims}
    return tracer.record("sum", sum_p.forward, (x,), settings)


def _mean(tracer: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    count = math.prod(np.shape(x)[i] for i in _axes(x, axis))
    return _sum(tracer, x, axis, keepdims) / count


def _extremum(name: str, function: Any) -> Callable[..., Any]:
    def record(tracer: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        settings = {"axis": _axes(x, axis), "keepdims": keepdims, "ties": "first"}
        return tracer.record(name, function.forward, (x,), settings)

    return record


def _prod(tracer: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    settings = {"axis": _axes(x, axis), "keepdims": keepdims}
    return tracer.record("prod", prod_p.forward, (x,), settings)


def _truth(name: str, function: np.ufunc) -> Callable[..., Any]:
    def forward(x: Any, *, axis: Any, keepdims: bool) -> Any:
        return function.reduce(x, axis=axis, keepdims=keepdims)

    def record(tracer: Any, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return tracer.record(name, forward, (x,), {"axis": _axes(x, axis), "keepdims": keepdims})

    return record


def _reshape(tracer: Any, x: Any, shape: Any) -> Any:
    target = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    known = math.prod(n for n in target if n != -1)
    target = tuple(x.size // known if n == -1 else n for n in target)
    return tracer.record("reshape", reshape_p.forward, (x,), {"shape": target})


def _expand_dims(tracer: Any, x: Any, axis: Any) -> Any:
    added = axis if isinstance(axis, tuple) else (axis,)
    places = {i % (x.ndim + len(added)) for i in added}
    lengths = iter(x.shape)
    shape = tuple(1 if i in places else next(lengths) for i in range(x.ndim + len(added)))
    return _reshape(tracer, x, shape)


def _squeeze(tracer: Any, x: Any, axis: Any = None) -> Any:
    gone = set(_axes(x, axis)) if axis is not None else {i for i, n in enumerate(x.shape) if n == 1}
    return _reshape(tracer, x, tuple(n for i, n in enumerate(x.shape) if i not in gone))


def _transpose(tracer: Any, x: Any, axes: Any = None) -> Any:
    order = tuple(reversed(range(x.ndim))) if axes is None else _axes(x, tuple(axes))
    return tracer.record("transpose", transpose_p.forward, (x,), {"axes": order})


def _where(tracer: Any, condition: Any, x: Any, y: Any) -> Any:
    return tracer.record("where", where_p.forward, (condition, x, y), {})


def _broadcast_to(tracer: Any, x: Any, shape: Any) -> Any:
    return tracer.record("broadcast_to", broadcast_to_p.forward, (x,), {"shape": tuple(shape)})


def _joined(primitive: Any) -> Callable[..., Any]:
    def record(tracer: Any, arrays: Any, axis: int = 0) -> Any:
        return tracer.record(primitive.name, primitive.forward, tuple(arrays), {"axis": axis})

    return record


def _flip(tracer: Any, x: Any, axis: Any = None) -> Any:
    return tracer.record("flip", flip_p.forward, (x,), {"axis": _axes(x, axis)})


def full(*, shape: Any, value: float, dtype: Any) -> Any:
    """An array of one value."""
    return np.full(shape, value, dtype)[()]


def _like(value: float) -> Callable[..., Any]:
    def make(tracer: Any, x: Any, dtype: Any = None) -> Any:
        settings = {"shape": x.shape, "value": value, "dtype": np.dtype(dtype or x.dtype)}
        return tracer.record("full", full, (), settings)

    return make


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: _sum,
    np.mean: _mean,
    np.max: _extremum("max", max_p),
    np.amax: _extremum("max", max_p),
    np.min: _extremum("min", min_p),
    np.amin: _extremum("min", min_p),
    np.prod: _prod,
    np.any: _truth("any", np.logical_or),
    np.all: _truth("all", np.logical_and),
    np.reshape: _reshape,
    np.expand_dims: _expand_dims,
    np.squeeze: _squeeze,
    np.transpose: _transpose,
    np.where: _where,
    np.broadcast_to: _broadcast_to,
    np.concatenate: _joined(concatenate_p),
    np.stack: _joined(stack_p),
    np.flip: _flip,
    np.zeros_like: _like(0.0),
    np.ones_like: _like(1.0),
    np.ndim: lambda tracer, x: x.ndim,
    np.shape: lambda tracer, x: x.shape,
    np.size: lambda tracer, x: x.size,
}
