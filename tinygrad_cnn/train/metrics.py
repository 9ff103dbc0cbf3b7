"""How well scores tell classes apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arguments import whole
from .._core.tensor import Tensor
from ..errors import ArgumentError, ShapeError
from ..typing import Array, TensorLike

__all__ = ["accuracy", "confusion_matrix"]


def predictions(scores: Any, labels: Any) -> tuple[Array, Array] | None:
    """The class with the highest score and the label, of all that have a label of at least 0.

    A label below 0 is one that losses ignore. Among NaN scores the first counts as the highest:
    who asks checks the loss. None: these are no scores (N, C, …) with
    integer labels (N, …).
    """
    if not isinstance(scores, (Tensor, np.ndarray)):
        return None
    try:
        scores, labels = np.asarray(scores), np.asarray(labels)
    except ValueError:  # rows of different lengths
        return None
    if scores.dtype.kind not in "biufc":
        return None
    classified = labels.dtype.kind in "iu" and scores.ndim > 1
    if not classified or labels.shape != scores.shape[:1] + scores.shape[2:]:
        return None
    counted = labels >= 0
    return scores.argmax(1)[counted], labels[counted]


def accuracy(scores: TensorLike, labels: TensorLike, top: int = 1) -> float:
    """The share of labels that have the highest score, the first of equal ones.

    Args:
        scores: (N, C) or (N, C, …).
        labels: class indices, (N,) or (N, …); those below 0 count for nothing.
        top: among how many of the highest scores the label has to be. ``1 - accuracy(…, top=5)`` is
            the top-5 error by which the ImageNet challenge ranked its entries.

    Raises:
        ShapeError: the two do not fit together, or the labels are no integers.
        ArgumentError: no label counts, ``top`` is no whole number above 0, or a NaN score leaves no
            class the best.

    >>> import tinygrad_cnn as tc
    >>> scores = tc.tensor([[0.1, 0.6, 0.3], [0.7, 0.1, 0.2]])
    >>> tc.train.accuracy(scores, [1, 2]), tc.train.accuracy(scores, [1, 2], top=2)
    (0.5, 1.0)
    """
    whole("accuracy", "top", top)
    _, counted = _checked("accuracy", scores, labels)
    if not counted.size:
        raise ArgumentError(f"accuracy: none of {np.size(labels)} labels is 0 or more")
    ranked = np.argsort(-np.asarray(scores).astype(float), axis=1, kind="stable")
    labels = np.asarray(labels)
    hit = (ranked[:, :top] == labels[:, None]).any(axis=1)
    return float(np.mean(hit[labels >= 0]))


def confusion_matrix(scores: TensorLike, labels: TensorLike) -> Array:
    """How often each class (row) was taken for each class (column), (C, C) counts.

    Args:
        scores: (N, C) or (N, C, …).
        labels: class indices, (N,) or (N, …); those below 0 count for nothing.

    Raises:
        ShapeError: the two do not fit together, or the labels are no integers.
        ArgumentError: a label has no score, or a NaN score leaves no class the best.

    >>> import tinygrad_cnn as tc
    >>> tc.train.confusion_matrix(tc.tensor([[0.1, 0.9], [0.8, 0.2]]), [1, 1])
    array([[0, 0],
           [1, 1]])
    """
    predicted, expected = _checked("confusion_matrix", scores, labels)
    classes = np.shape(scores)[1]
    if expected.size and expected.max() >= classes:
        raise ArgumentError(
            f"confusion_matrix: label {expected.max()}, the scores are for classes 0 to"
            f" {classes - 1}"
        )
    counts = np.bincount(expected * classes + predicted, minlength=classes**2)
    return counts.reshape(classes, classes)


def _checked(name: str, scores: TensorLike, labels: TensorLike) -> tuple[Array, Array]:
    scores = np.asarray(scores)
    found = predictions(scores, labels)
    if found is None:
        raise ShapeError(
            f"{name}: scores {np.shape(scores)} and {np.asarray(labels).dtype} labels"
            f" {np.shape(labels)}: expected (N, C, …) and integers (N, …)"
        )
    unknown = np.isnan(scores).any(axis=1) & (np.asarray(labels) >= 0)
    if unknown.any():
        raise ArgumentError(
            f"{name}: {np.count_nonzero(unknown)} of {found[1].size} examples have a NaN score, so"
            " that no class is the best"
        )
    return found
