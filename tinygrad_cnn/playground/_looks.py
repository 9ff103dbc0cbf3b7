"""What a network looks like at one moment, as the page shows it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn
from .._core.context import no_grad
from .._core.tensor import Tensor, raw
from ..draw._probe import dtype_of, softmax, variable_image
from ..draw.activations import columns_of
from ..nn._volatile import untouched
from ..typing import Array, Shape
from ._tiles import coloured, pictures, signed

_MOST_FILTERS = 64
_MOST_MAPS = 16
_MOST_UNITS = 128
_MOST_COLUMNS = 40
_BEST = 3


def filters(model: nn.Module, shape: Shape) -> dict[str, Any] | None:
    """The filters of the first convolution, or of a first linear layer its templates.

    Args:
        model: it has one of the two, or there is nothing to see.
        shape: of an input, (C, H, W).
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            kind, values = "filters", np.asarray(raw(module.weight))
        elif isinstance(module, nn.Linear) and module.weight.shape[1] == math.prod(shape):
            kind, values = "templates", np.asarray(raw(module.weight)).reshape(-1, *shape)
        else:
            continue
        if values.ndim != 4:
            return None
        shown = values[:_MOST_FILTERS].astype(np.float64)
        in_colour = shown.shape[1] == 3
        return {
            "layer": name,
            "kind": kind,
            "count": len(values),
            "shape": list(values.shape[1:]),
            "tiles": coloured(shown) if in_colour else signed(shown[:, 0]),
        }
    return None


def columns(model: nn.Module, image: Array) -> list[dict[str, Any]]:
    """What each layer makes of one image (C, H, W): some maps, or a strip of units.

    Nothing of a model that returns more than an array.
    """
    with untouched(model):
        output = model(variable_image("play", model, image))
        found = columns_of(output) if isinstance(output, Tensor) else []
    return [
        {
            "heading": column.heading,
            "layer": column.layer,
            "shape": list(column.output.shape),
            "tiles": signed(column.output[:_MOST_MAPS])
            if column.output.ndim == 3
            else signed(column.output[np.newaxis, :_MOST_UNITS, np.newaxis], side=_MOST_UNITS),
        }
        for column in found[:_MOST_COLUMNS]
    ]


def predictions(
    model: nn.Module, inputs: Array, classes: Sequence[str], best: int = _BEST
) -> list[list[tuple[str, float]]] | None:
    """For each input its likeliest classes with their probabilities; None without scores."""
    with untouched(model), no_grad(), np.errstate(all="ignore"):
        scores = model(Tensor(inputs.astype(dtype_of(model), copy=False)))
        if not isinstance(scores, Tensor) or scores.ndim != 2:
            return None
        shares = softmax(np.asarray(raw(scores), np.float64))
    names = [*classes, *map(str, range(len(classes), shares.shape[1]))]
    order = np.argsort(-shares, axis=1, kind="stable")[:, :best]
    return [
        [(names[i], float(row[i])) for i in ranks] for row, ranks in zip(shares, order, strict=True)
    ]


def thumbnails(seen: Array) -> dict[str, Any] | None:
    """Inputs (N, C, H, W) as pictures, where they are any."""
    return pictures(seen.astype(np.float64)) if seen.ndim == 4 else None
