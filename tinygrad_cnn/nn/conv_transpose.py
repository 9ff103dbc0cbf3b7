"""Transposed convolution layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from .. import functional as F
from .._core.tensor import Tensor, raw
from ..errors import ArgumentError, ShapeError
from ..typing import DTypeLike, IntTuple, Shape, TensorLike
from ._checks import each_axis
from ._convolution import Convolution
from ._weights import new_weights

__all__ = ["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]


class _ConvTranspose(Convolution):
    _function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntTuple,
        stride: IntTuple = 1,
        padding: IntTuple = 0,
        output_padding: IntTuple = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: IntTuple = 1,
        *,
        dtype: DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups)
        owner = type(self).__name__
        self.padding = each_axis(owner, "padding", padding, self.axes, least=0)
        self.output_padding = each_axis(owner, "output_padding", output_padding, self.axes, least=0)
        if any(o >= n for o, n in zip(self.output_padding, self._sizes(), strict=True)):
            raise ArgumentError(
                f"{owner}: output_padding={self.output_padding} is not smaller than the stride"
                f" {self.stride} or dilation {self.dilation}"
            )
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        self.weight, self.bias = new_weights(
            shape, bias, dtype, generator, bias_shape=(out_channels,)
        )

    def forward(self, x: TensorLike, output_size: IntTuple | None = None) -> Tensor:
        """(N, C, …) to (N, K, …).

        Args:
            x: the images.
            output_size: of which of the possible sizes the result shall be, one number for each
                axis in space, in the place of ``output_padding``.

        Raises:
            ShapeError: a size that the layer can't make.
        """
        extra = self.output_padding
        if output_size is not None:
            extra = self._output_padding(np.shape(raw(x)), output_size)
        return self._function(
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )

    def _sizes(self) -> Shape:
        """How many output sizes are possible along each axis."""
        return tuple(map(max, self.stride, self.dilation))

    def _output_padding(self, images: Shape, output_size: IntTuple) -> Shape:
        """What has to be added for an output of this size."""
        owner = type(self).__name__
        wanted = each_axis(owner, "output_size", output_size, self.axes)
        axes = zip(
            images[2:], self.stride, self.padding, self.dilation, self.kernel_size, strict=False
        )
        least = tuple((n - 1) * s - 2 * p + d * (f - 1) + 1 for n, s, p, d, f in axes)
        extra = tuple(w - n for w, n in zip(wanted, least, strict=False))
        if not all(0 <= e < n for e, n in zip(extra, self._sizes(), strict=False)):
            most = tuple(n + more - 1 for n, more in zip(least, self._sizes(), strict=False))
            raise ShapeError(
                f"{owner}: output_size={output_size!r} for images {images}: possible are {least} to"
                f" {most}"
            )
        return extra


class ConvTranspose1d(_ConvTranspose):
    """The adjoint of ``Conv1d``, with filters of its own: (N, C, L) to (N, K, OL).

    Arguments and errors are those of ``ConvTranspose2d``, with one axis in space.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.ConvTranspose1d(2, 4, kernel_size=2, stride=2)(tc.zeros(5, 2, 8)).shape
    (5, 4, 16)
    """

    axes, _function = 1, staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """The adjoint of ``Conv2d``, with filters of its own: (N, C, H, W) to (N, K, OH, OW).

    Args:
        in_channels, out_channels: C and K.
        kernel_size, stride, dilation: a number, or (rows, columns).
        padding: how much is cut off on every side: a number, or (rows, columns).
        output_padding: rows and columns that are added at the end, fewer than the stride or
            dilation.
        groups: split channels into groups that do not see each other.
        bias: whether to add a number for each channel that comes out.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: a setting is too small, ``output_padding`` too large, or ``groups`` does
            not divide one of the channels.

    >>> import tinygrad_cnn as tc
    >>> enlarge = tc.nn.ConvTranspose2d(8, 4, kernel_size=3, stride=2, padding=1)
    >>> enlarge(tc.zeros(1, 8, 7, 7)).shape
    (1, 4, 13, 13)
    >>> enlarge(tc.zeros(1, 8, 7, 7), output_size=14).shape
    (1, 4, 14, 14)
    """

    axes, _function = 2, staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """The adjoint of ``Conv3d``, with filters of its own: (N, C, D, H, W) to (N, K, OD, OH, OW).

    Arguments and errors are those of ``ConvTranspose2d``, with three axes in space.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.ConvTranspose3d(2, 1, kernel_size=2, stride=2)(tc.zeros(1, 2, 2, 4, 4)).shape
    (1, 1, 4, 8, 8)
    """

    axes, _function = 3, staticmethod(F.conv_transpose3d)
