"""Where numbers go that leave the graph: arrays that remember the Tensor they were read from.

An array that the user reads from a recorded Tensor is handed out as ``Tracked``, which NumPy's
functions pass on to what is computed from it. Integers and booleans (labels, masks, places) are
no gradient's business and forget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..._core.node import Node, SourceLine
from ...typing import Array


@dataclass(frozen=True, eq=False)
class Origin:
    """A recorded value that was read: what it is, how it was read, and where."""

    node: Node
    array: Any
    how: str
    where: SourceLine


class Tracked(np.ndarray[Any, Any]):
    """An array of the audited step; only its class and ``origin`` set it apart."""

    origin: Origin | None = None
    __hash__: ClassVar[None]  # as of every array

    def __array_finalize__(self, source: Any) -> None:
        self.origin = getattr(source, "origin", None) if self.dtype.kind == "f" else None

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        result = super().__array_function__(func, types, args, kwargs)
        # concatenate, where, einsum … make an array of the base class
        return tracked(result, self.origin) if _is_float(result) else result

    def __round__(self, digits: int = 0) -> Any:  # NumPy's scalars have it, its arrays don't
        return round(self.item(), digits)


def _is_float(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind == "f"


def tracked(value: Any, origin: Origin | None) -> Any:
    """A view of ``value`` that remembers its origin."""
    if origin is None or getattr(value, "origin", None) is not None:
        return value
    view = np.asarray(value).view(Tracked)
    view.origin = origin
    return view


class Flow:
    """The values of one call of the step that come from recorded Tensors, but not by the graph."""

    def __init__(self) -> None:
        self.origins: list[Origin] = []
        self._read: dict[Any, Origin] = {}
        self._derived: dict[int, tuple[Any, Origin]] = {}  # by id, with the object kept alive

    def hand_out(self, node: Node, array: Any, how: str, where: SourceLine) -> Origin:
        """Remember that a recorded value was read."""
        key = node, id(array), how, where
        if key not in self._read:
            self._read[key] = Origin(node, array, how, where)
            self.origins.append(self._read[key])
            self.mark(array, self._read[key])
        return self._read[key]

    def mark(self, value: Any, origin: Origin | None) -> None:
        """Remember that ``value`` was computed from what ``origin`` handed out."""
        if origin is not None:
            self._derived[id(value)] = value, origin

    def forget(self, value: Any) -> None:
        """Take back ``mark``."""
        self._derived.pop(id(value), None)

    def origin(self, value: Any) -> Origin | None:
        """Where a value was read, if it was: by its identity, its class or its memory."""
        if not self.origins:
            return None
        if isinstance(value, (list, tuple)):
            return next(filter(None, map(self.origin, value)), None)
        if id(value) in self._derived:
            return self._derived[id(value)][1]
        if not isinstance(value, np.ndarray):
            return None
        if isinstance(value, Tracked) or isinstance(value.base, Tracked):
            return getattr(value, "origin", None) or getattr(value.base, "origin", None)
        arrays = (o for o in self.origins if isinstance(o.array, np.ndarray))
        return next((o for o in arrays if np.shares_memory(value, o.array)), None)

    def plain(self, value: Any) -> Any:
        """``value`` as the package is to see it: the very array that was read, or a plain view."""
        if not isinstance(value, Tracked):
            return value
        if value.origin is not None and _same_view(value, value.origin.array):
            return value.origin.array
        plain = value.view(np.ndarray)
        if not plain.shape:
            plain = plain[()]  # without axes, the engine has NumPy's scalars
        self.mark(plain, value.origin)
        return plain


def _same_view(some: Array, other: Any) -> bool:
    if not isinstance(other, np.ndarray):
        return False
    same = (some.shape, some.strides, some.dtype) == (other.shape, other.strides, other.dtype)
    return same and some.ctypes.data == other.ctypes.data
