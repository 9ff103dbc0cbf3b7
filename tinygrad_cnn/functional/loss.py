"""Losses."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.context import composition
from .._core.tensor import Tensor, as_tensor, raw
from ..errors import ArgumentError, DtypeError, ShapeError
from ..ops import expand_dims, maximum, squeeze, sum, take_along_axis, where
from ..typing import Array, DTypeLike, TensorLike
from .activation import log_softmax
from .reduction import mean

__all__ = ["cross_entropy", "hinge_loss", "mse_loss", "nll_loss"]


def _reduced(losses: Any, reduction: str, weights: Any = None) -> Tensor:
    """Mean (divided by the weights, if any), sum, or the losses themselves."""
    if reduction == "none":
        return losses  # type: ignore[no-any-return]
    if reduction == "sum":
        return sum(losses)
    if reduction == "mean":
        if weights is None:
            return mean(losses)
        return sum(losses) / (np.sum(weights) or np.nan)  # NaN where nothing counts, as PyTorch
    raise ArgumentError(f"reduction={reduction!r}: expected 'mean', 'sum' or 'none'")


def _class_indices(target: TensorLike, scores: tuple[int, ...], ignore_index: int) -> Array:
    """Targets checked against scores (N, C, …): integers below C, of shape (N, …)."""
    labels = np.asarray(raw(target))
    if labels.dtype.kind not in "iu":
        raise DtypeError(f"class indices must be integers, got {labels.dtype}")
    if labels.shape != (scores[:1] + scores[2:] if len(scores) > 1 else ()):
        raise ShapeError(f"targets of shape {labels.shape} do not fit scores {scores}")
    classes = scores[1 if len(scores) > 1 else 0]
    wrong = (labels != ignore_index) & ((labels < 0) | (labels >= classes))
    if wrong.any():
        raise ArgumentError(f"class {labels[wrong].flat[0]} is outside of 0 … {classes - 1}")
    return labels


@composition
def nll_loss(
    log_probabilities: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of the target classes.

    Args:
        log_probabilities: (C,), (N, C) or (N, C, …), as ``log_softmax`` over C makes them.
        target: class indices, (), (N,) or (N, …).
        weight: one number for each class, (C,); the mean is divided by the weights that
            occur.
        ignore_index: a target that counts for nothing.
        reduction: "mean", "sum" or "none".

    Raises:
        ShapeError, DtypeError, ArgumentError: targets do not fit, are no integers, or name
            no class.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.nll_loss(tc.tensor([[-0.5, -2.0]]), [1])
    tensor(2.)
    """
    log_probabilities = as_tensor(log_probabilities)
    shape = log_probabilities.shape
    labels = _class_indices(target, shape, ignore_index)
    axis = 1 if len(shape) > 1 else 0
    counted = labels != ignore_index
    index = np.where(counted, labels, 0)
    picked = take_along_axis(log_probabilities, np.expand_dims(index, axis), axis)
    losses = -squeeze(picked, axis)
    if weight is None and counted.all():
        return _reduced(losses, reduction)
    weights = counted.astype(losses.dtype)
    if weight is not None:
        weights = weights * _class_weights(weight, shape[axis], losses.dtype)[index]
    losses = where(counted, losses, 0.0)  # -inf times the weight 0 would be NaN
    return _reduced(losses * weights, reduction, weights)


def _class_weights(weight: TensorLike, classes: int, dtype: DTypeLike) -> Array:
    weights = np.asarray(raw(weight), dtype)
    if weights.shape != (classes,):
        raise ShapeError(f"weight has shape {weights.shape}, there are {classes} classes")
    return weights


