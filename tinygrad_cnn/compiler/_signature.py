"""Arguments and results taken apart: the arrays in them, and all else, which must stay the same."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, EllipsisType, FunctionType
from typing import Any, NamedTuple

import numpy as np

from .._core.symbol import Symbol
from .._core.tensor import Tensor
from ..nn import Module
from ._numbers import Number
from ._symbols import UntraceableError

_ARRAYS = (Tensor, np.ndarray, np.generic, Symbol, Number)
_NUMBERS = (int, bool, str, bytes, type(None), EllipsisType, np.dtype, range, enum.Enum)
_FUNCTIONS = (type, FunctionType, BuiltinFunctionType)


class Slot(NamedTuple):
    """The place of an array in a structure."""

    number: int


class Same:
    """An object that arguments must hold again: it itself, not one that equals it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def flatten(value: Any, leaves: list[Any], *, results: bool = False) -> Any:
    """The structure of nested tuples, lists and dicts; arrays go to ``leaves``.

    Raises:
        UntraceableError: ``value`` is a result, and holds an object that may hold arrays.
    """
    if isinstance(value, _ARRAYS):
        leaves.append(value)
        return Slot(len(leaves) - 1)
    kind = type(value)
    if kind in (tuple, list) or (isinstance(value, tuple) and hasattr(value, "_fields")):
        return (kind, *[flatten(item, leaves, results=results) for item in value])
    if kind is dict:
        if results and any(isinstance(key, _ARRAYS) for key in value):
            raise UntraceableError("it returns a dict whose keys are arrays")
        items = [(key, flatten(item, leaves, results=results)) for key, item in value.items()]
        return (dict, *items)
    if isinstance(value, (float, complex)):  # 0.0 == -0.0, and NaN != NaN
        return ("=", kind, value, repr(value))
    if isinstance(value, _NUMBERS):
        return ("=", kind, value)
    if results and not isinstance(value, (*_FUNCTIONS, Module)):
        raise UntraceableError(f"it returns a {kind.__name__}, in which there may be arrays")
    return ("is", kind, Same(value))


def rebuild(structure: Any, of_slot: Callable[[int], Any]) -> Any:
    """The value again, with ``of_slot(number)`` in the places of arrays."""
    if isinstance(structure, Slot):
        return of_slot(structure.number)
    kind, *items = structure
    if kind == "=":
        return items[1]
    if kind == "is":
        return items[1].value
    if kind is dict:
        return {key: rebuild(item, of_slot) for key, item in items}
    made = (rebuild(item, of_slot) for item in items)
    return kind(made) if kind in (tuple, list) else kind._make(made)


def objects_in(structure: Any) -> Iterator[Any]:
    """The objects in a structure that are given by themselves."""
    if isinstance(structure, Same):
        yield structure.value
    elif isinstance(structure, tuple) and not isinstance(structure, Slot):
        for item in structure:
            yield from objects_in(item)


def described(leaf: Any) -> Any:
    """What of an array a program depends on."""
    if isinstance(leaf, Tensor):
        node = leaf.node
        grad = None if node is None else node.primitive is None
        return (np.shape(leaf.data), leaf.data.dtype, type(leaf), grad)
    return (leaf.shape, leaf.dtype, type(leaf))
