"""A machine for the part of pickle that data needs; it calls nothing that a file names.

A pickle is a program. ``pickle.loads`` runs it, and what it calls may be any function at all. Here
``pickletools`` only takes it apart into instructions; those that make numbers, strings, lists,
tuples and dicts are carried out below, the few names that stand for tensors are given by the
caller, and every other name and instruction is refused by its name. Memory grows with the length
of the program, whatever it states.
"""

from __future__ import annotations

import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple, cast

from ..errors import DataError

_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MAX_KEY = 1 << 31  # integers whose hashes collide would take for ever


class Function(NamedTuple):
    """What stands for a callable of a file.

    Attributes:
        call: what is called with the arguments from the file.
    """

    call: Callable[..., Any]


class Constant(NamedTuple):
    """What stands for another name of a file, which only arguments may hold.

    Attributes:
        value: whatever the functions make of it.
    """

    value: Any


class Bounded:
    """A file of which no more is read at once than is there, whatever a length states.

    Args:
        file: to read from, at its present position.
        size: of the whole file.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file, self.size = file, size

    def read(self, count: int) -> bytes:
        return self.file.read(max(0, min(count, self.size - self.file.tell())))

    def readline(self) -> bytes:
        return self.file.readline()

    def tell(self) -> int:
        return self.file.tell()


def unpickle(
    file: Bounded,
    names: Mapping[str, Function | Constant] | None = None,
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """The data that a pickle makes; the file then stands behind it.

    Args:
        file: which begins with the pickle.
        names: what each global name that may occur stands for, besides OrderedDict.
        persistent: what makes objects of the identifiers of things outside of the pickle.

    Raises:
        DataError: the pickle names anything else.
        ValueError, TypeError, LookupError: it is damaged.
    """
    machine = _Machine(names or {}, persistent, file.size)
    for instruction, argument, _ in pickletools.genops(cast(IO[bytes], file)):
        machine.step(instruction.name, argument)
    return _data(machine.pop())


class _Machine:
    """The stack of values, the marks on it, and the memo."""

    def __init__(
        self,
        names: Mapping[str, Function | Constant],
        persistent: Callable[[Any], Any] | None,
        room: int,
    ) -> None:
        self.names = {"collections.OrderedDict": Function(self.ordered), **names}
        self.persistent, self.room = persistent, room
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        """Carry out one instruction."""
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = self.top()
        elif name in _TUPLES:
            self.stack.append(tuple([self.pop() for _ in range(_TUPLES[name])][::-1]))
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            parts = [self.pop(), self.pop()][::-1] if argument is None else argument.split(" ", 1)
            self.stack.append(self.named(".".join(parts)))
        elif (method := getattr(self, f"do_{name.lower()}", None)) is not None:
            method()
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise DataError(f"its pickle has the instruction {name}, which no plain data needs")

    def top(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise IndexError("its pickle takes a value that is not there")
        return self.stack[-1]

    def pop(self) -> Any:
        value = self.top()
        del self.stack[-1]
        return value

    def pop_mark(self) -> list[Any]:
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def named(self, name: str) -> Function | Constant:
        if name not in self.names:
            raise DataError(
                f"it wants {name[:200]}, neither a tensor nor plain data: nothing was called"
            )
        return self.names[name]

    def do_mark(self) -> None:
        self.marks.append(len(self.stack))

    def do_memoize(self) -> None:
        self.memo[len(self.memo)] = self.top()

    def do_tuple(self) -> None:
        self.stack.append(tuple(self.pop_mark()))

    def do_empty_list(self) -> None:
        self.stack.append([])

    def do_list(self) -> None:
        self.stack.append([_data(value) for value in self.pop_mark()])

    def do_append(self) -> None:
        value = self.pop()
        self.append([value])

    def do_appends(self) -> None:
        self.append(self.pop_mark())

    def append(self, values: list[Any]) -> None:
        target = self.top()
        if type(target) is not list:
            raise TypeError(f"its pickle appends to a {type(target).__name__}")
        target.extend(map(_data, values))

    def do_empty_dict(self) -> None:
        self.stack.append({})

    def do_dict(self) -> None:
        values = self.pop_mark()
        self.stack.append({})
        self.set_items(values)

    def do_setitem(self) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def do_setitems(self) -> None:
        self.set_items(self.pop_mark())

    def set_items(self, values: list[Any]) -> None:
        target = self.top()
        if type(target) not in (dict, OrderedDict):
            raise TypeError(f"its pickle sets items of a {type(target).__name__}")
        target.update(_item(*pair) for pair in zip(values[::2], values[1::2], strict=True))

    def do_reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, Function) or type(arguments) is not tuple:
            raise TypeError(f"its pickle calls a {type(function).__name__}")
        self.stack.append(function.call(*arguments))

    def do_build(self) -> None:
        """Attributes of an OrderedDict, such as the versions of layers, are left out."""
        self.pop()
        if type(self.top()) is not OrderedDict:
            raise TypeError(f"its pickle sets attributes of a {type(self.top()).__name__}")

    def do_binpersid(self) -> None:
        identifier = self.pop()
        if self.persistent is None:
            raise DataError("its pickle refers to something outside of it")
        self.stack.append(self.persistent(identifier))

    def ordered(self, pairs: Any = ()) -> OrderedDict[Any, Any]:
        """Of no pairs, or (in Python 2) of a list, which is not to be copied a million times."""
        if type(pairs) is not list and pairs != ():
            raise TypeError("its OrderedDict is not made of pairs")
        self.room -= len(pairs)
        if self.room < 0:
            raise DataError("it copies a list again and again")
        return OrderedDict(_item(*pair) for pair in pairs)


def _data(value: Any) -> Any:
    """A value that may stand in a list or a dict, or alone."""
    if isinstance(value, (Function, Constant)):
        raise DataError("it holds a function or a type where data should be")
    return value


def _item(key: Any, value: Any) -> tuple[Any, Any]:
    if type(key) not in (str, int, float, bool) or (type(key) is int and abs(key) > _MAX_KEY):
        raise DataError(f"it has a dict with a key of type {type(key).__name__}: {key!s:.40}")
    return key, _data(value)
