"""Dropout."""

from __future__ import annotations

from ._layer import Call, Layer


class Dropout(Layer):
    """A mask of zeros and of 1 / (1 - p) (inverted dropout, Srivastava et al. 2014)."""

    spares = ("generator",)

    def title(self, call: Call) -> str:
        """How much is dropped."""
        return f"p = {call.params['p']:g}"

    def forward(self, call: Call) -> None:
        """The mask that was drawn is given."""
        call.given("mask", call.output.operands[1].value)
        call.let("y", r"$x \odot $mask", "$x * $mask", note="the mask: 0, or 1 / (1 - p)")

    def backward(self, call: Call) -> None:
        """The gradient is dropped where the value was."""
        call.passes("x", r"$g \odot $mask", "$g * $mask")
