"""Losses of numbers: how far they are from their targets."""

from __future__ import annotations

from .._arguments import is_real
from .._core.context import composition
from .._core.tensor import Tensor
from ..errors import ArgumentError
from ..ops import abs, clip
from ..typing import TensorLike
from ._loss import reduced, same_shape

__all__ = ["huber_loss", "l1_loss", "mse_loss", "smooth_l1_loss"]


@composition
def mse_loss(x: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """The mean square difference.

    Raises:
        ShapeError: the shapes differ; broadcasting here is nearly always a mistake.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.mse_loss(tc.tensor([1.0, 2.0]), [1.0, 4.0])
    tensor(2.)
    """
    x, target = same_shape("mse_loss", x, target)
    difference = x - target
    return reduced(difference * difference, reduction)


@composition
def l1_loss(x: TensorLike, target: TensorLike, reduction: str = "mean") -> Tensor:
    """The mean absolute difference; its derivative is taken as 0 where there is none.

    Raises:
        ShapeError: the shapes differ.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.l1_loss(tc.tensor([1.0, 2.0]), [1.0, 4.0])
    tensor(1.)
    """
    x, target = same_shape("l1_loss", x, target)
    return reduced(abs(x - target), reduction)


@composition
def huber_loss(
    x: TensorLike, target: TensorLike, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """Half the square of a difference d up to ``delta``, a straight line beyond (Huber 1964).

    The line is ``delta (|d| - delta / 2)``. With c = d limited to ±delta both are c (d - c / 2).

    Raises:
        ShapeError: the shapes differ.
        ArgumentError: ``delta`` is not positive.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.huber_loss(tc.tensor([1.0, 4.0]), [2.0, 1.0], reduction="none")
    tensor([0.5, 2.5])
    """
    check_delta("huber_loss", delta)
    x, target = same_shape("huber_loss", x, target)
    return reduced(_huber(x - target, delta), reduction)


def check_delta(owner: str, delta: float) -> None:
    """Refuse a width that is not positive."""
    if not (is_real(delta) and delta > 0):
        raise ArgumentError(f"{owner}: delta={delta!r}, expected a number above 0")


def _huber(difference: Tensor, delta: float) -> Tensor:
    limited = clip(difference, -delta, delta)
    return limited * (difference - 0.5 * limited)


@composition
def smooth_l1_loss(
    x: TensorLike, target: TensorLike, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """The absolute difference, rounded off below ``beta`` (Girshick 2015).

    It is ``huber_loss`` divided by its width, and ``l1_loss`` for ``beta=0``.

    Raises:
        ShapeError: the shapes differ.
        ArgumentError: ``beta`` is below 0.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.smooth_l1_loss(tc.tensor([1.0, 4.0]), [2.0, 1.0], "none", beta=2.0)
    tensor([0.25, 2.  ])
    """
    check_beta("smooth_l1_loss", beta)
    x, target = same_shape("smooth_l1_loss", x, target)
    difference = x - target
    return reduced(_huber(difference, beta) / beta if beta else abs(difference), reduction)


def check_beta(owner: str, beta: float) -> None:
    """Refuse a width below 0."""
    if not is_real(beta, 0.0):
        raise ArgumentError(f"{owner}: beta={beta!r}, expected a number of at least 0")
