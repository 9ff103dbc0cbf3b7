"""From the settings of an estimator to a network, its optimiser, and inputs that fit it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from .. import nn
from .._arguments import is_whole
from ..data.dataset import by_channel
from ..errors import ArgumentError, ShapeError
from ..models import build, from_pattern, model_options
from ..optim import SGD, Adam, AdamW, Optimizer, RMSprop
from ..train import predict
from ..typing import Array, Shape

Architecture: TypeAlias = str | nn.Module | Callable[[Shape, int], nn.Module] | None
Solver: TypeAlias = str | Callable[..., Optimizer]

OWNER = "ConvNetClassifier"

_FOR_IMAGES = "INPUT -> [CONV -> RELU -> POOL?]*2 -> FC-128 -> RELU -> FC"
_FOR_TABLES = "INPUT -> FC-100 -> RELU -> FC"
_COLOURS = (1, 3)  # how many channels a last axis must have to look like one of channels

_SOLVERS: dict[str, Callable[..., Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "sgd": partial(SGD, momentum=0.9, nesterov=True),
}


def input_shape(examples: Shape, wanted: Any) -> Shape:
    """The shape of an example: (C, H, W) of an image, (F,) of a row of a table.

    Args:
        examples: the shape of the data, (N, F), (N, H, W) or (N, C, H, W).
        wanted: the setting ``image_shape``: (C, H, W), (H, W) or None.

    Raises:
        ArgumentError: ``wanted`` is no shape of an image.
        ShapeError: the data are no such images, or look as if their channels came last.
    """
    found = image(examples[1:])
    if len(found) not in (1, 3):
        raise ShapeError(
            f"{OWNER}: X of shape {examples}, expected features (N, F) or images (N, C, H, W) or"
            " (N, H, W)"
        )
    if wanted is None:
        if len(found) == 3 and found[2] in _COLOURS and found[0] not in _COLOURS:
            raise ShapeError(
                f"{OWNER}: X of shape {examples} looks like images with their channels last:"
                " X.transpose(0, 3, 1, 2) puts them first; if they are first, say so by"
                f" image_shape={found}"
            )
        return found
    lengths = wanted if isinstance(wanted, (tuple, list)) else ()
    if len(lengths) not in (2, 3) or not all(map(is_whole, lengths)):
        raise ArgumentError(
            f"{OWNER}: image_shape={wanted!r}, expected (channels, height, width) or"
            " (height, width)"
        )
    shape = image(tuple(map(int, lengths)))
    if found != shape and (len(found) > 1 or found != (math.prod(shape),)):
        raise ShapeError(
            f"{OWNER}: X of shape {examples} does not hold images of image_shape={wanted!r}, which"
            f" have {math.prod(shape)} features"
        )
    return shape


def image(shape: Shape) -> Shape:
    """The shape of an example, with the one channel of a grey image if it was left out."""
    return (1, *shape) if len(shape) == 2 else shape


def make_network(architecture: Any, shape: Shape, classes: int) -> tuple[nn.Module, Shape]:
    """A new network that gives one score for each class, and the shape of its examples.

    What is made of text gets a row of a table as F channels of a single pixel.

    Raises:
        ArgumentError: the architecture is nothing that a network can be made of.
        ShapeError: the network does not give (N, classes) scores for such examples.
    """
    if architecture is None:
        architecture = _FOR_IMAGES if len(shape) == 3 else _FOR_TABLES
    if isinstance(architecture, str):
        shape = shape if len(shape) == 3 else (*shape, 1, 1)
        network = _from_text(architecture, shape, classes)
    elif isinstance(architecture, nn.Module):
        network = copy.deepcopy(architecture)
    elif callable(architecture):
        network = architecture(shape, classes)
    else:
        network = None
    if not isinstance(network, nn.Module):
        raise ArgumentError(
            f"{OWNER}: architecture={architecture!r:.60}, expected a layer pattern, a name of"
            " tc.models.model_names(), an nn.Module, or a function (input_shape, classes) that"
            " returns one"
        )
    scores = predict(network, np.zeros((1, *shape), np.float32), average="scores")
    if scores.shape != (1, classes):
        raise ShapeError(
            f"{OWNER}: the network gives {scores.shape[1]} scores for an example of shape {shape},"
            f" the labels have {classes} classes"
        )
    return network, shape


def _from_text(architecture: str, shape: Shape, classes: int) -> nn.Module:
    """The network of a layer pattern, or that of a name."""
    if "input" in architecture.lower():
        return from_pattern(architecture, shape, classes)
    channels, height, width = shape
    options = {"in_channels": channels, "classes": classes}
    if "image_size" in model_options(architecture):
        if height != width:
            raise ShapeError(
                f"{OWNER}: model {architecture!r} is made for square images, these are"
                f" {height}x{width}"
            )
        options["image_size"] = height
    return build(architecture, **options)


def make_optimizer(solver: Any, network: nn.Module, lr: float, weight_decay: float) -> Optimizer:
    """The optimiser of all parameters that are not frozen.

    Raises:
        ArgumentError: the solver is unknown, or one of the numbers outside its domain.
    """
    make = _SOLVERS.get(solver) if isinstance(solver, str) else solver
    if not callable(make):
        raise ArgumentError(
            f"{OWNER}: solver={solver!r:.60}, expected one of {', '.join(_SOLVERS)}, or what makes"
            " an optimizer, such as tc.optim.Adagrad"
        )
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = make(trainable, lr=lr, weight_decay=weight_decay)
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(
            f"{OWNER}: solver={solver!r:.60} made {optimizer!r:.60}, expected an Optimizer"
        )
    return optimizer


def channel_statistics(x: Array) -> tuple[Array, Array]:
    """The mean and standard deviation of each channel of (N, C, …), in float64.

    Where a channel is constant but for rounding, the deviation is given as 1.

    Raises:
        ArgumentError: the numbers are so large that their squares are infinite.
    """
    axes = (0, *range(2, x.ndim))
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = x.mean(axes, dtype=np.float64), x.std(axes, dtype=np.float64)
    if not np.isfinite(std).all():
        raise ArgumentError(f"{OWNER}: X goes up to {np.abs(x).max():.3g}, too far to standardize")
    summed = x.size / len(mean)
    rounding = (10 * np.finfo(x.dtype).eps + summed * np.finfo(np.float64).eps) * np.abs(mean)
    return mean, np.where(std > rounding, std, 1.0)


def standardized(x: Array, mean: Array, std: Array) -> Array:
    """A copy of (N, C, …) with this mean and deviation of each channel taken out."""
    result: Array = x - by_channel(mean, x.ndim).astype(x.dtype)
    result /= by_channel(std, x.ndim).astype(x.dtype)
    return result
