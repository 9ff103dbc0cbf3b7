"""One training step."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from .. import nn
from .._core.tensor import Tensor
from ..compiler import compile as compiled
from ..nn._volatile import Volatile
from ..optim import LRScheduler, Optimizer, clip_grad_norm_
from ..typing import Array
from ._parallel import Parallel
from .evaluation import Loss, first_not_finite, forward, hits


class Step:
    """Forward, backward and update for one batch.

    Attributes:
        learning_rate: of the first parameter group in the last step.
        compiled: whether ``tc.compile`` computes losses and gradients.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        optimizer: Optimizer,
        clip_norm: float | None,
        schedule: LRScheduler | None,
        schedule_every: str,
        compile: bool = False,
        parallel: Parallel | None = None,
    ) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.clip_norm, self.schedule, self.schedule_every = clip_norm, schedule, schedule_every
        self.learning_rate = math.nan
        self.parallel = parallel
        self.compiled = compile
        self._parameters = dict(model.named_parameters())
        self._volatile = Volatile(model)
        self._backward = compiled(self._eager_backward) if compile else self._eager_backward
        self._zero_grad()

    def __call__(self, inputs: Any, targets: Any) -> tuple[int, float, Array | None]:
        """How many images, the loss, and of each label whether it was hit before the update.

        Those of all ranks, where several train the model together.

        Raises:
            NonFiniteError: the loss or a gradient is not finite. After this and any other
                error the weights and buffers are as they were before the batch.
        """
        self._volatile.save()
        try:
            images = len(targets)
            value, hit = self._differentiate(inputs, targets)
            if self.parallel is not None:
                images, value, hit = self.parallel.joined(images, value, hit)
            problem = self._problem(value)
            if problem:
                self._volatile.restore()  # so that dropout and batch norm do the same again
                self._zero_grad()
                again = partial(self._differentiate, inputs, targets)
                raise first_not_finite(problem, again)
            if self.clip_norm is not None:
                clip_grad_norm_(self._parameters.values(), self.clip_norm)
            self.optimizer.step()
        except BaseException:
            self._volatile.restore()
            raise
        finally:
            self._zero_grad()
        self.learning_rate = self.optimizer.param_groups[0]["lr"]
        if self.schedule is not None and self.schedule_every == "batch":
            self.schedule.step()
        return images, value, hit

    def end_epoch(self) -> None:
        """Move a schedule on that counts epochs."""
        if self.schedule is not None and self.schedule_every == "epoch":
            self.schedule.step()

    def settings(self) -> dict[str, Any]:
        """What a log says about the run."""
        groups = self.optimizer.param_groups
        return {
            "model": type(self.model).__name__,
            "parameters": sum(parameter.size for parameter in self.model.parameters()),
            "loss": getattr(self.loss, "__name__", type(self.loss).__name__),
            "optimizer": type(self.optimizer).__name__,
            "groups": [{k: v for k, v in group.items() if k != "params"} for group in groups],
            "schedule": None if self.schedule is None else type(self.schedule).__name__,
            "schedule_every": self.schedule_every,
            "clip_norm": self.clip_norm,
        }

    def _zero_grad(self) -> None:
        self.optimizer.zero_grad()
        for parameter in self._parameters.values():  # the optimiser may not have all of them
            if parameter.grad is not None:
                parameter.grad = None

    def _differentiate(self, inputs: Any, targets: Any) -> tuple[float, Array | None]:
        if self.parallel is not None and not len(targets):
            self.parallel.without_data(inputs)
            return 0.0, None
        # The graph dies with this call: the next one is built when its memory is free again.
        with np.errstate(all="ignore"):  # an error will say more than NumPy's warning
            value, outputs = self._backward(inputs, targets)
        return float(value.item()), hits(outputs, targets)

    def _eager_backward(self, inputs: Any, targets: Any) -> tuple[Tensor, Any]:
        """The loss and the outputs; the parameters have their gradients then."""
        value, outputs = forward(self.model, self.loss, inputs, targets)
        value.backward()
        return value, outputs

    def _problem(self, value: float) -> str:
        """What is not finite. A finite loss can have infinite gradients."""
        if not math.isfinite(value):
            return f"the loss is {value}"
        for name, parameter in self._parameters.items():
            if parameter.grad is not None and not np.isfinite(parameter.grad.data).all():
                return f"the loss is {value:.4g}, but the gradient of {name} is not finite"
        return ""
