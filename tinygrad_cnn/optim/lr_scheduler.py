"""Learning-rate schedules: each sets ``"lr"`` in an optimiser's groups at every ``step()``.

A schedule computes the next rate from the present one, so that several of them on one
optimiser multiply (``LinearLR`` as warm-up and ``CosineAnnealingLR``, for example). Call
``schedule.step()`` after ``optimizer.step()``: once an epoch, or once a batch for ``OneCycleLR``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from .._arguments import is_real, listed, whole
from ..errors import ArgumentError, DtypeError
from ._checks import number
from ._scheduler import LRScheduler
from .optimizer import Group, Optimizer

__all__ = [
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "StepLR",
]


class StepLR(LRScheduler):
    """Multiply the learning rate by ``gamma`` every ``step_size`` epochs.

    Args:
        optimizer: whose learning rates to set.
        step_size: epochs from one change to the next.
        gamma: the factor.

    Raises:
        ArgumentError: a setting outside its domain.

    >>> import tinygrad_cnn as tc
    >>> optimizer = tc.optim.SGD([tc.tensor(1.0, requires_grad=True)], lr=0.5)
    >>> schedule = tc.optim.StepLR(optimizer, step_size=1, gamma=0.5)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = whole("StepLR", "step_size", step_size)
        self.gamma = number("StepLR", "gamma", gamma)
        super().__init__(optimizer)

    def _lr(self, index: int, group: Group, epoch: int) -> float:
        due = epoch > 0 and epoch % self.step_size == 0
        return float(group["lr"] * self.gamma if due else group["lr"])


class MultiStepLR(LRScheduler):
    """Multiply the learning rate by ``gamma`` at each of the ``milestones``.

    Args:
        optimizer: whose learning rates to set.
        milestones: epochs; one given twice counts twice.
        gamma: the factor.

    Raises:
        ArgumentError: a setting outside its domain.

    >>> import tinygrad_cnn as tc
    >>> optimizer = tc.optim.SGD([tc.tensor(1.0, requires_grad=True)], lr=0.5)
    >>> schedule = tc.optim.MultiStepLR(optimizer, milestones=[1, 10], gamma=0.5)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1) -> None:
        self.milestones = sorted(
            whole("MultiStepLR", "milestones", epoch, 0)
            for epoch in listed("MultiStepLR", "milestones", milestones)
        )
        self.gamma = number("MultiStepLR", "gamma", gamma)
        super().__init__(optimizer)

    def _lr(self, index: int, group: Group, epoch: int) -> float:
        return float(group["lr"] * self.gamma ** self.milestones.count(epoch))


class ExponentialLR(LRScheduler):
    """Multiply the learning rate by ``gamma`` every epoch.

    Args:
        optimizer: whose learning rates to set.
        gamma: the factor.

    Raises:
        ArgumentError: ``gamma`` is negative.

    >>> import tinygrad_cnn as tc
    >>> optimizer = tc.optim.SGD([tc.tensor(1.0, requires_grad=True)], lr=0.5)
    >>> schedule = tc.optim.ExponentialLR(optimizer, gamma=0.5)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = number("ExponentialLR", "gamma", gamma)
        super().__init__(optimizer)

    def _lr(self, index: int, group: Group, epoch: int) -> float:
        return float(group["lr"] * self.gamma if epoch else group["lr"])


