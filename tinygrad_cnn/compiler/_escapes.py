"""Doors through which values leave a trace unseen, watched while one is made.

``tensor.data`` gives an array, ``print`` shows one, a set or dict looks a value up by its hash:
Python would go on with what happens to be there during the trace. Here they lead to the tracer.
Each looks at its thread's tracer, so that other threads notice nothing.
"""

from __future__ import annotations

import builtins
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .._core.context import per_thread
from .._core.node import _is_internal
from .._core.tensor import Tensor
from ..random import default_generator
from ._symbols import Symbol, UntraceableError

_slot: Any = Tensor.__dict__["data"]
_lock = threading.Lock()
_watching = 0


def _of_user(depth: int = 2) -> bool:
    """Whether the caller's caller is a function outside of this package, while one is traced."""
    if per_thread.context.tracer is None:
        return False
    return not _is_internal[sys._getframe(depth).f_code.co_filename]


class _Data:
    """``tensor.data``, which is a symbol to a function that is traced."""

    def __get__(self, tensor: Any, kind: Any = None) -> Any:
        if tensor is None:
            return _slot
        if _of_user():
            return per_thread.context.tracer.read(tensor)  # type: ignore[union-attr]
        return _slot.__get__(tensor, kind)

    def __set__(self, tensor: Any, value: Any) -> None:
        if _of_user():
            raise UntraceableError("the function assigns to .data of a Tensor")
        _slot.__set__(tensor, value)


def _hash(symbol: Symbol) -> int:
    if _of_user():
        raise UntraceableError("a set or dict looks an array of the function's values up")
    return object.__hash__(symbol)


def _watched(function: Callable[..., Any]) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        if per_thread.context.tracer is not None:
            raise UntraceableError("it prints, which is to happen in each call")
        return function(*args, **kwargs)

    return refuse


_print = print
_refusing_print = _watched(print)


@contextmanager
def watched() -> Iterator[None]:
    """Lead what a function does to values past Tensors to the tracer."""
    global _watching, _print, _refusing_print
    with _lock:
        _watching += 1
        if _watching == 1:
            _print = builtins.print
            _refusing_print = _watched(_print)
            builtins.print = _refusing_print
            Tensor.data = _Data()
            Symbol.__hash__ = _hash  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        with _lock:
            _watching -= 1
            if not _watching:
                if builtins.print is _refusing_print:
                    builtins.print = _print
                Tensor.data = _slot
                Symbol.__hash__ = object.__hash__  # type: ignore[assignment, method-assign]


class RandomStates:
    """The states of random number generators, to find out whether a function draws from them."""

    def __init__(self, generators: list[np.random.Generator]) -> None:
        self._default = default_generator()
        self._generators = [*generators, self._default]
        self._own = [generator.bit_generator.state for generator in self._generators]
        self._numpy = np.random.get_state()  # noqa: NPY002 the user's code may draw from it
        self._python = random.getstate()

    def restore(self) -> bool:
        """Put the states back; whether one of them had changed."""
        now = np.random.get_state()  # noqa: NPY002
        changed = not _equal(now, self._numpy) or random.getstate() != self._python
        np.random.set_state(self._numpy)  # noqa: NPY002
        random.setstate(self._python)
        for generator, state in zip(self._generators, self._own, strict=True):
            if not _equal(generator.bit_generator.state, state):
                generator.bit_generator.state = state
                changed = True
        if default_generator() is not self._default:
            from ..random import _per_thread

            _per_thread.generator, changed = self._default, True
        return changed


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return all(map(_equal, one, other))
    return bool(np.array_equal(one, other))
