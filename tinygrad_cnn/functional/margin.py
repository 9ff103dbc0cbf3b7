"""Losses of class scores by margins: support vector machines."""

from __future__ import annotations

import numpy as np

from .._core.context import composition
from .._core.tensor import Tensor
from ..errors import ArgumentError, ShapeError
from ..ops import expand_dims, maximum, reshape, sum, take_along_axis
from ..typing import Array, TensorLike
from ._loss import class_indices, class_weights, reduced
from ._numbers import in_floats

__all__ = ["hinge_loss", "multi_margin_loss"]


@composition
def hinge_loss(
    scores: TensorLike,
    target: TensorLike,
    margin: float = 1.0,
    reduction: str = "mean",
    squared: bool = False,
) -> Tensor:
    """The multiclass SVM loss: sum over wrong classes j of max(0, s_j - s_y + margin).

    Weston and Watkins (1999). PyTorch's ``multi_margin_loss`` divides by C besides.

    Args:
        scores: (N, C).
        target: class indices, (N,).
        margin: how far the right score shall lie above every other.
        reduction: "mean" over the batch, "sum" or "none".
        squared: sum the squares, which punishes one large violation more than two small ones.

    Raises:
        ShapeError, DtypeError, ArgumentError: targets do not fit, are no integers, or name
            no class.

    >>> import tinygrad_cnn as tc
    >>> scores = tc.tensor([[3.0, 2.5, 4.0]])
    >>> tc.functional.hinge_loss(scores, [0])  # 0.5 + 2.0
    tensor(2.5)
    >>> tc.functional.hinge_loss(scores, [0], squared=True)
    tensor(4.25)
    """
    scores = in_floats(scores)
    if scores.ndim != 2:
        raise ShapeError(f"hinge_loss: expected scores of shape (N, C), got {scores.shape}")
    labels = class_indices("hinge_loss", target, scores.shape)
    margins = _violations(scores, labels, margin)
    return reduced(sum(margins * margins if squared else margins, 1), reduction)


def _violations(scores: Tensor, labels: Array, margin: float) -> Tensor:
    """By how much each wrong score comes too close to the right one: (N, C)."""
    right = take_along_axis(scores, expand_dims(labels, 1), 1)  # (N, 1)
    others: Array = np.arange(scores.shape[1]) != labels[:, None]  # (N, C)
    return maximum(0.0, scores - right + margin) * others


@composition
def multi_margin_loss(
    scores: TensorLike,
    target: TensorLike,
    p: int = 1,
    margin: float = 1.0,
    weight: TensorLike | None = None,
    reduction: str = "mean",
) -> Tensor:
    """PyTorch's multiclass SVM loss: ``hinge_loss`` to the power ``p``, divided by C.

    Args:
        scores: (N, C), or (C,) of one example.
        target: class indices, (N,) or ().
        p: 1, or 2 for the squared hinge.
        margin: how far the right score shall lie above every other.
        weight: one number for each class, (C,), that multiplies the losses of its examples; the
            mean is over the batch all the same.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError, DtypeError, ArgumentError: targets do not fit, are no integers, or name
            no class; ``p`` is neither 1 nor 2.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.multi_margin_loss(tc.tensor([[3.0, 2.5, 4.5]]), [0])  # (0.5 + 2.5) / 3
    tensor(1.)
    """
    scores = in_floats(scores)
    check_power("multi_margin_loss", p)
    if scores.ndim not in (1, 2):
        raise ShapeError(
            f"multi_margin_loss: expected scores of shape (N, C) or (C,), got {scores.shape}"
        )
    labels = class_indices("multi_margin_loss", target, scores.shape)
    classes = scores.shape[-1]
    margins = _violations(reshape(scores, (-1, classes)), labels.reshape(-1), margin)
    losses = reshape(sum(margins * margins if p == 2 else margins, 1) / classes, labels.shape)
    if weight is not None:
        losses = losses * class_weights(weight, classes, losses.dtype)[labels]
    return reduced(losses, reduction)


def check_power(owner: str, p: int) -> None:
    """Refuse powers other than 1 and 2."""
    if p not in (1, 2):
        raise ArgumentError(f"{owner}: p={p!r}, expected 1, or 2 for the squared hinge")
