"""Losses as modules: settings at construction, scores and targets at the call.

Settings other than weight and margin go by name: PyTorch has deprecated ones in between.
"""

from __future__ import annotations

from .. import functional as F
from .._core.tensor import Tensor, as_tensor
from ..errors import ArgumentError, ShapeError
from ..typing import TensorLike
from ._checks import one_of
from .module import Module

__all__ = ["CrossEntropyLoss", "HingeLoss", "MSELoss", "NLLLoss"]


class _Loss(Module):
    """A loss with a reduction."""

    def __init__(self, reduction: str) -> None:
        super().__init__()
        one_of(type(self).__name__, "reduction", reduction, ("mean", "sum", "none"))
        self.reduction = reduction

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"reduction={self.reduction!r}"


class NLLLoss(_Loss):
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
        super().__init__(reduction)
        values = None if weight is None else as_tensor(weight)
        if values is not None and values.ndim != 1:
            raise ShapeError(
                f"{type(self).__name__}: weight has shape {values.shape}, expected (C,)"
            )
        self.weight: Tensor | None
        self.register_buffer("weight", values)
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
        if not 0.0 <= label_smoothing <= 1.0:
            raise ArgumentError(
                f"CrossEntropyLoss: label_smoothing={label_smoothing}, expected 0 to 1"
            )
        self.label_smoothing = label_smoothing

    def forward(self, scores: TensorLike, target: TensorLike) -> Tensor:
        """(N, C, …) and class indices (N, …), or probabilities (N, C, …), to the loss."""
        return F.cross_entropy(
            scores, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class MSELoss(_Loss):
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


class HingeLoss(_Loss):
    """The multiclass SVM loss: sum over wrong classes j of max(0, s_j - s_y + margin).

    Args:
        margin: how far the right score shall lie above every other.
        reduction: "mean" over the batch, "sum" or "none".

    Raises:
        ArgumentError: another reduction.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.HingeLoss()(tc.tensor([[3.0, 2.5, -1.0]]), [0])
    tensor(0.5)
    """

    def __init__(self, margin: float = 1.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, scores: TensorLike, target: TensorLike) -> Tensor:
        """(N, C) and class indices (N,) to the loss."""
        return F.hinge_loss(scores, target, self.margin, self.reduction)
