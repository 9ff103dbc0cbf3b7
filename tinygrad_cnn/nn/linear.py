"""The fully connected layer."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .._core.tensor import Tensor
from ..typing import DTypeLike, TensorLike
from ._checks import positive
from ._weights import new_weights
from .module import Module

__all__ = ["Linear"]


class Linear(Module):
    """``x @ weight.T + bias``: (…, in_features) to (…, out_features).

    Args:
        in_features, out_features: how many numbers go in and come out.
        bias: whether to add one.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: a number of features below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.Linear(3, 2)(tc.zeros(5, 3)).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        shape = (out_features, in_features)
        self.weight, self.bias = new_weights(shape, bias, dtype, generator)

    def forward(self, x: TensorLike) -> Tensor:
        """(…, in_features) to (…, out_features)."""
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        bias = "" if self.bias is not None else ", bias=False"
        return f"{self.in_features}, {self.out_features}{bias}"
