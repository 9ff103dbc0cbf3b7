"""A model from a pattern."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import nn
from ..._arguments import is_whole, whole
from ...errors import ArgumentError, PatternError
from ...nn import init
from ...typing import DTypeLike, Shape
from .._base import ImageModel, normal_
from ._notes import notes
from ._parser import read
from ._plan import Planner, Settings, Step
from ._sizes import CLASSES, FILTERS, HIDDEN, INPUT, scores_at
from ._words import MAX_NUMBER, Layer

__all__ = ["PatternNet", "Plan", "from_pattern", "plan"]


class PatternNet(ImageModel, nn.Sequential):
    """The layers of a pattern in a row, named conv1, relu1, pool1 and so on to the last fc.

    Attributes:
        input_shape: (channels, height, width) of the images.
        pattern: what it was built from.
        notes: where the pattern leaves the rules of thumb, a sentence each.
    """

    pattern: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a pattern comes to, with all sizes; nothing is allocated yet.

    Attributes:
        pattern: what was read.
        input_shape: (C, H, W) of the images.
        steps: one for each layer of the model, with the volume before and after it.
        notes: where the pattern leaves the rules of thumb, a sentence each.
    """

    pattern: str
    input_shape: Shape
    steps: tuple[Step, ...]
    notes: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """How many numbers the model learns."""
        return sum(step.parameters for step in self.steps)

    def __str__(self) -> str:
        """The name, volume (C, H, W) and parameters of each layer, as the course lists VGG's."""
        rows = [("input", self.input_shape, 0)]
        rows += [(step.name, step.after, step.parameters) for step in self.steps]
        cells = [
            (name, "x".join(map(str, shape)), f"{parameters:,}")
            for name, shape, parameters in (*rows, ("total", (), self.parameters))
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            f"{name:<{widths[0]}}  {volume:<{widths[1]}}  {parameters:>{widths[2]}}"
            for name, volume, parameters in cells
        )


def plan(
    pattern: str,
    input: Shape | None = None,
    classes: int | None = None,
    *,
    filters: int = FILTERS,
    hidden: int = HIDDEN,
    optional_pools: bool | None = None,
    **repeats: int,
) -> Plan:
    """What ``from_pattern`` would build: volumes, parameters and notes, at no cost.

    Arguments and errors are those of ``from_pattern``.

    >>> import tinygrad_cnn as tc
    >>> print(tc.models.pattern.plan("INPUT -> CONV3-12 -> RELU -> POOL -> FC"))
    input    3x32x32        0
    conv1    12x32x32     336
    relu1    12x32x32       0
    pool1    12x16x16       0
    flatten  3072           0
    fc1      10        30,730
    total              31,066
    """
    first, *layers = read(pattern, repeats)
    volume = _input(first, input, pattern)
    if optional_pools not in (None, True, False):
        raise ArgumentError(
            f"from_pattern: optional_pools={optional_pools!r}, expected None, True or False"
        )
    settings = Settings(
        _classes(layers, classes, pattern),
        _size("filters", filters),
        _size("hidden", hidden),
        optional_pools,
    )
    steps = Planner(pattern, volume, settings).plan(layers)
    if not steps:
        raise PatternError("no layer is left to build", pattern, first.position, first.length)
    return Plan(pattern, volume, tuple(steps), notes(steps, layers))


