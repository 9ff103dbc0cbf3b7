"""Activation functions as layers."""

from __future__ import annotations

from .. import functional as F
from .._core.tensor import Tensor
from ..typing import TensorLike
from ._checks import one_of
from .module import Module

__all__ = ["GELU", "LeakyReLU", "LogSoftmax", "ReLU", "Sigmoid", "Softmax", "Tanh"]


class ReLU(Module):
    """The positive part, max(0, x).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.ReLU()(tc.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.relu(x)


class LeakyReLU(Module):
    """x where it is positive, ``negative_slope`` * x elsewhere.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.LeakyReLU(0.5)(tc.tensor([-1.0, 2.0]))
    tensor([-0.5,  2. ])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"negative_slope={self.negative_slope}"


class Sigmoid(Module):
    """1 / (1 + exp(-x)).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Sigmoid()(tc.tensor(0.0))
    tensor(0.5)
    """

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Tanh()(tc.tensor(0.0))
    tensor(0.)
    """

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.tanh(x)


class GELU(Module):
    """x times the normal distribution function at x.

    Raises:
        ArgumentError: ``approximate`` is neither "none" nor "tanh".

    >>> import tinygrad_cnn as tc
    >>> tc.nn.GELU()(tc.tensor(0.0))
    tensor(0.)
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        one_of("GELU", "approximate", approximate, ("none", "tanh"))
        self.approximate = approximate

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"approximate={self.approximate!r}"


class Softmax(Module):
    """exp(x) normalised to sum 1 along ``axis``.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Softmax()(tc.tensor([3.0, 3.0]))
    tensor([0.5, 0.5])
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape that has the axis."""
        return F.softmax(x, self.axis)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"axis={self.axis}"


class LogSoftmax(Softmax):
    """The logarithm of softmax along ``axis``.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.LogSoftmax()(tc.tensor([1000.0, -1000.0]))
    tensor([    0., -2000.])
    """

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape that has the axis."""
        return F.log_softmax(x, self.axis)
