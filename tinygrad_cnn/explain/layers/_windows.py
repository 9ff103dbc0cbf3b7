"""Windows that slide over images, as titles, formulas and code say it."""

from __future__ import annotations

import math
from typing import NamedTuple

from ...typing import Shape
from .._typeset import shape_text
from ._layer import Call

_DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1}


class Geometry(NamedTuple):
    """How a window slides over images: one number for each axis in space."""

    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape

    @property
    def places(self) -> int:
        """How many pixels a window sees in one channel."""
        return math.prod(self.kernel)

    def settings(self, **usual: Shape) -> dict[str, Shape]:
        """What differs from a stride and dilation of 1 and no padding, or from other defaults."""
        defaults = {name: (n,) * len(self.kernel) for name, n in _DEFAULTS.items()} | usual
        chosen = self._asdict()
        return {name: chosen[name] for name in defaults if chosen[name] != defaults[name]}

    def title(self, **usual: Shape) -> str:
        """Those settings in words."""
        return ", ".join(f"{name} {_short(each)}" for name, each in self.settings(**usual).items())

    def arguments(self) -> str:
        """What ``im2col`` and ``col2im`` of ``_standalone`` are called with."""
        settings = self.settings().items()
        return ", ".join([str(self.kernel), *(f"{name}={each}" for name, each in settings)])

    def below(self) -> str:
        """The same below their names in a formula."""
        settings = self.settings().items()
        told = (rf"\text{{{name} }} {shape_text(each)}" for name, each in settings)
        return r",\, ".join([shape_text(self.kernel), *told])


def geometry(call: Call) -> Geometry:
    """What the operations inside a call were done with."""
    window = call.inner("window")
    _, _, *widths = call.inner("widths", ((0, 0),) * (len(window.kernel) + 2))
    return Geometry(window.kernel, window.stride, tuple(p for p, _ in widths), window.dilation)


def to_images(call: Call, name: str) -> None:
    """The result of the call, from ``$name`` with a row for each channel, (K, OH*OW*N)."""
    lengths = ", ".join(map(str, call.output.shape[1:]))
    last = len(call.output.shape) - 1
    order = ", ".join(map(str, (last, *range(last))))
    code = f"${name}.reshape({lengths}, -1).transpose({order})"
    latex = rf"\operatorname{{images}}_{{{shape_text(call.output.shape)}}}(${name})"
    call.let("y", latex, code, note="each row becomes a channel")


def to_rows(call: Call, name: str) -> None:
    """The way back for the gradient: ``$dname``."""
    order = ", ".join(map(str, range(1, len(call.output.shape))))
    code = f"$g.transpose({order}, 0).reshape({call.output.shape[1]}, -1)"
    latex = rf"\operatorname{{rows}}_{{{shape_text(call.symbols[name].shape or ())}}}($g)"
    call.gradient(name, latex, code, note="each channel becomes a row")


def _short(each: Shape) -> str:
    return str(each[0]) if len(set(each)) == 1 else "x".join(map(str, each))
