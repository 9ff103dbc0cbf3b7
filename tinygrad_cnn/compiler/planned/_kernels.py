"""How each operation is carried out on arrays that are there beforehand.

A maker is given the operands as arrays; it asks for the array of the result and adds the calls
that fill it. Nothing is computed while it runs: its calls are made again in each run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._kernels import windows
from ...typing import Array
from .._symbols import Operation, Symbol
from ._placement import Place
from ._windows import WINDOW_MAKERS

if TYPE_CHECKING:
    from ._binding import Binding

Maker = Callable[["Binding", Operation], Array]

_ROW = 1024  # elements at least of the operand in the place of a single number


def make(binding: Binding, operation: Operation) -> Array:
    """Add the calls of an operation; the array of its result."""
    maker = _MAKERS.get(operation.name)
    if maker is None:
        maker = _ufunc if _ufunc_of(operation) else _by_function
    return maker(binding, operation)


def _ufunc_of(operation: Operation) -> Any:
    found = getattr(np, operation.name, None)
    is_plain = set(operation.params) <= {"ties"}
    return found if isinstance(found, np.ufunc) and found.nout == 1 and is_plain else None


def _ufunc(binding: Binding, operation: Operation) -> Array:
    args = [binding.value(arg) for arg in operation.args]
    out = binding.out_in_place(operation, args)
    binding.add(_ufunc_of(operation), *args, out=out)
    return out


def _extremum(binding: Binding, operation: Operation) -> Array:
    """With rows in the place of numbers: NumPy is four times as fast on two arrays."""
    args = [binding.value(arg) for arg in operation.args]
    out = binding.out_in_place(operation, args)
    if out.size > _ROW:
        args = [
            _row(arg, out) if isinstance(arg, (int, float)) and not isinstance(arg, bool) else arg
            for arg in args
        ]
    binding.add(_ufunc_of(operation), *args, out=out)
    return out


def _row(number: float, like: Array) -> Array:
    """An array of one number that broadcasts to ``like``, and lies in the same order."""
    from ._memory import ordered, shaped

    order, shape = ordered(like), [1] * like.ndim
    for axis in reversed(order):
        shape[axis] = like.shape[axis]
        if math.prod(shape) >= _ROW:
            break
    memory = np.full(math.prod(shape), number, like.dtype)
    return shaped(memory.view(np.uint8), tuple(shape), like.dtype, order)


def _power(binding: Binding, operation: Operation) -> Array:
    """As ``**`` does it, which knows exponents that have a function of their own."""
    x, y = operation.args
    known = {2: np.square, 0.5: np.sqrt, -1: np.reciprocal}
    function = known.get(y) if isinstance(y, (int, float)) and isinstance(x, Symbol) else None
    if function is None or x.dtype.kind != "f" or operation.result.dtype != x.dtype:
        return _ufunc(binding, operation)
    arg = binding.value(x)
    out = binding.out_in_place(operation, [arg])
    binding.add(function, arg, out=out)
    return out


def _negative(binding: Binding, operation: Operation) -> Array:
    """By a subtraction, the same in every bit but the sign of NaN, and right in place too.

    ``np.negative`` of NumPy 2.4 reads neighbours in the place of numbers that lie apart by as
    many numbers as one has bytes, if those of ``out`` lie apart as well.
    """
    x = binding.value(operation.args[0])
    if operation.result.dtype.kind not in "fiu":
        return _ufunc(binding, operation)
    out = binding.out_in_place(operation, [x])
    binding.add(np.subtract, -0.0 if out.dtype.kind == "f" else 0, x, out=out)
    return out


def _where(binding: Binding, operation: Operation) -> Array:
    condition, x, y = (binding.value(arg) for arg in operation.args)
    out = binding.out(operation.result, like=(condition, x, y))
    binding.add(np.copyto, out, y)
    binding.add(np.copyto, out, x, where=condition)
    return out


def _clip(binding: Binding, operation: Operation) -> Array:
    args = [binding.value(arg) for arg in operation.args]
    out = binding.out_in_place(operation, args)
    binding.add(np.clip, *args, out=out)
    return out


def _astype(binding: Binding, operation: Operation) -> Array:
    x = binding.value(operation.args[0])
    out = binding.out(operation.result, like=(x,))
    binding.add(np.copyto, out, x, casting="unsafe")
    return out


def _by_function(binding: Binding, operation: Operation) -> Array:
    """By the operation's own function, which allocates its result."""
    args = [binding.value(arg) for arg in operation.args]
    params = {key: binding.value(value) for key, value in operation.params.items()}
    if "shape" in params:
        params["shape"] = binding.shape(operation.result)
    out = binding.out(operation.result)
    binding.add(_copied, out, partial(operation.function, *args, **params))
    return out


def _copied(out: Array, function: Callable[[], Any]) -> None:
    out[...] = function()


# -- views ---------------------------------------------------------------------------------


def _reshape(binding: Binding, operation: Operation) -> Array:
    x = binding.value(operation.args[0])
    shape = binding.shape(operation.result)
    if (view := viewed(x, shape)) is not None:
        return view
    out = binding.out(operation.result, order=tuple(range(len(shape))))
    binding.add(np.copyto, out.reshape(x.shape), x)
    return out


def viewed(x: Array, shape: tuple[int, ...]) -> Array | None:
    """The same memory under another shape, if that is possible."""
    made = x.reshape(shape)
    return made if np.may_share_memory(made, x) else None


