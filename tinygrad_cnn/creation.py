"""New Tensors: constants, ranges and random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._core.symbol import fixed, volatile
from ._core.tensor import Tensor, raw
from .random import generator_or_default
from .typing import Array, DTypeLike, Shape, TensorLike

__all__ = [
    "arange",
    "eye",
    "full",
    "linspace",
    "ones",
    "ones_like",
    "rand",
    "randn",
    "zeros",
    "zeros_like",
]


def _shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """Both calls, zeros(2, 3) and zeros((2, 3))."""
    return tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape


def zeros(*shape: Any, dtype: DTypeLike = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of zeros; float64 unless said otherwise, as in NumPy.

    >>> import tinygrad_cnn as tc
    >>> tc.zeros(2)
    tensor([0., 0.])
    """
    return Tensor(fixed(np.zeros(_shape(shape), dtype)), requires_grad=requires_grad)


def ones(*shape: Any, dtype: DTypeLike = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of ones.

    >>> import tinygrad_cnn as tc
    >>> tc.ones(2)
    tensor([1., 1.])
    """
    return Tensor(fixed(np.ones(_shape(shape), dtype)), requires_grad=requires_grad)


def full(
    shape: Any, value: float, *, dtype: DTypeLike = None, requires_grad: bool = False
) -> Tensor:
    """A Tensor in which every element is ``value``.

    >>> import tinygrad_cnn as tc
    >>> tc.full((2,), 0.5)
    tensor([0.5, 0.5])
    """
    return Tensor(fixed(np.full(shape, value, dtype)), requires_grad=requires_grad)


def zeros_like(x: TensorLike, *, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape, dtype and memory order of ``x``.

    >>> import tinygrad_cnn as tc
    >>> tc.zeros_like(tc.tensor([1.0, 2.0]))
    tensor([0., 0.])
    """
    return Tensor(np.zeros_like(raw(x)), requires_grad=requires_grad)


def ones_like(x: TensorLike, *, requires_grad: bool = False) -> Tensor:
    """Ones with the shape, dtype and memory order of ``x``.

    >>> import tinygrad_cnn as tc
    >>> tc.ones_like(tc.tensor([1.0, 2.0]))
    tensor([1., 1.])
    """
    return Tensor(np.ones_like(raw(x)), requires_grad=requires_grad)


def eye(n: int, *, dtype: DTypeLike = None) -> Tensor:
    """The identity matrix.

    >>> import tinygrad_cnn as tc
    >>> tc.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    return Tensor(fixed(np.eye(n, dtype=dtype)))


def arange(*bounds: Any, dtype: DTypeLike = None) -> Tensor:
    """Evenly spaced numbers: arange(stop), arange(start, stop[, step]).

    >>> import tinygrad_cnn as tc
    >>> tc.arange(3.0)
    tensor([0., 1., 2.])
    """
    return Tensor(fixed(np.arange(*bounds, dtype=dtype)))


def linspace(start: float, stop: float, num: int = 50, *, dtype: DTypeLike = None) -> Tensor:
    """``num`` numbers from ``start`` to ``stop``, both included.

    >>> import tinygrad_cnn as tc
    >>> tc.linspace(0, 1, 3)
    tensor([0. , 0.5, 1. ])
    """
    return Tensor(fixed(np.linspace(start, stop, num, dtype=dtype)))


def rand(
    *shape: Any,
    dtype: DTypeLike = None,
    requires_grad: bool = False,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Random numbers, uniform in [0, 1).

    >>> import tinygrad_cnn as tc
    >>> tc.rand(2, 3).shape
    (2, 3)
    """
    return _drawn("random", generator, _shape(shape), dtype, requires_grad)


def randn(
    *shape: Any,
    dtype: DTypeLike = None,
    requires_grad: bool = False,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Random numbers from the standard normal distribution.

    >>> import tinygrad_cnn as tc
    >>> tc.randn(2, 3).shape
    (2, 3)
    """
    return _drawn("standard_normal", generator, _shape(shape), dtype, requires_grad)


def _drawn(
    method: str, generator: np.random.Generator | None, shape: Shape, dtype: DTypeLike, grad: bool
) -> Tensor:
    """Numbers that a generator draws; a compiled function draws others in each call."""

    def draw() -> Array:
        return np.asarray(getattr(generator_or_default(generator), method)(shape), dtype)

    return Tensor(volatile(draw, shape, dtype or np.float64), requires_grad=grad)
