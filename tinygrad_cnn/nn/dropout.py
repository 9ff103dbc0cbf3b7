"""Dropout layers."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .._core.tensor import Tensor
from ..functional.dropout import check_probability
from ..typing import TensorLike
from .module import Module

__all__ = ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d"]


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
        check_probability(type(self).__name__, p)
        self.p, self.generator = p, generator

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.dropout(x, self.p, self.training, self.generator)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"p={self.p}"


class Dropout1d(Dropout):
    """In training, zero each whole channel of signals (N, C, L) (Tompson et al. 2015).

    Arguments as ``Dropout``.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Dropout1d(0.5).eval()(tc.ones(1, 2, 3)).shape
    (1, 2, 3)
    """

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, L), the same shape out."""
        return F.dropout1d(x, self.p, self.training, self.generator)


class Dropout2d(Dropout):
    """In training, zero each whole channel of images (N, C, H, W) (Tompson et al. 2015).

    Arguments as ``Dropout``.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Dropout2d(0.5).eval()(tc.ones(1, 2, 3, 3)).shape
    (1, 2, 3, 3)
    """

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, H, W), the same shape out."""
        return F.dropout2d(x, self.p, self.training, self.generator)


class Dropout3d(Dropout):
    """In training, zero each whole channel of volumes (N, C, D, H, W) (Tompson et al. 2015).

    Arguments as ``Dropout``.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Dropout3d(0.5).eval()(tc.ones(1, 2, 3, 3, 3)).shape
    (1, 2, 3, 3, 3)
    """

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, D, H, W), the same shape out."""
        return F.dropout3d(x, self.p, self.training, self.generator)
