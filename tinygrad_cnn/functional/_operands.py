"""What convolutions check of their operands, and what a beginner may have meant instead."""

from __future__ import annotations

import numpy as np

from .._arguments import is_whole
from .._core.tensor import Tensor, raw
from ..errors import ArgumentError, ShapeError
from ..typing import Shape, TensorLike

SPACE = {1: ("L",), 2: ("H", "W"), 3: ("D", "H", "W")}  # what the axes in space are called


def check_axes(name: str, x: Tensor, weight: Tensor, expected: tuple[str, ...], axes: int) -> None:
    """Refuse images and weights with more or fewer axes.

    Args:
        name: of the function, for errors.
        x, weight: the operands.
        expected: what the axes of the weight are called.
        axes: how many there are in space.

    Raises:
        ShapeError: one of them has another number of axes.
    """
    if x.ndim == axes + 2 and weight.ndim == len(expected):
        return
    images = ", ".join(("N", "C", *SPACE[axes]))
    hint = {
        axes + 1: ": x[None] is a batch of one",
        axes: ": x[None, None] is a batch of one, with one channel",
    }.get(x.ndim, "")
    raise ShapeError(
        f"{name}: expected input ({images}) and weight ({', '.join(expected)}), got {x.shape} and"
        f" {weight.shape}{hint}"
    )


def check_channels(name: str, x: Tensor, weight: Tensor, channels: int, groups: int = 1) -> None:
    """Refuse images with other than these channels, and say what may have been meant.

    Raises:
        ShapeError: the number of channels differs.
    """
    have = x.shape[1]
    if have == channels:
        return
    expects = f"{channels}" if groups == 1 else f"{groups} groups of {channels // groups}"
    space = tuple(range(1, x.ndim - 1))
    hint = ""
    if x.shape[-1] == channels:
        hint = f": where the channels come last, pass x.transpose{(0, x.ndim - 1, *space)}"
    elif channels == 1 and weight.shape[0] % have == 0:
        hint = f": filters for each channel are groups={have}"
    elif groups == 1 and have in weight.shape[:2]:
        hint = f": where {have} is what goes in, pass weight.swapaxes(0, 1)"
    elif weight.ndim == x.ndim and weight.shape[-2] == have:
        order = (x.ndim - 1, x.ndim - 2, *range(x.ndim - 2))
        hint = f": where the filters come last, pass weight.transpose{order}"
    raise ShapeError(
        f"{name}: input {x.shape} has {have} channels, weight {weight.shape} expects {expects}"
        f"{hint}"
    )


def check_groups(name: str, groups: int, count: int, what: str) -> None:
    """Refuse groups that do not divide the filters or channels.

    Raises:
        ArgumentError: they do not, or are no integer above 0.
    """
    if not is_whole(groups) or count % groups:
        raise ArgumentError(f"{name}: groups={groups!r} does not divide the {count} {what}")


def check_bias(name: str, bias: TensorLike | None, weight: Tensor, expected: Shape) -> None:
    """Refuse a bias that has not one number for each output of the weight.

    Raises:
        ShapeError: it has another shape than ``expected``.
    """
    given = np.shape(raw(bias)) if bias is not None else expected
    if given != expected:
        raise ShapeError(
            f"{name}: bias {given} does not fit weight {weight.shape}, which makes"
            f" {' x '.join(map(str, expected))} outputs"
        )
