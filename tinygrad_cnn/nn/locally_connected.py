"""Locally connected layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from .. import functional as F
from .._core.tensor import Tensor
from .._kernels.windows import Window
from ..errors import ArgumentError
from ..functional._sliding import Padding, widths
from ..typing import DTypeLike, IntTuple, TensorLike
from ._checks import each_axis, padding_of
from ._convolution import Convolution
from ._weights import new_weights

__all__ = ["LocallyConnected1d", "LocallyConnected2d"]


class _LocallyConnected(Convolution):
    _function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: IntTuple,
        kernel_size: IntTuple,
        stride: IntTuple = 1,
        padding: Padding = 0,
        dilation: IntTuple = 1,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation)
        owner = type(self).__name__
        self.input_size = each_axis(owner, "input_size", input_size, self.axes)
        self.padding = padding_of(owner, padding, self.axes)
        window = Window(self.kernel_size, self.stride, self.dilation)
        around = widths(self.input_size, window.extent, window.stride, self.padding, owner)
        size = tuple(n + a + b for n, (a, b) in zip(self.input_size, around, strict=True))
        self.output_size = window.output_size(size)
        if min(self.output_size) < 1:
            raise ArgumentError(
                f"{owner}: kernel_size={self.kernel_size} with dilation={self.dilation} does not"
                f" fit into input_size={self.input_size} with padding={self.padding}"
            )
        shape = (out_channels, *self.output_size, in_channels, *self.kernel_size)
        self.weight, self.bias = new_weights(
            shape,
            bias,
            dtype,
            generator,
            bias_shape=shape[: 1 + self.axes],
            fan_in=in_channels * math.prod(self.kernel_size),
        )

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, …) to (N, K, …)."""
        return self._function(x, self.weight, self.bias, self.stride, self.padding, self.dilation)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"{super().extra_repr()}, input_size={self.input_size}"


class LocallyConnected1d(_LocallyConnected):
    """As ``Conv1d``, with other filters at each place: (N, C, L) to (N, K, OL).

    Arguments and errors are those of ``LocallyConnected2d``, with one axis in space.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.LocallyConnected1d(2, 4, input_size=16, kernel_size=3)(tc.zeros(5, 2, 16)).shape
    (5, 4, 14)
    """

    axes, _function = 1, staticmethod(F.locally_connected1d)


class LocallyConnected2d(_LocallyConnected):
    """As ``Conv2d``, with other filters at each place: (N, C, H, W) to (N, K, OH, OW).

    Args:
        in_channels, out_channels: C and K.
        input_size: of the images, on which the number of filters depends: a number, or (H, W).
        kernel_size, stride, padding, dilation: as in ``Conv2d``.
        bias: whether to add a number for each number of the output.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Attributes:
        output_size: (OH, OW).

    Raises:
        ArgumentError: a setting is too small, or the window does not fit into the images.

    >>> import tinygrad_cnn as tc
    >>> faces = tc.nn.LocallyConnected2d(1, 4, input_size=(9, 7), kernel_size=3)
    >>> faces.weight.shape, faces(tc.zeros(2, 1, 9, 7)).shape
    ((4, 7, 5, 1, 3, 3), (2, 4, 7, 5))
    """

    axes, _function = 2, staticmethod(F.locally_connected2d)
