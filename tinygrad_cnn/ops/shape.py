"""Operations that rearrange, repeat or join elements without changing them."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._arguments import listed, sizes
from .._core.primitive import apply, every, primitive
from .._core.tensor import Tensor, raw
from .._kernels import windows as kernels
from ..errors import DtypeError, ShapeError
from ..typing import DTypeLike, Shape, TensorLike
from ._axes import normalize_axes, normalize_axis

__all__ = [
    "astype",
    "broadcast_to",
    "concatenate",
    "crop",
    "expand_dims",
    "flatten",
    "flip",
    "moveaxis",
    "pad",
    "permute",
    "reshape",
    "squeeze",
    "stack",
    "sum_to",
    "swapaxes",
    "transpose",
]


def _sum_to(x: Any, *, shape: Shape) -> Any:
    """Undo NumPy's broadcasting: sum the axes that were added or stretched."""
    added = x.ndim - len(shape)
    stretched = (i + added for i, n in enumerate(shape) if n == 1 and x.shape[i + added] != 1)
    axes = (*range(added), *stretched)
    return np.sum(x, axis=axes, keepdims=True).reshape(shape) if axes else x


def _inverse(axes: Shape) -> Shape:
    """The order that undoes an order of axes."""
    return tuple(axes.index(i) for i in range(len(axes)))  # a tenth of the time of np.argsort


def _concatenate_rule(index: int, g: Any, ans: Any, *xs: Any, axis: int) -> Any:
    start = sum(x.shape[axis] for x in xs[:index])
    stop = start + xs[index].shape[axis]
    return g[(slice(None),) * axis + (slice(start, stop),)]


reshape_p = primitive(
    "reshape",
    lambda x, *, shape: np.reshape(x, shape),
    (lambda g, ans, x, *, shape: reshape(g, x.shape),),
)
transpose_p = primitive(
    "transpose",
    lambda x, *, axes: np.transpose(x, axes),
    (lambda g, ans, x, *, axes: transpose(g, _inverse(axes)),),
)
broadcast_to_p = primitive(
    "broadcast_to",
    lambda x, *, shape: np.broadcast_to(x, shape),
    (lambda g, ans, x, *, shape: sum_to(g, x.shape),),
)
sum_to_p = primitive(
    "sum_to",
    _sum_to,
    (lambda g, ans, x, *, shape: broadcast_to(g, x.shape),),
)
concatenate_p = primitive(
    "concatenate", lambda *xs, axis: np.concatenate(xs, axis), every(_concatenate_rule)
)
stack_p = primitive(
    "stack",
    lambda *xs, axis: np.stack(xs, axis),
    every(lambda i, g, ans, *xs, axis: g[(slice(None),) * axis + (i,)]),
)
flip_p = primitive(
    "flip",
    lambda x, *, axis: np.flip(x, axis),
    (lambda g, ans, x, *, axis: flip(g, axis),),
)
pad_p = primitive(
    "pad",
    kernels.pad,
    (lambda g, ans, x, *, widths, value: crop(g, widths),),
)
crop_p = primitive(
    "crop",
    kernels.crop,
    (lambda g, ans, x, *, widths: pad(g, widths),),
)
# The engine gives a gradient the dtype of its argument, which is all that the rule has to do.
astype_p = primitive(
    "astype",
    lambda x, *, dtype: x.astype(dtype),
    (lambda g, ans, x, *, dtype: g,),
)


