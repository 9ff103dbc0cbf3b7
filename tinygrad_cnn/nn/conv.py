"""Convolution layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, get_args

import numpy as np

from .. import functional as F
from .._core.tensor import Tensor
from ..functional._sliding import Fit, Padding, PaddingMode
from ..typing import DTypeLike, IntTuple, TensorLike
from ._checks import one_of, padding_of
from ._convolution import Convolution
from ._weights import new_weights

__all__ = ["Conv1d", "Conv2d", "Conv3d"]


class _Conv(Convolution):
    _function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntTuple,
        stride: IntTuple = 1,
        padding: Padding = 0,
        dilation: IntTuple = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        *,
        flip: bool = False,
        fit: Fit = "floor",
        dtype: DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups)
        owner = type(self).__name__
        self.padding = padding_of(owner, padding, self.axes)
        one_of(owner, "padding_mode", padding_mode, get_args(PaddingMode))
        one_of(owner, "fit", fit, get_args(Fit))
        self.padding_mode, self.flip, self.fit = padding_mode, flip, fit
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight, self.bias = new_weights(shape, bias, dtype, generator)

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, …) to (N, K, …)."""
        return self._function(
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            padding_mode=self.padding_mode,
            flip=self.flip,
            fit=self.fit,
        )


class Conv1d(_Conv):
    """Cross-correlate signals with learned filters: (N, C, L) to (N, K, OL).

    Arguments and errors are those of ``Conv2d``, with one axis in space.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Conv1d(2, 4, kernel_size=3, padding="same")(tc.zeros(5, 2, 16)).shape
    (5, 4, 16)
    """

    axes, _function = 1, staticmethod(F.conv1d)


class Conv2d(_Conv):
    """Cross-correlate images with learned filters: (N, C, H, W) to (N, K, OH, OW).

    Args:
        in_channels, out_channels: C and K.
        kernel_size, stride, dilation: a number, or (rows, columns).
        padding: also pairs, or "valid", "same", "same_lower", "full": see ``functional.conv2d``.
        groups: split channels and filters into groups that do not see each other.
        bias: whether to add a number for each filter.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
        flip: turn the filters by 180 degrees, as convolution in mathematics does.
        fit: what happens where the stride does not fit: "floor", "exact", "pad" or "crop".
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: a setting is too small, an unknown name, or ``groups`` does not divide one
            of the channels.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Conv2d(1, 6, kernel_size=5, padding=2)(tc.zeros(2, 1, 28, 28)).shape
    (2, 6, 28, 28)
    """

    axes, _function = 2, staticmethod(F.conv2d)


class Conv3d(_Conv):
    """Cross-correlate volumes with learned filters: (N, C, D, H, W) to (N, K, OD, OH, OW).

    Arguments and errors are those of ``Conv2d``, with three axes in space.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Conv3d(1, 2, kernel_size=(1, 3, 3))(tc.zeros(1, 1, 4, 8, 8)).shape
    (1, 2, 4, 6, 6)
    """

    axes, _function = 3, staticmethod(F.conv3d)
