"""Numbers that can be subtracted and squared."""

from __future__ import annotations

import numpy as np

from .._core.tensor import Tensor, as_tensor
from ..typing import TensorLike


def in_floats(x: TensorLike) -> Tensor:
    """``x`` as Tensor, integers and booleans as float64.

    Bytes of images, say, would wrap around: 3 - 5 is 254, and the square of 16 is 0.
    """
    x = as_tensor(x)
    return x.astype(np.float64) if x.dtype.kind in "biu" else x
