"""Reading elements by index, and its adjoint: adding elements at an index."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.primitive import apply, primitive
from .._core.symbol import array_of, fixed
from .._core.tensor import Tensor, raw
from ..errors import OutOfBoundsError, ShapeError
from ..typing import Shape, TensorLike
from ._axes import normalize_axis
from .shape import sum_to

__all__ = ["getitem", "scatter_add", "take_along_axis"]


def _scatter_add(x: Any, *, index: Any, shape: Shape) -> Any:
    out = np.zeros(shape, x.dtype)
    if _repeats(index):
        np.add.at(out, index, x)  # out[index] += x would count a repeated index once
    else:
        out[index] = x
    return out


def _repeats(index: Any) -> bool:
    """Whether an index may name an element twice: only arrays of integers can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(p, np.ndarray) and p.dtype.kind in "iu" and p.size > 1 for p in parts)


getitem_p = primitive(
    "getitem",
    lambda x, *, index: x[index],
    (lambda g, ans, x, *, index: scatter_add(g, index, x.shape),),
)
scatter_add_p = primitive(
    "scatter_add",
    _scatter_add,
    (lambda g, ans, x, *, index, shape: getitem(g, index),),
    unbroadcast=sum_to,
)


def _plain(index: Any) -> Any:
    """An index in which Tensors and lists have become arrays."""
    if isinstance(index, tuple):
        return tuple(_plain(part) for part in index)
    if isinstance(index, Tensor):
        return raw(index)
    if isinstance(index, list):
        return np.asarray(index, dtype=None if index else np.intp)
    return index


def getitem(x: TensorLike, index: Any) -> Tensor:
    """``x[index]``: slices, integers, boolean and integer arrays, newaxis, as in NumPy.

    Raises:
        OutOfBoundsError: the index lies outside, or has too many axes.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> tc.getitem(x, (slice(None), 0))
    tensor([1., 3.])
    """
    try:
        return apply(getitem_p, x, index=_plain(index))
    except IndexError as error:
        raise OutOfBoundsError(f"indexing an array of shape {np.shape(raw(x))}: {error}") from None


def scatter_add(x: TensorLike, index: Any, shape: Shape) -> Tensor:
    """Zeros of ``shape`` with ``x`` added at ``index``: the adjoint of ``getitem``.

    Elements named several times receive the sum.

    Raises:
        OutOfBoundsError: the index lies outside of ``shape``.
        ShapeError: ``x`` does not fit it.

    >>> import tinygrad_cnn as tc
    >>> tc.scatter_add(tc.tensor([1.0, 2.0, 4.0]), [0, 2, 2], (3,))
    tensor([1., 0., 6.])
    """
    try:
        return apply(
            scatter_add_p, np.asarray(x) if isinstance(x, (int, float)) else x,
            index=_plain(index), shape=tuple(shape),
        )  # fmt: skip
    except IndexError as error:
        raise OutOfBoundsError(f"scatter_add into shape {tuple(shape)}: {error}") from None
    except ValueError as error:
        raise ShapeError(f"scatter_add into shape {tuple(shape)}: {error}") from None


def take_along_axis(x: TensorLike, indices: TensorLike, axis: int = -1) -> Tensor:
    """For each place of ``indices`` the element of ``x`` it names along ``axis``.

    ``indices`` has the shape of ``x`` except along ``axis``.

    >>> import tinygrad_cnn as tc
    >>> scores = tc.tensor([[1.0, 5.0], [7.0, 2.0]])
    >>> tc.take_along_axis(scores, [[1], [0]])
    tensor([[5.],
            [7.]])
    """
    places = array_of(raw(indices))
    if places.ndim != np.ndim(raw(x)):
        raise ShapeError(
            f"take_along_axis: indices of {places.ndim} axes for an array of {np.ndim(raw(x))}"
        )
    along = np.ogrid[tuple(slice(n) for n in places.shape)]
    index: list[Any] = [fixed(places) for places in along]
    index[normalize_axis(axis, places.ndim, "take_along_axis")] = places
    return getitem(x, tuple(index))
