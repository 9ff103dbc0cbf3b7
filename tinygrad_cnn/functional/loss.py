"""Losses of class scores by softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.context import composition
from .._core.tensor import Tensor, as_tensor, raw
from ..errors import DtypeError
from ..ops import exp, squeeze, sum, take_along_axis, where
from ..typing import Array, TensorLike
from ._loss import check_gamma, check_smoothing, class_indices, class_weights, faded, reduced
from .activation import log_softmax
from .reduction import mean

__all__ = ["cross_entropy", "focal_loss", "nll_loss"]


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
    labels = class_indices("nll_loss", target, shape, ignore_index)
    axis = _class_axis(shape)
    losses = -_picked(log_probabilities, labels, ignore_index, axis)
    return _weighted(losses, labels, shape[axis], weight, ignore_index, reduction)


def _class_axis(shape: tuple[int, ...]) -> int:
    return 1 if len(shape) > 1 else 0


def _picked(x: Tensor, labels: Array, ignore_index: int, axis: int) -> Tensor:
    """Of each example the number that belongs to its class: (N, C, …) -> (N, …)."""
    index = np.where(labels == ignore_index, 0, labels)
    return squeeze(take_along_axis(x, np.expand_dims(index, axis), axis), axis)


def _weighted(
    losses: Tensor,
    labels: Array,
    classes: int,
    weight: TensorLike | None,
    ignore_index: int,
    reduction: str,
) -> Tensor:
    """The losses of examples put together, each weighted as its class."""
    counted = labels != ignore_index
    if weight is None and counted.all():
        return reduced(losses, reduction)
    weights = counted.astype(losses.dtype)
    if weight is not None:
        per_class = class_weights(weight, classes, losses.dtype)
        weights = weights * per_class[np.where(counted, labels, 0)]
    losses = where(counted, losses, 0.0)  # -inf times the weight 0 would be NaN
    return reduced(losses * weights, reduction, weights)


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
    check_smoothing("cross_entropy", label_smoothing)
    axis = _class_axis(shape)
    if shape and np.shape(raw(target)) == shape:
        probabilities = as_tensor(target)
        if probabilities.dtype.kind != "f":
            raise DtypeError(
                f"cross_entropy: {probabilities.dtype} targets of the shape {shape} of the scores:"
                " probabilities are floating point, class indices have one axis less:"
                f" .argmax(axis={axis}) of one-hot targets"
            )
        logp = log_softmax(scores, axis)
        return _soft_cross_entropy(logp, probabilities, weight, reduction, label_smoothing, axis)
    labels = class_indices("cross_entropy", target, shape, ignore_index)
    logp = log_softmax(scores, axis)
    hard = nll_loss(logp, labels, weight, ignore_index, reduction)
    if not label_smoothing:
        return hard
    return (1.0 - label_smoothing) * hard + label_smoothing * _uniform_cross_entropy(
        logp, labels, weight, ignore_index, reduction, axis
    )


def _uniform_cross_entropy(
    logp: Tensor, labels: Array, weight: Any, ignore_index: int, reduction: str, axis: int
) -> Tensor:
    """The cross-entropy with the uniform distribution, averaged as the hard one is."""
    counted = labels != ignore_index
    terms, weights = logp, counted.astype(logp.dtype)
    if weight is not None:
        per_class = class_weights(weight, logp.shape[axis], logp.dtype)
        terms = logp * _along(per_class, axis, logp.ndim)
        weights = weights * per_class[np.where(counted, labels, 0)]
    losses = -mean(terms, axis)
    if not counted.all():
        losses = where(counted, losses, 0.0)  # -inf times 0 would be NaN
    return reduced(losses, reduction, weights)


def _soft_cross_entropy(
    logp: Tensor, target: Tensor, weight: Any, reduction: str, smoothing: float, axis: int
) -> Tensor:
    """The cross-entropy with given probabilities; the mean is over the batch alone."""
    classes = logp.shape[axis]
    if smoothing:
        target = target * (1.0 - smoothing) + smoothing / classes
    terms = logp * target
    if weight is not None:
        per_class = class_weights(weight, classes, logp.dtype)
        terms = terms * _along(per_class, axis, logp.ndim)
    return reduced(-sum(terms, axis), reduction)


def _along(weights: Array, axis: int, ndim: int) -> Array:
    """One number for each class, shaped to broadcast along the class axis."""
    return weights.reshape([-1 if i == axis else 1 for i in range(ndim)])


@composition
def focal_loss(
    scores: TensorLike,
    target: TensorLike,
    gamma: float = 2.0,
    weight: TensorLike | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """The softmax loss with less of it for examples that are right already: -(1 - p)**gamma log p.

    p is the probability of the target class (Lin et al. 2017, equations 4 and 5, with softmax in
    the place of the sigmoid); ``gamma=0`` is ``cross_entropy``. The paper divides the sum by the
    number of foreground anchors: take ``reduction="sum"`` and divide.

    Args:
        scores: (C,), (N, C) or (N, C, …), of any size.
        target: class indices, (), (N,) or (N, …).
        gamma: how fast an example loses its weight, at least 0.
        weight: the paper's alpha: one number for each class, (C,).
        ignore_index: a class index that counts for nothing.
        reduction: "mean" (divided by the weights that occur), "sum" or "none".

    Raises:
        ShapeError, DtypeError, ArgumentError: targets do not fit, are no integers, or name
            no class; ``gamma`` is below 0.

    >>> import tinygrad_cnn as tc
    >>> scores = tc.tensor([[3.0, 0.0], [0.0, 0.0]])
    >>> tc.functional.focal_loss(scores, [0, 0], reduction="none")
    tensor([1.09283324e-04, 1.73286795e-01])
    """
    scores = as_tensor(scores)
    shape = scores.shape
    check_gamma("focal_loss", gamma)
    labels = class_indices("focal_loss", target, shape, ignore_index)
    axis = _class_axis(shape)
    logp = log_softmax(scores, axis)
    classes = _along(np.arange(shape[axis]), axis, len(shape))
    right = classes == np.expand_dims(labels, axis)
    missing = sum(where(right, 0.0, exp(logp)), axis)  # 1 - p, which would lose its last digits
    losses = -faded(missing, gamma) * _picked(logp, labels, ignore_index, axis)
    return _weighted(losses, labels, shape[axis], weight, ignore_index, reduction)
