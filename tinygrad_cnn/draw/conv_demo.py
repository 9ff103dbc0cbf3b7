"""A page that steps through a convolution: every output number, and the sum that makes it."""

from __future__ import annotations

import html
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import functional as F
from .._core.tensor import raw
from .._kernels.windows import Window
from ..errors import ArgumentError, DtypeError, ShapeError
from ..functional._sliding import fitted, widths
from ..nn import ConvTranspose2d
from ..ops.windows import per_axis
from ..typing import Array, Shape, TensorLike
from ._html import page, resource, write_page

__all__ = ["conv_demo"]

# What still reads well on a screen, and keeps a page below some megabytes.
MAX_SIDE = 64
MAX_CHANNELS = 64
MAX_FILTERS = 64
MAX_WEIGHTS = 1024

_BODY = """\
<div class="demo">
<header>
  <div class="controls">
    <h1>Convolution, step by step</h1>
    <span class="keys muted"><kbd>←</kbd> <kbd>→</kbd> number, <kbd>↑</kbd> <kbd>↓</kbd> filter,
      <kbd>Space</kbd> play; or click an output</span>
    <button id="previous">Previous</button>
    <button id="play" class="primary" aria-pressed="false">Play</button>
    <button id="next">Next</button>
    <label>speed <input id="speed" type="range" min="0" max="5" step="0.5" value="1"></label>
    <span id="counter" class="number"></span>
  </div>
  <p>{summary}</p>
</header>
<main>
  <div class="volumes">
    <section id="channels" tabindex="0" aria-label="Input, filters and products"></section>
    <section id="outputs" tabindex="0" aria-label="Output"></section>
  </div>
  <div id="sum" role="math"></div>
</main>
<section id="x_col" class="matrix"></section>
<section id="w_row" class="matrix"></section>
<section id="y" class="matrix"></section>
<p id="said" class="visually-hidden" aria-live="polite"></p>
</div>"""


class _Convolution(NamedTuple):
    """A convolution of one image: operands in float64, pairs as (rows, columns)."""

    x: Array  # (C, H, W)
    weight: Array  # (K, C / groups, FH, FW)
    bias: Array  # (K,)
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int


def conv_demo(layer: Any, x: TensorLike, path: str | os.PathLike[str]) -> Path:
    """Write a page that shows how a convolution computes each number of its output.

    One HTML file without a network: the input with its padding, the filters, the window that is
    under the filter, the products written out and summed for each channel, the output; beside
    them ``W_row @ X_col``, the same convolution as one matrix product (``im2col``). The arrow keys
    step, the space bar plays, a click on an output number jumps there; ``#step=5`` in the address
    opens the fifth output number.

    Args:
        layer: an ``nn.Conv2d``, or any object with a ``weight`` (K, C / groups, FH, FW) and, where
            they differ from the default, ``bias``, ``stride``, ``padding``, ``dilation`` and
            ``groups``. The padding is of zeros, the same on opposite sides, and the filters are
            not flipped.
        x: one image, (C, H, W) or (1, C, H, W). At most 64 rows and columns with the padding, 64
            channels, 64 filters, and 1024 weights in a filter: what a reader can still follow.
        path: of the file; ``.html`` is added to a name without a suffix.

    Returns:
        The path of the file.

    Raises:
        ArgumentError: more than the page can show, or a path that cannot be written.
        DtypeError: operands that are not real numbers, or a layer without filters.
        ShapeError: operands that do not fit each other.

    The page follows the convolution demo of the notes of Stanford's CS231n
    (https://cs231n.github.io/convolutional-networks/#conv). All numbers are computed in float64
    by ``F.conv2d``.

    >>> import tempfile, tinygrad_cnn as tc
    >>> layer = tc.nn.Conv2d(3, 2, kernel_size=3, stride=2, padding=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tc.draw.conv_demo(layer, tc.rand(3, 5, 5), f"{folder}/demo").name
    'demo.html'
    """
    shown = _checked(layer, x)
    out = F.conv2d(shown.x[None], shown.weight, shown.bias, *shown[3:]).numpy()[0]
    ph, pw = shown.padding
    data = {
        "x": _volume(np.pad(shown.x, ((0, 0), (ph, ph), (pw, pw)))),
        "weight": _volume(shown.weight),
        "bias": shown.bias,
        "out": _volume(out),
        **{name: getattr(shown, name) for name in ("stride", "padding", "dilation", "groups")},
    }
    text = page(
        "Convolution, step by step",
        _BODY.format(summary=html.escape(_summary(shown, out))),
        styles=[resource("conv_demo.css")],
        scripts=[resource(f"{name}.js") for name in ("grids", "conv_views", "conv_demo")],
        data=data,
    )
    return write_page(path, text)


