"""Dropout."""

from __future__ import annotations

import numpy as np

from .._core.context import composition
from .._core.tensor import Tensor, as_tensor, raw
from ..errors import ArgumentError
from ..random import default_generator
from ..typing import TensorLike

__all__ = ["dropout"]


@composition
def dropout(
    x: TensorLike,
    p: float = 0.5,
    training: bool = True,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Zero each element with probability ``p`` and divide the rest by 1 - p.

    This is inverted dropout: the expectation stays, so that nothing is done outside of
    training (Srivastava et al. 2014).

    Raises:
        ArgumentError: ``p`` is not a probability below 1.

    >>> import tinygrad_cnn as tc
    >>> _ = tc.manual_seed(0)
    >>> tc.functional.dropout(tc.ones(4), p=0.5)
    tensor([2., 2., 2., 0.])
    """
    if not 0.0 <= p < 1.0:
        raise ArgumentError(f"dropout: p={p}: expected a probability, 0 <= p < 1")
    if not training or p == 0.0:
        return as_tensor(x)
    data = np.asarray(raw(x))
    draws = (generator or default_generator()).random(data.shape, dtype=np.float32)
    mask = (draws >= p).astype(data.dtype) / data.dtype.type(1.0 - p)
    return x * mask  # type: ignore[return-value]
