"""The checks of arguments that several parts of the package share."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from math import inf, prod
from numbers import Integral, Real
from typing import Any

from .errors import ArgumentError, DtypeError, ShapeError, TooLargeError

_SURELY_THERE = 2**28  # bytes: nobody asks how much memory is left
# Limits of this process and of its container, and what is left of them: a file, then what it used.
_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


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


def number(owner: str, name: str, value: Any, least: float = -inf, most: float = inf) -> float:
    """``value`` as float.

    Raises:
        ArgumentError: it is no number from ``least`` to ``most``.
    """
    if not is_real(value, least) or not float(value) <= most:
        raise ArgumentError(
            f"{owner}: {name}={value!r:.60}, expected a number from {least:g} to {most:g}"
        )
    return float(value)


def listed(owner: str, name: str, values: Any) -> list[Any]:
    """``values`` as list.

    Raises:
        DtypeError: it is no sequence.
    """
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes)):
        raise DtypeError(f"{owner}: {name}={values!r:.60}, expected a list")
    return list(values)


def sizes(owner: str, shape: Any) -> tuple[int, ...]:
    """``shape`` as a tuple of integers from 0 up.

    Raises:
        ShapeError: it is something else.
    """
    lengths = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if not all(is_whole(n, 0) for n in lengths):
        raise ShapeError(f"{owner}: shape {shape!r:.60}, expected integers from 0 up")
    return tuple(map(int, lengths))


def affordable(owner: str, shape: Iterable[int], itemsize: int) -> None:
    """Refuse an array that memory has no room for, before it is taken.

    Raises:
        TooLargeError: it would take more than is available.
    """
    lengths = tuple(shape)
    size = prod(lengths) * itemsize
    if size <= _SURELY_THERE:
        return
    available = available_memory()
    if size > available:
        raise TooLargeError(
            f"{owner}: an array of shape {lengths} takes {_in_words(size)}, available are"
            f" {_in_words(available)}"
        )


def available_memory() -> int:
    """The bytes that this process can still take, as far as the system tells."""
    left = [sys.maxsize]
    for limit, used in _LIMITS:
        try:
            left.append(int(_content(limit)) - int(_content(used)))
        except (OSError, ValueError):  # no such limit, or "max"
            continue
    try:
        import resource  # not on Windows

        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most != resource.RLIM_INFINITY:
            pages = int(_content("/proc/self/statm").split()[0])
            left.append(most - pages * resource.getpagesize())
    except (ImportError, OSError, ValueError):
        pass
    try:
        fields = dict(line.split(":") for line in _content("/proc/meminfo").splitlines())
        left.append(1024 * int(fields["MemAvailable"].split()[0]))
    except (OSError, ValueError, KeyError):  # not Linux
        pass
    return max(min(left), 0)


def _content(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _in_words(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"
