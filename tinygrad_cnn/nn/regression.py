"""Losses of numbers: how far they are from their targets, as modules."""

from __future__ import annotations

from .. import functional as F
from .._core.tensor import Tensor
from ..functional.regression import check_beta, check_delta
from ..typing import TensorLike
from ._loss import Loss

__all__ = ["HuberLoss", "L1Loss", "MSELoss", "SmoothL1Loss"]


class MSELoss(Loss):
    """The mean square difference.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.MSELoss()(tc.tensor([1.0, 2.0]), [1.0, 4.0])
    tensor(2.)
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, x: TensorLike, target: TensorLike) -> Tensor:
        """Two of the same shape to the loss."""
        return F.mse_loss(x, target, self.reduction)


class L1Loss(Loss):
    """The mean absolute difference.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.L1Loss()(tc.tensor([1.0, 2.0]), [1.0, 4.0])
    tensor(1.)
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, x: TensorLike, target: TensorLike) -> Tensor:
        """Two of the same shape to the loss."""
        return F.l1_loss(x, target, self.reduction)


class HuberLoss(Loss):
    """Half the square of a difference up to ``delta``, a straight line beyond (Huber 1964).

    Raises:
        ArgumentError: another reduction, or ``delta`` is not positive.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.HuberLoss(reduction="none")(tc.tensor([1.0, 4.0]), [2.0, 1.0])
    tensor([0.5, 2.5])
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        check_delta("HuberLoss", delta)
        self.delta = delta

    def forward(self, x: TensorLike, target: TensorLike) -> Tensor:
        """Two of the same shape to the loss."""
        return F.huber_loss(x, target, self.reduction, self.delta)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"{super().extra_repr()}, delta={self.delta}"


class SmoothL1Loss(Loss):
    """The absolute difference, rounded off below ``beta`` (Girshick 2015).

    Raises:
        ArgumentError: another reduction, or ``beta`` is below 0.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.SmoothL1Loss(reduction="none", beta=2.0)(tc.tensor([1.0, 4.0]), [2.0, 1.0])
    tensor([0.25, 2.  ])
    """

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        check_beta("SmoothL1Loss", beta)
        self.beta = beta

    def forward(self, x: TensorLike, target: TensorLike) -> Tensor:
        """Two of the same shape to the loss."""
        return F.smooth_l1_loss(x, target, self.reduction, self.beta)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"{super().extra_repr()}, beta={self.beta}"
