"""What the models share: errors that tell the size of their images, weights that are drawn once."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from .. import nn
from .._arguments import is_whole
from .._core.tensor import raw
from ..errors import ArgumentError, ShapeError
from ..nn import init
from ..random import generator_or_default
from ..typing import Shape


class ImageModel(nn.Module):
    """A model that says which images it was made for when others do not fit.

    Attributes:
        input_shape: (C, H, W); () for a slice of a model.
        arguments: positional and named ones that it was made with.
    """

    input_shape: Shape = ()
    arguments: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        kept = {name: value for name, value in kwargs.items() if name != "generator"}
        vars(self)["arguments"] = (args, kept)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except ShapeError as error:
            given = np.shape(raw(args[0])) if args else ()
            if given[1:] == self.input_shape or not self.input_shape:
                raise
            expected = ", ".join(map(str, self.input_shape))
            raise ShapeError(
                f"{type(self).__name__} is made for images (N, {expected}), got {given}: {error}"
            ) from None


def check_depth(owner: str, depth: Any, known: Iterable[int]) -> None:
    """Refuse a depth that the paper does not have."""
    depths = tuple(known)
    if depth not in depths:
        listed = ", ".join(map(str, depths))
        raise ArgumentError(f"{owner}: depth={depth!r}, expected one of {listed}")


def stage_length(owner: str, depth: Any, convolutions: int) -> int:
    """How many blocks each of three stages has; outside of them are two layers with weights."""
    per_block = 3 * convolutions
    if not is_whole(depth, 2 + per_block) or (depth - 2) % per_block:
        known = ", ".join(str(2 + per_block * n) for n in range(1, 6))
        raise ArgumentError(f"{owner}: depth={depth!r}, expected {per_block}n + 2: {known}, …")
    return int(depth - 2) // per_block


class _Undrawn(np.random.Generator):
    """Takes the place of a generator in layers whose weights are drawn afterwards.

    Their default values are drawn in float64, which takes seconds for 138 million of them.
    """

    def uniform(self, *args: Any, **kwargs: Any) -> Any:
        return 0.0


UNDRAWN: Any = _Undrawn(np.random.PCG64(0))


def normal_(weight: nn.Parameter, std: float, generator: np.random.Generator | None) -> None:
    """Draw from the normal distribution, in place and without a detour by float64."""
    if weight.dtype not in (np.float32, np.float64):  # NumPy draws no others
        init.normal_(weight, 0.0, std, generator)
        return
    values: Any = weight.data
    generator_or_default(generator).standard_normal(dtype=weight.dtype, out=values)
    values *= std
    weight.mark_changed()


def he_normal(
    model: nn.Module, generator: np.random.Generator | None, mode: str = "fan_out"
) -> None:
    """Draw the filters of all convolutions: variance 2 / fan (He et al. 2015).

    Where nothing normalises and widths go up and down, "fan_in" keeps activations in size.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_in, fan_out = init.calculate_fans(module.weight)
            fan = fan_in if mode == "fan_in" else fan_out
            normal_(module.weight, math.sqrt(2.0 / fan), generator)


def small_normal(model: nn.Module, generator: np.random.Generator | None) -> None:
    """Draw the weights of all linear layers with a standard deviation of 0.01."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            normal_(module.weight, 0.01, generator)