@composition
def cross_entropy(
    scores: TensorLike,
    target: TensorLike,
    weight: TensorLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The softmax loss: the negative log-likelihood of the targets under softmax.

    Args:
        scores: (C,), (N, C) or (N, C, …), of any size: 1000 and -1000 are no problem.
        target: class indices, (), (N,) or (N, …); or probabilities of the shape of scores.
        weight: one number for each class, (C,).
        ignore_index: a class index that counts for nothing.
        reduction: "mean" (divided by the weights that occur), "sum" or "none".
        label_smoothing: how much of each target is spread evenly over all classes, 0 to 1
            (Szegedy et al. 2016).

    Raises:
        ShapeError, DtypeError, ArgumentError: targets do not fit, are no integers, or name
            no class.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.cross_entropy(tc.tensor([[1000.0, -1000.0]]), [0]).item()
    0.0
    """
    scores = as_tensor(scores)
    shape = scores.shape
    if not shape:
        raise ShapeError("cross_entropy: expected scores of shape (N, C), got a scalar")
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(f"label_smoothing={label_smoothing}: expected 0 to 1")
    axis = 1 if len(shape) > 1 else 0
    logp = log_softmax(scores, axis)
    if np.shape(raw(target)) == shape:
        probabilities = as_tensor(target)
        if probabilities.dtype.kind != "f":
            raise DtypeError(
                f"cross_entropy: {probabilities.dtype} targets of the shape {shape} of the scores:"
                " probabilities are floating point, class indices have one axis less"
            )
        return _soft_cross_entropy(logp, probabilities, weight, reduction, label_smoothing, axis)
    hard = nll_loss(logp, target, weight, ignore_index, reduction)
    if not label_smoothing:
        return hard
    return (1.0 - label_smoothing) * hard + label_smoothing * _uniform_cross_entropy(
        logp, target, weight, ignore_index, reduction, axis
    )


def _uniform_cross_entropy(
    logp: Tensor, target: TensorLike, weight: Any, ignore_index: int, reduction: str, axis: int
) -> Tensor:
    """The cross-entropy with the uniform distribution, averaged as the hard one is."""
    labels = _class_indices(target, logp.shape, ignore_index)
    counted = (labels != ignore_index).astype(logp.dtype)
    terms, classes = logp, logp.shape[axis]
    if weight is not None:
        per_class = _class_weights(weight, classes, logp.dtype)
        terms = logp * _along(per_class, axis, logp.ndim)
        weights = per_class[np.where(counted, labels, 0)] * counted
    else:
        weights = counted
    return _reduced(-mean(terms, axis) * counted, reduction, weights)


def _soft_cross_entropy(
    logp: Tensor, target: Tensor, weight: Any, reduction: str, smoothing: float, axis: int
) -> Tensor:
    """The cross-entropy with given probabilities; the mean is over the batch alone."""
    classes = logp.shape[axis]
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / classes
    terms = logp * target
    if weight is not None:
        per_class = _class_weights(weight, classes, logp.dtype)
        terms = terms * _along(per_class, axis, logp.ndim)
    return _reduced(-sum(terms, axis), reduction)


def _along(weights: Array, axis: int, ndim: int) -> Array:
    """One number for each class, shaped to broadcast along the class axis."""
    return weights.reshape([-1 if i == axis else 1 for i in range(ndim)])


@composition
def mse_loss(x: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """The mean square difference.

    Raises:
        ShapeError: the shapes differ; broadcasting here is nearly always a mistake.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.mse_loss(tc.tensor([1.0, 2.0]), [1.0, 4.0])
    tensor(2.)
    """
    x, target = as_tensor(x), as_tensor(target)
    if x.shape != target.shape:
        raise ShapeError(f"mse_loss: {x.shape} against {target.shape}")
    difference = x - target
    return _reduced(difference * difference, reduction)


@composition
def hinge_loss(
    scores: TensorLike, target: TensorLike, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """The multiclass SVM loss: sum over wrong classes j of max(0, s_j - s_y + margin).

    Weston and Watkins (1999). PyTorch's ``multi_margin_loss`` divides by C besides.

    Args:
        scores: (N, C).
        target: class indices, (N,).
        margin: how far the right score shall lie above every other.
        reduction: "mean" over the batch, "sum" or "none".

    Raises:
        ShapeError, DtypeError, ArgumentError: targets do not fit, are no integers, or name
            no class.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.hinge_loss(tc.tensor([[3.0, 2.5, -1.0]]), [0])
    tensor(0.5)
    """
    scores = as_tensor(scores)
    shape = scores.shape
    if len(shape) != 2:
        raise ShapeError(f"hinge_loss: expected scores of shape (N, C), got {shape}")
    labels = _class_indices(target, shape, ignore_index=-1 - shape[1])
    right = take_along_axis(scores, expand_dims(labels, 1), 1)  # (N, 1)
    others = np.arange(shape[1]) != labels[:, None]  # (N, C)
    margins = maximum(0.0, scores - right + margin) * others
    return _reduced(sum(margins, 1), reduction)
