"""Axis arguments as NumPy takes them: an integer, several, or None for all."""

from __future__ import annotations

import operator

from ..errors import DtypeError, ShapeError
from ..typing import Axis


def normalize_axis(axis: int, ndim: int, name: str) -> int:
    """A non-negative axis number.

    Raises:
        DtypeError: the axis is no integer.
        ShapeError: the axis does not exist.
    """
    try:
        index = operator.index(axis)
    except TypeError:
        raise DtypeError(f"{name}: axis={axis!r}: expected an integer") from None
    if not -ndim <= index < ndim:
        raise ShapeError(f"{name}: axis {axis} does not exist in an array of {ndim} axes")
    return index % ndim


def normalize_axes(axis: Axis, ndim: int, name: str) -> tuple[int, ...]:
    """The axes as non-negative numbers, in the order given.

    Raises:
        ShapeError: an axis does not exist or occurs twice.
    """
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(normalize_axis(i, ndim, name) for i in given)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{name}: axis {axis} names an axis twice")
    return axes
