"""What may look at a run after every epoch, and end it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from .. import nn
from .._arguments import whole
from ..errors import ArgumentError
from .history import History

__all__ = ["Callback", "EarlyStopping"]

# Called after every epoch, once that is recorded, logged and saved. True ends the run.
Callback: TypeAlias = Callable[[History, nn.Module], bool | None]


class EarlyStopping:
    """A callback that ends the run after ``patience`` epochs without a better one.

    Better is meant as in ``History.best``, for which the run needs validation data.

    Source: L. Prechelt, Early stopping, but when? (1998).

    Args:
        patience: epochs to wait, at least 1.

    Raises:
        ArgumentError: ``patience`` is below 1; when called, the run has no validation data.

    >>> import tinygrad_cnn as tc
    >>> tc.train.EarlyStopping(patience=3)
    EarlyStopping(patience=3)
    """

    def __init__(self, patience: int = 5) -> None:
        self.patience = whole("EarlyStopping", "patience", patience)

    def __call__(self, history: History, model: nn.Module) -> bool:
        best, last = history.best, history[-1]
        if best is None or best.validation_loss is None:
            raise ArgumentError("EarlyStopping needs validation data: fit(…, validation=loader)")
        return last.epoch - best.epoch >= self.patience

    def __repr__(self) -> str:
        return f"EarlyStopping(patience={self.patience})"
