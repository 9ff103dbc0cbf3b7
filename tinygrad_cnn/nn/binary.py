"""Losses of scores that each answer yes or no, as modules."""

from __future__ import annotations

from .. import functional as F
from .._core.tensor import Tensor, as_tensor
from ..functional.binary import check_focal
from ..typing import TensorLike
from ._loss import Loss

__all__ = ["BCEWithLogitsLoss", "SigmoidFocalLoss"]


class BCEWithLogitsLoss(Loss):
    """The binary cross-entropy under the sigmoid, for scores of any size.

    Args:
        weight: a factor of each loss, broadcast to the scores, held as a buffer.
        reduction: "mean", "sum" or "none".
        pos_weight: a factor of the losses of yes, broadcast likewise, held as a buffer.

    Raises:
        ArgumentError: another reduction.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.BCEWithLogitsLoss(reduction="none")(tc.tensor([1000.0, -1000.0]), [1.0, 1.0])
    tensor([   0., 1000.])
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: TensorLike | None = None,
        *,
        reduction: str = "mean",
        pos_weight: TensorLike | None = None,
    ) -> None:
        super().__init__(reduction)
        for name, value in (("weight", weight), ("pos_weight", pos_weight)):
            self.register_buffer(name, None if value is None else as_tensor(value))

    def forward(self, x: TensorLike, target: TensorLike) -> Tensor:
        """Scores and targets from 0 to 1, of the same shape, to the loss."""
        return F.binary_cross_entropy_with_logits(
            x, target, self.weight, self.reduction, self.pos_weight
        )


class SigmoidFocalLoss(Loss):
    """The focal loss of scores that each answer yes or no (Lin et al. 2017).

    Args:
        alpha: the weight of yes; that of no is 1 - alpha. -1 leaves it out.
        gamma: how fast an example that is right already loses its weight, at least 0.
        reduction: "none", "mean" or "sum".

    Raises:
        ArgumentError: another reduction, or a setting outside of its domain.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.SigmoidFocalLoss()(tc.tensor([-1000.0, 1000.0]), [1.0, 1.0])
    tensor([250.,   0.])
    """

    def __init__(self, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none") -> None:
        super().__init__(reduction)
        check_focal("SigmoidFocalLoss", alpha, gamma)
        self.alpha, self.gamma = alpha, gamma

    def forward(self, x: TensorLike, target: TensorLike) -> Tensor:
        """Scores and targets from 0 to 1, of the same shape, to the loss."""
        return F.sigmoid_focal_loss(x, target, self.alpha, self.gamma, self.reduction)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"alpha={self.alpha}, gamma={self.gamma}, {super().extra_repr()}"
