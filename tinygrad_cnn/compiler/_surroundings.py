"""What a function reads from around it: what a recorded program takes for given.

Found from the function on: its closure, the globals that its code names, its defaults; the
elements of lists and dicts found there, and the attributes of objects that the code names; and
so on through the functions, methods and modules met. Tensors and the larger arrays are read anew
in each run; all else must be as it was when the function was recorded.
"""

from __future__ import annotations

import dis
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from .._core.node import _PACKAGE, SourceLine
from .._core.primitive import Primitive
from .._core.tensor import Tensor
from ..nn import Module
from ._held import WRAPPERS, Caches, Environ, check_watchable, is_holder, parts, slots
from ._symbols import UntraceableError
from ._watch import Identities, Kinds

_PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic, np.dtype)
_COMPARED = 1 << 20  # elements of the largest array whose elements are compared in each call
_RESTORED = 1 << 22  # and of the largest that is copied for the time of a trace
# Methods that are called without being named.
_CALLED = {"forward", *(f"__{name}__" for name in (
    "call", "getitem", "len", "iter", "contains", "bool", "eq", "getattr", "enter", "exit", "add",
    "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "pow", "neg", "matmul",
))}  # fmt: skip
_READ_BY = {"get_last_lr": "_last_lr"}  # what methods of schedules read
_LIBRARIES = ("numpy", "tinygrad_cnn", *sys.stdlib_module_names)


class _Place(NamedTuple):
    """Where a value was found.

    Attributes:
        owner: the dict, class, or object whose item or attribute it is.
        mapping: where to look it up; None for an attribute.
    """

    owner: Any
    mapping: Mapping[str, Any] | None
    key: Any
    value: Any

    def now(self) -> Any:
        """What is there now."""
        if self.mapping is not None:
            return self.mapping.get(self.key, _NOTHING)
        try:
            return getattr(self.owner, self.key, _NOTHING)
        except ValueError:  # an empty cell
            return _NOTHING

    def restore(self) -> None:
        """Put the value back."""
        if self.value is _NOTHING:
            self.owner.pop(self.key, None)
        elif isinstance(self.owner, dict):
            self.owner[self.key] = self.value
        else:
            setattr(self.owner, self.key, self.value)


_NOTHING = object()


