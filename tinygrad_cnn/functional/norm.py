"""Normalisation of activations and inputs."""

from __future__ import annotations

import numpy as np

from .._core.context import composition
from .._core.tensor import Tensor, as_tensor, raw
from ..errors import ArgumentError, ShapeError
from ..ops import reshape, sqrt
from ..typing import Axis, TensorLike
from .reduction import mean, var

__all__ = ["batch_norm", "subtract_mean"]


@composition
def batch_norm(
    x: TensorLike,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise every channel over the batch, scale and shift it (Ioffe and Szegedy 2015).

    Args:
        x: (N, C) or (N, C, …).
        running_mean, running_var: (C,); in training they move by ``momentum`` towards the
            statistics of the batch (the variance divided by n - 1), else they are used.
        weight, bias: scale and shift, (C,).
        training: use the statistics of this batch.
        momentum: the share of the batch in the running statistics.
        eps: added to the variance.

    Raises:
        ShapeError: an operand has not one element for each channel, or a training batch has
            a single value for each channel.
        ArgumentError: no running statistics outside of training.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([[1.0], [3.0]])
    >>> tc.functional.batch_norm(x, training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]])
    """
    x = as_tensor(x)
    shape = x.shape
    _check_channels(shape, running_mean, running_var, weight, bias)
    per_channel = (1, shape[1]) + (1,) * (len(shape) - 2)
    axes = (0, *range(2, len(shape)))
    if training:
        count = x.size // max(shape[1], 1)
        if count < 2:
            raise ShapeError(
                f"batch_norm in training needs several values for each channel, got {shape}"
            )
        center, spread = mean(x, axes, keepdims=True), var(x, axes, keepdims=True)
        _track(running_mean, center, momentum)
        _track(running_var, spread, momentum, count / (count - 1))
    elif running_mean is None or running_var is None:
        raise ArgumentError("batch_norm outside of training needs running_mean and running_var")
    else:
        center = reshape(as_tensor(running_mean), per_channel)
        spread = reshape(as_tensor(running_var), per_channel)
    out = (x - center) / sqrt(spread + eps)
    if weight is not None:
        out = out * reshape(as_tensor(weight), per_channel)
    return out if bias is None else out + reshape(as_tensor(bias), per_channel)


def _track(running: Tensor | None, batch: TensorLike, momentum: float, scale: float = 1.0) -> None:
    if running is not None:
        data = running.data
        moved = data + momentum * (scale * raw(batch).reshape(data.shape) - data)
        running.data = moved.astype(data.dtype)  # a new array: a graph may have saved the old one


def _check_channels(shape: tuple[int, ...], *operands: TensorLike | None) -> None:
    if len(shape) < 2:
        raise ShapeError(f"batch_norm: expected (N, C, …), got {shape}")
    for operand in operands:
        if operand is not None and np.shape(raw(operand)) != (shape[1],):
            raise ShapeError(
                f"batch_norm: input {shape} has {shape[1]} channels, an operand has shape"
                f" {np.shape(raw(operand))} instead of ({shape[1]},)"
            )


@composition
def subtract_mean(x: TensorLike, axis: Axis = 0) -> Tensor:
    """x minus its mean over ``axis``, by default over the batch.

    It is its own adjoint: the gradient loses its mean too.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.subtract_mean(tc.tensor([1.0, 3.0]))
    tensor([-1.,  1.])
    """
    x = as_tensor(x)
    return x - mean(x, axis, keepdims=True)
