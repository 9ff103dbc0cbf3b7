"""The checks of arguments that several parts of the package share."""

from __future__ import annotations

from math import inf
from numbers import Integral, Real
from typing import Any

from .errors import ArgumentError


def is_whole(value: Any, least: int = 1) -> bool:
    """Whether ``value`` is an integer (True and False are none) of at least ``least``."""
    if type(value) is int:  # nearly always: asking the abstract class takes ten times as long
        return value >= least
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def is_real(value: Any, least: float = -inf) -> bool:
    """Whether ``value`` is a number of at least ``least``; True, False and NaN are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and float(value) >= least


def whole(owner: str, name: str, value: Any, least: int = 1) -> int:
    """``value`` as int.

    Raises:
        ArgumentError: it is no integer, or below ``least``.
    """
    if not is_whole(value, least):
        raise ArgumentError(f"{owner}: {name}={value!r}, expected an integer of at least {least}")
    return int(value)
