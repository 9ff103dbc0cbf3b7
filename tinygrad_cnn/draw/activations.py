"""What the layers of a network make of one image, column by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import nn
from .._arguments import whole
from .._core.backprop import consumers_first
from .._core.context import enclosing, layer_path
from .._core.node import Node
from .._core.tensor import Tensor
from ..errors import ArgumentError
from ..typing import Array, Shape, TensorLike
from ._figure import (
    FAINT,
    INK,
    NEGATIVE,
    POSITIVE,
    bare,
    class_names,
    diverging,
    largest,
    lengths,
    mark_not_finite,
    new_figure,
    picture,
)
from ._probe import softmax, untouched, variable_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["activations"]

_HEADINGS = {
    function: heading
    for heading, functions in {
        "CONV": "conv2d",
        "DECONV": "conv_transpose2d",
        "LOCAL": "locally_connected2d",
        "FC": "linear",
        "POOL": "max_pool2d avg_pool2d lp_pool2d adaptive_max_pool2d adaptive_avg_pool2d",
        "UNPOOL": "max_unpool2d",
        "NORM": "batch_norm layer_norm group_norm instance_norm local_response_norm",
        "RELU": "relu relu6",
        "LEAKY": "leaky_relu prelu",
        "TANH": "tanh hardtanh",
        "SIGM": "sigmoid hardsigmoid",
        **{name.upper(): name for name in ("elu", "gelu", "maxout", "mish", "selu", "silu")},
        "SOFTPL": "softplus",
    }.items()
    for function in functions.split()
}
_BEST = 5  # classes with a bar
# Lengths in the picture, whose unit is the side of a map, and that unit in inches.
_GAP, _BETWEEN, _STRIP, _INPUT = 0.08, 0.2, 0.3, 1.8
_INCHES = 0.58
_BARS = (2.0, 1.8)  # inches


class Column(NamedTuple):
    """The output of one step of the network: maps (C, H, W), or the units (C,) of a layer."""

    heading: str
    layer: str
    output: Array


def activations(
    model: nn.Module,
    x: TensorLike,
    *,
    classes: Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    maps: int = 8,
) -> Figure:
    """The network as columns of activations, from an image to the scores of the best classes.

    Every convolution, activation, pooling and normalisation of images is a column of its first
    maps, every fully connected layer a strip of its units, whether modules or functions
    computed them. Blue is negative, white zero, orange positive; each column has one scale.
    So CONV against RELU shows what a ReLU cuts off. Bars show the best scores, with their
    softmax probabilities. Of a model that has diverged, NaN and infinities are reddish purple.

    Args:
        model: any module that takes images and runs conv layers; it is left as it was.
        x: one image, (C, H, W) or (1, C, H, W).
        classes: the names of the classes, by default their numbers.
        layers: which columns to show, by the names of layers ("conv1") or by their headings
            ("CONV"); by default all.
        maps: how many maps of each are shown.

    Raises:
        ShapeError, DtypeError: ``x`` is not one image of floating-point numbers.
        ArgumentError: ``layers`` names nothing that ran, ``classes`` has another length than the
            scores, or no images came out of any layer.
        MissingExtraError: matplotlib is not installed.

    Source: the picture of a ConvNet in the CS231n notes on convolutional networks (Karpathy).

    >>> import tinygrad_cnn as tc
    >>> figure = tc.draw.activations(tc.models.DigitsNet(), tc.rand(1, 8, 8))
    >>> [text.get_text() for text in figure.axes[0].texts if text.get_text().isupper()]
    ['CONV', 'RELU', 'POOL', 'CONV', 'RELU', 'POOL', 'FC', 'FC']
    """
    whole("activations", "maps", maps)
    image = variable_image("activations", model, x)
    with untouched(model):
        output = model(image)
    columns = columns_of(output)
    if not any(column.output.ndim == 3 for column in columns):
        raise ArgumentError("activations: no convolution or other layer of images has run")
    columns = _chosen(columns, layers)
    scores = output.data[0] if output.ndim == 2 and output.size > 1 else None
    names = [] if scores is None else class_names("activations", classes, len(scores))
    return _draw(np.asarray(image.data[0]), columns, maps, scores, names)


def columns_of(output: Any) -> list[Column]:
    """The steps that the recorded output was computed by, in order of execution."""
    if not isinstance(output, Tensor) or output.node is None:
        raise ArgumentError(
            f"activations: the model returned {output!r:.60}, expected a Tensor that depends on"
            " its input"
        )
    outputs: dict[Any, tuple[str, Node]] = {}
    for node in consumers_first([output.node]):  # the first that is met of a step is its result
        step, heading = _step(node)
        if heading:
            outputs.setdefault(step, (heading, node))
    return [
        Column(heading, layer_path(node.scope), np.asarray(node.ans[0]))
        for heading, node in reversed(outputs.values())
        if node.ans.ndim == 4 or (heading == "FC" and node.ans.ndim == 2)
    ]


def _step(node: Node) -> tuple[Any, str]:
    """The call that computed a node, the outermost of those with a heading, and the heading.

    Headings belong to functions, which modules call too. Some are primitives without a scope.
    """
    step: Any = node
    name = node.primitive.name if node.primitive else ""
    for scope in enclosing(node.scope):
        if scope.kind == "function" and scope.name in _HEADINGS:
            step, name = scope, scope.name
    return step, _HEADINGS.get(name, "")


def _chosen(columns: list[Column], layers: Sequence[str] | None) -> list[Column]:
    if layers is None:
        return columns
    known = {name: None for column in columns for name in (column.layer, column.heading) if name}
    unknown = [name for name in layers if name not in known]
    if isinstance(layers, str) or unknown or not layers:
        raise ArgumentError(
            f"activations: layers={layers!r}, expected a list of {', '.join(known)}"
        )
    return [column for column in columns if {column.layer, column.heading} & set(layers)]


# -- drawing -------------------------------------------------------------------------------


def _draw(
    image: Array, columns: list[Column], maps: int, scores: Array | None, names: list[str]
) -> Figure:
    rows = max(min(maps, len(column.output)) for column in columns if column.output.ndim == 3)
    height = max(rows * (1 + _GAP) - _GAP, _INPUT)
    width = _INPUT + sum(_width(column) + _BETWEEN for column in columns)
    inches = width * _INCHES + 0.2, height * _INCHES + 0.7
    if scores is None:
        figure = new_figure(*inches)
        stage = figure.subplots()
    else:
        figure = new_figure(inches[0] + _BARS[0], inches[1])
        around = max(inches[1] - _BARS[1], 0.1) / 2
        panels = figure.subplot_mosaic(
            [["stage", "."], ["stage", "scores"], ["stage", "."]],
            width_ratios=[inches[0], _BARS[0]],
            height_ratios=[around, _BARS[1], around],
        )
        stage = panels["stage"]
        _draw_scores(panels["scores"], scores, names)
    _draw_picture(stage, picture(image), (0, height / 2), _INPUT, cmap="gray", vmin=0, vmax=1)
    _caption(stage, _INPUT / 2, (height - _INPUT) / 2, "", image.shape)
    left = _INPUT + _BETWEEN
    for column in columns:
        _draw_column(stage, column, left, rows, height)
        left += _width(column) + _BETWEEN
    stage.set(xlim=(-0.05, width + 0.05), ylim=(height + 0.1, -0.75), aspect="equal")
    bare(stage)
    return figure


def _width(column: Column) -> float:
    return 1.0 if column.output.ndim == 3 else _STRIP


def _draw_column(axes: Axes, column: Column, left: float, rows: int, height: float) -> None:
    shown = column.output[:rows] if column.output.ndim == 3 else column.output
    limit = largest(shown)
    scale: dict[str, Any] = {"cmap": diverging(), "vmin": -limit, "vmax": limit}
    if shown.ndim == 3:
        for row, values in enumerate(shown):
            _draw_picture(axes, values, (left, row * (1 + _GAP) + 0.5), 1.0, **scale)
    else:
        extent = (left, left + _STRIP, height, 0.0)
        axes.imshow(shown[:, np.newaxis], extent=extent, interpolation="none", **scale)
        mark_not_finite(axes, shown[:, np.newaxis], extent=extent)
        _frame(axes, extent)
    middle = left + _width(column) / 2
    _caption(axes, middle, 0.0, column.heading, column.output.shape)


def _draw_picture(
    axes: Axes, pixels: Array, place: tuple[float, float], side: float, **scale: Any
) -> None:
    """An image whose longer side is ``side``, from x on and about the height y."""
    rows, columns = pixels.shape[:2]
    unit = side / max(rows, columns)
    left, middle = place[0] + (side - columns * unit) / 2, place[1]
    extent = (left, left + columns * unit, middle + rows * unit / 2, middle - rows * unit / 2)
    axes.imshow(pixels, extent=extent, interpolation="none", **scale)
    if pixels.ndim == 2:
        mark_not_finite(axes, pixels, extent=extent)
    _frame(axes, extent)


def _frame(axes: Axes, extent: tuple[float, float, float, float]) -> None:
    """A line around a picture, since much of it may be white."""
    from matplotlib.patches import Rectangle

    left, right, bottom, top = extent
    outline = Rectangle((left, top), right - left, bottom - top)
    outline.set(fill=False, edgecolor=FAINT, linewidth=0.6)
    axes.add_patch(outline)


def _caption(axes: Axes, x: float, y: float, heading: str, shape: Shape) -> None:
    style: dict[str, Any] = {"ha": "center", "va": "bottom", "color": INK}
    axes.text(x, y - 0.36, heading, fontsize=8, weight="bold", **style)
    axes.text(x, y - 0.12, lengths(shape), fontsize=6, **style)


def _draw_scores(axes: Axes, scores: Array, names: list[str]) -> None:
    """Bars for the best classes, the best on top."""
    best = np.argsort(-scores, kind="stable")[:_BEST]  # NaN comes last
    places = range(len(best))
    shown = np.where(np.isfinite(scores), scores, 0.0)[best]
    colours = [POSITIVE if score > 0 else NEGATIVE for score in shown]
    axes.barh(places, shown, color=colours, height=0.65)
    low, high = min(shown.min(), 0), max(shown.max(), 0)
    room = 0.04 * (high - low) or 0.04
    with np.errstate(invalid="ignore"):
        shares = softmax(scores)[best]
    for place, i, share in zip(places, best, shares, strict=True):
        text = f"{100 * share:.1f} %" if np.isfinite(share) else _not_finite(scores[i])
        axes.text(max(shown[place], 0) + room, place, text, va="center", fontsize=7, color=INK)
    axes.set_yticks(places, [names[i] for i in best], fontsize=8)
    axes.set_title("best scores", fontsize=8, weight="bold", color=INK)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.invert_yaxis()
    axes.set_xlim(low - room, high + 10 * room)
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)


def _not_finite(score: float) -> str:
    """A score that has no probability, since not all are finite."""
    return "NaN" if np.isnan(score) else f"{score:.3g}"
