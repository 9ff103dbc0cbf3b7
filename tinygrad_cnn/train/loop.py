"""The training loop."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Literal

from .. import functional as F
from .. import nn
from ..errors import NonFiniteError, TinygradCnnError
from ..nn._mode import mode
from ..optim import LRScheduler, Optimizer
from ..random import manual_seed
from ._checks import check_loop, matching_optimizer
from ._files import BestModel, EpochLog, PathLike, RunReport
from ._progress import ProgressBar
from ._step import Step
from .callbacks import Callback
from .evaluation import Batches, Loss, Totals, evaluate
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
    report: PathLike | None = None,
    compile: bool = True,
) -> History:
    """Train a model and keep its best weights, also where Ctrl-C ends the run.

    Args:
        model: the module to train, in training mode; its modes are restored in the end.
        data: pairs of inputs and targets, such as a ``DataLoader`` yields.
        epochs, validation: passes over the data; other data, evaluated after every pass.
        optimizer: by default that of the schedule, or else Adam with lr 0.001.
        loss: ``loss(outputs, targets)``, the mean over the batch.
        schedule, schedule_every: moved on after every "epoch" or "batch".
        clip_norm: the largest norm of all gradients together.
        keep_best: whether the model ends with the weights of its best validated epoch.
        callbacks: called as ``callback(history, model)`` after every epoch; True ends the run.
        log: a JSONL file, to which the settings are appended, and a line for each epoch.
        checkpoint: an .npz file for the ``state_dict()`` of the best (else the last) epoch.
        progress, seed: whether to show a bar (by default on a terminal); for ``tc.manual_seed``.
        report: an HTML file about the run, see ``tc.draw.TrainingReport``.
        compile: whether ``tc.compile`` computes losses and gradients.

    Raises:
        ArgumentError, MissingExtraError: an argument does not fit, or a report is wanted without
            matplotlib; nothing is changed.
        NonFiniteError: a loss or gradient is not finite; it names the operation and its line. The
            model keeps the weights before that batch.

    >>> import numpy as np, tinygrad_cnn as tc
    >>> batch = np.eye(2, dtype=np.float32), np.array([0, 1])
    >>> len(tc.train.fit(tc.nn.Linear(2, 2), [batch], epochs=3))
    3
    """
    optimizer = matching_optimizer(model, optimizer, schedule)
    files = log, checkpoint, report
    check_loop(data, validation, epochs, schedule_every, clip_norm, loss, callbacks, files)
    about = RunReport(report, model, data, validation, loss)
    if seed is not None:
        manual_seed(seed)
    step = Step(model, loss, optimizer, clip_norm, schedule, schedule_every, compile)
    best = BestModel(model, checkpoint, keep_best and validation is not None)
    if log is not None:
        callbacks = [EpochLog(log, step, epochs=epochs, seed=seed), *callbacks]
    return _run(step, data, validation, epochs, callbacks, best, about, progress)


def _run(
    step: Step,
    data: Batches,
    validation: Batches | None,
    epochs: int,
    callbacks: Sequence[Callback],
    best: BestModel,
    about: RunReport,
    progress: bool | None,
) -> History:
    history = History()
    with mode(step.model, training=True):
        try:
            for number in range(1, epochs + 1):
                with ProgressBar(f"epoch {number}/{epochs}", data, progress) as bar:
                    row = _epoch(number, step, data, validation, bar)
                if history.best is None or row.rank > history.best.rank:
                    best.save()
                history.epochs.append(row)
                verdicts = [callback(history, step.model) for callback in callbacks]
                if any(verdicts):
                    break
                step.end_epoch()
        except KeyboardInterrupt:
            history.interrupted = True
            if validation is None or not history.epochs:  # nothing better than what there is now
                best.save()
    best.restore()
    about.write(history, step)
    return history


def _epoch(
    number: int, step: Step, data: Batches, validation: Batches | None, bar: ProgressBar
) -> Epoch:
    """Train on all batches, then evaluate."""
    start, totals = perf_counter(), Totals()
    for batch, (inputs, targets) in enumerate(data, start=1):
        try:
            totals.add(len(targets), *step(inputs, targets))
        except NonFiniteError as error:
            raise NonFiniteError(f"epoch {number}, batch {batch}: {error}") from error
        except TinygradCnnError as error:
            error.add_note(f"in epoch {number}, batch {batch}")
            raise
        bar.advance(totals)
    totals.check_not_empty("fit")
    seconds = perf_counter() - start
    found = None if validation is None else evaluate(step.model, validation, step.loss)
    bar.finish(totals, found)
    return Epoch(
        epoch=number,
        loss=totals.loss,
        accuracy=totals.accuracy,
        validation_loss=None if found is None else found.loss,
        validation_accuracy=None if found is None else found.accuracy,
        seconds=seconds,
        images_per_second=totals.images / seconds,
        learning_rate=step.learning_rate,
    )
