"""Losses of class scores by softmax: settings at construction, scores and targets at the call.

Settings other than weight go by name: PyTorch has deprecated ones in between.
"""

from __future__ import annotations

from .. import functional as F
from .._core.tensor import Tensor
from ..functional._loss import check_gamma, check_smoothing
from ..typing import TensorLike
from ._loss import ClassLoss

__all__ = ["CrossEntropyLoss", "FocalLoss", "NLLLoss"]


class NLLLoss(ClassLoss):
    """The negative log-likelihood of the target classes.

    Args:
        weight: one number for each class, (C,), held as a buffer.
        ignore_index: a target that counts for nothing.
        reduction: "mean", "sum" or "none".

    Raises:
        ArgumentError: another reduction.
        ShapeError: ``weight`` has not one axis.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.NLLLoss()(tc.tensor([[-0.5, -2.0]]), [1])
    tensor(2.)
    """

    def __init__(
        self,
        weight: TensorLike | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction, weight)
        self.ignore_index = ignore_index

    def forward(self, log_probabilities: TensorLike, target: TensorLike) -> Tensor:
        """(N, C, …) and class indices (N, …) to the loss."""
        return F.nll_loss(log_probabilities, target, self.weight, self.ignore_index, self.reduction)


class CrossEntropyLoss(NLLLoss):
    """The softmax loss: the negative log-likelihood of the targets under softmax.

    Args:
        weight: one number for each class, (C,), held as a buffer.
        ignore_index: a class index that counts for nothing.
        reduction: "mean", "sum" or "none".
        label_smoothing: how much of each target is spread evenly over all classes, 0 to 1.

    Raises:
        ArgumentError: another reduction or smoothing.
        ShapeError: ``weight`` has not one axis.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.CrossEntropyLoss()(tc.tensor([[1000.0, -1000.0]]), [0]).item()
    0.0
    """

    def __init__(
        self,
        weight: TensorLike | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction)
        check_smoothing("CrossEntropyLoss", label_smoothing)
        self.label_smoothing = label_smoothing

    def forward(self, scores: TensorLike, target: TensorLike) -> Tensor:
        """(N, C, …) and class indices (N, …), or probabilities (N, C, …), to the loss."""
        return F.cross_entropy(
            scores, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class FocalLoss(NLLLoss):
    """The softmax loss with less of it for examples that are right already (Lin et al. 2017).

    Args:
        gamma: how fast an example loses its weight, at least 0; with 0 it is the softmax loss.
        weight: the paper's alpha: one number for each class, (C,), held as a buffer.
        ignore_index: a class index that counts for nothing.
        reduction: "mean", "sum" or "none".

    Raises:
        ArgumentError: another reduction, or ``gamma`` is below 0.
        ShapeError: ``weight`` has not one axis.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.FocalLoss()(tc.tensor([[1000.0, -1000.0]]), [1]).item()
    2000.0
    """

    def __init__(
        self,
        gamma: float = 2.0,
        weight: TensorLike | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction)
        check_gamma("FocalLoss", gamma)
        self.gamma = gamma

    def forward(self, scores: TensorLike, target: TensorLike) -> Tensor:
        """(N, C, …) and class indices (N, …) to the loss."""
        return F.focal_loss(
            scores, target, self.gamma, self.weight, self.ignore_index, self.reduction
        )

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"gamma={self.gamma}, {super().extra_repr()}"
