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
from ._parallel import Parallel
from ._progress import ProgressBar
from ._run import Run
from ._step import Step
from .callbacks import Callback
from .checkpoint import CheckpointsLike, Keeper, keeping
from .evaluation import Batches, Loss, evaluate
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
    checkpoints: CheckpointsLike | None = None,
    resume: bool = False,
    progress: bool | None = None,
    seed: int | None = None,
    report: PathLike | None = None,
    compile: bool = True,
    distributed: Parallel | None = None,
) -> History:
    """Train a model and keep its best weights, also where Ctrl-C ends the run.

    Args:
        model: the module to train, in training mode; its modes are restored in the end.
        data: pairs of inputs and targets, such as a ``DataLoader`` yields.
        epochs, validation: passes over the data; other data, evaluated after every pass.
        optimizer, schedule: by default Adam with lr 0.001; moved on after every ``schedule_every``.
        loss, clip_norm: ``loss(outputs, targets)``, a mean; the largest norm of all gradients.
        keep_best: whether the model ends with the weights of its best validated epoch.
        callbacks: called as ``callback(history, model)`` after every epoch; True ends the run.
        log, report: a JSONL file for settings and epochs; a page, see ``tc.draw.TrainingReport``.
        checkpoint: an .npz file for the ``state_dict()`` of the best (else the last) epoch.
        checkpoints: a folder, or ``Checkpoints``, for all that it takes to go on with the run.
        resume: go on from the newest of them, if there is one, to the same bits.
        progress, seed, compile: a bar (by default on a terminal), ``manual_seed``, ``tc.compile``.
        distributed: a ``tc.distributed.DataParallel``, whose rank 0 writes files and shows a bar.

    Raises:
        ArgumentError, CheckpointError, MissingExtraError: what does not fit; nothing is changed.
        NonFiniteError: of a loss or gradient, with its line. The weights are those before it.

    >>> import numpy as np
    >>> len(fit(nn.Linear(2, 2), [(np.eye(2, dtype="f4"), np.array([0, 1]))], epochs=3))
    3
    """
    optimizer = matching_optimizer(model, optimizer, schedule)
    files = log, checkpoint, report
    check_loop(data, validation, epochs, schedule_every, clip_norm, loss, callbacks, files)
    if distributed is not None and distributed.rank:
        log = checkpoint = checkpoints = report = None
        resume = progress = False
    about = RunReport(report, model, data, validation, loss)
    step = Step(model, loss, optimizer, clip_norm, schedule, schedule_every, compile, distributed)
    best = BestModel(model, checkpoint, keep_best and validation is not None)
    run = Run(step, data, validation, callbacks, best)
    with keeping(checkpoints, run, resume) as keeper:
        return _run(run, epochs, keeper, about, log, seed, progress)


def _run(
    run: Run,
    epochs: int,
    keeper: Keeper | None,
    about: RunReport,
    log: PathLike | None,
    seed: int | None,
    progress: bool | None,
) -> History:
    if seed is not None and not run.resumed:
        manual_seed(seed)
    if run.step.parallel is not None:
        run.step.parallel.begin(run, run.data)
    callbacks = list(run.callbacks)
    if log is not None:
        callbacks.insert(0, EpochLog(log, run.step, run.history, epochs=epochs, seed=seed))
    _train(run, epochs, callbacks, keeper, progress)
    run.best.restore()
    about.write(run.history, run.step)
    return run.history


def _train(
    run: Run,
    epochs: int,
    callbacks: Sequence[Callback],
    keeper: Keeper | None,
    progress: bool | None,
) -> None:
    """The epochs that are left."""
    history, step = run.history, run.step
    with mode(step.model, training=True):
        try:
            while len(history) < epochs and not run.stopped:
                title = f"epoch {len(history) + 1}/{epochs}"
                with ProgressBar(title, run.data, progress, run.batch) as bar:
                    row = _epoch(run, keeper, bar)
                if history.best is None or row.rank > history.best.rank:
                    run.best.save()
                history.epochs.append(row)
                verdicts = [callback(history, step.model) for callback in callbacks]
                run.stopped = any(verdicts)
                if not run.stopped:
                    step.end_epoch()
                run.next_epoch()
                if keeper is not None:
                    keeper.save()
        except KeyboardInterrupt:
            history.interrupted = True
            if run.validation is None or not history.epochs:  # nothing better than what is now
                run.best.save()


def _epoch(run: Run, keeper: Keeper | None, bar: ProgressBar) -> Epoch:
    """Train on the batches that are left, then evaluate."""
    number, step, totals = len(run.history) + 1, run.step, run.totals
    start = perf_counter() - run.seconds
    parallel, batches = step.parallel, run.batches()
    for inputs, targets in batches if parallel is None else parallel.in_step(batches):
        try:
            totals.add(*step(inputs, targets))
        except NonFiniteError as error:
            raise NonFiniteError(f"epoch {number}, batch {run.batch + 1}: {error}") from error
        except TinygradCnnError as error:
            error.add_note(f"in epoch {number}, batch {run.batch + 1}")
            raise
        run.batch += 1
        run.seconds = perf_counter() - start
        bar.advance(totals)
        if keeper is not None:
            keeper.batch_done()
    totals.check_not_empty("fit")
    seconds, validation = perf_counter() - start, run.validation
    if parallel is not None:
        parallel.spread_buffers()
    found = None
    if validation is not None:
        found = evaluate(step.model, validation, step.loss, distributed=parallel)
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
