"""What objects around a function hold, and which of them nobody can watch."""

from __future__ import annotations

import functools
import os
import re
import types
import weakref
from collections.abc import Iterable, Iterator
from types import BuiltinMethodType, MethodType, MethodWrapperType, ModuleType
from typing import Any

from ._symbols import UntraceableError
from ._unseen import is_known, name_of

WRAPPERS = (
    MethodType, classmethod, staticmethod, property, BuiltinMethodType, MethodWrapperType,
)  # fmt: skip
Environ = type(os.environ)
# Where classes come from whose objects are there to hold something that others change.
_HOLDING = {
    "collections", "os", "weakref", "_weakrefset", "threading", "queue", "argparse",
    "configparser",
}  # fmt: skip
_ITEMS = ("__getitem__", "__iter__", "__len__", "__contains__")
_UNCHANGING = (
    range,
    types.GenericAlias,
    types.UnionType,
    *weakref.ProxyTypes,
    re.Pattern,
    re.Match,
)


def is_holder(value: Any) -> bool:
    """Whether all attributes of an object count, not those alone that the user's code names."""
    return hasattr(value, "__dict__") and any(
        kind.__module__ in _HOLDING for kind in type(value).__mro__
    )


def check_watchable(value: Any) -> None:
    """Refuse objects in C that hold items, and other C functions that are bound to arguments.

    Raises:
        UntraceableError: it may change between two calls, and nobody would notice.
    """
    called = value.func if isinstance(value, functools.partial) else None
    if isinstance(called, types.BuiltinFunctionType) and not is_known(called):
        raise UntraceableError(
            f"it may call {name_of(called)[0]}, whose results and effects a recording does not see"
        )
    if isinstance(value, _UNCHANGING):
        return
    methods = [getattr(type(value), name, None) for name in _ITEMS]
    if any(isinstance(method, _OF_C) for method in methods):
        raise UntraceableError(
            f"a value of type {type(value).__name__} outside of the function may change"
            " unseen: use a list, a dict or an array"
        )


_OF_C = (types.WrapperDescriptorType, types.MethodDescriptorType, types.BuiltinMethodType)


class Caches:
    """The caches of ``functools.lru_cache`` among objects: a trace leaves symbols in them."""

    def __init__(self, objects: Iterable[Any]) -> None:
        self._misses = [
            (cached, cached.cache_info().misses)
            for cached in objects
            if isinstance(cached, functools._lru_cache_wrapper)
        ]

    def clear_new(self) -> None:
        """Empty those that have got something new."""
        for cached, misses in self._misses:
            if cached.cache_info().misses != misses:
                cached.cache_clear()


def parts(value: Any) -> list[Any]:
    """What a bound or wrapped function leads to."""
    if isinstance(value, (BuiltinMethodType, MethodWrapperType)):
        owner = value.__self__
        return [] if isinstance(owner, (ModuleType, type)) else [owner]
    if isinstance(value, MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, property):
        return [value.fget]
    return [value.__func__]


def slots(kind: type) -> Iterator[str]:
    """The names of the attributes that a class keeps apart from ``__dict__``."""
    found = vars(kind).get("__slots__", ())
    yield from (found,) if isinstance(found, str) else found
