"""Activation functions made of straight pieces, and the largest of several, as layers."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .._core.tensor import Tensor
from ..functional.piecewise import check_limits
from ..typing import DTypeLike, TensorLike
from ._checks import positive
from .module import Module
from .parameter import Parameter

__all__ = ["Hardsigmoid", "Hardswish", "Hardtanh", "Maxout", "PReLU", "ReLU6"]


class PReLU(Module):
    """x where it is positive, elsewhere times a slope that is learnt (He et al. 2015).

    Args:
        num_parameters: 1, or C: one slope for each channel of (N, C, …).
        init: what the slopes begin with.
        dtype: of the slopes.

    Raises:
        ArgumentError: ``num_parameters`` is no whole number above 0.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.PReLU()(tc.tensor([-1.0, 2.0])).tolist()
    [-0.25, 2.0]
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, *, dtype: DTypeLike = np.float32
    ) -> None:
        super().__init__()
        positive("PReLU", num_parameters=num_parameters)
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(np.full(num_parameters, init, dtype))

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape with one slope, else (N, C, …)."""
        return F.prelu(x, self.weight)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"num_parameters={self.num_parameters}"


class Hardtanh(Module):
    """x limited to [min_val, max_val] (Collobert 2004).

    Raises:
        ArgumentError: ``min_val`` is not below ``max_val``.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Hardtanh()(tc.tensor([-3.0, 0.5]))
    tensor([-1. ,  0.5])
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        super().__init__()
        check_limits("Hardtanh", min_val, max_val)
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.hardtanh(x, self.min_val, self.max_val)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"min_val={self.min_val}, max_val={self.max_val}"


class ReLU6(Module):
    """x limited to [0, 6] (Krizhevsky 2010).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.ReLU6()(tc.tensor([-1.0, 9.0]))
    tensor([0., 6.])
    """

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.relu6(x)


class Hardsigmoid(Module):
    """relu6(x + 3) / 6: a sigmoid of three straight pieces (Howard et al. 2019).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Hardsigmoid()(tc.tensor([-4.0, 1.5]))
    tensor([0.  , 0.75])
    """

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.hardsigmoid(x)


class Hardswish(Module):
    """x * hardsigmoid(x) (Howard et al. 2019).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Hardswish()(tc.tensor([1.5, 4.0]))
    tensor([1.125, 4.   ])
    """

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.hardswish(x)


class Maxout(Module):
    """The largest of every ``pieces`` neighbouring channels (Goodfellow et al. 2013).

    Args:
        pieces: how many linear functions each unit is the largest of; the layer before makes
            ``pieces`` times as many channels.
        axis: of the channels.

    Raises:
        ArgumentError: ``pieces`` is no whole number above 0.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Maxout(2)(tc.tensor([[1.0, 3.0, -2.0, -5.0]]))
    tensor([[ 3., -2.]])
    """

    def __init__(self, pieces: int, axis: int = 1) -> None:
        super().__init__()
        positive("Maxout", pieces=pieces)
        self.pieces, self.axis = pieces, axis

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape that has the axis, a multiple of ``pieces`` long."""
        return F.maxout(x, self.pieces, self.axis)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"{self.pieces}, axis={self.axis}"
