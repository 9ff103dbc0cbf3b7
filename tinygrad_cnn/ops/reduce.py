"""Reductions over axes, and the cumulative sum."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._arguments import affordable, is_whole
from .._core.primitive import apply, primitive
from .._core.symbol import any_of, array_of, fixed
from .._core.tensor import Tensor, raw
from ..errors import ShapeError
from ..typing import Array, Axis, TensorLike
from ._axes import normalize_axes, normalize_axis
from .arithmetic import where
from .conventions import current_conventions
from .shape import broadcast_to, expand_dims, flip, reshape

__all__ = ["all", "any", "argmax", "argmin", "cumsum", "max", "min", "prod", "sum"]


def _spread(g: Any, x: Any, axis: tuple[int, ...]) -> Any:
    """A reduced result back in the shape of ``x``, repeated along the reduced axes."""
    kept = tuple(1 if i in axis else n for i, n in enumerate(x.shape))
    return broadcast_to(reshape(g, kept), x.shape)


def _winners(x: Any, ans: Any, axis: tuple[int, ...], ties: str) -> Any:
    """Each element's share of the gradient of a maximum or minimum over ``axis``."""
    x, ans = raw(x), raw(ans)
    wins = x == ans.reshape(tuple(1 if i in axis else n for i, n in enumerate(x.shape)))
    if np.isnan(ans).any():
        wins |= np.isnan(x)  # NaN wins and equals nothing
    if ties == "split":
        return wins / np.maximum(wins.sum(axis, keepdims=True), 1)
    # (…, reduced axes) -> (…, one axis): argmax then finds the first in row-major order
    order = (*(i for i in range(x.ndim) if i not in axis), *axis)
    moved = wins.transpose(order)
    flat = moved.reshape(-1, math.prod(x.shape[i] for i in axis))
    first = np.zeros_like(flat)
    first[np.arange(len(flat)), flat.argmax(1)] = True
    return first.reshape(moved.shape).transpose(np.argsort(order))


def _extremum_rule(g: Any, ans: Any, x: Any, *, axis: Any, keepdims: bool, ties: str) -> Any:
    return _spread(g, x, axis) * _winners(x, ans, axis, ties)


