"""The check of an argument that several parts of the package share."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from .errors import ArgumentError


def whole(owner: str, name: str, value: Any, least: int = 1) -> int:
    """``value`` as int.

    Raises:
        ArgumentError: it is no integer, or below ``least``.
    """
    if not isinstance(value, Integral) or value < least:
        raise ArgumentError(f"{owner}: {name}={value!r}, expected an integer of at least {least}")
    return int(value)
