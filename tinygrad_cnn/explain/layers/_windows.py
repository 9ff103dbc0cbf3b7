"""Windows that slide over images, as titles, formulas and code say it."""

from __future__ import annotations

import math
from typing import NamedTuple

from .._typeset import shape_text
from ._layer import Call

Pair = tuple[int, int]

_DEFAULTS = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}


class Geometry(NamedTuple):
    """How a window slides over images."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    @property
    def places(self) -> int:
        """How many pixels a window sees in one channel."""
        return math.prod(self.kernel)

    def settings(self, **usual: Pair) -> dict[str, Pair]:
        """What differs from a stride and dilation of 1 and no padding, or from other defaults."""
        defaults, chosen = _DEFAULTS | usual, self._asdict()
        return {name: chosen[name] for name in defaults if chosen[name] != defaults[name]}

    def title(self, **usual: Pair) -> str:
        """Those settings in words."""
        return ", ".join(f"{name} {_short(pair)}" for name, pair in self.settings(**usual).items())

    def arguments(self) -> str:
        """What ``im2col`` and ``col2im`` of ``_standalone`` are called with."""
        settings = self.settings().items()
        return ", ".join([str(self.kernel), *(f"{name}={pair}" for name, pair in settings)])

    def below(self) -> str:
        """The same below their names in a formula."""
        settings = self.settings().items()
        told = (rf"\text{{{name} }} {shape_text(pair)}" for name, pair in settings)
        return r",\, ".join([shape_text(self.kernel), *told])


def geometry(call: Call) -> Geometry:
    """What the operations inside a call were done with."""
    window = call.inner("window")
    _, _, (ph, _), (pw, _) = call.inner("widths", ((0, 0),) * 4)
    return Geometry(window.kernel, window.stride, (ph, pw), window.dilation)


def to_images(call: Call, name: str) -> None:
    """The result of the call, from ``$name`` with a row for each channel, (K, OH*OW*N)."""
    _, k, oh, ow = call.output.shape
    code = f"${name}.reshape({k}, {oh}, {ow}, -1).transpose(3, 0, 1, 2)"
    latex = rf"\operatorname{{images}}_{{{shape_text(call.output.shape)}}}(${name})"
    call.let("y", latex, code, note="each row becomes a channel")


def to_rows(call: Call, name: str) -> None:
    """The way back for the gradient: ``$dname``."""
    code = f"$g.transpose(1, 2, 3, 0).reshape({call.output.shape[1]}, -1)"
    latex = rf"\operatorname{{rows}}_{{{shape_text(call.symbols[name].shape or ())}}}($g)"
    call.gradient(name, latex, code, note="each channel becomes a row")


def _short(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"
