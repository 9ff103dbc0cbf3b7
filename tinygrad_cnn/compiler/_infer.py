"""The shape and dtype of a result, found without computing it where that would take long."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ..typing import Shape
from ._symbols import Symbol, UntraceableError, symbols_in

# Operations on each element, broadcast: the shape is NumPy's, the dtype that of single elements.
ELEMENTWISE = frozenset((
    "abs", "absolute", "add", "bitwise_and", "bitwise_or", "bitwise_xor", "ceil", "clip", "cos",
    "divide", "equal", "erf", "exp", "expm1", "floor", "floor_divide", "greater", "greater_equal",
    "invert", "isfinite", "isinf", "isnan", "less", "less_equal", "log", "log1p", "logaddexp",
    "logical_and", "logical_not", "logical_or", "maximum", "minimum", "multiply", "negative",
    "not_equal", "power", "reciprocal", "remainder", "round", "sigmoid", "sign", "sin", "sqrt",
    "square", "subtract", "tanh", "where",
))  # fmt: skip
REDUCTIONS = frozenset(("all", "any", "max", "min", "prod", "sum"))


def infer(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], params: dict[str, Any]
) -> tuple[Shape, np.dtype[Any]]:
    """Shape and dtype of ``function(*args, **params)``."""
    if name in ELEMENTWISE:
        return _broadcast(args), _dtype(function, args, params)
    if name in REDUCTIONS:
        return _reduced(args[0].shape, **params), _dtype(
            function, args, {**params, "axis": tuple(range(args[0].ndim))}
        )
    known = _SHAPES.get(name)
    if known is not None:
        shape = tuple(int(n) for n in known(*args, **params))
        symbols = [a.dtype for a in args if hasattr(a, "dtype")]
        dtype = params["dtype"] if "dtype" in params else np.result_type(*symbols)
        return shape, np.dtype(dtype)
    shape, dtype = _probed(function, args, params, 0)
    # Where the shape depends on values, that of ones and zeros is another one than that of zeros.
    if name != "getitem" and _probed(function, args, params, 1)[0] != shape:
        raise UntraceableError(f"the shape of what {name} gives depends on values")
    if name == "getitem" and any(s.dtype == bool for s in symbols_in(tuple(params.values()))):
        raise UntraceableError("the shape of what a mask chooses depends on values")
    return shape, dtype


def _dtype(
    function: Callable[..., Any], args: tuple[Any, ...], params: dict[str, Any]
) -> np.dtype[Any]:
    return _dtype_of(function, tuple(map(_kind, args)), tuple(params.items()))


@lru_cache(4096)
def _dtype_of(
    function: Callable[..., Any], kinds: tuple[Any, ...], params: tuple[tuple[str, Any], ...]
) -> np.dtype[Any]:
    """Of one element, computed."""
    with np.errstate(all="ignore"):
        made = function(*map(_element, kinds), **dict(params))
    dtype: np.dtype[Any] = np.asarray(made).dtype
    return dtype


def _kind(arg: Any) -> tuple[Any, Any]:
    """What of an operand the dtype of a result depends on: of Python's floats no value."""
    if isinstance(arg, (Symbol, np.ndarray, np.generic)):
        return arg.dtype, arg.ndim
    return type(arg), None if type(arg) is float else arg


def _element(kind: tuple[Any, Any]) -> Any:
    dtype, detail = kind
    if isinstance(dtype, np.dtype):
        return np.ones((1,) * detail, dtype)
    return 1.0 if dtype is float else detail


def _broadcast(args: tuple[Any, ...]) -> Shape:
    shapes = {getattr(arg, "shape", ()) for arg in args}
    shapes.discard(())
    return np.broadcast_shapes(*shapes) if len(shapes) > 1 else next(iter(shapes), ())


def _probed(
    function: Callable[..., Any], args: tuple[Any, ...], params: dict[str, Any], number: int
) -> tuple[Shape, np.dtype[Any]]:
    """Of what it makes of arrays of zeros, or of a ``number`` and zeros."""

    def dummy(value: Any) -> Any:  # zeros take no memory of their size
        if isinstance(value, Symbol):
            made = np.zeros((), value.dtype)
            return (
                np.resize([1, 0], value.shape).astype(value.dtype)
                if number
                else np.broadcast_to(made, value.shape)
            )
        if type(value) in (tuple, list):
            return type(value)(map(dummy, value))
        return value

    with np.errstate(all="ignore"):
        made = function(*map(dummy, args), **{key: dummy(value) for key, value in params.items()})
    if not isinstance(made, (np.ndarray, np.generic)):
        name = getattr(function, "__name__", "an operation")
        raise UntraceableError(f"{name} gives a {type(made).__name__}")
    return made.shape, made.dtype


def _reduced(shape: Shape, *, axis: Any, keepdims: bool = False, **_: Any) -> Shape:
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    gone = {i % len(shape) for i in axes} if shape else set()
    if keepdims:
        return tuple(1 if i in gone else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in gone)


def _matmul(x: Any, y: Any) -> Shape:
    batch = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    return (*batch, x.shape[-2], y.shape[-1])


def _concatenate(*xs: Any, axis: int) -> Shape:
    shape = list(np.shape(xs[0]))
    shape[axis] = sum(np.shape(x)[axis] for x in xs)
    return tuple(shape)


def _im2col(x: Any, *, window: Any) -> Shape:
    n, c, *size = x.shape
    return c * window.places, math.prod(window.output_size(tuple(size))) * n


def _windows(x: Any, *, window: Any, **_: Any) -> Shape:
    n, c, *size = x.shape
    return (n, c, *window.output_size(tuple(size)))


_SHAPES: dict[str, Callable[..., Any]] = {
    "full": lambda *, shape, value, dtype: shape,
    "reshape": lambda x, *, shape: shape,
    "broadcast_to": lambda x, *, shape: shape,
    "sum_to": lambda x, *, shape: shape,
    "transpose": lambda x, *, axes: [x.shape[i] for i in axes],
    "flip": lambda x, *, axis: x.shape,
    "pad": lambda x, *, widths, value: [
        n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)
    ],
    "crop": lambda x, *, widths: [n - a - b for n, (a, b) in zip(x.shape, widths, strict=True)],
    "astype": lambda x, *, dtype: x.shape,
    "concatenate": _concatenate,
    "cumsum": lambda x, *, axis: x.shape,
    "matmul": _matmul,
    "im2col": _im2col,
    "col2im": lambda g, *, window, shape: shape,
    "gather_windows": _windows,
    "scatter_windows": lambda g, *, window, switches, shape: shape,
    "scatter_add": lambda x, *, index, shape: shape,
}


def register_shape(name: str, shape: Callable[..., Any]) -> None:
    """Say how the result of an operation of this name is shaped."""
    _SHAPES[name] = shape