class LinearLR(LRScheduler):
    """Warm up: a factor goes from ``start_factor`` to ``end_factor`` in ``total_iters`` epochs.

    Args:
        optimizer: whose learning rates to set.
        start_factor: factor of the first epoch, in (0, 1].
        end_factor: factor from ``total_iters`` on, in [0, 1].
        total_iters: length of the warm-up.

    Raises:
        ArgumentError: a setting outside its domain.

    Source: P. Goyal et al., Accurate, large minibatch SGD (2017).

    >>> import tinygrad_cnn as tc
    >>> optimizer = tc.optim.SGD([tc.tensor(1.0, requires_grad=True)], lr=0.5)
    >>> schedule = tc.optim.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.375]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        factors = start_factor, end_factor
        if not all(is_real(f, 0.0) and f <= 1 for f in factors) or not start_factor:
            raise ArgumentError(
                f"LinearLR: start_factor={start_factor!r} must be in (0, 1] and"
                f" end_factor={end_factor!r} in [0, 1]"
            )
        self.start_factor, self.end_factor = float(start_factor), float(end_factor)
        self.total_iters = whole("LinearLR", "total_iters", total_iters)
        super().__init__(optimizer)

    def _lr(self, index: int, group: Group, epoch: int) -> float:
        lr: float = group["lr"]
        if epoch == 0:
            return lr * self.start_factor
        if epoch > self.total_iters:
            return lr
        rise = self.end_factor - self.start_factor
        # This epoch's factor over that of the epoch before.
        return lr * (1 + rise / (self.total_iters * self.start_factor + (epoch - 1) * rise))


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the initial learning rate to ``eta_min`` in ``T_max`` epochs.

    ``lr = eta_min + (initial - eta_min) * (1 + cos(pi * epoch / T_max)) / 2``; it rises again
    after ``T_max``.

    Args:
        optimizer: whose learning rates to set.
        T_max: epochs until the minimum.
        eta_min: the minimum.

    Raises:
        ArgumentError: a setting outside its domain.

    Source: I. Loshchilov, F. Hutter, SGDR: stochastic gradient descent with warm restarts (2017).

    >>> import tinygrad_cnn as tc
    >>> optimizer = tc.optim.SGD([tc.tensor(1.0, requires_grad=True)], lr=0.5)
    >>> schedule = tc.optim.CosineAnnealingLR(optimizer, T_max=2)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max = whole("CosineAnnealingLR", "T_max", T_max)
        self.eta_min = number("CosineAnnealingLR", "eta_min", eta_min)
        super().__init__(optimizer)

    def _lr(self, index: int, group: Group, epoch: int) -> float:
        lr: float = group["lr"]
        if epoch == 0:
            return lr
        if (epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # from the minimum no ratio leads up
            amplitude = group["initial_lr"] - self.eta_min
            return float(lr + amplitude * (1 - math.cos(math.pi / self.T_max)) / 2)
        now, before = (1 + math.cos(math.pi * t / self.T_max) for t in (epoch, epoch - 1))
        return now / before * (lr - self.eta_min) + self.eta_min


class OneCycleLR(LRScheduler):
    """One rise to ``max_lr`` and a long fall, with momentum the other way round.

    The rate starts at ``max_lr / div_factor``, is at its peak after ``pct_start`` of the steps
    and ends at ``max_lr / div_factor / final_div_factor``. Call ``step()`` after every batch.

    Args:
        optimizer: whose learning rates (and momentum, or first beta) to set.
        max_lr: the peak, one number or one for each parameter group.
        total_steps: batches in the cycle; or else ``epochs`` and ``steps_per_epoch``.
        epochs: epochs in the cycle.
        steps_per_epoch: batches in an epoch.
        pct_start: the part of the cycle that rises, in [0, 1].
        anneal_strategy: ``"cos"`` or ``"linear"``.
        cycle_momentum: whether to move the momentum too.
        base_momentum: momentum at the peak, one number or one for each group.
        max_momentum: momentum at both ends, one number or one for each group.
        div_factor: peak over start.
        final_div_factor: start over end.
        three_phase: fall back to the start as fast as it rose, then on to the end.

    Raises:
        ArgumentError: a setting outside its domain, an optimiser without momentum to cycle, or
            more steps than ``total_steps``.

    Source: L. Smith, N. Topin, Super-convergence (2018).

    >>> import tinygrad_cnn as tc
    >>> optimizer = tc.optim.SGD([tc.tensor(1.0, requires_grad=True)], lr=0.5, momentum=0.9)
    >>> schedule = tc.optim.OneCycleLR(optimizer, max_lr=1.0, total_steps=10, pct_start=0.5)
    >>> rates = []
    >>> for _ in range(10):
    ...     rates += [round(rate, 2) for rate in schedule.get_last_lr()]
    ...     schedule.step()
    >>> rates
    [0.04, 0.18, 0.52, 0.86, 1.0, 0.9, 0.65, 0.35, 0.1, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        if total_steps is None:
            per_epoch = whole("OneCycleLR", "steps_per_epoch (or total_steps)", steps_per_epoch)
            total_steps = whole("OneCycleLR", "epochs", epochs) * per_epoch
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"OneCycleLR: anneal_strategy={anneal_strategy!r}: cos or linear")
        if not isinstance(optimizer, Optimizer):
            raise DtypeError(f"OneCycleLR: expected an Optimizer, got {type(optimizer).__name__}")
        if cycle_momentum and not optimizer.defaults.keys() & {"momentum", "betas"}:
            raise ArgumentError(
                f"OneCycleLR: {type(optimizer).__name__} has no momentum: cycle_momentum=False"
            )
        settings = pct_start, div_factor, final_div_factor
        if not (all(is_real(s, 0.0) for s in settings) and pct_start <= 1 and all(settings[1:])):
            raise ArgumentError(
                f"OneCycleLR: pct_start={pct_start!r} must be in [0, 1], and"
                f" div_factor={div_factor!r} and final_div_factor={final_div_factor!r} positive"
            )
        self.total_steps = whole("OneCycleLR", "total_steps", total_steps)
        self.pct_start, self.anneal_strategy = float(pct_start), anneal_strategy
        self.cycle_momentum, self.three_phase = cycle_momentum, three_phase
        self.div_factor, self.final_div_factor = float(div_factor), float(final_div_factor)
        groups = len(optimizer.param_groups)
        self.max_lr = _per_group("max_lr", max_lr, groups)
        self.base_momentum = _per_group("base_momentum", base_momentum, groups)
        self.max_momentum = _per_group("max_momentum", max_momentum, groups)
        super().__init__(optimizer)

    def _options(self, index: int, group: Group, epoch: int) -> dict[str, Any]:
        options = super()._options(index, group, epoch)
        if not self.cycle_momentum:
            return options
        low, high = self.base_momentum[index], self.max_momentum[index]
        momentum = self._anneal(epoch, [high, low, high, high])
        if "betas" in group:
            return {**options, "betas": (momentum, group["betas"][1])}
        return {**options, "momentum": momentum}

    def _lr(self, index: int, group: Group, epoch: int) -> float:
        if epoch > self.total_steps:
            raise ArgumentError(
                f"OneCycleLR: step {epoch} of a cycle of {self.total_steps}: give it the number"
                " of batches of the whole training"
            )
        peak = self.max_lr[index]
        start = peak / self.div_factor
        end = start / self.final_div_factor
        return self._anneal(epoch, [start, peak, *([start] if self.three_phase else []), end])

    def _anneal(self, epoch: int, levels: Sequence[float]) -> float:
        """The value at ``epoch``, where ``levels`` are the values at the ends of the phases."""
        peak = self.pct_start * self.total_steps - 1
        ends = [peak, *([2 * peak] if self.three_phase else []), self.total_steps - 1.0]
        phase = next((i for i, end in enumerate(ends) if epoch <= end), len(ends) - 1)
        begin, end = [0.0, *ends][phase], ends[phase]
        part = (epoch - begin) / (end - begin) if end > begin else 1.0
        low, high = levels[phase], levels[phase + 1]
        if self.anneal_strategy == "linear":
            return (high - low) * part + low
        return high + (low - high) / 2 * (math.cos(math.pi * part) + 1)


def _per_group(name: str, value: float | Sequence[float], groups: int) -> list[float]:
    values = list(value) if isinstance(value, (list, tuple)) else [value] * groups
    if len(values) != groups:
        raise ArgumentError(
            f"OneCycleLR: {name} has {len(values)} values, the optimiser {groups} groups"
        )
    return [number("OneCycleLR", name, item) for item in values]
