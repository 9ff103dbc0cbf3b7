"""A model that learns, one batch at a time, and the figures about it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import nn, optim
from ..errors import ArgumentError
from ..nn._mode import mode
from ..optim import Optimizer
from ..train._step import Step
from ..train.evaluation import Evaluation, Loss, evaluate
from ..typing import Array
from ._curve import Curve
from ._networks import Cost
from ._sources import Source

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "Adam": optim.Adam,
    "SGD": optim.SGD,
    "RMSprop": optim.RMSprop,
    "Adagrad": optim.Adagrad,
    "Adadelta": optim.Adadelta,
}
# What may be changed, and its range.
RANGES = {
    "lr": (1e-8, 100.0),
    "momentum": (0.0, 0.9999),
    "weight_decay": (0.0, 10.0),
}
_BATCH_SIZES = (1, 1024)
_RECENT = 500  # examples that the training figures are means over
_JUDGING_SHARE = 0.1  # of the time, at most


class Layer(NamedTuple):
    """How a parameter changed in a step: root mean squares over its elements."""

    name: str
    weight: float
    gradient: float
    update: float


class Learner:
    """A model, the data it learns from, and what is known of the run so far.

    Args:
        model, source, loss: what learns from what.
        optimizer: by default Adam.
        cost: where it bounds the batch size.
        initial: the weights that ``reset`` brings back, by default the present ones.

    Attributes:
        steps, epoch: how many batches there were; the number of the present pass, from 1.
        curve, judged: (step, loss, accuracy) in training and on validation data.
        layers: the sizes of gradients in the last step that was looked at.
        evaluation: of the last time that it was judged.
    """

    def __init__(
        self,
        model: nn.Module,
        source: Source,
        loss: Loss,
        optimizer: Optimizer | None,
        cost: Cost | None,
        initial: dict[str, Array] | None,
    ) -> None:
        self.model, self.source, self.loss = model, source, loss
        self.batch_size = source.batch_size
        self._cost, self._own = cost, optimizer
        self._initial = model.state_dict() if initial is None else initial
        self._judge = source.judge()
        self.optimizer = optimizer or self._new("Adam", lr=0.002)
        self._begin()

    def reset(self) -> None:
        """Go back to the first weights, and to an optimiser with the present settings."""
        self.model.load_state_dict(self._initial)
        self.optimizer.state.clear()
        self._begin()

    def _begin(self) -> None:
        self.steps, self.epoch = 0, 1
        self.curve, self.judged = Curve(), Curve()
        self.layers: list[Layer] = []
        self.evaluation: Evaluation | None = None
        self._recent: deque[tuple[int, float, float | None]] = deque()
        self._step = _WatchedStep(self.model, self.loss, self.optimizer, None, None, "epoch")
        self._judge_after = 0.0  # so that it takes little of the time
        self._reload()

    # -- learning ----------------------------------------------------------------------------

    def step(self, watch: bool) -> None:
        """Learn from one batch.

        Args:
            watch: also find the sizes of gradients and updates, layer by layer.

        Raises:
            NonFiniteError: as ``fit``; and whatever the model raises. The weights are then those
                before the batch.
        """
        inputs, targets = self._next_batch()
        before = {name: p.data.copy() for name, p in self._trained()} if watch else {}
        self._step.watch = watch
        with mode(self.model, training=True):
            loss, _, hits = self._step(inputs, targets)
        self.steps += 1
        accuracy = None if hits is None or not hits.size else float(np.mean(hits))
        self.curve.add(self.steps, loss, accuracy)
        self._remember(len(targets), loss, accuracy)
        if watch:
            sizes = self._step.sizes
            self.layers = [
                Layer(name, _rms(before[name]), sizes[name], _rms(p.data - before[name]))
                for name, p in self._trained()
                if name in sizes
            ]

    def judge(self, now: bool) -> None:
        """Evaluate on the validation data, if there are any and, unless ``now``, if it is time."""
        start = time.monotonic()
        if self._judge is None or (not now and start < self._judge_after):
            return
        self.evaluation = evaluate(self.model, self._judge, self.loss)
        self.judged.add(self.steps, self.evaluation.loss, self.evaluation.accuracy)
        end = time.monotonic()
        self._judge_after = end + (end - start) / _JUDGING_SHARE

    @property
    def judged_by(self) -> int | None:
        """How many examples it is judged by; None without validation data."""
        return None if self._judge is None else self._judge.count

    @property
    def recent(self) -> tuple[float | None, float | None]:
        """Mean loss and accuracy of the last few hundred examples, as they were trained on."""
        if not self._recent:
            return None, None
        counts, losses, accuracies = zip(*self._recent, strict=True)
        loss = float(np.average(losses, weights=counts))
        hit = None if None in accuracies else float(np.average(accuracies, weights=counts))
        return loss, hit

    def _remember(self, count: int, loss: float, accuracy: float | None) -> None:
        self._recent.append((count, loss, accuracy))
        while sum(row[0] for row in self._recent) - self._recent[0][0] >= _RECENT:
            self._recent.popleft()

    def _reload(self) -> None:
        """Begin a pass over the data."""
        self._loader = self.source.batches(self.batch_size, self.epoch - 1)
        self._batches = iter(self._loader)

    def _next_batch(self) -> tuple[Any, Any]:
        batch = next(self._batches, None)
        if batch is None:
            self._batches = iter(self._loader)
            self.epoch += 1
            batch = next(self._batches)
        return batch

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        return [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]

    # -- settings ----------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, Any]:
        """What the run is governed by; None for what can't be changed."""
        group = self.optimizer.param_groups[0]
        own = self.optimizer is self._own
        name = "yours" if own else type(self.optimizer).__name__
        options = {name: group.get(name) for name in RANGES}
        return {"optimizer": name, "batch_size": self.batch_size, **options}

    def set(self, name: str, value: Any) -> None:
        """Change one of the ``settings`` from the next batch on.

        Raises:
            ArgumentError: there is no such setting, or the value is outside of its range.
        """
        if not isinstance(name, str):
            raise ArgumentError(f"{name!r:.40} can't be set here")
        if name == "optimizer":
            self.optimizer = self._step.optimizer = self._chosen(value)
        elif name == "batch_size" and self.batch_size is not None:
            least, most = _BATCH_SIZES
            if type(value) is not int or not least <= value <= most:
                raise ArgumentError(f"batch size {value!r:.40}: expected {least} to {most}")
            if self._cost is not None:
                self._cost.check(value)
            self.batch_size = value
            self._reload()
        elif name in RANGES and self.settings[name] is not None:
            low, high = RANGES[name]
            if type(value) not in (int, float) or not low <= value <= high:
                raise ArgumentError(f"{name} {value!r:.40}: expected {low:g} to {high:g}")
            for group in self.optimizer.param_groups:
                group[name] = float(value)
        else:
            raise ArgumentError(f"{name!r:.40} can't be set here")

    def _chosen(self, name: Any) -> Optimizer:
        if name == "yours" and self._own is not None:
            return self._own
        if not isinstance(name, str) or name not in OPTIMIZERS:
            raise ArgumentError(f"no optimiser {name!r:.40}: there are {', '.join(OPTIMIZERS)}")
        group = self.optimizer.param_groups[0]
        return self._new(name, lr=group["lr"], weight_decay=group.get("weight_decay", 0.0))

    def _new(self, name: str, **options: Any) -> Optimizer:
        trained = [p for p in self.model.parameters() if p.requires_grad]
        if not trained:
            raise ArgumentError(f"play: {type(self.model).__name__} has nothing to train")
        return OPTIMIZERS[name](trained, **options)


class _WatchedStep(Step):
    """A training step that finds the sizes of the gradients when ``watch`` is set."""

    watch = False
    sizes: dict[str, float]

    def _differentiate(self, inputs: Any, targets: Any) -> tuple[float, Array | None]:
        result = super()._differentiate(inputs, targets)
        if self.watch:
            gradients = ((name, p.grad) for name, p in self._parameters.items())
            self.sizes = {name: _rms(g.data) for name, g in gradients if g is not None}
        return result


def _rms(x: Any) -> float:
    """Root mean square, also of numbers whose squares are too large or small for their dtype."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))
