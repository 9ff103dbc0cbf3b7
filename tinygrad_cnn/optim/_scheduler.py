"""The base of the learning-rate schedules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from numbers import Real
from typing import Any

from .._core.symbol import deferrable
from ..errors import ArgumentError, CheckpointError
from ._checks import mapping
from .optimizer import Group, Optimizer

__all__ = ["LRScheduler"]


class LRScheduler(ABC):
    """What all schedules share; a subclass writes its formula, ``_lr``.

    Args:
        optimizer: whose learning rates to set.

    Attributes:
        last_epoch: how often ``step`` was called.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(
                f"{type(self).__name__} needs an Optimizer, got {type(optimizer).__name__}"
            )
        self.optimizer = optimizer
        self.last_epoch = -1
        self._last_lr: list[float] = []
        self.step()

    @deferrable
    def step(self) -> None:
        """Go on by one epoch (or batch) and set the learning rates that belong to it."""
        epoch, groups = self.last_epoch + 1, self.optimizer.param_groups
        for group in groups:
            group.setdefault("initial_lr", group["lr"])
        updates = [self._options(index, group, epoch) for index, group in enumerate(groups)]
        for group, update in zip(groups, updates, strict=True):
            group.update(update)
        self.last_epoch = epoch
        self._last_lr = [group["lr"] for group in groups]

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group, as the last ``step`` set it."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Position and settings as a plain dict; the rates are in the optimiser's state."""
        return {
            name: list(value) if isinstance(value, list) else value
            for name, value in vars(self).items()
            if name != "optimizer"
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from the ``state_dict()`` of such a schedule; load the optimiser's state too.

        Raises:
            CheckpointError: the state is for another schedule; nothing is changed.
        """
        own, what = self.state_dict(), f"the state of {type(self).__name__}"
        state = dict(mapping(what, state_dict, own))
        for name, value in state.items():
            fits = name in own and all(
                isinstance(value, kind) == isinstance(own[name], kind) for kind in (Real, list)
            )
            if not fits:
                raise CheckpointError(f"{what} has {name}={value!r}, which does not fit")
        if len(state["_last_lr"]) != len(self._last_lr):
            raise CheckpointError(
                f"{what} is for {len(state['_last_lr'])} parameter groups, the optimiser has"
                f" {len(self._last_lr)}"
            )
        vars(self).update(state)

    def _options(self, index: int, group: Group, epoch: int) -> dict[str, Any]:
        """What a group, the ``index``-th, is to have at ``epoch``."""
        return {"lr": self._lr(index, group, epoch)}

    @abstractmethod
    def _lr(self, index: int, group: Group, epoch: int) -> float:
        """The learning rate of a group at ``epoch``, where it has that of the epoch before."""
