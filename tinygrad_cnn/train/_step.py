"""One training step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from .. import nn
from ..optim import LRScheduler, Optimizer, clip_grad_norm_
from ..random import default_generator
from ..typing import Array
from .evaluation import Loss, first_not_finite, forward


class Step:
    """Forward, backward and update for one batch.

    Attributes:
        learning_rate: of the first parameter group in the last step.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        optimizer: Optimizer,
        clip_norm: float | None,
        schedule: LRScheduler | None,
    ) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.clip_norm, self.schedule = clip_norm, schedule
        self.learning_rate = math.nan
        self.zero_grad()

    @np.errstate(all="ignore")  # the error about a loss says more than NumPy's warning
    def __call__(self, inputs: Any, targets: Any) -> tuple[float, Array | None]:
        """The loss, and of each label whether it was hit before the update.

        Raises:
            NonFiniteError: the loss or a gradient is not finite. After this and any other
                error the weights and buffers are as they were before the batch.
        """
        before = _Snapshot(self.model)
        try:
            value, hits = self._differentiate(inputs, targets)
            problem = self._problem(value)
            if problem:
                before.restore()  # so that dropout and batch norm do the same again
                again = partial(self._differentiate, inputs, targets)
                raise first_not_finite(problem, again)
            if self.clip_norm is not None:
                clip_grad_norm_(self.model.parameters(), self.clip_norm)
            self.optimizer.step()
        except BaseException:
            before.restore()
            raise
        finally:
            self.zero_grad()
        self.learning_rate = self.optimizer.param_groups[0]["lr"]
        if self.schedule is not None:
            self.schedule.step()
        return value, hits

    def zero_grad(self) -> None:
        """Drop the gradients, also of parameters that only the model or the optimiser has."""
        self.optimizer.zero_grad()
        self.model.zero_grad()

    def _differentiate(self, inputs: Any, targets: Any) -> tuple[float, Array | None]:
        # The graph dies with this call: the next one is built when its memory is free again.
        value, hits = forward(self.model, self.loss, inputs, targets)
        value.backward()
        return float(value.item()), hits

    def _problem(self, value: float) -> str:
        """What is not finite. A finite loss can have infinite gradients."""
        if not math.isfinite(value):
            return f"the loss is {value}"
        for name, parameter in self.model.named_parameters():
            if parameter.grad is not None and not np.isfinite(parameter.grad.data).all():
                return f"the loss is {value:.4g}, but the gradient of {name} is not finite"
        return ""


class _Snapshot:
    """What a forward pass changes: the state of random generators, and buffers."""

    def __init__(self, model: nn.Module) -> None:
        modules = list(model.modules())
        self._generators = [(g, g.bit_generator.state) for g in _generators(modules)]
        self._buffers = [
            (module, name, buffer, buffer.data.copy())
            for module in modules
            for name in module._buffers
            if (buffer := vars(module).get(name)) is not None
        ]

    def restore(self) -> None:
        for generator, state in self._generators:
            generator.bit_generator.state = state
        for module, name, buffer, data in self._buffers:
            buffer.data = data.copy()
            setattr(module, name, buffer)


def _generators(modules: list[nn.Module]) -> Iterator[np.random.Generator]:
    yield default_generator()
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, np.random.Generator):
                yield value
