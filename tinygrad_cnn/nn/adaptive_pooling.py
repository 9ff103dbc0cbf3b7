"""Pooling layers whose windows follow from the size of the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from .. import functional as F
from .._core.tensor import Tensor
from ..errors import ArgumentError, ShapeError
from ..functional.adaptive_pool import OutputSize, bins
from ..typing import TensorLike
from .module import Module

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalAvgPool3d",
    "GlobalMaxPool1d",
    "GlobalMaxPool2d",
    "GlobalMaxPool3d",
]


class _Adaptive(Module):
    """A given number of bins; what becomes of them is ``function`` of ``functional``."""

    axes: ClassVar[int]
    function: ClassVar[Callable[..., Any]]

    def __init__(self, output_size: OutputSize) -> None:
        super().__init__()
        try:
            bins(output_size, (1,) * self.axes, type(self).__name__)
        except ShapeError as error:
            raise ArgumentError(str(error)) from None
        self.output_size = output_size

    def forward(self, x: TensorLike) -> Any:
        """One number of every bin."""
        return self.function(x, self.output_size)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_Adaptive):
    """``AdaptiveAvgPool2d`` over signals: (N, C, L) to (N, C, OL).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.AdaptiveAvgPool1d(2)(tc.tensor([[[1.0, 2.0, 4.0]]]))
    tensor([[[1.5, 3. ]]])
    """

    axes, function = 1, staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_Adaptive):
    """The mean of every bin: (N, C, H, W) to ``(N, C, *output_size)``.

    Args:
        output_size: a number, or (rows, columns), of which None leaves an axis as it is.

    Raises:
        ArgumentError: ``output_size`` is none.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.AdaptiveAvgPool2d((6, None))(tc.ones(1, 256, 13, 13)).shape
    (1, 256, 6, 13)
    """

    axes, function = 2, staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_Adaptive):
    """``AdaptiveAvgPool2d`` over volumes: (N, C, D, H, W) to ``(N, C, *output_size)``.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.AdaptiveAvgPool3d(2)(tc.ones(1, 3, 4, 5, 6)).shape
    (1, 3, 2, 2, 2)
    """

    axes, function = 3, staticmethod(F.adaptive_avg_pool3d)


class _AdaptiveMax(_Adaptive):
    def __init__(self, output_size: OutputSize, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, x: TensorLike) -> Any:
        """The largest element of every bin, and with ``return_indices`` where it lay."""
        return self.function(x, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMax):
    """``AdaptiveMaxPool2d`` over signals: (N, C, L) to (N, C, OL).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.AdaptiveMaxPool1d(2)(tc.tensor([[[1.0, 2.0, 4.0]]]))
    tensor([[[2., 4.]]])
    """

    axes, function = 1, staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMax):
    """The largest element of every bin: (N, C, H, W) to ``(N, C, *output_size)``.

    Args:
        output_size: a number, or (rows, columns), of which None leaves an axis as it is.
        return_indices: whether to return where each winner lies as well.

    Raises:
        ArgumentError: ``output_size`` is none.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.AdaptiveMaxPool2d(7)(tc.ones(1, 512, 13, 10)).shape
    (1, 512, 7, 7)
    """

    axes, function = 2, staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMax):
    """``AdaptiveMaxPool2d`` over volumes: (N, C, D, H, W) to ``(N, C, *output_size)``.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.AdaptiveMaxPool3d(2)(tc.ones(1, 3, 4, 5, 6)).shape
    (1, 3, 2, 2, 2)
    """

    axes, function = 3, staticmethod(F.adaptive_max_pool3d)


class _Global(Module):
    """One number of each channel."""

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self, keepdims: bool = False) -> None:
        super().__init__()
        self.keepdims = keepdims

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, …) to (N, C), or to (N, C, 1, …) with ``keepdims``."""
        return self.function(x, self.keepdims)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return "keepdims=True" if self.keepdims else ""


class GlobalAvgPool1d(_Global):
    """``GlobalAvgPool2d`` over signals: (N, C, L) to (N, C).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.GlobalAvgPool1d()(tc.ones(2, 10, 7)).shape
    (2, 10)
    """

    function = staticmethod(F.global_avg_pool1d)


class GlobalAvgPool2d(_Global):
    """The mean of every channel: (N, C, H, W) to (N, C), which a classifier can take.

    Args:
        keepdims: whether the result is (N, C, 1, 1), as of ``AdaptiveAvgPool2d(1)``.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.GlobalAvgPool2d()(tc.ones(2, 10, 7, 7)).shape
    (2, 10)
    """

    function = staticmethod(F.global_avg_pool2d)


class GlobalAvgPool3d(_Global):
    """``GlobalAvgPool2d`` over volumes: (N, C, D, H, W) to (N, C).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.GlobalAvgPool3d()(tc.ones(2, 10, 3, 7, 7)).shape
    (2, 10)
    """

    function = staticmethod(F.global_avg_pool3d)


class GlobalMaxPool1d(_Global):
    """``GlobalMaxPool2d`` over signals: (N, C, L) to (N, C).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.GlobalMaxPool1d()(tc.ones(2, 10, 7)).shape
    (2, 10)
    """

    function = staticmethod(F.global_max_pool1d)


class GlobalMaxPool2d(_Global):
    """The largest element of every channel: (N, C, H, W) to (N, C).

    Args:
        keepdims: whether the result is (N, C, 1, 1), as of ``AdaptiveMaxPool2d(1)``.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.GlobalMaxPool2d()(tc.ones(2, 10, 7, 7)).shape
    (2, 10)
    """

    function = staticmethod(F.global_max_pool2d)


class GlobalMaxPool3d(_Global):
    """``GlobalMaxPool2d`` over volumes: (N, C, D, H, W) to (N, C).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.GlobalMaxPool3d()(tc.ones(2, 10, 3, 7, 7)).shape
    (2, 10)
    """

    function = staticmethod(F.global_max_pool3d)
