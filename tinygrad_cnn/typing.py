"""The types that public signatures are written in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ._core.tensor import Tensor

__all__ = ["Array", "Axis", "DTypeLike", "IntPair", "Shape", "TensorLike"]

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Axis: TypeAlias = int | tuple[int, ...] | None
IntPair: TypeAlias = int | tuple[int, int]
DTypeLike: TypeAlias = Any
TensorLike: TypeAlias = "Tensor | Array | np.generic | float | Sequence[Any]"
