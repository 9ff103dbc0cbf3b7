"""From layers as written to layers with all their sizes, before anything is allocated."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ... import nn
from ..._kernels.windows import Window
from ...errors import PatternError
from ...functional._pooling import ceiled
from ...typing import Shape
from .._base import UNDRAWN
from ._sizes import (
    CONV_WINDOW,
    DROPOUT,
    NEIGHBOURS,
    POOL_WINDOW,
    SLOPE,
    scores_at,
    usual_alpha,
    usual_filters,
    usual_padding,
)
from ._words import ACTIVATIONS, POOLS, Layer

MAX_PARAMETERS = 2**30

# Words that are counted together in names.
_KINDS = {"AVGPOOL": "POOL", "L2POOL": "POOL", "LRELU": "RELU", "PRELU": "RELU"}
Make = Callable[[Any], nn.Module]  # of the dtype of the parameters


@dataclass(frozen=True)
class Sliding:
    """How a window slides: (W - F + 2P)/S + 1 times along each axis.

    Attributes:
        ceil: whether a last window may reach beyond the padding.
    """

    window: Window
    padding: Shape
    ceil: bool = False

    def output_size(self, size: Shape) -> Shape:
        """How many windows fit along each axis; 0 where none does."""
        return tuple(max(n, 0) for n in self.window.output_size(self._padded(size)))

    def missed(self, size: Shape) -> Shape:
        """How many rows and columns at the end no window sees, zeros of the padding aside."""
        axes = zip(self._padded(size), self.window.extent, self.window.stride, strict=True)
        rests = [(n - f) % s for n, f, s in axes]
        return tuple(max(rest - p, 0) for rest, p in zip(rests, self.padding, strict=True))

    def formula(self, size: Shape, axis: int) -> str:
        """The course's formula with its numbers."""
        n, f, s = size[axis], self.window.extent[axis], self.window.stride[axis]
        return f"(W - F + 2P)/S + 1 = ({n} - {f} + 2*{self.padding[axis]})/{s} + 1"

    def _padded(self, size: Shape) -> Shape:
        axes = zip(size, self.window.extent, self.window.stride, self.padding, strict=True)
        return tuple(n + p + (ceiled(n, f, s, p, p) if self.ceil else p) for n, f, s, p in axes)


@dataclass(frozen=True)
class Step:
    """One layer of the model to be.

    Attributes:
        layer: what asked for it.
        name: in the model.
        make: gives the module, its weights not yet drawn.
        before, after: the volume (C, H, W) or vector (F,) that comes in and goes out.
        parameters: how many numbers it learns.
        sliding: of a convolution or pool.
    """

    layer: Layer
    name: str
    make: Make
    before: Shape
    after: Shape
    parameters: int = 0
    sliding: Sliding | None = None


@dataclass(frozen=True)
class Settings:
    """What ``from_pattern`` was told beside the pattern."""

    classes: int
    filters: int
    hidden: int
    optional_pools: bool | None


