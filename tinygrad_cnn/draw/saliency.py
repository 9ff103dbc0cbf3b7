"""Which pixels a score depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from .. import nn
from .._arguments import whole
from .._core.backprop import gradients
from .._core.tensor import Tensor
from ..errors import ArgumentError, NonFiniteError, OutOfBoundsError
from ..nn._checks import one_of
from ..typing import Array, TensorLike
from ._figure import SEQUENTIAL, bare, class_names, new_figure, show_picture
from ._probe import scores_of, softmax, untouched, variable_image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["saliency"]

_COPIES, _NOISE = 25, 0.15  # of SmoothGrad: copies, and their noise as a share of the image's range


def saliency(
    model: nn.Module,
    x: TensorLike,
    label: int | None = None,
    *,
    method: Literal["gradient", "smoothgrad"] = "gradient",
    classes: Sequence[str] | None = None,
) -> Figure:
    """An image, and beside it how strongly each pixel moves the score of a class.

    Shown is the largest magnitude, over the colours, of the gradient of the score by the pixel.

    Args:
        model: gives scores (1, classes) for one image; it is left as it was.
        x: one image, (C, H, W) or (1, C, H, W).
        label: the class, by default the one with the best score.
        method: ``"gradient"``, or ``"smoothgrad"``: the mean gradient of 25 copies of the image
            with noise, which shows less of what changes from pixel to pixel.
        classes: the names of the classes, by default their numbers.

    Raises:
        ShapeError, DtypeError: ``x`` is not one image of floating-point numbers, or the model
            gives no scores.
        OutOfBoundsError: there is no such class.
        ArgumentError: another method, ``classes`` of another length, or a label that is no integer.
        NonFiniteError: the model has diverged: scores or gradient are NaN.
        MissingExtraError: matplotlib is not installed.

    Source: Simonyan, Vedaldi and Zisserman (2013); Smilkov et al. (2017) for SmoothGrad.

    >>> import tinygrad_cnn as tc
    >>> figure = tc.draw.saliency(tc.models.DigitsNet(), tc.rand(1, 8, 8), label=3)
    >>> figure.axes[1].images[0].get_array().shape
    (8, 8)
    """
    one_of("saliency", "method", method, ("gradient", "smoothgrad"))
    image = variable_image("saliency", model, x)
    with untouched(model):
        scores = scores_of("saliency", model(image))
        names = class_names("saliency", classes, len(scores))
        label = _checked_label(scores, label)
        gradient = _gradient(model, image if method == "gradient" else _noisy(image), label)
    probability = softmax(scores)[label]
    figure = new_figure(6.4, 3.3)
    left, right = figure.subplots(1, 2)
    show_picture(left, np.asarray(image.data[0]))
    left.set_title(f"{names[label]}: {100 * probability:.1f} %", fontsize=10)
    shown = bare(right).imshow(np.abs(gradient).max(axis=0), cmap=SEQUENTIAL, interpolation="none")
    of_mean = ", SmoothGrad" if method == "smoothgrad" else ""
    right.set_title(f"|d score / d pixel|{of_mean}", fontsize=10)
    figure.colorbar(shown, ax=right, shrink=0.8)
    return figure


def _checked_label(scores: Array, label: int | None) -> int:
    if np.isnan(scores).any() or np.isposinf(scores).any():
        raise NonFiniteError(
            f"saliency: the model scores {scores}, so that no class is the best;"
            " tc.check.diagnose tells where they come from"
        )
    if label is None:
        return int(scores.argmax())
    if isinstance(label, bool):
        raise ArgumentError(f"saliency: label={label}, expected the number of a class")
    if whole("saliency", "label", label, least=0) >= len(scores):
        raise OutOfBoundsError(f"saliency: label={label}, the model scores {len(scores)} classes")
    return int(label)


def _gradient(model: nn.Module, images: Tensor, label: int) -> Array:
    """The gradient (C, H, W) of the score by the pixels, the mean over the images (N, C, H, W)."""
    [gradient] = gradients(model(images)[:, label].sum(), [images])
    mean: Array = np.asarray(gradient).mean(axis=0)
    if not np.isfinite(mean).all():
        raise NonFiniteError(
            f"saliency: the gradient of score {label} is NaN or infinite at"
            f" {np.count_nonzero(~np.isfinite(mean))} of {mean.size} pixels"
        )
    return mean


def _noisy(image: Tensor) -> Tensor:
    """Copies of an image with Gaussian noise, the same in every call."""
    values = np.asarray(image.data)
    noise = np.random.default_rng(0).standard_normal((_COPIES, *values.shape[1:]))
    copies = values + _NOISE * (values.max() - values.min()) * noise
    return Tensor(copies.astype(values.dtype), requires_grad=True)
