"""Pooling layers."""

from __future__ import annotations

from .. import functional as F
from .._core.tensor import Tensor
from ..errors import ArgumentError
from ..typing import IntTuple, TensorLike
from ._checks import each_axis
from .module import Module

__all__ = ["AvgPool2d", "MaxPool2d"]


class _Pool2d(Module):
    """A window that slides over images."""

    def __init__(self, kernel_size: IntTuple, stride: IntTuple | None, padding: IntTuple) -> None:
        super().__init__()
        owner = type(self).__name__
        self.kernel_size = each_axis(owner, "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else each_axis(owner, "stride", stride)
        self.padding = each_axis(owner, "padding", padding, least=0)
        if any(2 * p > f for p, f in zip(self.padding, self.kernel_size, strict=True)):
            raise ArgumentError(
                f"{owner}: padding={self.padding} is more than half of the window"
                f" {self.kernel_size}"
            )

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(_Pool2d):
    """The largest element of every window: (N, C, H, W) to (N, C, OH, OW).

    Args:
        kernel_size, stride, padding, dilation: a number, or (rows, columns); the stride is by
            default the window.

    Raises:
        ArgumentError: a setting is too small, or the padding exceeds half of the window.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.MaxPool2d(2)(tc.zeros(1, 6, 28, 28)).shape
    (1, 6, 14, 14)
    """

    def __init__(
        self,
        kernel_size: IntTuple,
        stride: IntTuple | None = None,
        padding: IntTuple = 0,
        dilation: IntTuple = 1,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.dilation = each_axis("MaxPool2d", "dilation", dilation)

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, H, W) to (N, C, OH, OW)."""
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation)


class AvgPool2d(_Pool2d):
    """The mean of every window: (N, C, H, W) to (N, C, OH, OW).

    Args:
        kernel_size, stride, padding: a number, or (rows, columns); the stride is by default
            the window.
        count_include_pad: whether the zeros of the padding count as elements.

    Raises:
        ArgumentError: a setting is too small, or the padding exceeds half of the window.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.AvgPool2d(2)(tc.zeros(1, 6, 28, 28)).shape
    (1, 6, 14, 14)
    """

    def __init__(
        self,
        kernel_size: IntTuple,
        stride: IntTuple | None = None,
        padding: IntTuple = 0,
        *,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding)
        self.count_include_pad = count_include_pad

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, H, W) to (N, C, OH, OW)."""
        return F.avg_pool2d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            count_include_pad=self.count_include_pad,
        )
