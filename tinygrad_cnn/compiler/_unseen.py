"""Calls of C functions while a function is recorded: what they read or do is not recorded.

``time.time()``, ``queue.put``, ``open``: neither the symbols nor the surroundings notice them.
Python tells its profile function of each such call before it happens. Those that only work on
what they are given are let through; any other gives the trace up, with its name.
"""

from __future__ import annotations

import collections
import functools
import gc
import io
import itertools
import os
import random
import re
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .._core.node import _PACKAGE
from ._symbols import UntraceableError

_KNOWN_MODULES = {
    "builtins", "math", "cmath", "_operator", "itertools", "_functools", "_collections", "_bisect",
    "_heapq", "_abc", "_weakref", "_sre", "_codecs", "_struct", "_json", "_string", "_typing",
    "_statistics", "unicodedata", "binascii", "zlib",
}  # fmt: skip
_KNOWN_TYPES = {
    object, type, int, float, complex, bool, str, bytes, bytearray, list, tuple, dict, set,
    frozenset, range, slice, memoryview, property, classmethod, staticmethod, super,
    BaseException, Decimal, Fraction, date, datetime, time, timedelta, timezone, re.Pattern,
    re.Match, io.StringIO, io.BytesIO, collections.deque, collections.OrderedDict,
    collections.defaultdict, functools.partial, types.FunctionType, types.MethodType,
    types.GeneratorType, types.MappingProxyType, types.CodeType, types.FrameType,
    *(kind for kind in vars(types).values() if isinstance(kind, type)),
    *(kind for kind in vars(itertools).values() if isinstance(kind, type)),
}  # fmt: skip
_KNOWN = {
    "posix.fspath", "nt.fspath", "sys.intern", "sys.exc_info", "sys.getsizeof", "sys._getframe",
    "sys._getframemodulename", "sys.setprofile", "_thread.get_ident", "_typing._idfunc",
}  # fmt: skip
# Of the known those that look beyond what they are given, or change it.
_NOT_KNOWN = {
    "builtins.open", "builtins.input", "builtins.globals", "builtins.locals", "builtins.vars",
    "builtins.dir", "builtins.eval", "builtins.exec", "builtins.breakpoint", "date.today",
    "datetime.now", "datetime.utcnow", "datetime.today", "memoryview.__setitem__",
}  # fmt: skip
_NUMPY_LOOKS = {"fromfile", "tofile", "_get_extobj_dict"}  # at files, and at np.errstate
_LIBRARY = os.path.dirname(os.__file__)
_NUMPY = os.path.dirname(sys.modules["numpy"].__file__ or "")


def name_of(function: Any) -> tuple[str, Any]:
    """The name of a C function, and the class that defines it or None."""
    owner = getattr(function, "__self__", None)
    if owner is None or isinstance(owner, types.ModuleType):
        return f"{function.__module__}.{function.__name__}", None
    kind: Any = owner if isinstance(owner, type) else type(owner)
    defined = function.__qualname__.rpartition(".")[0]
    of = next((c for c in kind.__mro__ if c.__qualname__ == defined), kind)
    if issubclass(kind, type) and not any(c.__qualname__ == defined for c in kind.__mro__):
        of = type
    return f"{of.__qualname__}.{function.__name__}", of


def is_known(function: Any) -> bool:
    """Whether a C function works on nothing but what it is given."""
    name, kind = name_of(function)
    if name in _KNOWN or name in _NOT_KNOWN:
        return name in _KNOWN
    if kind in random.Random.__mro__[:-1]:
        return function.__self__ is random._inst  # the global one, whose state is kept
    if kind is not None:
        module = kind.__module__
        known = kind in _KNOWN_TYPES
    else:
        module = function.__module__ or ""
        known = module in _KNOWN_MODULES
    if module.partition(".")[0] == "numpy":
        return function.__name__ not in _NUMPY_LOOKS
    return known


def _is_asked_by_user(frame: Any) -> bool:
    """Whether a call comes from the user's code: itself, or through a library that it uses."""
    while frame is not None:
        file = frame.f_code.co_filename
        if frame.f_code.co_name == "__del__":  # of whatever happened to be let go of
            return False
        if file.startswith(_PACKAGE) or "importlib" in file:  # a module, at its first import
            return False
        if file.startswith(_NUMPY):
            if "errstate" in frame.f_code.co_qualname or "printoptions" in frame.f_code.co_qualname:
                return False
        elif not file.startswith((_LIBRARY, "<frozen")) or "site-packages" in file:
            return True
        frame = frame.f_back
    return False


class _PerFile(dict[str, bool]):
    """Whether a source file belongs to this package."""

    def __missing__(self, file: str) -> bool:
        own = self[file] = file.startswith(_PACKAGE)
        return own


_is_own = _PerFile()


def _listen(frame: Any, event: str, function: Any) -> None:
    """What Python calls at each call and return: most are of this package, or of no interest."""
    if event != "c_call" or _is_own[frame.f_code.co_filename]:
        return
    if is_known(function) or not _is_asked_by_user(frame):
        return
    name = name_of(function)[0].removeprefix("builtins.")
    raise UntraceableError(f"it calls {name}, whose results and effects a recording does not see")


@contextmanager
def listening() -> Iterator[None]:
    """Give a trace up at a C function that does more than to work on what it is given.

    Meanwhile the garbage collector rests: callbacks that others gave it are no part of a function.
    """
    before: Any = sys.getprofile()
    collecting = gc.isenabled()
    gc.disable()
    sys.setprofile(_listen)
    try:
        yield
    finally:
        if before is None or callable(before):
            sys.setprofile(before)
        else:  # a profiler in C, which sets itself
            before.enable()
        if collecting:
            gc.enable()
