"""The training loop."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Literal

from .. import functional as F
from .. import nn
from ..errors import NonFiniteError, TinygradCnnError
from ..optim import LRScheduler, Optimizer
from ..random import manual_seed
from ._best import BestModel
from ._files import PathLike
from ._progress import ProgressBar
from ._settings import check_arguments, log_settings, matching_optimizer
from ._step import Step
from .callbacks import Callback
from .evaluation import Batches, Loss, Totals, evaluate, mode
from .history import Epoch, History

__all__ = ["fit"]


def fit(
    model: nn.Module,
    data: Batches,
    *,
    epochs: int,
    validation: Batches | None = None,
    optimizer: Optimizer | None = None,
    loss: Loss = F.cross_entropy,
    schedule: LRScheduler | None = None,
    schedule_every: Literal["epoch", "batch"] = "epoch",
    clip_norm: float | None = None,
    keep_best: bool = True,
    callbacks: Sequence[Callback] = (),
    log: PathLike | None = None,
    checkpoint: PathLike | None = None,
    progress: bool | None = None,
    seed: int | None = None,
) -> History:
    """Train a model and keep its best weights, also when Ctrl-C ends the run early.

    ...
    """
