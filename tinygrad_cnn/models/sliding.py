"""Class scores all over a larger image, from a model for small ones."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeVar

import numpy as np

from .. import nn
from .._arguments import is_whole
from .._core.context import no_grad
from .._core.tensor import raw
from ..errors import ArgumentError, ShapeError
from ..nn._mode import mode
from ..ops.windows import per_axis
from ..typing import Array, Shape, TensorLike
from ._chain import chain
from .rewrites import fc_to_conv

__all__ = ["CropComparison", "ScoreMap", "SlidingScores", "sliding_scores"]


Value = TypeVar("Value")


@dataclass(frozen=True)
class ScoreMap:
    """Scores of one pass: (N, classes, rows, columns), a place for each position of the model.

    Attributes:
        scale: by which the images were enlarged before.
        shift: rows and columns that were left out at the top and the left.
        stride: pixels of the enlarged image between neighbouring places, (rows, columns).
        scores: of each class at each place.
    """

    scale: float
    shift: tuple[int, int]
    stride: tuple[int, int]
    scores: Array


@dataclass(frozen=True)
class CropComparison:
    """The same scores, one crop after another.

    Attributes:
        crops: how many there are in one image.
        largest_difference: between a score of the map and that of the crop.
        seconds: for the maps of all passes.
        seconds_by_crops: for the crops.
    """

    crops: int
    largest_difference: float
    seconds: float
    seconds_by_crops: float

    def __str__(self) -> str:
        return (
            f"{self.crops} crops one by one: {self.seconds_by_crops:.3g} s, slid:"
            f" {self.seconds:.3g} s ({self.seconds_by_crops / self.seconds:.1f} times faster), the"
            f" largest difference of a score {self.largest_difference:.1e}"
        )


@dataclass(frozen=True)
class SlidingScores:
    """Dense class scores and their average.

    Attributes:
        scores: (N, classes): at each scale the mean over all places, then the mean over scales.
        maps: one for each scale and shift.
        comparison: with crops, where it was asked for.
    """

    scores: Array
    maps: tuple[ScoreMap, ...]
    comparison: CropComparison | None = None


def sliding_scores(
    model: nn.Module,
    image: TensorLike,
    input_shape: Shape | None = None,
    *,
    scales: Sequence[float] = (1.0,),
    shifts: Iterable[tuple[int, int]] = ((0, 0),),
    compare: bool = False,
) -> SlidingScores:
    """Scores of a model at every place of larger images, in one pass for each scale and shift.

    The fully connected layers become convolutions (``rewrites.fc_to_conv``), so that windows that
    overlap share their computation. Places lie as far apart as the strides of all layers
    together; a pass over the image shifted by half of that doubles them: ``shifts=[(0, 0),
    (16, 16)]`` as in CS231n's notes for a model of stride 32, or all four pairs of 0 and 16 for
    the full grid of stride 16. Scores are averaged as they are, before any softmax.

    Where the layers pad, a place sees its neighbours where a crop would have seen zeros: scores
    then differ from those of crops, and ``compare=True`` says by how much.

    Args:
        model: a chain of layers that ends in fully connected ones.
        image: (N, C, H, W), at least as large as the model's own.
        input_shape: of images that the model takes, (1, C, h, w); by default
            ``model.input_shape``.
        scales: by which the images are enlarged (bilinearly) before, such as (1.0, 1.5).
        shifts: rows and columns to leave out at the top and the left, a pass for each.
        compare: also run the model on every crop.

    Raises:
        ArgumentError: a scale or shift is none, or no input shape is known.
        GraphError: the model can't be converted.
        ShapeError: the images are too small or have other channels.

    >>> import tinygrad_cnn as tc
    >>> net = tc.nn.Sequential(tc.nn.Conv2d(3, 4, 2, 2), tc.nn.Flatten(), tc.nn.Linear(64, 10))
    >>> found = tc.models.sliding_scores(net, tc.zeros(1, 3, 12, 12), (1, 3, 8, 8))
    >>> found.maps[0].scores.shape, found.maps[0].stride, found.scores.shape
    ((1, 10, 3, 3), (2, 2), (1, 10))
    """
    images, own = _images(image), _own_shape(model, input_shape)
    passes = list(product(_each("scales", scales, _scale), _each("shifts", shifts, _shift)))
    if not passes:
        raise ArgumentError("sliding_scores: scales and shifts are empty, expected one at least")
    stride = _total_stride(model, own)
    larger = {scale: _resized(images, scale) for scale, _ in passes}
    for scale, shift in passes:
        _check_size(larger[scale].shape, shift, own)
    slid = fc_to_conv(model, own).model
    start = time.perf_counter()
    maps = tuple(
        ScoreMap(scale, shift, stride, _run(slid, larger[scale][:, :, shift[0] :, shift[1] :]))
        for scale, shift in passes
    )
    seconds = time.perf_counter() - start
    comparison = _compare(model, larger, maps, own, seconds) if compare else None
    return SlidingScores(_average(maps), maps, comparison)


def _run(model: nn.Module, images: Array) -> Array:
    with no_grad(), mode(model, training=False):
        scores: Array = raw(model(images))
    return scores


def _average(maps: Sequence[ScoreMap]) -> Array:
    """The mean over places at each scale, then over scales."""
    by_scale = []
    for scale in dict.fromkeys(m.scale for m in maps):
        places = [m.scores.reshape(*m.scores.shape[:2], -1) for m in maps if m.scale == scale]
        by_scale.append(np.concatenate(places, axis=2).mean(axis=2))
    average: Array = np.mean(by_scale, axis=0)
    return average


def _compare(
    model: nn.Module,
    larger: dict[float, Array],
    maps: Sequence[ScoreMap],
    own: Shape,
    seconds: float,
) -> CropComparison:
    worst, count = 0.0, 0
    start = time.perf_counter()
    crops = [[_run(model, crop) for crop in _crops(larger[m.scale], m, own)] for m in maps]
    by_crops = time.perf_counter() - start
    for m, scores in zip(maps, crops, strict=True):
        count += len(scores)
        flat = m.scores.reshape(*m.scores.shape[:2], -1)  # (N, classes, places)
        worst = max(worst, float(np.abs(flat - np.stack(scores, axis=2)).max()))
    return CropComparison(count, worst, seconds, by_crops)


def _crops(images: Array, m: ScoreMap, own: Shape) -> Iterator[Array]:
    """The part of the images that each place of a map stands for, row by row."""
    _, _, rows, columns = m.scores.shape
    for i in range(rows):
        for j in range(columns):
            top, left = m.shift[0] + i * m.stride[0], m.shift[1] + j * m.stride[1]
            yield images[:, :, top : top + own[2], left : left + own[3]]


def _total_stride(model: nn.Module, own: Shape) -> tuple[int, int]:
    strides = [
        per_axis(getattr(link.module, "stride", 1), f"sliding_scores: stride of {link.name}", 2)
        for link in chain(model, own, "sliding_scores")
        if len(link.output_shape) == 4
    ]
    return math.prod(s[0] for s in strides), math.prod(s[1] for s in strides)


def _resized(images: Array, scale: float) -> Array:
    """Bilinear interpolation between the centres of pixels."""
    if scale == 1.0:
        return images
    rows, columns = (_interpolation(n, max(1, round(n * scale))) for n in images.shape[2:])
    return np.asarray(rows @ images @ columns.T, images.dtype)


def _interpolation(old: int, new: int) -> Array:
    """The weights of ``old`` pixels in each of ``new`` ones: (new, old)."""
    centres = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    return np.maximum(0.0, 1.0 - np.abs(centres[:, None] - np.arange(old)))


# -- what was given ----------------------------------------------------------------------------


def _images(image: TensorLike) -> Array:
    images = np.asarray(raw(image))
    if images.ndim != 4:
        raise ShapeError(f"sliding_scores: expected images (N, C, H, W), got {images.shape}")
    return images


def _own_shape(model: nn.Module, input_shape: Shape | None) -> Shape:
    if input_shape is None:
        own = getattr(model, "input_shape", None)
        if own is None:
            raise ArgumentError(
                f"sliding_scores: {type(model).__name__} has no input_shape: give the shape of the"
                " images it takes, such as (1, 3, 224, 224)"
            )
        input_shape = (1, *own)
    if not isinstance(input_shape, (tuple, list)) or len(input_shape) != 4:
        raise ArgumentError(f"sliding_scores: input_shape={input_shape!r}, expected (1, C, h, w)")
    return tuple(input_shape)


def _each(name: str, values: Iterable[Any], check: Callable[[Any], Value]) -> list[Value]:
    """The values of an argument, each checked and once."""
    if not isinstance(values, Iterable):
        raise ArgumentError(f"sliding_scores: {name}={values!r}, expected a list of them")
    return list(dict.fromkeys(map(check, values)))


def _scale(scale: float) -> float:
    if not isinstance(scale, (int, float, np.number)) or not 0 < scale < np.inf:
        raise ArgumentError(f"sliding_scores: a scale of {scale!r}, expected a number above 0")
    return float(scale)


def _shift(shift: tuple[int, int]) -> tuple[int, int]:
    if (
        not isinstance(shift, (tuple, list))
        or len(shift) != 2
        or not all(is_whole(s, 0) for s in shift)
    ):
        raise ArgumentError(f"sliding_scores: a shift of {shift!r}, expected (rows, columns)")
    return int(shift[0]), int(shift[1])


def _check_size(images: Shape, shift: tuple[int, int], own: Shape) -> None:
    fits = all(n - s >= f for n, s, f in zip(images[2:], shift, own[2:], strict=True))
    if images[1] != own[1] or not fits:
        raise ShapeError(
            f"sliding_scores: images {images} shifted by {shift} hold no image of the model's own"
            f" {own}"
        )
