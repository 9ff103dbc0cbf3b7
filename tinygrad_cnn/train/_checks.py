"""The checks that stand before a run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .. import nn
from .._arguments import whole
from ..errors import ArgumentError
from ..nn._checks import one_of
from ..optim import Adam, LRScheduler, Optimizer
from .evaluation import check_data


def matching_optimizer(
    model: nn.Module,
    optimizer: Optimizer | None,
    schedule: LRScheduler | None,
    owner: str = "fit",
) -> Optimizer:
    """The given optimiser, that of the schedule, or a new one, once it is known to fit.

    Raises:
        ArgumentError: one of the three is something else, there is nothing to train, or model,
            optimiser and schedule do not belong together.
    """
    for name, value, kind in (
        ("model", model, nn.Module),
        ("optimizer", optimizer, Optimizer),
        ("schedule", schedule, LRScheduler),
    ):
        left_out = value is None and kind is not nn.Module
        if not left_out and not isinstance(value, kind):
            raise ArgumentError(
                f"{owner}: {name}={value!r:.60}, expected an instance of {kind.__name__}"
            )
    parameters = list(model.parameters())
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    if not trainable:
        raise ArgumentError(
            f"{owner}: {type(model).__name__} has nothing to train: {len(parameters)} parameters,"
            " all of them frozen"
        )
    if optimizer is None:
        optimizer = Adam(trainable, lr=1e-3) if schedule is None else schedule.optimizer
    elif schedule is not None and schedule.optimizer is not optimizer:
        raise ArgumentError(
            f"{owner}: {type(schedule).__name__} belongs to another optimizer: make it with the"
            f" one that {owner} gets"
        )
    updated = {id(param) for group in optimizer.param_groups for param in group["params"]}
    if not any(id(parameter) in updated for parameter in trainable):
        raise ArgumentError(
            f"{owner}: {type(optimizer).__name__} updates no parameter of {type(model).__name__}:"
            " make it with model.parameters()"
        )
    return optimizer


def check_loop(
    data: Any,
    validation: Any,
    epochs: int,
    schedule_every: str,
    clip_norm: float | None,
    loss: Any,
    callbacks: Any,
    files: Iterable[str | os.PathLike[str] | None],
) -> None:
    """Refuse data and settings that a run can't end with.

    Raises:
        ArgumentError: no batches, a number or word outside its domain, a file that can't be.
    """
    check_data("fit", data)
    if validation is not None:
        check_data("fit: validation", validation)
    whole("fit", "epochs", epochs)
    one_of("fit", "schedule_every", schedule_every, ("epoch", "batch"))
    if clip_norm is not None and not clip_norm > 0:
        raise ArgumentError(f"fit: clip_norm={clip_norm!r}, expected a number above 0")
    check_loss("fit", loss)
    if not isinstance(callbacks, (list, tuple)) or not all(map(callable, callbacks)):
        raise ArgumentError(f"fit: callbacks={callbacks!r:.60}, expected a list of functions")
    for file in files:
        if file is None:
            continue
        is_path = isinstance(file, (str, os.PathLike))
        if not is_path or not Path(file).parent.is_dir() or Path(file).is_dir():
            raise ArgumentError(f"fit: {str(file)!r} is no file in an existing folder")


def check_loss(owner: str, loss: Any) -> None:
    """Refuse what is no loss function.

    Raises:
        ArgumentError: it can't be called.
    """
    if not callable(loss):
        raise ArgumentError(f"{owner}: loss={loss!r}, expected a function such as F.cross_entropy")
