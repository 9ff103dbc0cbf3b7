"""Pooling layers: a window that slides over signals (1d), images (2d) or volumes (3d)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, get_args

from .. import functional as F
from .._arguments import whole
from .._core.tensor import Tensor
from ..errors import ArgumentError
from ..functional._pooling import fit_rule, too_wide
from ..functional._sliding import Fit, Padding, borders
from ..functional.pool import is_power
from ..typing import IntTuple, TensorLike
from ._checks import each_axis, one_of, padding_of
from .module import Module

__all__ = [
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _Window(Module):
    """A window that slides over some axes in space.

    Attributes:
        function: of ``functional``, which does the work.
        shown: the settings that ``repr`` always shows.
        usual: the others with their defaults, shown where they differ.
    """

    axes: ClassVar[int]
    function: ClassVar[Callable[..., Any]]
    shown: ClassVar[tuple[str, ...]] = ("kernel_size", "stride", "padding")
    usual: ClassVar[dict[str, Any]] = {"ceil_mode": False, "fit": None}

    def __init__(self, kernel_size: IntTuple, stride: IntTuple | None) -> None:
        super().__init__()
        self.kernel_size = self._each("kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else self._each("stride", stride)

    def _each(self, name: str, value: Any, least: int = 1) -> tuple[int, ...]:
        return each_axis(type(self).__name__, name, value, self.axes, least)

    def _pad(self, padding: Padding) -> None:
        """Note the padding: numbers, or a name that is understood when the images are known."""
        owner = type(self).__name__
        self.padding = padding_of(owner, padding, self.axes)
        if isinstance(self.padding, str):
            return
        if too_wide(borders(self.padding, self.axes, owner), self.kernel_size):
            raise ArgumentError(
                f"{owner}: padding={self.padding} is more than half of the window"
                f" {self.kernel_size}"
            )

    def _fit(self, ceil_mode: bool, fit: Fit | None) -> None:
        """Note what happens where the stride does not fit."""
        if fit is not None:
            one_of(type(self).__name__, "fit", fit, get_args(Fit))
        fit_rule(ceil_mode, fit, type(self).__name__)
        self.ceil_mode, self.fit = ceil_mode, fit

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        told = [name for name, value in self.usual.items() if getattr(self, name) != value]
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in (*self.shown, *told))


class _MaxPool(_Window):
    usual: ClassVar = {"dilation": 1, "return_indices": False} | _Window.usual

    def __init__(
        self,
        kernel_size: IntTuple,
        stride: IntTuple | None = None,
        padding: Padding = 0,
        dilation: IntTuple = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
        *,
        fit: Fit | None = None,
    ) -> None:
        super().__init__(kernel_size, stride)
        self._pad(padding)
        self._fit(ceil_mode, fit)
        self.dilation = self._each("dilation", dilation)
        self.return_indices = return_indices

    def forward(self, x: TensorLike) -> Tensor | tuple[Tensor, Tensor]:
        """The largest element of every window, and with ``return_indices`` where it lay."""
        result: Tensor | tuple[Tensor, Tensor] = self.function(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices, fit=self.fit,
        )  # fmt: skip
        return result


class MaxPool1d(_MaxPool):
    """``MaxPool2d`` over signals: (N, C, L) to (N, C, OL).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.MaxPool1d(2)(tc.zeros(1, 6, 28)).shape
    (1, 6, 14)
    """

    axes, function = 1, staticmethod(F.max_pool1d)
    usual: ClassVar = _MaxPool.usual | {"dilation": (1,)}


class MaxPool2d(_MaxPool):
    """The largest element of every window: (N, C, H, W) to (N, C, OH, OW).

    Args:
        kernel_size, stride, dilation: a number, or (rows, columns); the stride is by default
            the window.
        padding: the same, or a pair (before, after) for each of the two, or "same".
        return_indices: whether to return where each winner lies as well, for ``MaxUnpool2d``.
        ceil_mode: whether a last window may reach beyond the padding.
        fit: what happens where the stride does not fit: "floor", "exact", "pad" or "crop".

    Raises:
        ArgumentError: a setting is too small, the padding exceeds half of the window, or
            ``ceil_mode`` and ``fit`` contradict each other.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.MaxPool2d(2)(tc.zeros(1, 6, 28, 28)).shape
    (1, 6, 14, 14)
    """

    axes, function = 2, staticmethod(F.max_pool2d)
    usual: ClassVar = _MaxPool.usual | {"dilation": (1, 1)}


class MaxPool3d(_MaxPool):
    """``MaxPool2d`` over volumes: (N, C, D, H, W) to (N, C, OD, OH, OW).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.MaxPool3d(2)(tc.zeros(1, 6, 4, 28, 28)).shape
    (1, 6, 2, 14, 14)
    """

    axes, function = 3, staticmethod(F.max_pool3d)
    usual: ClassVar = _MaxPool.usual | {"dilation": (1, 1, 1)}


class _AvgPool(_Window):
    usual: ClassVar = {"count_include_pad": True, "divisor_override": None} | _Window.usual

    def __init__(
        self,
        kernel_size: IntTuple,
        stride: IntTuple | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        fit: Fit | None = None,
    ) -> None:
        super().__init__(kernel_size, stride)
        self._pad(padding)
        self._fit(ceil_mode, fit)
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override
        if divisor_override is not None:
            whole(type(self).__name__, "divisor_override", divisor_override)

    def forward(self, x: TensorLike) -> Tensor:
        """The mean of every window."""
        result: Tensor = self.function(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override, fit=self.fit,
        )  # fmt: skip
        return result


class AvgPool1d(_AvgPool):
    """``AvgPool2d`` over signals: (N, C, L) to (N, C, OL).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.AvgPool1d(2)(tc.zeros(1, 6, 28)).shape
    (1, 6, 14)
    """

    axes, function = 1, staticmethod(F.avg_pool1d)


class AvgPool2d(_AvgPool):
    """The mean of every window: (N, C, H, W) to (N, C, OH, OW).

    Args:
        kernel_size, stride: a number, or (rows, columns); the stride is by default the window.
        padding, ceil_mode, fit: as for ``MaxPool2d``.
        count_include_pad: whether the zeros of the padding count as elements.
        divisor_override: what sums are divided by, instead of how many elements count.

    Raises:
        ArgumentError: a setting is too small, the padding exceeds half of the window, or
            ``ceil_mode`` and ``fit`` contradict each other.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.AvgPool2d(2)(tc.zeros(1, 6, 28, 28)).shape
    (1, 6, 14, 14)
    """

    axes, function = 2, staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
    """``AvgPool2d`` over volumes: (N, C, D, H, W) to (N, C, OD, OH, OW).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.AvgPool3d(2)(tc.zeros(1, 6, 4, 28, 28)).shape
    (1, 6, 2, 14, 14)
    """

    axes, function = 3, staticmethod(F.avg_pool3d)


class _LPPool(_Window):
    shown: ClassVar = ("norm_type", "kernel_size", "stride")

    def __init__(
        self,
        norm_type: float,
        kernel_size: IntTuple,
        stride: IntTuple | None = None,
        ceil_mode: bool = False,
        *,
        fit: Fit | None = None,
    ) -> None:
        super().__init__(kernel_size, stride)
        self._fit(ceil_mode, fit)
        if not is_power(norm_type):
            raise ArgumentError(
                f"{type(self).__name__}: norm_type={norm_type!r}: expected a number other than"
                " 0, or inf"
            )
        self.norm_type = norm_type

    def forward(self, x: TensorLike) -> Tensor:
        """The norm of every window."""
        settings = (self.norm_type, self.kernel_size, self.stride, self.ceil_mode)
        result: Tensor = self.function(x, *settings, fit=self.fit)
        return result


class LPPool1d(_LPPool):
    """``LPPool2d`` over signals: (N, C, L) to (N, C, OL).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.LPPool1d(2, 2)(tc.zeros(1, 6, 28)).shape
    (1, 6, 14)
    """

    axes, function = 1, staticmethod(F.lp_pool1d)


class LPPool2d(_LPPool):
    """The norm of every window, (sum x**p)**(1/p): (N, C, H, W) to (N, C, OH, OW).

    Args:
        norm_type: p: 2 for L2-norm pooling, inf for the largest magnitude.
        kernel_size, stride: a number, or (rows, columns); the stride is by default the window.
        ceil_mode, fit: as for ``MaxPool2d``.

    Raises:
        ArgumentError: a setting is too small, p is 0, or ``ceil_mode`` and ``fit`` contradict
            each other.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.LPPool2d(2, 2)(tc.tensor([[[[1.0, 1.0], [3.0, 5.0]]]]))
    tensor([[[[6.]]]])
    """

    axes, function = 2, staticmethod(F.lp_pool2d)


class LPPool3d(_LPPool):
    """``LPPool2d`` over volumes: (N, C, D, H, W) to (N, C, OD, OH, OW).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.LPPool3d(2, 2)(tc.zeros(1, 6, 4, 28, 28)).shape
    (1, 6, 2, 14, 14)
    """

    axes, function = 3, staticmethod(F.lp_pool3d)


class _MaxUnpool(_Window):
    usual: ClassVar = {}

    def __init__(
        self, kernel_size: IntTuple, stride: IntTuple | None = None, padding: IntTuple = 0
    ) -> None:
        super().__init__(kernel_size, stride)
        self.padding = self._each("padding", padding, least=0)

    def forward(
        self, x: TensorLike, indices: TensorLike, output_size: IntTuple | None = None
    ) -> Tensor:
        """Every element where the max-pool found it, and 0 elsewhere."""
        result: Tensor = self.function(
            x, indices, self.kernel_size, self.stride, self.padding, output_size
        )
        return result


class MaxUnpool1d(_MaxUnpool):
    """``MaxUnpool2d`` over signals: (N, C, OL) to (N, C, L).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.MaxUnpool1d(2)(tc.tensor([[[3.0, 5.0]]]), [[[0, 3]]])
    tensor([[[3., 0., 0., 5.]]])
    """

    axes, function = 1, staticmethod(F.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """Put every element back where ``MaxPool2d`` found it: (N, C, OH, OW) to (N, C, H, W).

    Args:
        kernel_size, stride, padding: those of the pool.

    Raises:
        ArgumentError: a setting is too small.

    >>> import tinygrad_cnn as tc
    >>> pool, unpool = tc.nn.MaxPool2d(2, return_indices=True), tc.nn.MaxUnpool2d(2)
    >>> unpool(*pool(tc.tensor([[[[1.0, 2.0], [4.0, 3.0]]]])))
    tensor([[[[0., 0.],
              [4., 0.]]]])
    """

    axes, function = 2, staticmethod(F.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """``MaxUnpool2d`` over volumes: (N, C, OD, OH, OW) to (N, C, D, H, W).

    >>> import tinygrad_cnn as tc
    >>> pool, unpool = tc.nn.MaxPool3d(2, return_indices=True), tc.nn.MaxUnpool3d(2)
    >>> unpool(*pool(tc.ones(1, 1, 4, 4, 4))).sum()
    tensor(8.)
    """

    axes, function = 3, staticmethod(F.max_unpool3d)
