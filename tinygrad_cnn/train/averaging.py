"""Predictions averaged over several views of each image."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from .. import nn
from .._arguments import whole
from .._core.context import no_grad
from .._core.tensor import Tensor, raw
from ..data import Views
from ..errors import ArgumentError, DtypeError, ShapeError
from ..nn._checks import one_of
from ..nn._mode import mode
from ..typing import Array, TensorLike

__all__ = ["predict"]


def predict(
    model: nn.Module,
    x: TensorLike,
    *,
    views: Views | None = None,
    average: str = "probabilities",
    batch_size: int = 256,
) -> Array:
    """Class probabilities of images, averaged over views of each, in evaluation mode.

    The model's modes are afterwards as they were.

    Args:
        model: gives scores (N, C).
        x: images (N, C, H, W), or whatever else the model takes with N first.
        views: makes the views, such as ``data.TenCrop(224)`` or ``data.Mirrored()``; by default
            the images alone.
        average: "probabilities": those that softmax makes of the scores of each view (AlexNet's
            way); "scores": the scores themselves, which are then returned.
        batch_size: images that go through the model at a time.

    Returns:
        (N, C): probabilities, or scores.

    Raises:
        ArgumentError: an argument does not fit.
        ShapeError: the images are too small for the views, the views differ in number, or the
            model gives no scores (N, C).

    Source: A. Krizhevsky, I. Sutskever, G. Hinton, ImageNet classification with deep
    convolutional neural networks (2012), section 4.1.

    >>> import tinygrad_cnn as tc
    >>> model = tc.models.DigitsNet(generator=tc.manual_seed(0))
    >>> p = tc.train.predict(model, tc.rand(5, 1, 10, 10), views=tc.data.TenCrop(8))
    >>> p.shape, p.sum(axis=1).round(3).tolist()
    ((5, 10), [1.0, 1.0, 1.0, 1.0, 1.0])
    """
    check_averaging("predict", model, views, average)
    whole("predict", "batch_size", batch_size)
    images = np.asarray(raw(x))
    if images.ndim < 2 or not len(images):
        raise ShapeError(f"predict: images of shape {images.shape}, expected (N, C, H, W)")
    parts = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
    with mode(model, training=False), no_grad():
        found = [np.asarray(_mean(model, part, views, average).data) for part in parts]
    return np.concatenate(found)


class Averaged:
    """A model whose scores are those of all views together, to be evaluated as any other.

    For averaged probabilities the scores are their logarithms: softmax gives them back.
    """

    def __init__(self, model: nn.Module, views: Views, average: str) -> None:
        self.model, self.views, self.average = model, views, average

    def __call__(self, x: TensorLike) -> Tensor:
        mean = _mean(self.model, np.asarray(raw(x)), self.views, self.average)
        if self.average == "scores":
            return mean
        tiny = np.finfo(mean.dtype).tiny  # a class that no view believes in costs a finite loss
        return Tensor(np.log(np.maximum(mean.data, tiny)))


def check_averaging(owner: str, model: Any, views: Any, average: str) -> None:
    """Refuse what can't be averaged.

    Raises:
        ArgumentError: no model, no function that makes views, or another kind of average.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"{owner}: expected a model (nn.Module), got {type(model).__name__}")
    one_of(owner, "average", average, ("probabilities", "scores"))
    if views is not None and (not callable(views) or isinstance(views, type)):
        raise ArgumentError(
            f"{owner}: views={views!r:.60}, expected a function of images such as data.TenCrop(24)"
        )


def _mean(model: nn.Module, images: Array, views: Views | None, average: str) -> Tensor:
    """The mean over the views of what the model makes of them, (N, C)."""
    shown = (images,) if views is None else views(images)
    if not isinstance(shown, (tuple, list)) or not shown:
        raise DtypeError(
            f"predict: the views are a {type(shown).__name__}, expected a tuple of arrays with"
            " one view of each image"
        )
    total: Any = 0.0
    for view in shown:
        scores = model(Tensor(np.asarray(view)))
        if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(images):
            given = scores.shape if isinstance(scores, Tensor) else type(scores).__name__
            raise ShapeError(
                f"predict: the model gave {given} for {np.shape(view)}, expected scores"
                f" ({len(images)}, classes)"
            )
        total = total + (scores if average == "scores" else F.softmax(scores, axis=1))
    return Tensor(total.data / np.asarray(len(shown), total.dtype))
