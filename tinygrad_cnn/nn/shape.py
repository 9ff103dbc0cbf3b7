"""Layers that rearrange their input or leave it alone."""

from __future__ import annotations

import math

import numpy as np

from .. import functional as F
from .._arguments import whole
from .._core.tensor import Tensor, raw
from ..errors import ArgumentError, ShapeError
from ..ops import reshape
from ..ops._axes import normalize_axis
from ..typing import Shape, TensorLike
from .module import Module

__all__ = ["Flatten", "Identity", "Unflatten"]


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


class Unflatten(Module):
    """Split one axis into several: by default (N, C*H*W) to (N, C, H, W).

    Args:
        dim: the axis.
        unflattened_size: the axes that take its place.

    Raises:
        ArgumentError: the new axes are no whole numbers above 0.
        ShapeError: when called, the axis is not as long as the new ones together.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Unflatten(1, (3, 4, 4))(tc.zeros(2, 48)).shape
    (2, 3, 4, 4)
    """

    def __init__(self, dim: int, unflattened_size: Shape) -> None:
        super().__init__()
        if not isinstance(unflattened_size, (tuple, list)):
            raise ArgumentError(f"Unflatten: unflattened_size={unflattened_size!r}, expected axes")
        lengths = (whole("Unflatten", "unflattened_size", n) for n in unflattened_size)
        self.dim, self.unflattened_size = dim, tuple(lengths)

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C*H*W) to (N, C, H, W)."""
        shape = np.shape(raw(x))
        axis = normalize_axis(self.dim, len(shape), "Unflatten")
        if math.prod(self.unflattened_size) != shape[axis]:
            raise ShapeError(
                f"Unflatten: axis {axis} of {shape} can't be split into {self.unflattened_size}"
            )
        return reshape(x, (*shape[:axis], *self.unflattened_size, *shape[axis + 1 :]))

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
