"""The dropout layer."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .._core.tensor import Tensor
from ..functional.dropout import check_probability
from ..typing import TensorLike
from .module import Module

__all__ = ["Dropout"]


class Dropout(Module):
    """In training, zero each element with probability ``p`` and divide the rest by 1 - p.

    Args:
        p: the probability, 0 <= p < 1.
        generator: what the elements are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: ``p`` is not a probability below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Dropout(0.5).eval()(tc.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """

    def __init__(self, p: float = 0.5, *, generator: np.random.Generator | None = None) -> None:
        super().__init__()
        check_probability("Dropout", p)
        self.p, self.generator = p, generator

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.dropout(x, self.p, self.training, self.generator)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"p={self.p}"
