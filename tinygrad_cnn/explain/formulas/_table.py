"""The formulas of all primitives, and how a user adds one."""

from __future__ import annotations

from .._formula import Formula
from ._arithmetic import ARITHMETIC, TRANSCENDENTAL
from ._index import INDEX
from ._linalg import LINALG
from ._reduce import REDUCE
from ._shape import SHAPE
from ._windows import WINDOWS

__all__ = ["FORMULAS"]

FORMULAS: dict[str, Formula] = {
    **ARITHMETIC, **TRANSCENDENTAL, **REDUCE, **SHAPE, **INDEX, **LINALG, **WINDOWS
}  # fmt: skip
