"""What a model makes of data: the confusion of classes, and the examples it does worst on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import nn
from .._core.context import no_grad
from .._core.tensor import Tensor, raw
from ..train import Batches, Loss, confusion_matrix
from ..train._scratch import same_epoch
from ..train.metrics import predictions
from ..typing import Array
from ._probe import untouched

_MOST = 10_000  # examples that are looked at
_WORST = 24  # of them that are kept


@dataclass(frozen=True)
class Example:
    """One example and what the model made of it.

    Attributes:
        number: its place in the data, from 0.
        input, target, output: of this example alone; an input that is no array is None.
        loss: of this example alone.
    """

    number: int
    input: Array | None
    target: Array
    output: Array
    loss: float


@dataclass
class Examination:
    """What was found.

    Attributes:
        count: the examples looked at.
        is_all: whether there are no more.
        classified: whether each example has scores (C,) and one label.
        has_nan: whether scores are NaN, so that no class is the best.
        confusion: counts (C, C); None where the targets are no classes.
        worst: those with the highest loss, the worst first; of classified ones only mistakes.
        first: inputs and targets of one example, as a batch; None where inputs are no array.
        classes: names of the classes, if the data have them.
    """

    count: int = 0
    is_all: bool = True
    classified: bool = False
    has_nan: bool = False
    confusion: Array | None = None
    worst: list[Example] = field(default_factory=list)
    first: tuple[Array, Array] | None = None
    classes: tuple[str, ...] | None = None

    def add(self, inputs: Any, targets: Any, outputs: Any, loss: Loss) -> None:
        """Count a batch."""
        given = np.asarray(raw(inputs)) if isinstance(inputs, (np.ndarray, Tensor)) else None
        targets, found = np.asarray(raw(targets)), predictions(outputs, targets)
        self.classified = found is not None and targets.ndim == 1
        if found is not None:
            self.has_nan |= bool(np.isnan(np.asarray(raw(outputs))).any())
        if found is not None and not self.has_nan:
            counts = confusion_matrix(outputs, targets)
            self.confusion = counts if self.confusion is None else self.confusion + counts
        if isinstance(outputs, (np.ndarray, Tensor)):
            self._keep_worst(given, targets, outputs, loss)
        if given is not None and self.first is None:
            i = int(np.argmax(targets >= 0)) if self.classified else 0  # not an ignored one
            self.first = np.array(given[i : i + 1]), targets[i : i + 1]
        self.count += len(targets)

    def _keep_worst(self, inputs: Array | None, targets: Array, outputs: Any, loss: Loss) -> None:
        candidates, values = np.arange(len(targets)), np.asarray(raw(outputs))
        if self.classified:  # labels below 0 are ignored
            candidates = candidates[(values.argmax(1) != targets) & (targets >= 0)]
        losses = {i: loss(outputs[i : i + 1], targets[i : i + 1]).item() for i in candidates}
        worst = sorted(losses, key=lambda i: -losses[i])[:_WORST]
        found = [
            Example(
                self.count + int(i),
                None if inputs is None else np.array(inputs[i]),
                targets[i],
                np.array(values[i]),
                losses[i],
            )
            for i in worst
        ]
        self.worst = sorted(self.worst + found, key=lambda example: -example.loss)[:_WORST]


def examine(model: nn.Module, data: Batches, loss: Loss) -> Examination:
    """Evaluate a model on the first examples of data; both are left as they were."""
    result = Examination(classes=_classes(data))
    with untouched(model), no_grad(), same_epoch(data):
        for inputs, targets in data:
            if result.count >= _MOST:
                result.is_all = False
                break
            result.add(inputs, targets, model(inputs), loss)
    if result.confusion is not None and len(result.classes or ()) != len(result.confusion):
        result.classes = None
    return result


def _classes(data: Batches) -> tuple[str, ...] | None:
    names = getattr(getattr(data, "dataset", None), "classes", None)
    return tuple(map(str, names)) if names else None
