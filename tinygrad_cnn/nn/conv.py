"""The convolution layer."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .._core.tensor import Tensor
from ..errors import ArgumentError
from ..typing import DTypeLike, IntTuple, TensorLike
from ._checks import each_axis, positive
from ._weights import new_weights
from .module import Module

__all__ = ["Conv2d"]


class Conv2d(Module):
    """Cross-correlate images with learned filters: (N, C, H, W) to (N, K, OH, OW).

    Args:
        in_channels, out_channels: C and K.
        kernel_size, stride, padding, dilation: a number, or (rows, columns).
        groups: split channels and filters into groups that do not see each other.
        bias: whether to add a number for each filter.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: a setting is too small, or ``groups`` divides one of the channels not.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Conv2d(1, 6, kernel_size=5, padding=2)(tc.zeros(2, 1, 28, 28)).shape
    (2, 6, 28, 28)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntTuple,
        stride: IntTuple = 1,
        padding: IntTuple = 0,
        dilation: IntTuple = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        positive("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"Conv2d: groups={groups} does not divide in_channels={in_channels} and"
                f" out_channels={out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = each_axis("Conv2d", "kernel_size", kernel_size)
        self.stride = each_axis("Conv2d", "stride", stride)
        self.padding = each_axis("Conv2d", "padding", padding, least=0)
        self.dilation = each_axis("Conv2d", "dilation", dilation)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight, self.bias = new_weights(shape, bias, dtype, generator)

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, H, W) to (N, K, OH, OW)."""
        return F.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size},"
            f" stride={self.stride}"
        )
        for name, usual in (("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            if getattr(self, name) != usual:
                text += f", {name}={getattr(self, name)}"
        return text if self.bias is not None else f"{text}, bias=False"
