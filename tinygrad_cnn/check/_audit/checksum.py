"""Noticing that an array has changed without keeping a copy."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np


def checksum(array: Any) -> int:
    """A number that changes with the array's values; 0 for NumPy's scalars, which never change."""
    if not isinstance(array, np.ndarray):
        return 0
    order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    packed = np.ascontiguousarray(array.transpose(order))  # no copy if it is dense
    return zlib.crc32(packed.data)


def overlap(some: Any, other: Any) -> bool:
    """Whether two values are arrays that share memory."""
    arrays = isinstance(some, np.ndarray) and isinstance(other, np.ndarray)
    return arrays and np.shares_memory(some, other)