def _prod_rule(g: Any, ans: Any, x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
    if not any_of(raw(x) == 0):
        return _spread(g * ans, x, axis) / x
    # the product of the other factors, taken literally: row i has factor i replaced by 1
    kept = [i for i in range(x.ndim) if i not in axis]
    order = (*kept, *axis)
    affordable("the gradient of prod", (x.size, math.prod(x.shape[i] for i in axis)), 8)
    factors = x.transpose(order).reshape(*(x.shape[i] for i in kept), -1)  # (…, n)
    one_left_out = where(
        fixed(np.eye(factors.shape[-1], dtype=bool)), 1.0, expand_dims(factors, -2)
    )
    others = prod(one_left_out, axis=-1).reshape([x.shape[i] for i in order])
    return _spread(g, x, axis) * others.transpose([int(i) for i in np.argsort(order)])


sum_p = primitive(
    "sum",
    lambda x, *, axis, keepdims: np.sum(x, axis, keepdims=keepdims),
    (lambda g, ans, x, *, axis, keepdims: _spread(g, x, axis),),
)
max_p = primitive(
    "max",
    lambda x, *, axis, keepdims, ties: np.max(x, axis, keepdims=keepdims),
    (_extremum_rule,),
)
min_p = primitive(
    "min",
    lambda x, *, axis, keepdims, ties: np.min(x, axis, keepdims=keepdims),
    (_extremum_rule,),
)
prod_p = primitive(
    "prod",
    lambda x, *, axis, keepdims: np.prod(x, axis, keepdims=keepdims),
    (_prod_rule,),
)
cumsum_p = primitive(
    "cumsum",
    lambda x, *, axis: np.cumsum(x, axis),
    (lambda g, ans, x, *, axis: flip(cumsum(flip(g, axis), axis), axis),),
)


def sum(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The sum over the axes, by default over all.

    >>> import tinygrad_cnn as tc
    >>> tc.sum(tc.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    """
    axes = normalize_axes(axis, np.ndim(raw(x)), "sum")
    return apply(sum_p, x, axis=axes, keepdims=keepdims)


def max(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The largest element over the axes; NaN wins.

    A tie gives its gradient to the first winner in row-major order, or equal shares to all
    under ``conventions(ties="split")``.

    Raises:
        ShapeError: there is no element.

    >>> import tinygrad_cnn as tc
    >>> tc.max(tc.tensor([[1.0, 5.0], [3.0, 4.0]]), axis=1)
    tensor([5., 4.])
    """
    axes = _axes_of_extremum(x, axis, "max")
    return apply(max_p, x, axis=axes, keepdims=keepdims, ties=current_conventions().ties)


def min(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The smallest element over the axes; NaN wins. Ties as in ``max``.

    Raises:
        ShapeError: there is no element.

    >>> import tinygrad_cnn as tc
    >>> tc.min(tc.tensor([[1.0, 5.0], [3.0, 4.0]]))
    tensor(1.)
    """
    axes = _axes_of_extremum(x, axis, "min")
    return apply(min_p, x, axis=axes, keepdims=keepdims, ties=current_conventions().ties)


def _axes_of_extremum(x: TensorLike, axis: Axis, name: str) -> tuple[int, ...]:
    shape = np.shape(raw(x))
    axes = normalize_axes(axis, len(shape), name)
    if 0 in (shape[i] for i in axes):
        raise ShapeError(f"{name} of no elements: shape {shape} over axis {axis}")
    return axes


def prod(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The product over the axes, by default over all; zeros are differentiated exactly.

    >>> import tinygrad_cnn as tc
    >>> tc.prod(tc.tensor([2.0, 3.0, 4.0]))
    tensor(24.)
    """
    axes = normalize_axes(axis, np.ndim(raw(x)), "prod")
    return apply(prod_p, x, axis=axes, keepdims=keepdims)


def cumsum(x: TensorLike, axis: int) -> Tensor:
    """The running sum along one axis.

    >>> import tinygrad_cnn as tc
    >>> tc.cumsum(tc.tensor([1.0, 2.0, 3.0]), axis=0)
    tensor([1., 3., 6.])
    """
    return apply(cumsum_p, x, axis=normalize_axis(axis, np.ndim(raw(x)), "cumsum"))


def any(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether an element over the axes is not zero: an array, or a boolean of NumPy.

    >>> import tinygrad_cnn as tc
    >>> tc.any(tc.tensor([[0.0, 5.0], [0.0, 0.0]]), axis=1)
    array([ True, False])
    """
    data = array_of(raw(x))
    found: Array = np.any(data, normalize_axes(axis, data.ndim, "any"), keepdims=keepdims)
    return found


def all(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Array:
    """Whether no element over the axes is zero: an array, or a boolean of NumPy.

    >>> import tinygrad_cnn as tc
    >>> tc.all(tc.tensor([[1.0, 5.0], [0.0, 1.0]]), axis=1)
    array([ True, False])
    """
    data = array_of(raw(x))
    found: Array = np.all(data, normalize_axes(axis, data.ndim, "all"), keepdims=keepdims)
    return found


def argmax(x: TensorLike, axis: int | None = None) -> Array:
    """The index of the first largest element: an array, since no gradient flows through it.

    >>> import tinygrad_cnn as tc
    >>> tc.argmax(tc.tensor([[1.0, 5.0], [3.0, 2.0]]), axis=1)
    array([1, 0])
    """
    return _arg_extremum(np.argmax, x, axis)


def argmin(x: TensorLike, axis: int | None = None) -> Array:
    """The index of the first smallest element: an array.

    >>> import tinygrad_cnn as tc
    >>> tc.argmin(tc.tensor([[1.0, 5.0], [3.0, 2.0]]), axis=1)
    array([0, 1])
    """
    return _arg_extremum(np.argmin, x, axis)


def _arg_extremum(find: Any, x: TensorLike, axis: int | None) -> Array:
    data = array_of(raw(x))
    name = find.__name__
    if not (axis is None or is_whole(axis, -data.ndim)):
        raise ShapeError(f"{name}: axis={axis!r:.60}, expected one axis or None")
    axes = _axes_of_extremum(data, axis, name)
    found: Array = find(data, None if axis is None else axes[0])
    return found
