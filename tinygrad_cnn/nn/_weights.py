"""The parameters of a layer that multiplies by weights and adds a bias."""

from __future__ import annotations

import math

import numpy as np

from ..typing import DTypeLike, Shape
from . import init
from .parameter import Parameter


def new_weights(
    shape: Shape, bias: bool, dtype: DTypeLike, generator: np.random.Generator | None
) -> tuple[Parameter, Parameter | None]:
    """Weights and bias, both uniform in ±1 / sqrt(fan_in), which is PyTorch's default."""
    weight = Parameter(np.zeros(shape, dtype))
    init.kaiming_uniform_(weight, a=math.sqrt(5.0), generator=generator)  # gain sqrt(1/3)
    if not bias:
        return weight, None
    bound = 1.0 / math.sqrt(init.calculate_fans(weight)[0])
    return weight, init.uniform_(Parameter(np.zeros(shape[:1], dtype)), -bound, bound, generator)
