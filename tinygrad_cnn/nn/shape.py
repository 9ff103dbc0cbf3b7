"""Layers that rearrange their input or leave it alone."""

from __future__ import annotations

from .. import functional as F
from .._core.tensor import Tensor
from ..typing import TensorLike
from .module import Module

__all__ = ["Flatten", "Identity"]


class Flatten(Module):
    """Merge the axes from ``start_dim`` to ``end_dim``: by default (N, C, H, W) to (N, C*H*W).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Flatten()(tc.zeros(2, 3, 4, 4)).shape
    (2, 48)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, H, W) to (N, C*H*W)."""
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """What goes in comes out: takes the place of a layer that is left out.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Identity()(3.0)
    3.0
    """

    def forward(self, x: TensorLike) -> TensorLike:
        """Anything."""
        return x