def from_pattern(
    pattern: str,
    input: Shape | None = None,
    classes: int | None = None,
    *,
    filters: int = FILTERS,
    hidden: int = HIDDEN,
    optional_pools: bool | None = None,
    dtype: DTypeLike = np.float32,
    generator: np.random.Generator | None = None,
    **repeats: int,
) -> PatternNet:
    """Build the model that a layer pattern describes; ``help(models.pattern)`` tells the language.

    Weights start as He et al. (2015) advise, normal with variance 2 / fan_in; those of the scores
    so small that the first loss is near ln(classes). Biases start at 0.

    Args:
        pattern: such as "INPUT -> [[CONV -> RELU]*2 -> POOL]*3 -> [FC -> RELU]*2 -> FC".
        input: (channels, height, width) of the images, by default what INPUT says, or (3, 32, 32).
        classes: how many scores come out, by default what the last FC says, or 10.
        filters: of the first CONV, unless it says. Each CONV has as many as the one before, and
            twice as many behind a pool, up to 512.
        hidden: the units of each FC but the last, unless it says.
        optional_pools: whether ``POOL?`` pools: always, never, or (None) where its windows miss
            nothing of the volume.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.
        repeats: what the names behind ``*`` stand for, such as N=2, M=3, K=1.

    Raises:
        PatternError: it cannot be read, or its sizes do not fit; the message points at the place.
        ArgumentError: another argument is outside its domain.

    >>> import tinygrad_cnn as tc
    >>> pattern = "INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC"
    >>> tc.models.from_pattern(pattern, input=(1, 8, 8), N=1, M=1, K=0)
    PatternNet(
      (conv1): Conv2d(1, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
      (relu1): ReLU()
      (pool1): MaxPool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))
      (flatten): Flatten(start_dim=1, end_dim=-1)
      (fc1): Linear(512, 10)
    )
    """
    told = {"filters": filters, "hidden": hidden, "optional_pools": optional_pools}
    options: dict[str, Any] = told | repeats
    planned = plan(pattern, input, classes, **options)
    model = PatternNet({step.name: step.make(dtype) for step in planned.steps})
    _draw(model, planned.steps, generator)
    model.input_shape, model.pattern, model.notes = planned.input_shape, pattern, planned.notes
    return model


def _input(first: Layer, given: Any, pattern: str) -> Shape:
    """The volume of the input: what the pattern says, or the argument."""
    if given is not None:
        lengths = given if isinstance(given, (tuple, list)) else ()
        if len(lengths) != 3 or not all(is_whole(n) and n <= MAX_NUMBER for n in lengths):
            raise ArgumentError(
                f"from_pattern: input={given!r}, expected (channels, height, width) such as {INPUT}"
            )
        given = tuple(map(int, given))
    said = first.volume
    if said is not None and (not all(said) or (given is not None and said != given)):
        other = f"but input={given}" if all(said) else "of which none may be 0"
        message = f"INPUT is (channels, height, width) = {said}, {other}"
        raise PatternError(message, pattern, first.position, first.length)
    return given or said or INPUT


def _classes(layers: list[Layer], given: Any, pattern: str) -> int:
    """How many scores come out: what the last layer with weights says, or the argument."""
    if given is None:
        return CLASSES
    classes = _size("classes", given)
    place = scores_at([layer.word for layer in layers])
    if place is None:
        message = f"nothing makes classes={classes} scores; end with FC"
        raise PatternError(message, pattern, len(pattern.rstrip()))
    maker = layers[place]
    if maker.number not in (None, classes):
        message = f"this layer makes the scores: {maker.number:g} of them, but classes={classes}"
        raise PatternError(message, pattern, maker.position, maker.length)
    return classes


def _size(name: str, value: Any) -> int:
    if whole("from_pattern", name, value) > MAX_NUMBER:
        raise ArgumentError(f"from_pattern: {name}={value}, expected at most {MAX_NUMBER:,}")
    return int(value)


def _draw(model: PatternNet, steps: Sequence[Step], generator: np.random.Generator | None) -> None:
    """Weights with variance 2 / fan_in, those of the scores with 0.01 / fan_in."""
    scores = scores_at([step.layer.word for step in steps])
    for i, module in enumerate(model):
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            gain = 0.1 if i == scores else math.sqrt(2.0)
            fan_in, _ = init.calculate_fans(module.weight)
            normal_(module.weight, gain / math.sqrt(fan_in), generator)