class Surroundings:
    """Values outside of a function, as they were.

    Attributes:
        generators: of random numbers.
        arrays: those found.
        known: all objects found, by their ids.

    Raises:
        UntraceableError: something there changes whenever it is used, such as an iterator.
    """

    def __init__(self, function: Callable[..., Any], given: Iterable[Any] = ()) -> None:
        self.generators: list[np.random.Generator] = []
        self.arrays: list[Any] = []
        self.names: set[str] = set()
        self._items: list[_Place] = []
        self._attributes: list[_Place] = []
        self._sequences: list[tuple[Any, list[Any]]] = []
        self._dicts: list[tuple[dict[Any, Any], int]] = []
        self._tensors: list[Tensor] = []
        self._copies: list[tuple[Any, Any]] = []
        self.known: dict[int, Any] = {}  # the objects, so that their ids stay theirs
        self._holders: list[tuple[Any, Mapping[str, Any], Mapping[str, Any], set[str]]] = []
        self._code: list[CodeType] = []
        self._cells: dict[int, str] = {}  # the names of closed-over variables
        self._todo: list[Any] = [function, *given]
        while self._todo:
            while self._todo:
                self._visit(self._todo.pop())
            self._follow_names()
        self._kinds = Kinds(self._tensors)
        self._identities = self._identified()
        whole = {id(mapping) for mapping, _ in self._dicts}
        single = [place for place in self._items if id(place.mapping) not in whole]
        self._places = single + self._attributes  # not in a dict that is held by its identities

    # -- asked in each call --------------------------------------------------------------------

    def unchanged(self) -> bool:
        """Whether everything is as it was."""
        if not self._identities.same():
            if not self._equal():
                return False
            self._identities = self._identified()  # other objects, of the same values
        for place in self._places:
            found = place.now()
            if found is not place.value and not _equal(found, place.value):
                return False
        return self._kinds.same() and all(_alike(array, copy) for array, copy in self._copies)

    def _identified(self) -> Identities:
        return Identities(
            (mapping for mapping, _ in self._dicts), (sequence for sequence, _ in self._sequences)
        )

    def _equal(self) -> bool:
        """Whether dicts and lists hold what they held, in the same or other objects."""
        return (
            all(len(mapping) == length for mapping, length in self._dicts)
            and all(_same(place.now(), place.value) for place in self._items)
            and all(
                len(sequence) == len(before) and all(map(_same, sequence, before))
                for sequence, before in self._sequences
            )
        )

    # -- asked around a trace ------------------------------------------------------------------

    def keep(self) -> Callable[[], str]:
        """Copy what a trace may change; what it returns restores it, and names what was changed."""
        copies = [(a, a.copy()) for a in self.arrays if a.size <= _RESTORED and a.flags.writeable]
        locked = [a for a in self.arrays if a.size > _RESTORED and a.flags.writeable]
        dicts = [(mapping, dict(mapping)) for mapping, _ in self._dicts]
        caches = Caches(self.known.values())
        for array in locked:
            array.flags.writeable = False

        def restore() -> str:
            caches.clear_new()
            for array in locked:
                array.flags.writeable = True
            changed = [(a, copy) for a, copy in copies if not _alike(a, copy)]
            for array, copy in changed:
                array[...] = copy
            if not changed and self.unchanged():
                return ""
            name = self._name(changed[0][0] if changed else None)
            self._restore(dicts)
            return name

        return restore

    def _name(self, changed: Any) -> str:
        """What was changed, and in which line."""
        for sequence, before in self._sequences:
            if len(sequence) != len(before) or not all(map(_same, sequence, before)):
                changed = sequence
        for mapping, length in self._dicts:
            if len(mapping) != length:
                changed = mapping
        for place in (*self._items, *self._attributes):
            if (
                place.value is changed
                if changed is not None
                else not _same(place.now(), place.value)
            ):
                name = place.key
                if name == "cell_contents":
                    name = self._cells.get(id(place.owner), name)
                return f"{name!r}{self._line(name)}"
        return "something"

    def _line(self, name: Any) -> str:
        """Where code stores a name, or at least uses it."""
        found = ""
        for code in self._code:
            for instruction in dis.get_instructions(code):
                if instruction.argval == name and instruction.positions is not None:
                    line = SourceLine(
                        code.co_filename, instruction.positions.lineno or 0, code.co_name
                    )
                    if instruction.opname.startswith("STORE"):
                        return f" (at {line})"
                    found = found or f" (at {line})"
        return found

    def _restore(self, dicts: list[tuple[dict[Any, Any], dict[Any, Any]]]) -> None:
        for mapping, before in dicts:
            mapping.clear()
            mapping.update(before)
        for sequence, items in self._sequences:
            if isinstance(sequence, set):
                sequence.clear()
                sequence.update(items)
            elif len(sequence) != len(items) or not all(map(_same, sequence, items)):
                sequence.clear()
                sequence.extend(items)
        for place in (*self._items, *self._attributes):
            if place.now() is not place.value:
                place.restore()
        for tensor, node in zip(self._tensors, self._kinds.nodes, strict=True):
            tensor.node = node

    def compare(self, read: Iterable[Any]) -> None:
        """Note the elements of the arrays that the program does not read in each run.

        Raises:
            UntraceableError: one is too large for that.
        """
        known = set(map(id, read))
        for array in self.arrays:
            if id(array) in known:
                continue
            if array.size > _COMPARED:
                raise UntraceableError(
                    f"an array of shape {array.shape} outside of the function is used by NumPy:"
                    " give it as an argument"
                )
            self._copies.append((array, array.copy()))

    # -- the search ----------------------------------------------------------------------------

    def _visit(self, value: Any) -> None:
        if isinstance(value, _PLAIN) or id(value) in self.known:
            return
        self.known[id(value)] = value
        if isinstance(value, Tensor):
            self._tensors.append(value)
        elif isinstance(value, np.ndarray):
            self.arrays.append(value)
        elif isinstance(value, np.random.Generator):
            self.generators.append(value)
        elif isinstance(value, (tuple, frozenset)):
            self._todo.extend(value)
        elif isinstance(value, (list, set, deque)):
            self._sequences.append((value, list(value)))
            self._todo.extend(value)
        elif isinstance(value, dict):
            self._of_dict(value)
        elif isinstance(value, FunctionType):
            self._of_function(value)
        elif isinstance(value, Primitive):
            rules = value.vjps if isinstance(value.vjps, tuple) else [value.vjps.rule]  # type: ignore[attr-defined]
            self._todo += [value.forward, *rules]
        elif isinstance(value, WRAPPERS):
            self._todo += parts(value)
        elif isinstance(value, type):
            if not _is_of_library(value.__module__):
                self._hold(value, vars(value))
                self._todo += value.__mro__[1:]
        elif isinstance(value, ModuleType):
            held = vars(value)
            if _is_of_library(value.__name__):  # what somebody may have set
                held = {k: v for k, v in held.items() if isinstance(v, (*_PLAIN, Environ))}
            self._hold(value, held)
        elif hasattr(type(value), "__next__"):
            raise UntraceableError(
                f"a {type(value).__name__} outside of the function goes on in each call"
            )
        else:
            check_watchable(value)
            self._of_object(value)

    def _of_dict(self, mapping: dict[Any, Any]) -> None:
        self._dicts.append((mapping, len(mapping)))
        for key, item in mapping.items():
            self._note(mapping, key, item)

    def _of_object(self, value: Any) -> None:
        self._todo.append(type(value))
        attributes = getattr(value, "__dict__", None)
        if isinstance(value, Module) or is_holder(value):
            self._of_dict(vars(value))
        elif isinstance(attributes, dict):
            self._hold(attributes, attributes, type(value))
        for kind in type(value).__mro__:
            for key in slots(kind):
                item = getattr(value, key, _NOTHING)
                if item is not _NOTHING and not _is_of_library(kind.__module__):
                    self._note(value, key, item)
        if isinstance(value, partial):
            self._todo += [value.func, value.args, value.keywords]
        self._todo.append((attributes or {}).get("__wrapped__"))

    def _of_function(self, function: FunctionType) -> None:
        code = function.__code__
        if code.co_filename.startswith(_PACKAGE):
            wrapped = getattr(function, "__wrapped__", None)
            if wrapped is not None:
                self._todo.append(wrapped)
            return
        for key in ("__code__", "__defaults__", "__kwdefaults__"):
            self._note(function, key, getattr(function, key))
        self._code += _all(code)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._cells[id(cell)] = name
            try:
                self._note(cell, "cell_contents", cell.cell_contents)
            except ValueError:  # not assigned yet
                continue
        for name in (name for part in _all(code) for name in part.co_names if name[0] != "@"):
            self.names.add(_READ_BY.get(name, name))
            if name in function.__globals__:
                self._note(function.__globals__, name, function.__globals__[name])
        for part in _all(code):
            if "getattr" in part.co_names:
                self.names.update(name for name in part.co_consts if isinstance(name, str))
        if vars(function):
            self._hold(vars(function), vars(function))

    def _hold(self, owner: Any, attributes: Mapping[str, Any], kind: type = object) -> None:
        """Look for attributes that code names; those of the class may yet be the object's own."""
        shared = {
            key: _NOTHING
            for part in kind.__mro__
            if not _is_of_library(part.__module__)
            for key, value in vars(part).items()
            if not isinstance(value, (FunctionType, property)) and not key.startswith("__")
        }
        self._holders.append((owner, attributes, shared, set()))

    def _follow_names(self) -> None:
        """Note the attributes that code names, of the objects met so far."""
        for owner, attributes, shared, done in self._holders:
            called = self.names | _CALLED if isinstance(owner, type) else self.names
            if "__dict__" in self.names and not isinstance(owner, ModuleType):
                called = called | attributes.keys()
            for key in called.difference(done).intersection({*attributes, *shared}):
                done.add(key)
                self._note(owner, key, attributes.get(key, _NOTHING))

    def _note(self, owner: Any, key: Any, value: Any) -> None:
        if isinstance(owner, dict):
            self._items.append(_Place(owner, owner, key, value))
        elif isinstance(owner, type):  # its own, not what its descriptors give
            self._items.append(_Place(owner, vars(owner), key, value))
        else:
            self._attributes.append(_Place(owner, None, key, value))
        self._todo.append(value)


def _alike(array: Any, copy: Any) -> bool:
    """Whether an array has the elements that it had, NaN among them."""
    return bool(np.array_equal(array, copy, equal_nan=array.dtype.kind in "fc"))


def _same(found: Any, value: Any) -> bool:
    return found is value or _equal(found, value)


def _equal(found: Any, value: Any) -> bool:
    """Whether two plain values are the same."""
    if type(found) is not type(value):
        return False
    if isinstance(value, (float, complex, np.generic)):  # 0.0 == -0.0, and NaN != NaN
        return repr(found) == repr(value)
    if isinstance(value, tuple):
        return len(found) == len(value) and all(map(_same, found, value))
    return isinstance(value, _PLAIN) and bool(found == value)


def _is_of_library(name: str) -> bool:
    return name.partition(".")[0] in _LIBRARIES and name != "__main__"


def _all(code: CodeType) -> Iterator[CodeType]:
    """The code of a function, and of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all(constant)