def reshape(x: TensorLike, *shape: Any) -> Tensor:
    """The same elements in row-major order under another shape; one length may be -1.

    Raises:
        ShapeError: the number of elements differs.

    >>> import tinygrad_cnn as tc
    >>> tc.reshape(tc.tensor([[1.0, 2.0], [3.0, 4.0]]), (4,))
    tensor([1., 2., 3., 4.])
    """
    target = _as_shape(shape, "reshape")
    size = math.prod(np.shape(raw(x)))
    known = math.prod(n for n in target if n != -1)
    if target.count(-1) == 1 and known and size % known == 0:
        target = tuple(size // known if n == -1 else n for n in target)
    elif -1 in target or known != size or min(target, default=0) < 0:
        raise ShapeError(
            f"reshape: {np.shape(raw(x))} has {size} elements, which do not fit {target}"
        )
    return apply(reshape_p, x, shape=target)


def _as_shape(shape: tuple[Any, ...], name: str) -> Shape:
    """Both calls, f(x, 2, 3) and f(x, (2, 3)), as a tuple of integers."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    try:
        return tuple(operator.index(n) for n in shape)
    except TypeError:
        raise DtypeError(f"{name}: expected integers, got {shape}") from None


def transpose(x: TensorLike, *axes: Any) -> Tensor:
    """Axes in another order, by default reversed, as in NumPy.

    ``swapaxes`` exchanges two of them (PyTorch's ``transpose``).

    >>> import tinygrad_cnn as tc
    >>> tc.transpose(tc.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 3.],
            [2., 4.]])
    """
    ndim = np.ndim(raw(x))
    order = (
        _as_shape(axes, "transpose") if axes and axes != (None,) else tuple(reversed(range(ndim)))
    )
    order = normalize_axes(order, ndim, "transpose")
    if len(order) != ndim:
        raise ShapeError(f"transpose: {ndim} axes can't be put into the order {axes}")
    return apply(transpose_p, x, axes=order)


def permute(x: TensorLike, *axes: Any) -> Tensor:
    """Axes in another order: PyTorch's name for ``transpose``.

    >>> import tinygrad_cnn as tc
    >>> tc.permute(tc.zeros(2, 3, 4), 2, 0, 1).shape
    (4, 2, 3)
    """
    return transpose(x, *axes)


def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Tensor:
    """Exchange two axes.

    >>> import tinygrad_cnn as tc
    >>> tc.swapaxes(tc.zeros(2, 3, 4), 0, 2).shape
    (4, 3, 2)
    """
    ndim = np.ndim(raw(x))
    order = list(range(ndim))
    i, j = normalize_axis(axis1, ndim, "swapaxes"), normalize_axis(axis2, ndim, "swapaxes")
    order[i], order[j] = j, i
    return apply(transpose_p, x, axes=tuple(order))


def moveaxis(x: TensorLike, source: int, destination: int) -> Tensor:
    """Move one axis to another place, the others keep their order.

    >>> import tinygrad_cnn as tc
    >>> tc.moveaxis(tc.zeros(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    ndim = np.ndim(raw(x))
    order = list(range(ndim))
    order.remove(normalize_axis(source, ndim, "moveaxis"))
    order.insert(normalize_axis(destination, ndim, "moveaxis"), source % ndim)
    return apply(transpose_p, x, axes=tuple(order))


def expand_dims(x: TensorLike, axis: int | tuple[int, ...]) -> Tensor:
    """Insert axes of length 1.

    >>> import tinygrad_cnn as tc
    >>> tc.expand_dims(tc.zeros(3), 0).shape
    (1, 3)
    """
    added = axis if isinstance(axis, tuple) else (axis,)
    ndim = np.ndim(raw(x)) + len(added)
    places = normalize_axes(added, ndim, "expand_dims")
    lengths = iter(np.shape(raw(x)))
    return apply(
        reshape_p, x, shape=tuple(1 if i in places else next(lengths) for i in range(ndim))
    )


def squeeze(x: TensorLike, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """Drop axes of length 1: all of them, or those named.

    Raises:
        ShapeError: a named axis is longer.

    >>> import tinygrad_cnn as tc
    >>> tc.squeeze(tc.zeros(1, 3, 1)).shape
    (3,)
    """
    shape = np.shape(raw(x))
    ones = [i for i, n in enumerate(shape) if n == 1]
    axes = ones if axis is None else normalize_axes(axis, len(shape), "squeeze")
    if not set(axes) <= set(ones):
        raise ShapeError(f"squeeze: axis {axis} of shape {shape} is longer than 1")
    return apply(reshape_p, x, shape=tuple(n for i, n in enumerate(shape) if i not in axes))


def flatten(x: TensorLike, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge the axes from ``start_dim`` to ``end_dim`` into one.

    >>> import tinygrad_cnn as tc
    >>> tc.flatten(tc.zeros(2, 3, 4, 4), 1).shape
    (2, 48)
    """
    shape = np.shape(raw(x)) or (1,)
    start = normalize_axis(start_dim, len(shape), "flatten")
    end = normalize_axis(end_dim, len(shape), "flatten")
    if start > end:
        raise ShapeError(f"flatten: start_dim {start_dim} lies behind end_dim {end_dim}")
    merged = math.prod(shape[start : end + 1])
    return apply(reshape_p, x, shape=(*shape[:start], merged, *shape[end + 1 :]))


def broadcast_to(x: TensorLike, shape: Shape) -> Tensor:
    """Repeat along new axes and axes of length 1, as NumPy's broadcasting does.

    >>> import tinygrad_cnn as tc
    >>> tc.broadcast_to(tc.tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """
    try:
        return apply(broadcast_to_p, x, shape=_as_shape((shape,), "broadcast_to"))
    except ValueError:
        raise ShapeError(
            f"broadcast_to: {np.shape(raw(x))} does not broadcast to {shape}"
        ) from None


def sum_to(x: TensorLike, shape: Shape) -> Tensor:
    """Sum over axes until the shape is ``shape``: the adjoint of ``broadcast_to``.

    >>> import tinygrad_cnn as tc
    >>> tc.sum_to(tc.tensor([[1.0, 2.0], [3.0, 4.0]]), (1, 2))
    tensor([[4., 6.]])
    """
    have, shape = np.shape(raw(x)), sizes("sum_to", shape)
    kept = have[len(have) - len(shape) :]
    if len(have) < len(shape) or any(n not in (1, m) for n, m in zip(shape, kept, strict=True)):
        raise ShapeError(f"sum_to: {have} can't be summed to {shape}")
    return apply(sum_to_p, x, shape=shape)


def concatenate(xs: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Join along an existing axis.

    Raises:
        ShapeError: nothing to join, or the other axes differ.

    >>> import tinygrad_cnn as tc
    >>> tc.concatenate([tc.tensor([1.0]), tc.tensor([2.0, 3.0])])
    tensor([1., 2., 3.])
    """
    xs = xs if isinstance(xs, Tensor) else listed("concatenate", "xs", xs)
    shapes = [np.shape(raw(x)) for x in xs]
    if not shapes:
        raise ShapeError("concatenate: nothing to join")
    axis = normalize_axis(axis, len(shapes[0]), "concatenate")
    if len({(*s[:axis], *s[axis + 1 :]) for s in shapes}) > 1 or len({len(s) for s in shapes}) > 1:
        raise ShapeError(f"concatenate: the shapes {shapes} differ in more than axis {axis}")
    return apply(concatenate_p, *xs, axis=axis)


def stack(xs: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Join along a new axis.

    Raises:
        ShapeError: nothing to join, or the shapes differ.

    >>> import tinygrad_cnn as tc
    >>> tc.stack([tc.tensor(1.0), tc.tensor(2.0)])
    tensor([1., 2.])
    """
    xs = xs if isinstance(xs, Tensor) else listed("stack", "xs", xs)
    shapes = [np.shape(raw(x)) for x in xs]
    if len(set(shapes)) != 1:
        raise ShapeError(f"stack: expected equal shapes, got {shapes}")
    return apply(stack_p, *xs, axis=normalize_axis(axis, len(shapes[0]) + 1, "stack"))


def flip(x: TensorLike, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """Reverse the order of the elements along the axes, by default along all.

    >>> import tinygrad_cnn as tc
    >>> tc.flip(tc.tensor([1.0, 2.0, 3.0]))
    tensor([3., 2., 1.])
    """
    return apply(flip_p, x, axis=normalize_axes(axis, np.ndim(raw(x)), "flip"))


def pad(x: TensorLike, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """Add ``value`` around the array: (before, after) for each axis.

    Raises:
        ShapeError: not one pair for each axis, or a negative width.

    >>> import tinygrad_cnn as tc
    >>> tc.pad(tc.tensor([1.0, 2.0]), [(1, 2)])
    tensor([0., 1., 2., 0., 0.])
    """
    return apply(pad_p, x, widths=_widths(x, widths, "pad"), value=value)


def crop(x: TensorLike, widths: Sequence[tuple[int, int]]) -> Tensor:
    """Cut elements off: (before, after) for each axis. The adjoint of ``pad``.

    >>> import tinygrad_cnn as tc
    >>> tc.crop(tc.tensor([0.0, 1.0, 2.0, 0.0]), [(1, 1)])
    tensor([1., 2.])
    """
    pairs = _widths(x, widths, "crop")
    if any(a + b > n for (a, b), n in zip(pairs, np.shape(raw(x)), strict=True)):
        raise ShapeError(f"crop: widths {pairs} exceed the shape {np.shape(raw(x))}")
    return apply(crop_p, x, widths=pairs)


def _widths(x: Any, widths: Any, name: str) -> tuple[tuple[int, int], ...]:
    ndim = np.ndim(raw(x))
    try:
        pairs = tuple((operator.index(a), operator.index(b)) for a, b in widths)
    except (TypeError, ValueError):  # no integers, or no pairs
        pairs = ((-1, -1),)
    if len(pairs) != ndim or any(min(pair) < 0 for pair in pairs):
        raise ShapeError(
            f"{name}: expected (before, after) >= 0 for each of {ndim} axes, got {widths}"
        )
    return pairs


def astype(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """The same numbers in another dtype; integers and booleans are constants.

    >>> import tinygrad_cnn as tc
    >>> tc.astype(tc.tensor([1.5, 2.5]), "float32")
    tensor([1.5, 2.5], dtype=float32)
    """
    try:
        target = np.dtype(dtype)
    except TypeError:
        raise DtypeError(f"astype: {dtype!r:.60} is no dtype") from None
    if target.kind not in "biufc":
        raise DtypeError(f"astype: expected a dtype of numbers, got {target}")
    if isinstance(x, Tensor) and target.kind != "f":
        x = x.detach()
    return apply(astype_p, np.asarray(x) if isinstance(x, (int, float)) else x, dtype=target)
