"""Smooth activation functions made of exponentials, as layers."""

from __future__ import annotations

from .. import functional as F
from .._arguments import is_real
from .._core.tensor import Tensor
from ..errors import ArgumentError
from ..typing import TensorLike
from .module import Module

__all__ = ["ELU", "SELU", "LogSigmoid", "Mish", "SiLU", "Softplus"]


class ELU(Module):
    """x where it is positive, ``alpha`` * (exp(x) - 1) elsewhere (Clevert et al. 2016).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.ELU()(tc.tensor([-1000.0, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.elu(x, self.alpha)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"alpha={self.alpha}"


class SELU(Module):
    """The self-normalising ``ELU``: 1.0507 elu(x, alpha=1.6733) (Klambauer et al. 2017).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.SELU()(tc.tensor([-1000.0, 2.0]))
    tensor([-1.75809934,  2.10140197])
    """

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.selu(x)


class SiLU(Module):
    """x * sigmoid(x), called swish too (Elfwing et al. 2018).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.SiLU()(tc.tensor(0.0))
    tensor(0.)
    """

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.silu(x)


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta, a smooth ``ReLU`` (Dugas et al. 2001).

    Args:
        beta: how sharp the bend is.
        threshold: where beta * x lies above it the result is x.

    Raises:
        ArgumentError: ``beta`` is not positive.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Softplus()(tc.tensor([-1000.0, 1000.0]))
    tensor([   0., 1000.])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        if not (is_real(beta) and beta > 0):
            raise ArgumentError(f"Softplus: beta={beta!r}, expected a number above 0")
        self.beta, self.threshold = beta, threshold

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"beta={self.beta}, threshold={self.threshold}"


class LogSigmoid(Module):
    """The logarithm of ``Sigmoid``, stable for x of any size.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.LogSigmoid()(tc.tensor([-1000.0, 1000.0]))
    tensor([-1000.,    -0.])
    """

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.log_sigmoid(x)


class Mish(Module):
    """x * tanh(log(1 + exp(x))) (Misra 2020).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Mish()(tc.tensor(0.0))
    tensor(0.)
    """

    def forward(self, x: TensorLike) -> Tensor:
        """Any shape."""
        return F.mish(x)
