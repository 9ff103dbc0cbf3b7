"""One run of a model, looked into, that leaves no trace."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import nn
from .._core.tensor import Tensor, raw
from ..errors import ArgumentError, DtypeError, ShapeError
from ..nn._volatile import untouched as untouched
from ..typing import Array


def variable_image(owner: str, model: nn.Module, x: Any) -> Tensor:
    """A copy of one image as a variable (1, C, H, W) in the dtype of the model.

    That it requires a gradient makes the engine record all that depends on it.

    Raises:
        ArgumentError: ``model`` is no module.
        DtypeError: the image is not floating point.
        ShapeError: it is not one image.
    """
    check_model(owner, model)
    try:
        image = np.asarray(raw(x))
    except (ValueError, TypeError):  # of a list with rows of several lengths
        raise ShapeError(
            f"{owner}: expected one image (C, H, W), got a {type(x).__name__} that is no array"
        ) from None
    if image.dtype.kind != "f":
        raise DtypeError(
            f"{owner}: an image of {image.dtype}, expected floating point, scaled as in training,"
            " for example x / 255.0"
        )
    if image.ndim == 3:
        image = image[np.newaxis]
    if image.ndim != 4 or len(image) != 1 or not image.size:
        raise ShapeError(
            f"{owner}: expected one image (C, H, W) or (1, C, H, W), got shape {np.shape(raw(x))}"
        )
    return Tensor(image.astype(dtype_of(model)), requires_grad=True, name="image")


def check_model(owner: str, model: Any) -> None:
    """Refuse what is no module.

    Raises:
        ArgumentError: it is none.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"{owner}: expected a model (nn.Module), got {type(model).__name__}")


def dtype_of(model: nn.Module) -> np.dtype[Any]:
    """The dtype of the parameters, float32 without any."""
    return next((parameter.dtype for parameter in model.parameters()), np.dtype(np.float32))


def scores_of(owner: str, output: Any) -> Array:
    """The scores (C,) of the one image.

    Raises:
        ShapeError: the model returned something else.
    """
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != 1:
        given = output.shape if isinstance(output, Tensor) else type(output).__name__
        raise ShapeError(f"{owner}: the model returned {given}, expected scores (1, classes)")
    return np.asarray(output.data[0])


def softmax(scores: Array) -> Array:
    """Scores (…, C) as probabilities."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
