"""The checks that layers make of their settings, before they hold anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._arguments import whole
from ..errors import ArgumentError, ShapeError
from ..functional._sliding import NAMED, Padding, Widths, borders, numbers
from ..ops.windows import per_axis
from ..typing import Shape


def positive(owner: str, **settings: Any) -> None:
    """Refuse settings that are not whole numbers above 0."""
    for name, value in settings.items():
        whole(owner, name, value)


def each_axis(owner: str, name: str, value: Any, axes: int = 2, least: int = 1) -> Shape:
    """``value`` as one integer for each axis in space, each at least ``least``."""
    try:
        return per_axis(value, name, axes, least)
    except ShapeError as error:
        raise ArgumentError(f"{owner}: {error}") from None


def padding_of(owner: str, padding: Padding, axes: int) -> str | Shape | Widths:
    """A padding by its name, as a number for each axis, or as pairs where sides differ."""
    if isinstance(padding, str) and padding in NAMED:
        return padding
    try:
        return numbers(borders(padding, axes, owner))
    except ShapeError as error:
        raise ArgumentError(str(error)) from None


def one_of(owner: str, name: str, value: Any, allowed: Sequence[str]) -> None:
    """Refuse a setting that is not among the allowed ones."""
    if value not in allowed:
        raise ArgumentError(f"{owner}: {name}={value!r}, expected one of {', '.join(allowed)}")
