"""The parameters of a layer that multiplies by weights and adds a bias."""

from __future__ import annotations

import math

import numpy as np

from .._arguments import affordable
from ..typing import DTypeLike, Shape
from . import init
from .parameter import Parameter


def new_weights(
    shape: Shape,
    bias: bool,
    dtype: DTypeLike,
    generator: np.random.Generator | None,
    *,
    bias_shape: Shape | None = None,
    fan_in: int | None = None,
) -> tuple[Parameter, Parameter | None]:
    """Weights and bias, both uniform in ±1 / sqrt(fan_in), which is PyTorch's default.

    Args:
        shape: of the weights.
        bias: whether there is one.
        dtype, generator: of both.
        bias_shape: by default one number for each first index of the weights.
        fan_in: how many weights make a number, by default those with the same first index.
    """
    affordable("weights", shape, np.dtype(dtype).itemsize)
    bound = 1.0 / math.sqrt(fan_in or math.prod(shape[1:]))
    weight = init.uniform_(Parameter(np.zeros(shape, dtype)), -bound, bound, generator)
    if not bias:
        return weight, None
    return weight, init.uniform_(
        Parameter(np.zeros(bias_shape or shape[:1], dtype)), -bound, bound, generator
    )
