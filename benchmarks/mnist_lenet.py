"""LeNet-5 on MNIST: test accuracy after three epochs, and the time of an epoch beside PyTorch's.

Batches of 64, SGD with Nesterov momentum, one cycle of the learning rate up to 0.1, no
augmentation, seeds 0, 1 and 2. The accuracy is that of the last epoch: none is chosen by looking
at the test images. PyTorch trains the same network in the same way from initial values of its
own; its images wait in memory as one tensor. Evaluation is not part of an epoch's time.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import _nets
from _measure import (
    KEEP_MEMORY,
    Report,
    Spread,
    arguments,
    cores,
    missing,
    process,
    ratio,
    verdict,
)

EPOCHS, SEEDS, BATCH = 3, (0, 1, 2), 64
MAX_LR, PCT_START = 0.1, 0.25
SGD: dict[str, Any] = {"lr": MAX_LR, "momentum": 0.9, "nesterov": True}
LEAST_ACCURACY = 0.989


class Run(NamedTuple):
    """One training: the seconds of each epoch, the accuracy after each."""

    seconds: list[float]
    accuracies: list[float]


def ours(root: str, seed: int) -> Run:
    """Train with tinygrad_cnn."""
    import tinygrad_cnn as tc
    from tinygrad_cnn.data import MNIST, DataLoader

    train = DataLoader(MNIST(root), BATCH, shuffle=True, seed=seed)
    test = DataLoader(MNIST(root, "test"), batch_size=500)
    model = tc.models.LeNet5(generator=tc.manual_seed(seed))
    schedule = tc.optim.OneCycleLR(
        tc.optim.SGD(model.parameters(), **SGD),
        MAX_LR,
        epochs=EPOCHS,
        steps_per_epoch=len(train),
        pct_start=PCT_START,
    )
    history = tc.train.fit(
        model, train, epochs=EPOCHS, validation=test, schedule=schedule, schedule_every="batch"
    )
    accuracies = [epoch.validation_accuracy for epoch in history.epochs]
    return Run([epoch.seconds for epoch in history.epochs], accuracies)


def pytorch(root: str, seed: int) -> Run:
    """Train with PyTorch, channels last: the faster of its formats for this network."""
    import torch
    from torch.nn import functional as F

    torch.manual_seed(seed)
    x, y = _tensors(root, "train")
    x_test, y_test = _tensors(root, "test")
    model = _nets.lenet5(torch.nn).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), **SGD)
    steps = -(-len(y) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, MAX_LR, epochs=EPOCHS, steps_per_epoch=steps, pct_start=PCT_START
    )
    run = Run([], [])
    for _ in range(EPOCHS):
        start = time.perf_counter()
        for index in torch.randperm(len(y)).split(BATCH):
            loss = F.cross_entropy(model(x[index]), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        run.seconds.append(time.perf_counter() - start)
        with torch.no_grad():
            hits = model(x_test).argmax(1) == y_test
        run.accuracies.append(hits.double().mean().item())
    return run


def _tensors(root: str, split: str) -> Any:
    """Images (N, 1, 28, 28) between 0 and 1, channels last, and labels, as PyTorch's tensors."""
    import torch

    from tinygrad_cnn.data import MNIST

    images, labels = MNIST(root, split).batch(slice(None))
    x = torch.from_numpy(images).contiguous(memory_format=torch.channels_last)
    return x, torch.from_numpy(labels)


def main() -> None:
    """Train, print, write."""
    parser = arguments(__doc__)
    default = os.environ.get("TINYGRAD_CNN_DATA", Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--data", default=str(default), help="the folder that holds mnist/")
    options = parser.parse_args()
    threads = cores()
    report = Report(
        f"LeNet-5 on MNIST, {EPOCHS} epochs", ("torch",), batch=BATCH, threads=threads, **SGD
    )
    if not Path(options.data, "mnist").is_dir():
        report.note(f"no folder mnist in {options.data}: set TINYGRAD_CNN_DATA or --data")
        return
    reason = missing("torch")
    with process(threads) as first, process(threads, **KEEP_MEMORY) as second:
        runs, theirs = [], []
        for seed in SEEDS:
            runs.append(first(ours, options.data, seed))
            if reason is None:
                theirs.append(second(pytorch, options.data, seed))
    report_runs(report, runs, theirs)
    if reason is not None:
        report.note(reason)
    report.write(options.json)


def report_runs(report: Report, runs: list[Run], theirs: list[Run]) -> None:
    """A table of all trainings, the time of an epoch, and the target."""
    rows: list[tuple[object, ...]] = []
    for engine, trained in (("tinygrad_cnn", runs), ("PyTorch", theirs)):
        for seed, run in zip(SEEDS, trained, strict=False):
            after = (round(100 * accuracy, 2) for accuracy in run.accuracies)
            rows.append((engine, seed, *after, Spread.of(run.seconds)))
    epochs = [f"% after epoch {number}" for number in range(1, EPOCHS + 1)]
    report.table(("engine", "seed", *epochs, "seconds per epoch"), rows)
    if theirs:
        above, below = ([s for run in part for s in run.seconds] for part in (runs, theirs))
        report.note(f"time of an epoch, ours / PyTorch: {ratio(above, below)}")
    worst = min(run.accuracies[-1] for run in runs)
    report.note(
        f"least of the seeds {100 * worst:.2f} %, target {100 * LEAST_ACCURACY:g} %:"
        f" {verdict(worst >= LEAST_ACCURACY)}"
    )


if __name__ == "__main__":
    main()
