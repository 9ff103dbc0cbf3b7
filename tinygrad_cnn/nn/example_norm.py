"""Layers that normalise every example by itself, and the mean that is taken off."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .._core.tensor import Tensor, raw
from ..errors import ArgumentError, ShapeError
from ..functional.norm import check_eps, shape_of
from ..typing import Axis, DTypeLike, IntTuple, TensorLike
from ._checks import positive
from .module import Module
from .parameter import Parameter

__all__ = ["GroupNorm", "LayerNorm", "LocalResponseNorm", "SubtractMean"]


class LayerNorm(Module):
    """Normalise every example over its last axes (Ba, Kiros and Hinton 2016).

    Args:
        normalized_shape: the lengths of the last axes, or a number for the last alone.
        eps: added to the variance.
        elementwise_affine: whether to learn a scale and a shift for each element.
        bias: whether to learn the shift.
        dtype: of the parameters.

    Raises:
        ArgumentError: a setting is outside its domain.
        ShapeError: the input does not end in this shape.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.LayerNorm(2, eps=0.0)(tc.tensor([[1.0, 3.0], [10.0, 30.0]])).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    def __init__(
        self,
        normalized_shape: IntTuple,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        self.normalized_shape = shape_of("LayerNorm", normalized_shape)
        check_eps("LayerNorm", eps)
        self.eps = eps
        shape, learnt = self.normalized_shape, elementwise_affine
        self.weight = Parameter(np.ones(shape, dtype)) if learnt else None
        self.bias = Parameter(np.zeros(shape, dtype)) if learnt and bias else None

    def forward(self, x: TensorLike) -> Tensor:
        """``(…, *normalized_shape)``, the same shape out."""
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        affine, bias = self.weight is not None, self.bias is not None
        told = f", bias={bias}" if affine and not bias else ""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}{told}"


class GroupNorm(Module):
    """Normalise every group of channels of every example by itself (Wu and He 2018).

    Args:
        num_groups: into how many groups of neighbouring channels C is divided.
        num_channels: C.
        eps: added to the variance.
        affine: whether to learn a scale and a shift for each channel.
        dtype: of the parameters.

    Raises:
        ArgumentError: a setting is outside its domain, or the groups do not divide the channels.
        ShapeError: the input has another number of channels.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.GroupNorm(2, 4, eps=0.0)(tc.tensor([[1.0, 3.0, 10.0, 30.0]])).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        positive("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ArgumentError(
                f"GroupNorm: num_groups={num_groups} does not divide num_channels={num_channels}"
            )
        check_eps("GroupNorm", eps)
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = Parameter(np.ones(num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, dtype)) if affine else None

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C) or (N, C, …), the same shape out."""
        shape = np.shape(raw(x))
        if len(shape) < 2 or shape[1] != self.num_channels:
            raise ShapeError(f"GroupNorm: expected (N, {self.num_channels}, …), got {shape}")
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        affine = self.weight is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={affine}"


class LocalResponseNorm(Module):
    """x / (k + alpha * m)**beta, with m the mean square of ``size`` neighbouring channels.

    AlexNet's n = 5, alpha = 1e-4, beta = 0.75, k = 2 (Krizhevsky et al. 2012) multiply alpha with
    the sum: ``LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)``.

    Args:
        size: how many channels, the middle one included.
        alpha, beta, k: as in the formula.

    Raises:
        ArgumentError: ``size`` is no whole number above 0.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.LocalResponseNorm(3, alpha=3.0, beta=0.5, k=0.0)(tc.tensor([[3.0, 4.0, 0.0]]))
    tensor([[0.6, 0.8, 0. ]])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        positive("LocalResponseNorm", size=size)
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C) or (N, C, …), the same shape out."""
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class SubtractMean(Module):
    """x minus its mean over ``axis``, by default over the batch.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.SubtractMean()(tc.tensor([1.0, 3.0]))
    tensor([-1.,  1.])
    """

    def __init__(self, axis: Axis = 0) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape that has the axis."""
        return F.subtract_mean(x, self.axis)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"axis={self.axis}"
