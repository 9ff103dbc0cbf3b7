"""Normalisation of activations and inputs."""

from __future__ import annotations

import math

import numpy as np

from .._arguments import is_real, whole
from .._core.context import composition
from .._core.symbol import assign, value_of
from .._core.tensor import Tensor, as_tensor, raw
from ..errors import ArgumentError, ShapeError
from ..ops import reshape, sqrt
from ..typing import Axis, IntTuple, Shape, TensorLike
from .reduction import mean, var

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "subtract_mean"]


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
    axes = (0, *range(2, np.ndim(raw(x)))) if training else None
    running, affine = (running_mean, running_var), (weight, bias)
    return _by_channel("batch_norm", x, axes, running, affine, momentum, eps)


@composition
def instance_norm(
    x: TensorLike,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise every channel of every image by itself (Ulyanov et al. 2016).

    Args:
        x: (N, C, …) with at least one axis in space.
        running_mean, running_var: (C,); they move by ``momentum`` towards the statistics of the
            images, averaged over the batch, and are used instead of them where
            ``use_input_stats`` is false.
        weight, bias: scale and shift, (C,).
        use_input_stats: use the statistics of these images.
        momentum: the share of the batch in the running statistics.
        eps: added to the variance.

    Raises:
        ShapeError: an operand has not one element for each channel, or a channel of an image has
            a single value.
        ArgumentError: no running statistics where they shall be used.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([[[1.0, 3.0]], [[10.0, 30.0]]])
    >>> tc.functional.instance_norm(x, eps=0.0).tolist()
    [[[-1.0, 1.0]], [[-1.0, 1.0]]]
    """
    axes = tuple(range(2, np.ndim(raw(x)))) if use_input_stats else None
    running, affine = (running_mean, running_var), (weight, bias)
    return _by_channel("instance_norm", x, axes, running, affine, momentum, eps)


def _by_channel(
    name: str,
    x: TensorLike,
    axes: tuple[int, ...] | None,
    running: tuple[Tensor | None, Tensor | None],
    affine: tuple[TensorLike | None, TensorLike | None],
    momentum: float,
    eps: float,
) -> Tensor:
    """Normalise by the statistics over ``axes``, or where that is None by the running ones."""
    x = as_tensor(x)
    shape = x.shape
    _check_channels(name, shape, *running, *affine)
    check_eps(name, eps)
    if not is_real(momentum, 0.0):
        raise ArgumentError(f"{name}: momentum={momentum!r}, expected a number from 0 to 1")
    per_channel = (1, shape[1]) + (1,) * (len(shape) - 2)
    if axes is not None:
        center, spread = _statistics(name, x, axes, running, momentum)
    elif running[0] is None or running[1] is None:
        raise ArgumentError(
            f"{name} without the statistics of x needs running_mean and running_var"
        )
    else:
        center, spread = (reshape(as_tensor(r), per_channel) for r in running if r is not None)
    return _affine((x - center) / sqrt(spread + eps), *affine, per_channel)


def _statistics(
    name: str,
    x: Tensor,
    axes: tuple[int, ...],
    running: tuple[Tensor | None, Tensor | None],
    momentum: float,
) -> tuple[Tensor, Tensor]:
    """Mean and variance over the axes; the running ones move towards them."""
    if any(r is not None and not isinstance(r, Tensor) for r in running):
        raise ArgumentError(f"{name}: running statistics are updated: give Tensors, not arrays")
    count = math.prod(x.shape[i] for i in axes)
    if count < 2:
        raise ShapeError(
            f"{name} by the statistics of x needs several values for each channel, got {x.shape}"
        )
    center, spread = mean(x, axes, keepdims=True), var(x, axes, keepdims=True)
    _track(running[0], center, momentum)
    _track(running[1], spread, momentum, count / (count - 1))
    return center, spread


def _track(running: Tensor | None, found: Tensor, momentum: float, scale: float = 1.0) -> None:
    if running is not None and found.size:
        data = value_of(running)
        batch = scale * found.data.mean(0).reshape(data.shape)  # over the images, if there are any
        # a new array: a graph may have saved the old one
        assign(running, (data + momentum * (batch - data)).astype(data.dtype))


def check_eps(owner: str, eps: float) -> None:
    """Refuse what is no number of at least 0 to add to a variance."""
    if not is_real(eps, 0.0):
        raise ArgumentError(f"{owner}: eps={eps!r}, expected a number of at least 0")


def _check_channels(name: str, shape: Shape, *operands: TensorLike | None) -> None:
    if len(shape) < 2:
        raise ShapeError(f"{name}: expected (N, C, …), got {shape}")
    for operand in operands:
        if operand is not None and np.shape(raw(operand)) != (shape[1],):
            raise ShapeError(
                f"{name}: input {shape} has {shape[1]} channels, an operand has shape"
                f" {np.shape(raw(operand))} instead of ({shape[1]},)"
            )


def _affine(x: Tensor, weight: TensorLike | None, bias: TensorLike | None, shape: Shape) -> Tensor:
    """x scaled and shifted by operands that broadcast once they have this shape."""
    if weight is not None:
        x = x * reshape(as_tensor(weight), shape)
    return x if bias is None else x + reshape(as_tensor(bias), shape)


@composition
def group_norm(
    x: TensorLike,
    num_groups: int,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise every group of channels of every image by itself (Wu and He 2018).

    One group normalises all channels together, as many groups as channels is ``instance_norm``.

    Args:
        x: (N, C) or (N, C, …).
        num_groups: into how many groups of neighbouring channels C is divided.
        weight, bias: scale and shift, (C,).
        eps: added to the variance.

    Raises:
        ShapeError: an operand has not one element for each channel.
        ArgumentError: ``num_groups`` does not divide the channels.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.group_norm(tc.tensor([[1.0, 3.0, 10.0, 30.0]]), 2, eps=0.0)
    tensor([[-1.,  1., -1.,  1.]])
    """
    x = as_tensor(x)
    groups = whole("group_norm", "num_groups", num_groups)
    check_eps("group_norm", eps)
    _check_channels("group_norm", x.shape, weight, bias)
    n, c, *space = x.shape
    if c % groups:
        raise ArgumentError(f"group_norm: num_groups={groups} does not divide the {c} channels")
    grouped = reshape(x, (n, groups, c // groups, *space))
    normalized = _standardized(grouped, tuple(range(2, grouped.ndim)), eps)
    return _affine(reshape(normalized, x.shape), weight, bias, (1, c) + (1,) * len(space))


@composition
def layer_norm(
    x: TensorLike,
    normalized_shape: IntTuple,
    weight: TensorLike | None = None,
    bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise every example over its last axes (Ba, Kiros and Hinton 2016).

    Args:
        x: ``(…, *normalized_shape)``.
        normalized_shape: the lengths of the last axes, or a number for the last alone.
        weight, bias: scale and shift for each element, of this shape.
        eps: added to the variance.

    Raises:
        ShapeError: x does not end in this shape, or an operand has not this shape.

    >>> import tinygrad_cnn as tc
    >>> tc.functional.layer_norm(tc.tensor([[1.0, 3.0], [10.0, 30.0]]), 2, eps=0.0)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    x = as_tensor(x)
    shape = shape_of("layer_norm", normalized_shape)
    check_eps("layer_norm", eps)
    if len(shape) > x.ndim or x.shape[x.ndim - len(shape) :] != shape:
        raise ShapeError(f"layer_norm: input {x.shape} does not end in normalized_shape {shape}")
    for name, operand in (("weight", weight), ("bias", bias)):
        if operand is not None and np.shape(raw(operand)) != shape:
            raise ShapeError(
                f"layer_norm: {name} has shape {np.shape(raw(operand))}, expected"
                f" normalized_shape {shape}"
            )
    return _affine(_standardized(x, tuple(range(-len(shape), 0)), eps), weight, bias, shape)


def shape_of(owner: str, normalized_shape: IntTuple) -> Shape:
    """The lengths of the normalised axes, at least one.

    Raises:
        ArgumentError: there is none, or one that is no whole number above 0.
    """
    each = normalized_shape
    lengths = tuple(each) if isinstance(each, (tuple, list)) else (each,)
    if not lengths:
        raise ArgumentError(f"{owner}: normalized_shape=(): expected at least one axis")
    return tuple(whole(owner, "normalized_shape", n) for n in lengths)


def _standardized(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    """x with mean 0 and variance 1 over the axes."""
    center, spread = mean(x, axes, keepdims=True), var(x, axes, keepdims=True)
    return (x - center) / sqrt(spread + eps)


@composition
def subtract_mean(x: TensorLike, axis: Axis = 0) -> Tensor:
    """x minus its mean over ``axis``, by default over the batch.

    It is its own adjoint, so that the gradient is ``subtract_mean`` of the upstream gradient g.
    Over D channels, h_i = x_i - (1/D) sum_k x_k has the Jacobian dh_i/dx_j = [i = j] - 1/D, and
    by the chain rule sum_i g_i ([i = j] - 1/D) = g_j - (1/D) sum_i g_i.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([[1.0, 3.0]], requires_grad=True)  # one image, two channels
    >>> h = tc.functional.subtract_mean(x, axis=1)
    >>> h
    tensor([[-1.,  1.]], ...)
    >>> h.backward(tc.tensor([[6.0, 2.0]]))
    >>> x.grad
    tensor([[ 2., -2.]])
    """
    x = as_tensor(x)
    return x - mean(x, axis, keepdims=True)
