"""The settings that convolution layers share."""

from __future__ import annotations

from typing import ClassVar

from ..errors import ArgumentError
from ..typing import IntTuple
from ._checks import each_axis, positive
from .module import Module
from .parameter import Parameter

_USUAL = {
    "padding": 0,
    "output_padding": 0,
    "dilation": 1,
    "groups": 1,
    "padding_mode": "zeros",
    "flip": False,
    "fit": "floor",
}


class Convolution(Module):
    """A layer whose filters slide over images with ``axes`` axes in space."""

    axes: ClassVar[int]
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntTuple,
        stride: IntTuple,
        dilation: IntTuple,
        groups: int = 1,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        positive(owner, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{owner}: groups={groups} does not divide in_channels={in_channels} and"
                f" out_channels={out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = each_axis(owner, "kernel_size", kernel_size, self.axes)
        self.stride = each_axis(owner, "stride", stride, self.axes)
        self.dilation = each_axis(owner, "dilation", dilation, self.axes)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size},"
            f" stride={self.stride}"
        )
        for name, usual in _USUAL.items():
            value = getattr(self, name, usual)
            if value not in (usual, (usual,) * self.axes):
                text += f", {name}={value!r}"
        return text if self.bias is not None else f"{text}, bias=False"
