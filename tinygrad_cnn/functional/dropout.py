"""Dropout."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from .._core.context import composition
from .._core.tensor import Tensor, as_tensor
from ..errors import ArgumentError
from ..random import default_generator
from ..typing import Array, TensorLike

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
    check_probability("dropout", p)
    x = as_tensor(x)
    if not training or p == 0.0:
        return x
    draws = np.asarray((generator or default_generator()).random(x.shape, np.float32))
    mask: Array = (draws >= p).astype(x.dtype) / (1.0 - p)
    return x * mask


def check_probability(owner: str, p: Any) -> None:
    """Refuse what is no probability below 1."""
    if not isinstance(p, Real) or not 0 <= float(p) < 1:
        raise ArgumentError(f"{owner}: p={p!r}: expected a probability, 0 <= p < 1")