def _transpose(binding: Binding, operation: Operation) -> Array:
    return np.transpose(binding.value(operation.args[0]), operation.params["axes"])


def _broadcast_to(binding: Binding, operation: Operation) -> Array:
    x = binding.value(operation.args[0])
    return np.broadcast_to(x, binding.shape(operation.result))


def _crop(binding: Binding, operation: Operation) -> Array:
    return windows.crop(binding.value(operation.args[0]), widths=operation.params["widths"])


def _flip(binding: Binding, operation: Operation) -> Array:
    return np.flip(binding.value(operation.args[0]), operation.params["axis"])


def _getitem(binding: Binding, operation: Operation) -> Array:
    from ._lives import is_view

    x, index = binding.value(operation.args[0]), operation.params["index"]
    if is_view(operation):
        parts = index if isinstance(index, tuple) else (index,)
        view: Array = x[parts if ... in parts else (*parts, ...)]
        return view
    out = binding.out(operation.result)
    binding.add(_copied, out, partial(x.__getitem__, _local_index(binding, operation, index)))
    return out


def _local_index(binding: Binding, operation: Operation, index: Any) -> Any:
    """An index into a block: what counts the images counts from 0 again."""
    first = index[0] if isinstance(index, tuple) and index else None
    found = binding.value(index)
    if isinstance(first, Symbol) and binding.wanted(first) == Place(0):
        return (np.arange(binding.images).reshape(found[0].shape), *found[1:])
    return found


def _scatter_add(binding: Binding, operation: Operation) -> Array:
    x = binding.value(operation.args[0])
    index = _local_index(binding, operation, operation.params["index"])
    out = binding.out(operation.result)
    binding.add(out.fill, 0)
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(p, np.ndarray) and p.dtype.kind in "iu" for p in parts):
        binding.add(np.add.at, out, index, x)
    else:
        binding.add(out.__setitem__, index, x)
    return out


# -- reductions and products -----------------------------------------------------------------


def _reduction(function: Any) -> Maker:
    def maker(binding: Binding, operation: Operation) -> Array:
        x = binding.value(operation.args[0])
        out = binding.out(operation.result)
        axis, keepdims = operation.params["axis"], operation.params["keepdims"]
        binding.add(function, x, axis=axis, keepdims=keepdims, out=out)
        return out

    return maker


def _sum_to(binding: Binding, operation: Operation) -> Array:
    x, shape = binding.value(operation.args[0]), binding.shape(operation.result)
    added = x.ndim - len(shape)
    axes = (*range(added), *(i + added for i, n in enumerate(shape) if n == 1))
    out = binding.out(operation.result)
    binding.add(np.add.reduce, x, axes, keepdims=True, out=out.reshape((1,) * added + shape))
    return out


def _matmul(binding: Binding, operation: Operation) -> Array:
    """The product, with the batch innermost."""
    x, y = (binding.value(arg) for arg in operation.args)
    shape = binding.shape(operation.result)
    order = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
    place = binding.place(operation.result)
    is_turned = place is not None and place.axis == len(shape) - 2
    if is_turned or binding.lives.is_only_transposed(operation.result):
        out = binding.out(operation.result, order=order)
        binding.product(y.swapaxes(-1, -2), x.swapaxes(-1, -2), out.swapaxes(-1, -2))
    else:
        out = binding.out(operation.result, order=tuple(range(len(shape))))
        binding.product(x, y, out)
    return out


def _cumsum(binding: Binding, operation: Operation) -> Array:
    x = binding.value(operation.args[0])
    out = binding.out(operation.result, like=(x,))
    binding.add(np.cumsum, x, operation.params["axis"], out=out)
    return out


def _joined(function: Any) -> Maker:
    def maker(binding: Binding, operation: Operation) -> Array:
        arrays = [binding.value(arg) for arg in operation.args]
        out = binding.out(operation.result, like=arrays)
        binding.add(function, arrays, operation.params["axis"], out=out)
        return out

    return maker


def _full(binding: Binding, operation: Operation) -> Array:
    out = binding.out(operation.result)
    binding.add(out.fill, operation.params["value"])
    return out


def _item(binding: Binding, operation: Operation) -> Array:
    x = binding.value(operation.args[0])
    out = binding.out(operation.result)
    binding.add(np.copyto, out, x.reshape(()))
    return out


def _gather(binding: Binding, operation: Operation) -> Array:
    found = binding.prepared.get(operation.result)
    return _by_function(binding, operation) if found is None else found


_MAKERS: dict[str, Maker] = {
    "maximum": _extremum,
    "minimum": _extremum,
    "negative": _negative,
    "power": _power,
    "where": _where,
    "clip": _clip,
    "astype": _astype,
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast_to": _broadcast_to,
    "crop": _crop,
    "flip": _flip,
    "getitem": _getitem,
    "scatter_add": _scatter_add,
    "sum": _reduction(np.add.reduce),
    "max": _reduction(np.maximum.reduce),
    "min": _reduction(np.minimum.reduce),
    "prod": _reduction(np.multiply.reduce),
    "any": _reduction(np.any),
    "all": _reduction(np.all),
    "sum_to": _sum_to,
    "matmul": _matmul,
    "cumsum": _cumsum,
    "concatenate": _joined(np.concatenate),
    "stack": _joined(np.stack),
    "full": _full,
    "item": _item,
    "gather_windows": _gather,
    **WINDOW_MAKERS,
}
