"""Losses of scores that each answer yes or no, by the sigmoid."""

from __future__ import annotations

import numpy as np

from .._arguments import is_real
from .._core.context import composition
from .._core.tensor import Tensor, raw
from ..errors import ArgumentError, ShapeError
from ..ops import sigmoid
from ..typing import Array, TensorLike
from ._loss import check_gamma, faded, reduced, same_shape
from .exponential import log_one_plus_exp

__all__ = ["binary_cross_entropy_with_logits", "sigmoid_focal_loss"]


@composition
def binary_cross_entropy_with_logits(
    x: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    reduction: str = "mean",
    pos_weight: TensorLike | None = None,
) -> Tensor:
    """-t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)), for scores x of any size.

    The gradient by x is sigmoid(x) - t (Bishop 2006, section 4.3.2).

    Args:
        x: scores, any shape.
        target: t, from 0 (no) to 1 (yes), of the same shape.
        weight: a factor of each loss, broadcast to the shape of x.
        reduction: "mean", "sum" or "none".
        pos_weight: a factor of the first term, broadcast likewise: (C,) for scores (N, C).

    Raises:
        ShapeError: the shapes differ, or a weight does not broadcast.
        ArgumentError: a target outside of 0 to 1.

    >>> import tinygrad_cnn as tc
    >>> scores = tc.tensor([1000.0, -1000.0])
    >>> tc.functional.binary_cross_entropy_with_logits(scores, [1.0, 1.0], reduction="none")
    tensor([   0., 1000.])
    """
    name = "binary_cross_entropy_with_logits"
    x, target = _scores_and_targets(name, x, target)
    yes = target * log_one_plus_exp(-x)
    if pos_weight is not None:
        yes = yes * _factor(name, "pos_weight", pos_weight, x)
    losses = yes + (1.0 - target) * log_one_plus_exp(x)
    if weight is not None:
        losses = losses * _factor(name, "weight", weight, x)
    return reduced(losses, reduction)


def _scores_and_targets(name: str, x: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
    x, target = same_shape(name, x, target)
    # who differentiates by the targets may move them out of range: a check by differences does
    if not target.requires_grad and not np.all((target.data >= 0) & (target.data <= 1)):
        raise ArgumentError(
            f"{name}: targets from {np.min(target.data):g} to {np.max(target.data):g}: expected"
            " numbers from 0 (no) to 1 (yes)"
        )
    return x, target


def _factor(name: str, what: str, values: TensorLike, x: Tensor) -> Array:
    """Numbers that broadcast to the shape of x and no further."""
    factor = np.asarray(raw(values), x.dtype)
    fits = all(n in (1, m) for n, m in zip(factor.shape[::-1], x.shape[::-1], strict=False))
    if not fits or factor.ndim > x.ndim:
        raise ShapeError(f"{name}: {what} {factor.shape} does not broadcast to scores {x.shape}")
    return factor


@composition
def sigmoid_focal_loss(
    x: TensorLike,
    target: TensorLike,
    alpha: float = 0.25,
    gamma: float = 2.0,
    reduction: str = "none",
) -> Tensor:
    """-alpha_t (1 - p_t)**gamma log p_t of scores that each answer yes or no (Lin et al. 2017).

    p_t is sigmoid(x) where the target is 1, and 1 - sigmoid(x) where it is 0. In between, as in
    torchvision, p_t, alpha_t and the binary cross-entropy log p_t are mixed in that proportion.

    Args:
        x: scores, any shape.
        target: from 0 (no) to 1 (yes), of the same shape.
        alpha: alpha_t of yes; that of no is 1 - alpha. -1 leaves it out.
        gamma: how fast an example that is right already loses its weight, at least 0.
        reduction: "none", "mean" or "sum"; the paper divides the sum by the number of
            foreground anchors.

    Raises:
        ShapeError: the shapes differ.
        ArgumentError: a target or ``alpha`` outside of 0 to 1, or ``gamma`` below 0.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.sigmoid_focal_loss(tc.tensor([-1000.0, 1000.0]), [1.0, 1.0])
    tensor([250.,   0.])
    """
    check_focal("sigmoid_focal_loss", alpha, gamma)
    x, target = _scores_and_targets("sigmoid_focal_loss", x, target)
    losses = binary_cross_entropy_with_logits(x, target, reduction="none")
    missing = target * sigmoid(-x) + (1.0 - target) * sigmoid(x)  # 1 - p_t to its last digits
    losses = faded(missing, gamma) * losses
    if alpha >= 0:
        losses = (alpha * target + (1.0 - alpha) * (1.0 - target)) * losses
    return reduced(losses, reduction)


def check_focal(owner: str, alpha: float, gamma: float) -> None:
    """Refuse settings of the focal loss outside of their domain."""
    if not is_real(alpha) or (alpha != -1 and not 0 <= alpha <= 1):
        raise ArgumentError(f"{owner}: alpha={alpha!r}, expected 0 to 1, or -1 for none")
    check_gamma(owner, gamma)
