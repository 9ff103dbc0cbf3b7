"""Layers that normalise every channel, with running statistics."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .. import functional as F
from .._arguments import is_real
from .._core.symbol import assign, refuse_trace
from .._core.tensor import Tensor, raw
from ..errors import ArgumentError, ShapeError
from ..functional.norm import check_eps
from ..typing import DTypeLike, TensorLike
from ._checks import positive
from .module import Module
from .parameter import Parameter

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
]


class _RunningNorm(Module):
    """What batch and instance normalisation hold; a subclass says which shapes it accepts."""

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
        check_eps(owner, eps)
        if momentum is not None and not (is_real(momentum, 0.0) and momentum <= 1.0):
            raise ArgumentError(f"{owner}: momentum={momentum!r}, expected 0 to 1, or None")
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

    def _check_input(self, x: TensorLike) -> None:
        shape = np.shape(raw(x))
        if len(shape) not in self._accepted:
            expected = " or ".join(self._accepted.values())
            raise ShapeError(f"{type(self).__name__}: expected {expected}, got {shape}")
        if shape[1] != self.num_features:
            raise ShapeError(
                f"{type(self).__name__}: expected {self.num_features} channels, got {shape}"
            )

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum},"
            f" affine={self.weight is not None},"
            f" track_running_stats={self.running_mean is not None}"
        )


class _BatchNorm(_RunningNorm):
    """Batch normalisation of the shapes that a subclass accepts."""

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C) or (N, C, …), the same shape out."""
        self._check_input(x)
        momentum, batches = self.momentum, self.num_batches_tracked
        if momentum is None:  # the plain average over all batches
            refuse_trace("momentum=None counts batches in Python")
            momentum = 1.0 if batches is None else 1.0 / (batches.item() + 1)
        out = self._normalised(x, momentum)
        if self.training and batches is not None:
            assign(batches, raw(batches) + 1)
        return out

    def _normalised(self, x: TensorLike, momentum: float) -> Tensor:
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            momentum,
            self.eps,
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


class BatchNorm3d(_BatchNorm):
    """Normalise every channel of volumes (N, C, D, H, W); arguments as ``BatchNorm1d``.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.BatchNorm3d(3)(tc.ones(2, 3, 2, 4, 4)).shape
    (2, 3, 2, 4, 4)
    """

    _accepted: ClassVar[dict[int, str]] = {5: "(N, C, D, H, W)"}


class _InstanceNorm(_RunningNorm):
    """Instance normalisation of the shapes that a subclass accepts."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        if momentum is None:
            raise ArgumentError(f"{type(self).__name__}: momentum=None, expected 0 to 1")
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype=dtype)

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, …), the same shape out."""
        self._check_input(x)
        return F.instance_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            self.momentum or 0.0,
            self.eps,
        )


class InstanceNorm1d(_InstanceNorm):
    """Normalise every channel of every signal (N, C, L) by itself (Ulyanov et al. 2016).

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: the share of each batch in the running statistics.
        affine: whether to learn a scale and a shift for each channel.
        track_running_stats: whether to keep statistics, which ``eval()`` then uses. The count of
            batches that goes with them in PyTorch's state stays 0, there as here.
        dtype: of the parameters and statistics.

    Raises:
        ArgumentError: a setting is outside its domain.
        ShapeError: the input has other axes, or one value for each channel.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.InstanceNorm1d(1, eps=0.0)(tc.tensor([[[1.0, 3.0]], [[10.0, 30.0]]])).tolist()
    [[[-1.0, 1.0]], [[-1.0, 1.0]]]
    """

    _accepted: ClassVar[dict[int, str]] = {3: "(N, C, L)"}


class InstanceNorm2d(_InstanceNorm):
    """Normalise every channel of every image (N, C, H, W); arguments as ``InstanceNorm1d``.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.InstanceNorm2d(3)(tc.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    _accepted: ClassVar[dict[int, str]] = {4: "(N, C, H, W)"}


class InstanceNorm3d(_InstanceNorm):
    """Normalise every channel of every volume (N, C, D, H, W); arguments as ``InstanceNorm1d``.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.InstanceNorm3d(3)(tc.ones(2, 3, 2, 4, 4)).shape
    (2, 3, 2, 4, 4)
    """

    _accepted: ClassVar[dict[int, str]] = {5: "(N, C, D, H, W)"}
