"""Layers that normalise activations or inputs."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .. import functional as F
from .._core.tensor import Tensor, raw
from ..errors import ArgumentError, ShapeError
from ..typing import Axis, DTypeLike, TensorLike
from ._checks import positive
from .module import Module
from .parameter import Parameter

__all__ = ["BatchNorm1d", "BatchNorm2d", "SubtractMean"]


class _BatchNorm(Module):
    """Batch normalisation; a subclass says which shapes it accepts."""

    _accepted: ClassVar[dict[int, str]]  # number of axes -> their letters

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        positive(owner, num_features=num_features)
        if not eps >= 0.0:
            raise ArgumentError(f"{owner}: eps={eps}, expected a number of at least 0")
        if momentum is not None and not 0.0 <= momentum <= 1.0:
            raise ArgumentError(f"{owner}: momentum={momentum}, expected 0 to 1, or None")
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        ones, zeros = np.ones(num_features, dtype), np.zeros(num_features, dtype)
        self.weight = Parameter(ones.copy()) if affine else None
        self.bias = Parameter(zeros.copy()) if affine else None
        tracked = track_running_stats
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        self.num_batches_tracked: Tensor | None
        self.register_buffer("running_mean", Tensor(zeros) if tracked else None)
        self.register_buffer("running_var", Tensor(ones) if tracked else None)
        self.register_buffer("num_batches_tracked", Tensor(0) if tracked else None)

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C) or (N, C, …), the same shape out."""
        shape = np.shape(raw(x))
        if len(shape) not in self._accepted:
            expected = " or ".join(self._accepted.values())
            raise ShapeError(f"{type(self).__name__}: expected {expected}, got {shape}")
        momentum, batches = self.momentum, self.num_batches_tracked
        if momentum is None:  # the plain average over all batches
            momentum = 1.0 if batches is None else 1.0 / (batches.item() + 1)
        out = F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            momentum,
            self.eps,
        )
        if self.training and batches is not None:
            self.num_batches_tracked = batches + 1
        return out

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum},"
            f" affine={self.weight is not None},"
            f" track_running_stats={self.running_mean is not None}"
        )


class BatchNorm1d(_BatchNorm):
    """Normalise every feature over the batch: (N, C) or (N, C, L) (Ioffe and Szegedy 2015).

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: the share of each batch in the running statistics; ``None`` averages all.
        affine: whether to learn a scale and a shift for each feature.
        track_running_stats: whether to keep statistics for ``eval()``.
        dtype: of the parameters and statistics.

    Raises:
        ArgumentError: a setting is outside its domain.
        ShapeError: the input has other axes, or one value for each feature in training.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.BatchNorm1d(1, eps=0.0)(tc.tensor([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]
    """

    _accepted: ClassVar[dict[int, str]] = {2: "(N, C)", 3: "(N, C, L)"}


class BatchNorm2d(_BatchNorm):
    """Normalise every channel of images (N, C, H, W); arguments as ``BatchNorm1d``.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.BatchNorm2d(3)(tc.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    _accepted: ClassVar[dict[int, str]] = {4: "(N, C, H, W)"}


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
