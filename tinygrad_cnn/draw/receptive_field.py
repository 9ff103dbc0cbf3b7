"""What a unit of a network sees of an image: the pixels that can reach it, and those that do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import nn
from .._core.backprop import gradients
from ..models.inspection import receptive_field_box
from ..models.inspection._box import Box, Unit, box_of, check_unit, marked, recorded_unit
from ..typing import Array, TensorLike
from ._figure import VERMILION, bare, largest, new_figure, picture, plain, show_picture
from ._probe import untouched, variable_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["receptive_field", "receptive_field_box"]

_HEAT = "inferno"  # evenly lighter from black, which the darkened image is, to yellow


def receptive_field(model: nn.Module, unit: Unit, x: TensorLike) -> Figure:
    """The pixels that a unit can see, and those that move it on this image.

    A rectangle on the image shows what can reach the unit, as ``receptive_field_box`` finds it.
    The heat beside it shows the effective receptive field: the largest magnitude, over the
    colours, of the gradient of the unit by the pixel. It is mostly smaller, and strongest in the
    middle.

    Args:
        model: any module that takes images; it is left as it was.
        unit: the layer, by name or as module, and the place in its output for one image, such
            as ``("conv2", (channel, row, column))``.
        x: one image, (C, H, W) or (1, C, H, W).

    Raises:
        ShapeError, DtypeError: ``x`` is not one image of floating-point numbers.
        ArgumentError, OutOfBoundsError, GraphError: as ``receptive_field_box``.
        MissingExtraError: matplotlib is not installed.

    Source: Luo et al. (2016), Understanding the effective receptive field.

    >>> import tinygrad_cnn as tc
    >>> model = tc.models.DigitsNet()
    >>> figure = tc.draw.receptive_field(model, ("conv2", (0, 1, 1)), tc.rand(1, 8, 8))
    >>> print(figure.axes[0].get_title())
    conv2[0, 1, 1] can see 7x7 pixels:
    rows 0 to 6, columns 0 to 6
    """
    owner = "receptive_field"
    check_unit(owner, model, unit)
    image = variable_image(owner, model, x)
    with untouched(model):
        output, index = recorded_unit(owner, model, unit, image)
    box = box_of(owner, output, index, image)
    [gradient] = gradients(output, [image], marked(output, index))
    strength = np.abs(np.asarray(gradient)[0]).max(axis=0)
    layer = unit[0] if isinstance(unit[0], str) else unit[0]._path or type(unit[0]).__name__
    figure = new_figure(7.2, 3.7)
    with_box, with_heat = figure.subplots(1, 2)
    pixels = np.asarray(image.data[0])
    show_picture(with_box, pixels)
    _show_heat(with_heat, picture(pixels), strength)
    for axes in (with_box, with_heat):
        _draw_box(axes, box)
    top, left, bottom, right = box
    with_box.set_title(
        f"{plain(layer)}{list(index)} can see {bottom - top}x{right - left} pixels:\n"
        f"rows {top} to {bottom - 1}, columns {left} to {right - 1}",
        fontsize=9,
    )
    return figure


def _show_heat(axes: Axes, shown: Array, strength: Array) -> None:
    """The gradient as light on the darkened image."""
    grey = shown if shown.ndim == 2 else shown.mean(axis=2)
    bare(axes).imshow(0.4 * grey, cmap="gray", vmin=0, vmax=1, interpolation="none")
    opacity = np.sqrt(strength / largest(strength))
    heat = axes.imshow(strength, cmap=_HEAT, alpha=opacity, interpolation="none")
    axes.figure.colorbar(heat, ax=axes, shrink=0.8)
    moved = "what moves it here:\n|d unit / d pixel|"
    axes.set_title(moved if strength.any() else "nothing moves it here", fontsize=9)


def _draw_box(axes: Axes, box: Box) -> None:
    from matplotlib.patches import Rectangle

    top, left, bottom, right = box
    frame = Rectangle((left - 0.5, top - 0.5), right - left, bottom - top)
    frame.set(fill=False, edgecolor=VERMILION, linewidth=2, clip_on=False)
    axes.add_patch(frame)
