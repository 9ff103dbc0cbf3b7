"""Which learning rates a model learns at: the range test."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import functional as F
from .. import nn
from .._arguments import whole
from ..errors import ArgumentError, NonFiniteError
from ..nn._mode import mode
from ..optim import Optimizer
from ..typing import Array
from ._checks import check_loss, matching_optimizer
from ._scratch import endless, scratch
from ._step import Step
from .evaluation import Batches, Loss, check_data

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LRRange", "lr_range_test"]

_EXPLODED = 4.0  # times the initial loss: the test ends
_LEARNED = 0.95  # of the initial loss: what is not below it has not learned
_WINDOW = 20  # the loss is averaged over this part of all batches


@dataclass(frozen=True)
class LRRange:
    """What ``lr_range_test`` found; ``print`` says it in words.

    Attributes:
        rates: the learning rates tried, rising by a constant factor.
        losses: for each rate, that of the batch after the update with it.
        start: the loss before the first update.
        optimizer: the name of the optimiser's class.
    """

    rates: Array
    losses: Array
    start: float
    optimizer: str

    @property
    def smoothed(self) -> Array:
        """The losses averaged over neighbouring rates, as far as they are finite."""
        finite = self.losses[np.isfinite(self.losses)]
        half = max(1, len(finite) // (2 * _WINDOW))
        windows = [finite[max(0, i - half) : i + half + 1] for i in range(len(finite))]
        return np.array([window.mean() for window in windows])

    @property
    def lowest(self) -> float | None:
        """The rate with the lowest smoothed loss; None where no rate lowers the loss."""
        smoothed = self.smoothed
        if not len(smoothed) or smoothed.min() > _LEARNED * self.start:
            return None
        return float(self.rates[smoothed.argmin()])

    @property
    def suggested(self) -> float | None:
        """A tenth of ``lowest``: there the loss falls, and still has room to."""
        return None if self.lowest is None else self.lowest / 10

    @property
    def limit(self) -> float | None:
        """The lowest rate above ``lowest`` at which the loss is no better than at the start.

        None if the loss stays below that up to the highest rate, or never fell.
        """
        if self.lowest is None:
            return None
        smoothed = self.smoothed
        worse = self.rates > self.lowest
        worse[: len(smoothed)] &= smoothed >= self.start
        return float(self.rates[worse.argmax()]) if worse.any() else None

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw the loss by learning rate; see ``tc.draw.lr_range``."""
        from ..draw import lr_range

        return lr_range(self, path)

    def __str__(self) -> str:
        tried = f"{self.rates[0]:.1e} to {self.rates[-1]:.1e}"
        lines = [f"learning-rate range test: {self.optimizer}, rates {tried}"]
        if self.lowest is None:
            lines.append(f"no rate lowers the loss of {self.start:.4g} that it started from")
        else:
            lines.append(
                f"the loss falls from {self.start:.4g} to {self.smoothed.min():.4g} at a rate of"
                f" {self.lowest:.1e}: try {self.suggested:.1e}, or this as the peak of a schedule"
            )
        if self.limit is not None:
            lines.append(f"from {self.limit:.1e} on, the loss is no better than at the start")
        return "\n".join(lines)


def lr_range_test(
    model: nn.Module,
    data: Batches,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
    loss: Loss = F.cross_entropy,
    optimizer: Optimizer | None = None,
    seed: int = 0,
) -> LRRange:
    """Train for some batches while the learning rate rises, and see where the loss falls.

    It rises by the same factor after each batch, from ``low`` to ``high``, or until the loss is
    4 times what it was at first. A copy of the model is trained: model, optimiser, loader and
    generators are afterwards as they were.

    Args:
        model: the module, as it is about to be trained.
        data: pairs of inputs and targets, such as a ``DataLoader`` yields.
        low, high: the first and the last learning rate.
        steps: batches to train on; the data are read again and again for them.
        loss: ``loss(outputs, targets)``, the mean over the batch.
        optimizer: of the model, by default Adam, as in ``fit``. Parameter groups keep the
            ratios of their learning rates.
        seed: of what dropout and the like draw meanwhile.

    Raises:
        ArgumentError: an argument does not fit, or the model can't be copied.
        NonFiniteError: the loss of the first batch is not finite.

    Source: L. Smith, Cyclical learning rates for training neural networks (2017), section 3.3.

    >>> import tinygrad_cnn as tc
    >>> from tinygrad_cnn.data import DataLoader, Digits
    >>> model = tc.models.DigitsNet(generator=tc.manual_seed(0))
    >>> data = DataLoader(Digits("train"), batch_size=32, shuffle=True, seed=0)
    >>> found = tc.train.lr_range_test(model, data, low=1e-4, high=1.0, steps=40)
    >>> 1e-3 < found.lowest < 1e-1
    True
    """
    optimizer = matching_optimizer(model, optimizer, None, owner="lr_range_test")
    check_data("lr_range_test", data)
    check_loss("lr_range_test", loss)
    whole("lr_range_test", "steps", steps, least=2)
    if not 0 < low < high < np.inf:
        raise ArgumentError(
            f"lr_range_test: low={low!r}, high={high!r}, expected 0 < low < high, both finite"
        )
    rates = np.geomspace(low, high, steps)
    with scratch("lr_range_test", model, optimizer, data, seed) as (twin, twin_optimizer):
        step = Step(twin, loss, twin_optimizer, None, None, "batch")
        with mode(twin, training=True):
            losses = list(_losses(step, endless("lr_range_test", data), rates))
    after = np.array(losses[1:])
    return LRRange(rates[: len(after)], after, losses[0], type(optimizer).__name__)


def _losses(step: Step, batches: Iterator[tuple[Any, Any]], rates: Array) -> Iterator[float]:
    """The loss at the start, and after the update with each rate, until it explodes."""
    shares = _shares(step.optimizer)
    start = math.nan
    for rate in [*rates, 0.0]:  # the last batch only shows what the last rate did
        for group, share in zip(step.optimizer.param_groups, shares, strict=True):
            group["lr"] = rate * share
        try:
            _, loss, _ = step(*next(batches))
        except NonFiniteError:
            if math.isnan(start):
                raise
            loss = math.inf
        yield loss
        start = loss if math.isnan(start) else start
        if loss > _EXPLODED * start:
            return


def _shares(optimizer: Optimizer) -> list[float]:
    """The learning rate of each group as a share of the first; equal where that is zero."""
    given = [group["lr"] for group in optimizer.param_groups]
    return [lr / given[0] if given[0] else 1.0 for lr in given]
