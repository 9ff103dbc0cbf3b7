"""How many threads compiled programs use."""

from __future__ import annotations

import os

from .._arguments import whole
from ..errors import ArgumentError

__all__ = ["get_num_threads", "set_num_threads"]

VARIABLE = "TINYGRAD_CNN_THREADS"
_chosen: int | None = None


def get_num_threads() -> int:
    """The number of threads: what was set, or TINYGRAD_CNN_THREADS, or all cores of this process.

    Raises:
        ArgumentError: the environment variable is no positive integer.

    >>> get_num_threads() >= 1
    True
    """
    if _chosen is not None:
        return _chosen
    named = os.environ.get(VARIABLE, "").strip()
    if not named:
        return available_cores()
    if not named.isdecimal() or int(named) < 1:
        raise ArgumentError(f"{VARIABLE}={named!r}: expected a positive integer, or nothing")
    return int(named)


def set_num_threads(count: int | None) -> None:
    """Choose the number of threads of programs that are compiled from now on.

    Args:
        count: at least 1; None for the default.

    Raises:
        ArgumentError: ``count`` is neither.

    >>> set_num_threads(2)
    >>> get_num_threads()
    2
    >>> set_num_threads(None)
    """
    global _chosen
    _chosen = None if count is None else whole("set_num_threads", "count", count)


def available_cores() -> int:
    """The cores that this process may run on: fewer than the machine's under taskset."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
