"""What losses share: targets checked, and losses of examples put together."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .._arguments import is_real, is_whole
from .._core.symbol import array_of
from .._core.tensor import Tensor, raw
from ..errors import ArgumentError, DtypeError, ShapeError
from ..ops import maximum, sum
from ..typing import Array, DTypeLike, Shape, TensorLike
from ._numbers import in_floats
from .reduction import mean


def reduced(losses: Any, reduction: str, weights: Any = None) -> Tensor:
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


def class_indices(
    name: str, target: TensorLike, scores: Shape, ignore_index: int | None = None
) -> Array:
    """Targets checked against scores (N, C, …): integers below C, of shape (N, …)."""
    labels: Array = array_of(raw(target))
    if not scores:
        raise ShapeError(f"{name}: expected scores of shape (N, C), got a scalar")
    expected = scores[:1] + scores[2:] if len(scores) > 1 else ()
    if labels.shape != expected:
        raise ShapeError(
            f"{name}: targets of shape {labels.shape} do not fit scores {scores}: expected one"
            f" class index for each example, {expected}{_fix(labels.shape, scores, expected)}"
        )
    if labels.dtype.kind not in "iu":
        raise DtypeError(
            f"{name}: class indices must be integers, got {labels.dtype}: use .astype(int)"
        )
    classes = scores[1 if len(scores) > 1 else 0]
    wrong = (labels < 0) | (labels >= classes)
    if ignore_index is not None:
        if not is_whole(ignore_index, -sys.maxsize):
            raise ArgumentError(f"{name}: ignore_index={ignore_index!r}, expected one integer")
        wrong &= labels != ignore_index
    if wrong.any():
        raise ArgumentError(
            f"{name}: class {labels[wrong].flat[0]} is outside of 0 … {classes - 1}, which scores"
            f" {scores} stand for"
        )
    return labels


def _fix(given: Shape, scores: Shape, expected: Shape) -> str:
    if given == scores:
        return "; of one-hot targets take .argmax(axis=1)"
    return "; reshape them" if np.prod(given) == np.prod(expected) else ""


def class_weights(weight: TensorLike, classes: int, dtype: DTypeLike) -> Array:
    """One number for each class."""
    weights: Array = array_of(raw(weight), dtype)
    if weights.shape != (classes,):
        raise ShapeError(f"weight has shape {weights.shape}, there are {classes} classes")
    return weights


def same_shape(name: str, x: TensorLike, target: TensorLike) -> tuple[Tensor, Tensor]:
    """Both as Tensors; broadcasting here is nearly always a mistake.

    Raises:
        ShapeError: the shapes differ.
    """
    x, target = in_floats(x), in_floats(target)
    if x.shape != target.shape:
        raise ShapeError(f"{name}: {x.shape} against {target.shape}: expected the same shape")
    return x, target


def check_gamma(owner: str, gamma: float) -> None:
    """Refuse an exponent of the focal loss below 0."""
    if not is_real(gamma, 0.0):
        raise ArgumentError(f"{owner}: gamma={gamma!r}, expected a number of at least 0")


def check_smoothing(owner: str, label_smoothing: float) -> None:
    """Refuse what is no share of a target."""
    if not (is_real(label_smoothing, 0.0) and label_smoothing <= 1.0):
        raise ArgumentError(f"{owner}: label_smoothing={label_smoothing!r}: expected 0 to 1")


def faded(missing: Tensor, gamma: float) -> Tensor:
    """(1 - p)**gamma, given 1 - p: how much an example still counts in the focal loss.

    At 1 - p = 0 the derivative is infinite for gamma < 1; the smallest positive number instead
    gives the limit of the loss and of its gradient, which is 0.
    """
    smallest = float(np.finfo(missing.dtype).tiny)
    return maximum(smallest, missing) ** gamma
