"""The types that public signatures are written in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from ._core.tensor import Tensor

__all__ = ["Array", "Axis", "DTypeLike", "IntPair", "IntTuple", "Shape", "TensorLike"]

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Shape: TypeAlias = tuple[int, ...]
Axis: TypeAlias = int | tuple[int, ...] | None
IntPair: TypeAlias = int | tuple[int, int]
IntTuple: TypeAlias = int | tuple[int, ...]  # a number, or one for each axis in space
DTypeLike: TypeAlias = Any
TensorLike: TypeAlias = "Tensor | Array | np.generic | float | Sequence[Any]"
