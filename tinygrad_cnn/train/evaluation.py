"""A model on data that it does not learn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .. import functional as F
from .. import nn
from .._core.context import detect_anomaly, no_grad
from .._core.tensor import Tensor
from ..data import Dataset, Views
from ..errors import ArgumentError, DtypeError, NonFiniteError
from ..nn._mode import mode
from ..typing import Array
from ._parallel import Parallel
from .averaging import Averaged, check_averaging
from .metrics import predictions

__all__ = ["Batches", "Evaluation", "Loss", "evaluate"]

Batches: TypeAlias = Iterable[tuple[Any, Any]]
Loss: TypeAlias = Callable[[Any, Any], Tensor]


class Evaluation(NamedTuple):
    """What ``evaluate`` found: means over all examples.

    Attributes:
        loss: the mean loss.
        accuracy: from 0 to 1; None where the targets are no classes.
    """

    loss: float
    accuracy: float | None


def evaluate(
    model: nn.Module,
    data: Batches,
    loss: Loss = F.cross_entropy,
    *,
    views: Views | None = None,
    average: str = "probabilities",
    distributed: Parallel | None = None,
) -> Evaluation:
    """The mean loss and the accuracy of a model, in evaluation mode and without recording.

    The model's modes are afterwards as they were.

    Args:
        model: gives scores (N, C) where there shall be an accuracy.
        data: pairs of inputs and targets, such as a ``DataLoader`` yields.
        loss: ``loss(outputs, targets)``, the mean over the batch.
        views, average: evaluate averages over views of each image, as ``predict`` makes them;
            averaged probabilities are given to ``loss`` as scores, by their logarithms.
        distributed: a ``tc.distributed.DataParallel``: the means over the data of all its ranks.

    Raises:
        ArgumentError: there is no batch, or an argument does not fit.
        NonFiniteError: the loss of a batch is not finite; the message names the first
            operation that made such a value, and its source line.

    >>> import numpy as np
    >>> import tinygrad_cnn as tc
    >>> batch = np.array([[5.0, 0.0], [5.0, 0.0]]), np.array([0, 1])
    >>> tc.train.evaluate(tc.nn.Identity(), [batch]).accuracy
    0.5
    """
    check_data("evaluate", data)
    check_averaging("evaluate", model, views, average)
    run = model if views is None else Averaged(model, views, average)
    totals = Totals()
    # An error about a loss says more than NumPy's warning.
    with mode(model, training=False), no_grad(), np.errstate(all="ignore"):
        for number, (inputs, targets) in enumerate(data, start=1):
            if distributed is not None and not len(targets):
                continue  # all of this batch is with other ranks
            again = partial(forward, run, loss, inputs, targets)
            value, outputs = again()
            if not math.isfinite(value.item()):
                problem = f"evaluate, batch {number}: the loss is {value.item()}"
                raise first_not_finite(problem, again)
            totals.add(len(targets), value.item(), hits(outputs, targets))
    if distributed is not None:
        totals = distributed.joined_totals(totals)
    totals.check_not_empty("evaluate")
    return Evaluation(totals.loss, totals.accuracy)


def forward(
    model: Callable[[Any], Any], loss: Loss, inputs: Any, targets: Any
) -> tuple[Tensor, Any]:
    """The loss of a batch, and the outputs of the model."""
    outputs = model(inputs)
    value = loss(outputs, targets)
    if not isinstance(value, Tensor):
        raise DtypeError(f"the loss function returned {value!r:.60}, expected a Tensor")
    return value, outputs


def hits(outputs: Any, targets: Any) -> Array | None:
    """Of each label whether it was hit; None without labels."""
    found = predictions(outputs, targets)
    return None if found is None else found[0] == found[1]


def first_not_finite(problem: str, again: Callable[[], object]) -> NonFiniteError:
    """The error that names the first operation of ``again()`` with a value that is not finite."""
    try:
        with detect_anomaly():
            again()
    except NonFiniteError as error:
        return NonFiniteError(f"{problem}\n{error}")
    return NonFiniteError(
        f"{problem}; the same batch once more gave finite values only: does the model depend on"
        " anything but its parameters, buffers and random generators?"
    )


@dataclass
class Totals:
    """Sums over batches. A loss that ignores labels is the mean of those that count."""

    images: int = 0
    hits: int | None = None
    _counted: int = 0
    _loss: float = 0.0

    def add(self, images: int, loss: float, hits: Array | None) -> None:
        """Count a batch of so many images with this mean loss."""
        counted = images if hits is None else hits.size
        self.images += images
        self._counted += counted
        self._loss += loss * counted
        if hits is not None:
            self.hits = (self.hits or 0) + int(np.count_nonzero(hits))

    @property
    def loss(self) -> float:
        """The mean over the examples."""
        return self._loss / self._counted

    @property
    def accuracy(self) -> float | None:
        """The share of labels that were hit."""
        return None if self.hits is None else self.hits / self._counted

    def check_not_empty(self, name: str) -> None:
        """Refuse means over nothing.

        Raises:
            ArgumentError: there was no example.
        """
        if not self._counted:
            raise ArgumentError(f"{name}: the data gave no batch")


def check_data(name: str, data: Any) -> None:
    """Refuse what yields no batches, or yields them only once.

    Raises:
        ArgumentError: it does not.
    """
    arrays = isinstance(data, (tuple, list)) and any(
        isinstance(part, (np.ndarray, Tensor)) for part in data
    )
    if arrays or isinstance(data, Dataset):
        what = "arrays" if arrays else f"the data set {data!r:.60}"
        raise ArgumentError(
            f"{name}: expected batches, got {what}: wrap it in DataLoader(…, batch_size=64)"
        )
    if not isinstance(data, Iterable) or isinstance(data, Iterator):
        raise ArgumentError(
            f"{name}: expected a DataLoader or a list of batches, got {type(data).__name__},"
            " which can't be read again and again"
        )
    if isinstance(data, Sized) and not len(data):
        raise ArgumentError(f"{name}: {type(data).__name__} has no batch; check its batch size")
