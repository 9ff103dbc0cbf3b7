"""Losses of class scores by margins, as modules."""

from __future__ import annotations

from .. import functional as F
from .._core.tensor import Tensor
from ..functional.margin import check_power
from ..typing import TensorLike
from ._loss import ClassLoss, Loss

__all__ = ["HingeLoss", "MultiMarginLoss"]


class HingeLoss(Loss):
    """The multiclass SVM loss: sum over wrong classes j of max(0, s_j - s_y + margin).

    Args:
        margin: how far the right score shall lie above every other.
        reduction: "mean" over the batch, "sum" or "none".
        squared: sum the squares.

    Raises:
        ArgumentError: another reduction.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.HingeLoss()(tc.tensor([[3.0, 2.5, -1.0]]), [0])
    tensor(0.5)
    """

    def __init__(
        self, margin: float = 1.0, *, reduction: str = "mean", squared: bool = False
    ) -> None:
        super().__init__(reduction)
        self.margin, self.squared = margin, squared

    def forward(self, scores: TensorLike, target: TensorLike) -> Tensor:
        """(N, C) and class indices (N,) to the loss."""
        return F.hinge_loss(scores, target, self.margin, self.reduction, self.squared)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        squared = ", squared=True" if self.squared else ""
        return f"margin={self.margin}, {super().extra_repr()}{squared}"


class MultiMarginLoss(ClassLoss):
    """PyTorch's multiclass SVM loss: the hinge to the power ``p``, divided by C.

    Args:
        p: 1, or 2 for the squared hinge.
        margin: how far the right score shall lie above every other.
        weight: one number for each class, (C,), held as a buffer.
        reduction: "mean", "sum" or "none".

    Raises:
        ArgumentError: another reduction or power.
        ShapeError: ``weight`` has not one axis.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.MultiMarginLoss()(tc.tensor([[3.0, 2.5, 4.5]]), [0])
    tensor(1.)
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: TensorLike | None = None,
        *,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction, weight)
        check_power("MultiMarginLoss", p)
        self.p, self.margin = p, margin

    def forward(self, scores: TensorLike, target: TensorLike) -> Tensor:
        """(N, C) and class indices (N,), or one example of both, to the loss."""
        return F.multi_margin_loss(scores, target, self.p, self.margin, self.weight, self.reduction)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"p={self.p}, margin={self.margin}, {super().extra_repr()}"