class Planner:
    """Follows the volume through the layers of a pattern.

    Args:
        pattern: the text, for errors.
        volume: (C, H, W) of the input.
        settings: sizes that the pattern need not tell.
    """

    def __init__(self, pattern: str, volume: Shape, settings: Settings) -> None:
        self._pattern, self._volume, self._settings = pattern, volume, settings
        self.steps: list[Step] = []
        self._names: Counter[str] = Counter()
        self._filters: int | None = None
        self._pooled = False

    def plan(self, layers: list[Layer]) -> list[Step]:
        """The steps for the layers behind INPUT.

        Raises:
            PatternError: the sizes do not fit, or the model would be larger than any here.
        """
        scores = scores_at([layer.word for layer in layers])
        for i, layer in enumerate(layers):
            # Each word has its method; those without one take no sizes and change no volume.
            add = getattr(self, f"_{layer.word.lower()}", self._activation)
            add(layer, i == scores)
            if layer.word == "SOFTMAX" and i + 1 < len(layers):
                raise self._error(layer, "SOFTMAX stands at the end or nowhere")
        return self.steps

    # -- one method for each word ------------------------------------------------------------

    def _conv(self, layer: Layer, scores: bool) -> None:
        self._needs_volume(layer)
        usual = usual_filters(self._filters, self._pooled, self._settings.filters)
        filters = int(layer.number or (self._settings.classes if scores else usual))
        self._filters, self._pooled = filters, False
        window, stride = layer.window or CONV_WINDOW, layer.options.get("s", (1, 1))
        dilation, groups = layer.options.get("d", (1, 1)), layer.options.get("g", (1,))[0]
        padding = layer.options.get("p") or usual_padding(window, dilation)
        if padding is None:
            raise self._error(layer, "no padding keeps the size under an even window: say -p0")
        channels, bias = self._volume[0], "nobias" not in layer.options
        if channels % groups or filters % groups:
            message = f"{groups} groups do not divide {channels} channels and {filters} filters"
            raise self._error(layer, message)
        settings = (channels, filters, window, stride, padding, dilation, groups, bias)
        self._slide(
            layer,
            lambda dtype: nn.Conv2d(*settings, dtype=dtype, generator=UNDRAWN),
            Sliding(Window(window, stride, dilation), padding),
            filters,
            filters * (channels // groups * math.prod(window) + bias),
        )

    def _pool(self, layer: Layer, scores: bool) -> None:
        self._needs_volume(layer)
        window, ceil = layer.window or POOL_WINDOW, "ceil" in layer.options
        stride, padding = layer.options.get("s", window), layer.options.get("p", (0, 0))
        if any(2 * p > f for p, f in zip(padding, window, strict=True)):
            raise self._error(layer, "the padding of a pool is at most half of its window")
        sliding = Sliding(Window(window, stride, (1, 1)), padding, ceil)
        if layer.optional and not self._wanted(sliding):
            return
        self._pooled = True
        make: dict[str, Make] = {
            "POOL": lambda _: nn.MaxPool2d(window, stride, padding, ceil_mode=ceil),
            "AVGPOOL": lambda _: nn.AvgPool2d(window, stride, padding, ceil),
            "L2POOL": lambda _: nn.LPPool2d(2, window, stride, ceil),
        }
        self._slide(layer, make[layer.word], sliding, self._volume[0])

    _avgpool = _l2pool = _pool

    def _wanted(self, sliding: Sliding) -> bool:
        """What ``POOL?`` is decided by: unless told, whether its windows miss nothing."""
        size, told = self._volume[1:], self._settings.optional_pools
        if told is not None:
            return told
        return all(sliding.output_size(size)) and not any(sliding.missed(size))

    def _gap(self, layer: Layer, scores: bool) -> None:
        self._needs_volume(layer)
        self._add(layer, lambda _: nn.GlobalAvgPool2d(), self._volume[:1])

    def _flatten(self, layer: Layer, scores: bool) -> None:
        if len(self._volume) > 1:
            layer = replace(layer, word="FLATTEN")  # FC implies it
            self._add(layer, lambda _: nn.Flatten(), (math.prod(self._volume),))

    def _fc(self, layer: Layer, scores: bool) -> None:
        self._flatten(layer, scores)
        usual = self._settings.classes if scores else self._settings.hidden
        inputs, units = self._volume[0], int(layer.number or usual)
        bias = "nobias" not in layer.options
        self._add(
            layer,
            lambda dtype: nn.Linear(inputs, units, bias, dtype=dtype, generator=UNDRAWN),
            (units,),
            parameters=units * (inputs + bias),
        )

    def _bn(self, layer: Layer, scores: bool) -> None:
        features = self._volume[0]
        make = nn.BatchNorm2d if len(self._volume) == 3 else nn.BatchNorm1d
        self._add(layer, lambda dtype: make(features, dtype=dtype), parameters=2 * features)

    def _lrn(self, layer: Layer, scores: bool) -> None:
        size = int(layer.number or NEIGHBOURS)  # the rest as in AlexNet
        self._add(layer, lambda _: nn.LocalResponseNorm(size, alpha=usual_alpha(size), k=2.0))

    def _dropout(self, layer: Layer, scores: bool) -> None:
        p = DROPOUT if layer.number is None else layer.number
        if not p < 1:
            raise self._error(layer, f"expected a probability below 1, got {p}")
        self._add(layer, lambda _: nn.Dropout(p))

    def _lrelu(self, layer: Layer, scores: bool) -> None:
        slope = SLOPE if layer.number is None else layer.number
        self._add(layer, lambda _: nn.LeakyReLU(slope))

    def _prelu(self, layer: Layer, scores: bool) -> None:
        self._add(layer, lambda dtype: nn.PReLU(dtype=dtype), parameters=1)

    def _softmax(self, layer: Layer, scores: bool) -> None:
        """Builds nothing: it belongs to the loss."""

    def _activation(self, layer: Layer, scores: bool) -> None:
        self._add(layer, lambda _: ACTIVATIONS[layer.word]())

    # -- what they share ---------------------------------------------------------------------

    def _slide(
        self, layer: Layer, make: Make, sliding: Sliding, channels: int, parameters: int = 0
    ) -> None:
        size = sliding.output_size(self._volume[1:])
        if not all(size):
            formula = sliding.formula(self._volume[1:], size.index(0))
            fewer = "fewer pools, POOL?" if layer.word in POOLS else "fewer pools"
            raise self._error(
                layer, f"{formula} is below 1; use {fewer}, a larger input or a smaller window"
            )
        self._add(layer, make, (channels, *size), parameters=parameters, sliding=sliding)

    def _add(self, layer: Layer, make: Make, after: Shape | None = None, **more: Any) -> None:
        before, after = self._volume, after or self._volume
        step = Step(layer, self._name(layer.word), make, before, after, **more)
        if sum(step.parameters for step in (*self.steps, step)) > MAX_PARAMETERS:
            message = f"the model would have more than {MAX_PARAMETERS:,} parameters"
            raise self._error(layer, message)
        self.steps.append(step)
        self._names[_KINDS.get(layer.word, layer.word)] += 1
        self._volume = after

    def _name(self, word: str) -> str:
        """What the next layer of a word is called in the model."""
        kind = _KINDS.get(word, word)
        once = kind in ("FLATTEN", "GAP")
        return kind.lower() if once else f"{kind.lower()}{self._names[kind] + 1}"

    def _needs_volume(self, layer: Layer) -> None:
        if len(self._volume) == 1:
            message = f"{layer.word} needs a volume: it stands before any FC, GAP or FLATTEN"
            raise self._error(layer, message)

    def _error(self, layer: Layer, message: str) -> PatternError:
        """An error at a layer, with its name and what comes to it."""
        name = self._name(layer.word)
        what = "volume (C, H, W)" if len(self._volume) == 3 else "vector"
        text = f"{name}: {message}. The {what} before it is {self._volume}"
        return PatternError(text, self._pattern, layer.position, layer.length)