def _checked(layer: Any, x: TensorLike) -> _Convolution:
    """The convolution that ``layer`` makes of ``x``, if the page can show it."""
    weight = getattr(layer, "weight", None)
    if weight is None or np.ndim(raw(weight)) != 4 or isinstance(layer, ConvTranspose2d):
        raise DtypeError(
            "conv_demo: expected a convolution such as nn.Conv2d, with a weight of shape"
            f" (K, C, FH, FW); got {type(layer).__name__}"
            + ("" if weight is None else f" with a weight of shape {np.shape(raw(weight))}")
        )
    weight, image = _real("weight", weight), _real("x", x)
    bias = getattr(layer, "bias", None)
    bias = np.zeros(len(weight)) if bias is None else _real("bias", bias)
    if image.ndim == 4 and len(image) == 1:
        image = image[0]
    if image.ndim != 3:
        fix = {2: "x[None] is one channel", 4: "x[0] is one image"}.get(image.ndim, "")
        raise ShapeError(
            f"conv_demo: expected one image (C, H, W), got {image.shape}{fix and f': {fix}'}"
        )
    geometry = _geometry(layer, image.shape[1:], weight.shape[2:])
    shown = _Convolution(image, weight, bias, *geometry, getattr(layer, "groups", 1))
    _check_size(shown)
    return shown


def _geometry(layer: Any, size: Shape, kernel: Shape) -> tuple[Shape, Shape, Shape]:
    """The stride, padding and dilation as numbers, if the page can show what they mean here."""
    stride = per_axis(getattr(layer, "stride", 1), "stride")
    dilation = per_axis(getattr(layer, "dilation", 1), "dilation")
    extent = Window(kernel, stride, dilation).extent
    around = widths(size, extent, stride, getattr(layer, "padding", 0), "conv_demo")
    around = fitted(size, extent, stride, around, getattr(layer, "fit", "floor"), "conv_demo")
    others = [f"padding {around}"] if any(a != b for a, b in around) else []
    for name, usual in (("padding_mode", "zeros"), ("flip", False)):
        if getattr(layer, name, usual) != usual:
            others.append(f"{name}={getattr(layer, name)!r}")
    if others:
        raise ArgumentError(
            f"conv_demo: {', '.join(others)}: the page shows filters as they are, and a padding of"
            " zeros that is the same on opposite sides"
        )
    return stride, tuple(before for before, _ in around), dilation


def _real(name: str, value: TensorLike) -> Array:
    array = np.asarray(raw(value))
    if array.dtype.kind not in "biuf":
        raise DtypeError(f"conv_demo: expected real numbers, {name} is of dtype {array.dtype}")
    return array.astype(np.float64)


def _check_size(shown: _Convolution) -> None:
    c, h, w = shown.x.shape
    (ph, pw), k = shown.padding, len(shown.weight)
    for found, most, what in (
        (max(h + 2 * ph, w + 2 * pw), MAX_SIDE, "rows or columns, with the padding,"),
        (c, MAX_CHANNELS, "channels"),
        (k, MAX_FILTERS, "filters"),
        (shown.weight[:1].size, MAX_WEIGHTS, "weights in a filter"),
    ):
        if found > most:
            raise ArgumentError(
                f"conv_demo: {found} {what} are more than the {most} that the page can show: take"
                " a part, such as x[:, :32, :32]; filters do not depend on the size of the image"
            )


def _volume(array: Array) -> dict[str, Any]:
    return {"shape": array.shape, "values": array.ravel()}


def _summary(shown: _Convolution, out: Array) -> str:
    """The settings in words, and why the output has its size."""
    (k, *_), _, (_, oh, ow) = shown.weight.shape, shown.x.shape, out.shape
    parts = [f"input {_by(shown.x.shape)}, padding {_once(shown.padding)}"]
    parts += [f"{k} filter{'s' * (k > 1)} of {_by(shown.weight.shape[1:])}"]
    parts += [f"stride {_once(shown.stride)}"]
    if shown.dilation != (1, 1):
        parts += [f"dilation {_once(shown.dilation)}"]
    if shown.groups > 1:
        parts += [f"{shown.groups} groups"]
    reasons = [
        _reason(n, f, s, p, d)
        for n, f, s, p, d in zip(
            shown.x.shape[1:],
            shown.weight.shape[2:],
            shown.stride,
            shown.padding,
            shown.dilation,
            strict=True,
        )
    ]
    sizes = [f"{reason} = {n}" for reason, n in zip(reasons, (oh, ow), strict=True)]
    return f"{' · '.join(parts)} · output {_by(out.shape)}: {' and '.join(dict.fromkeys(sizes))}"


def _reason(n: int, f: int, s: int, p: int, d: int) -> str:
    """The size of an output along one axis, as a formula with its numbers."""
    extent = d * (f - 1) + 1  # of the filter, holes included
    fraction = f"({n} + 2·{p} - {extent}) / {s}"
    return f"{fraction} + 1" if (n + 2 * p - extent) % s == 0 else f"floor({fraction}) + 1"


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _once(both: Shape) -> str:
    return str(both[0] if both[0] == both[1] else both)
