"""Operations that pick and order elements along an axis, all by ``getitem``."""

from __future__ import annotations

import numpy as np

from .._arguments import affordable
from .._core.symbol import array_of, fixed
from .._core.tensor import Tensor, raw
from ..errors import ArgumentError, DtypeError
from ..typing import Array, TensorLike
from ._axes import normalize_axes, normalize_axis
from .index import getitem, take_along_axis
from .reduce import sum
from .shape import flatten, transpose

__all__ = ["argsort", "diagonal", "ravel", "repeat", "sort", "take", "trace"]


def ravel(x: TensorLike) -> Tensor:
    """All elements in row-major order along one axis.

    >>> import tinygrad_cnn as tc
    >>> tc.ravel(tc.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 2., 3., 4.])
    """
    return flatten(x)


def take(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """The elements at ``indices`` along an axis, by default of ``ravel(x)``.

    Shape: that of ``x`` with the axis replaced by the axes of ``indices``.

    Raises:
        DtypeError: the indices are no integers.
        OutOfBoundsError: an index lies outside.

    >>> import tinygrad_cnn as tc
    >>> tc.take(tc.tensor([[1.0, 2.0], [3.0, 4.0]]), [1, 1, 0], axis=1)
    tensor([[2., 2., 1.],
            [4., 4., 3.]])
    """
    places = array_of(raw(indices))
    if places.dtype.kind not in "iu" and places.size:
        raise DtypeError(f"take: indices of dtype {places.dtype}, expected integers")
    if axis is None:
        x, axis = ravel(x), 0
    before = (slice(None),) * normalize_axis(axis, np.ndim(raw(x)), "take")
    return getitem(x, (*before, places.astype(np.intp)))


def repeat(x: TensorLike, repeats: TensorLike, axis: int | None = None) -> Tensor:
    """Each element ``repeats`` times in a row along an axis, by default of ``ravel(x)``.

    As NumPy; PyTorch calls it ``repeat_interleave``.

    Args:
        x: any shape.
        repeats: one number for all, or one for each place along the axis.
        axis: where.

    Raises:
        ArgumentError: ``repeats`` are no such numbers.

    >>> import tinygrad_cnn as tc
    >>> tc.repeat(tc.tensor([1.0, 2.0]), [2, 1])
    tensor([1., 1., 2.])
    """
    if axis is None:
        x, axis = ravel(x), 0
    length = np.shape(raw(x))[normalize_axis(axis, np.ndim(raw(x)), "repeat")]
    counts = np.asarray(raw(repeats))
    if counts.dtype.kind not in "iu" or counts.shape not in ((), (length,)) or (counts < 0).any():
        raise ArgumentError(
            f"repeat: repeats={repeats!r}, expected an integer from 0 up, or {length} of them"
        )
    total = int(counts.sum() if counts.shape else counts * length)
    affordable("repeat", (total,), np.dtype(np.intp).itemsize)
    return take(x, fixed(np.repeat(np.arange(length), counts)), axis)


def diagonal(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The elements whose place along ``axis2`` is ``offset`` more than along ``axis1``.

    The two axes go, and the diagonal becomes the last one.

    Raises:
        ShapeError: an axis does not exist, or both are the same.

    >>> import tinygrad_cnn as tc
    >>> tc.diagonal(tc.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([1., 4.])
    """
    shape = np.shape(raw(x))
    pair = normalize_axes((axis1, axis2), len(shape), "diagonal")
    others = (i for i in range(len(shape)) if i not in pair)
    below, above = max(-offset, 0), max(offset, 0)
    places = np.arange(min(shape[pair[0]] - below, shape[pair[1]] - above))
    index = (..., fixed(places + below), fixed(places + above))
    return getitem(transpose(x, *others, *pair), index)


def trace(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of the diagonal.

    Raises:
        ShapeError: an axis does not exist, or both are the same.

    >>> import tinygrad_cnn as tc
    >>> tc.trace(tc.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    return sum(diagonal(x, offset, axis1, axis2), -1)


def argsort(x: TensorLike, axis: int | None = -1) -> Array:
    """The indices that sort along an axis, equal elements in their order: an array.

    ``axis=None`` sorts ``ravel(x)``.

    >>> import tinygrad_cnn as tc
    >>> tc.argsort(tc.tensor([3.0, 1.0, 2.0]))
    array([1, 2, 0])
    """
    data = array_of(raw(x))
    if axis is not None:
        axis = normalize_axis(axis, data.ndim, "argsort")
    return np.argsort(data, axis, kind="stable")


def sort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """The elements along an axis in ascending order; each keeps its gradient.

    ``axis=None`` sorts ``ravel(x)``.

    >>> import tinygrad_cnn as tc
    >>> tc.sort(tc.tensor([3.0, 1.0, 2.0]))
    tensor([1., 2., 3.])
    """
    if axis is None:
        x, axis = ravel(x), 0
    axis = normalize_axis(axis, np.ndim(raw(x)), "sort")
    return take_along_axis(x, argsort(x, axis), axis)
