"""Dropout."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from .._core.context import composition
from .._core.symbol import volatile
from .._core.tensor import Tensor, as_tensor
from ..errors import ArgumentError, ShapeError
from ..random import generator_or_default
from ..typing import Array, Shape, TensorLike

__all__ = ["dropout", "dropout1d", "dropout2d", "dropout3d"]


@composition
def dropout(
    x: TensorLike,
    p: float = 0.5,
    training: bool = True,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Zero each element with probability ``p`` and divide the rest by 1 - p.

    This is inverted dropout: the expectation stays, so that nothing is done outside of
    training (Srivastava et al. 2014).

    Raises:
        ArgumentError: ``p`` is not a probability below 1.

    >>> import tinygrad_cnn as tc
    >>> _ = tc.manual_seed(0)
    >>> tc.functional.dropout(tc.ones(4), p=0.5)
    tensor([2., 2., 2., 0.])
    """
    check_probability("dropout", p)
    x = as_tensor(x)
    return _dropped(x, x.shape, p, training, generator)


def _dropped(
    x: Tensor, drawn: Shape, p: float, training: bool, generator: np.random.Generator | None
) -> Tensor:
    """x times a mask drawn in a shape that broadcasts to that of x."""
    if not training or p == 0.0:
        return x

    def draw() -> Array:
        return np.asarray(generator_or_default(generator).random(drawn, np.float32))

    mask: Array = (volatile(draw, drawn, np.float32) >= p).astype(x.dtype) / (1.0 - p)
    return x * mask


@composition
def dropout1d(
    x: TensorLike,
    p: float = 0.5,
    training: bool = True,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Zero each whole channel of signals with probability ``p`` (Tompson et al. 2015).

    The neighbours of an element say nearly the same as it, so that zeros here and there hide
    little. Inverted, as ``dropout``.

    Args:
        x: signals, (N, C, L).
        p: the probability.
        training: outside of it nothing is done.
        generator: what is drawn from, by default the thread's generator.

    Raises:
        ArgumentError: ``p`` is not a probability below 1.
        ShapeError: x has other axes.

    >>> import tinygrad_cnn as tc
    >>> _ = tc.manual_seed(0)
    >>> tc.functional.dropout1d(tc.ones(1, 4, 2))
    tensor([[[2., 2.],
             [2., 2.],
             [2., 2.],
             [0., 0.]]])
    """
    return _without_channels("dropout1d", x, "(N, C, L)", p, training, generator)


@composition
def dropout2d(
    x: TensorLike,
    p: float = 0.5,
    training: bool = True,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Zero each whole channel of images with probability ``p`` (Tompson et al. 2015).

    Arguments as ``dropout1d``, x of shape (N, C, H, W).

    Raises:
        ArgumentError: ``p`` is not a probability below 1.
        ShapeError: x has other axes.

    >>> import tinygrad_cnn as tc
    >>> _ = tc.manual_seed(0)
    >>> tc.functional.dropout2d(tc.ones(1, 4, 5, 5)).sum((2, 3))
    tensor([[50., 50., 50.,  0.]])
    """
    return _without_channels("dropout2d", x, "(N, C, H, W)", p, training, generator)


@composition
def dropout3d(
    x: TensorLike,
    p: float = 0.5,
    training: bool = True,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Zero each whole channel of volumes with probability ``p`` (Tompson et al. 2015).

    Arguments as ``dropout1d``, x of shape (N, C, D, H, W).

    Raises:
        ArgumentError: ``p`` is not a probability below 1.
        ShapeError: x has other axes.

    >>> import tinygrad_cnn as tc
    >>> _ = tc.manual_seed(0)
    >>> tc.functional.dropout3d(tc.ones(1, 4, 2, 2, 2)).sum((2, 3, 4))
    tensor([[16., 16., 16.,  0.]])
    """
    return _without_channels("dropout3d", x, "(N, C, D, H, W)", p, training, generator)


def _without_channels(
    name: str,
    x: TensorLike,
    expected: str,
    p: float,
    training: bool,
    generator: np.random.Generator | None,
) -> Tensor:
    check_probability(name, p)
    x = as_tensor(x)
    if x.ndim != expected.count(",") + 1:
        raise ShapeError(f"{name}: expected {expected}, got {x.shape}")
    return _dropped(x, x.shape[:2] + (1,) * (x.ndim - 2), p, training, generator)


def check_probability(owner: str, p: Any) -> None:
    """Refuse what is no probability below 1."""
    if not isinstance(p, Real) or not 0 <= float(p) < 1:
        raise ArgumentError(f"{owner}: p={p!r}: expected a probability, 0 <= p < 1")
