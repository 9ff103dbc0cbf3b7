"""The networks that a page may ask for, and what they would cost."""

from __future__ import annotations

import math
from typing import NamedTuple

from .. import models, nn
from ..errors import ArgumentError
from ..models.pattern import Plan, from_pattern, plan
from ..typing import Shape

DEFAULT_PATTERN = "INPUT -> [CONV3-16 -> RELU -> POOL]*2 -> FC-64 -> RELU -> FC"
_LONGEST_PATTERN = 2000
_MEMORY = 2 * 2**30  # bytes
_WORK = 2 * 10**11  # multiply-adds in the forward pass of a batch: seconds
_FLOAT = 4  # bytes


class Cost(NamedTuple):
    """What training on one image at a time takes.

    Attributes:
        parameters: how many numbers are learned.
        activations: numbers that layers return.
        columns: numbers that convolutions gather from their input, a window in each column.
        multiply_adds: of convolutions and linear layers in the forward pass.
    """

    parameters: int
    activations: int
    columns: int
    multiply_adds: int

    def memory(self, batch: int) -> int:
        """Bytes, about, of a training step: a bound that is there before the network is.

        ``models.training_memory`` would build and run it. Of each parameter there are up to eight
        numbers: itself, its first value, its gradient, those before the batch, the state and the
        buffers of an optimiser.
        """
        return _FLOAT * (8 * self.parameters + batch * (2 * self.activations + 2 * self.columns))

    def check(self, batch: int) -> None:
        """Refuse what this machine would choke on.

        Raises:
            ArgumentError: a step would take too much memory or too long.
        """
        memory, work = self.memory(batch), batch * self.multiply_adds
        told = (
            f"{self.parameters:,} parameters, about {memory / 2**30:.1f} GiB and"
            f" {work / 1e9:,.0f} billion multiply-adds for a batch of {batch}"
        )
        if memory > _MEMORY or work > _WORK:
            raise ArgumentError(
                f"too large for the playground: {told}; it takes up to {_MEMORY / 2**30:.0f} GiB"
                f" and {_WORK / 1e9:.0f} billion. Use fewer or smaller layers, or smaller batches"
            )


class Network(NamedTuple):
    """A network that was built, not yet trained.

    Attributes:
        title: what a page calls it.
        code: the Python that builds it; empty for the user's own.
        cost: None where nobody counted.
        notes: what the user should know, a sentence each.
    """

    model: nn.Module
    title: str
    code: str
    cost: Cost | None = None
    notes: tuple[str, ...] = ()


def from_text(pattern: str, shape: Shape, classes: int, batch: int) -> Network:
    """The network of a layer pattern, for images of this shape (C, H, W).

    Raises:
        PatternError: it can't be read or built; the error knows the place.
        ArgumentError: it is too large; nothing was allocated.
    """
    if not isinstance(pattern, str) or len(pattern) > _LONGEST_PATTERN:
        raise ArgumentError(f"a pattern is a text of up to {_LONGEST_PATTERN:,} characters")
    cost = _planned(plan(pattern, shape, classes))
    cost.check(batch)
    model = from_pattern(pattern, shape, classes)
    settings = f"    {pattern!r},\n    input={shape}, classes={classes},\n"
    code = f"model = tc.models.from_pattern(\n{settings})"
    return Network(model, "layer pattern", code, cost, model.notes)


def _planned(found: Plan) -> Cost:
    """The cost of a model that is not built yet."""
    activations = columns = work = 0
    for step in found.steps:
        activations += math.prod(step.after)
        places = math.prod(step.after[1:])  # 1 behind a linear layer
        if step.sliding:
            columns += math.prod((step.before[0], *step.sliding.window.kernel, places))
        work += step.parameters * places
    return Cost(found.parameters, activations, columns, work)


def architecture(name: str, shape: Shape, classes: int, batch: int) -> Network:
    """An architecture by its name, for images of this shape (C, H, W).

    Raises:
        ArgumentError: it takes no such images, or it is too large.
    """
    channels, height, _ = shape
    known = models.model_options(name)
    wanted = {"in_channels": channels, "image_size": height, "classes": classes}
    options = {option: value for option, value in wanted.items() if option in known}
    model = models.build(name, **options)
    cost = _measured(model, shape)
    cost.check(batch)
    settings = "".join(f", {option}={value}" for option, value in options.items())
    return Network(model, name, f"model = tc.models.build({name!r}{settings})", cost)


def _measured(model: nn.Module, shape: Shape) -> Cost:
    """The cost of a model that runs, layer by layer."""
    found = models.summary(model, (1, *shape))
    convolutions = (row for row in found.rows if row.multiply_adds and len(row.output_shape) > 2)
    return Cost(
        found.parameters,
        sum(math.prod(row.output_shape) for row in found.rows),
        sum(row.multiply_adds // row.output_shape[1] for row in convolutions),
        found.multiply_adds,
    )
