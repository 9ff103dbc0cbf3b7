"""The eager training step of LeNet-5 beside PyTorch's and MyGrad's.

Forward, loss, backward and SGD step of a batch of 64, float32, on one thread and on all cores.
The losses of the first steps must agree before anything is timed. PyTorch and MyGrad get the
setting of the memory allocator that tinygrad_cnn makes for itself: it makes them faster too.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import _lenet
from _measure import (
    KEEP_MEMORY,
    Report,
    arguments,
    cores,
    milliseconds,
    missing,
    paired,
    process,
    ratio,
    verdict,
)

OURS = "tinygrad_cnn"
ENGINES = {
    OURS: None,
    "PyTorch": "torch",
    "PyTorch channels_last": "torch",
    "MyGrad": "mygrad",
}
CHECKED_STEPS = 5
TOLERANCE = 1e-3  # of the loss, after float32 rounding has passed through five steps
ROUNDS, CALLS = 15, 15
MOST_PYTORCH, LEAST_MYGRAD = 3.0, 3.0


def measure(threads: int) -> dict[str, list[float]]:
    """The seconds of a step in each round, by engine."""
    with ExitStack() as stack:
        engines = {
            name: stack.enter_context(process(threads, **KEEP_MEMORY))
            for name, package in ENGINES.items()
            if package is None or missing(package) is None
        }
        losses = {name: call(_lenet.losses, name, CHECKED_STEPS) for name, call in engines.items()}
        check(losses)
        turns = {name: partial(call, _lenet.turn, name, CALLS) for name, call in engines.items()}
        return paired(turns, ROUNDS)


def check(losses: dict[str, list[float]]) -> None:
    """Refuse to time engines that do not compute the same."""
    for name, found in losses.items():
        difference = max(map(abs, map(float.__sub__, found, losses[OURS])))
        if not difference < TOLERANCE:
            raise SystemExit(f"the losses of {name} differ: {found}, ours {losses[OURS]}")


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__).parse_args()
    report = Report(
        "Training step of LeNet-5, milliseconds: median (quartiles)",
        ("torch", "mygrad"),
        batch=_lenet.BATCH,
        dtype="float32",
        rounds=ROUNDS,
        calls_per_round=CALLS,
    )
    for threads in sorted({1, cores()}):
        report_times(report, threads, measure(threads))
    for package in ("torch", "mygrad"):
        if reason := missing(package):
            report.note(reason)
    report.note(f"The losses of the first {CHECKED_STEPS} steps agree to {TOLERANCE}.")
    report.write(options.json)


def report_times(report: Report, threads: int, times: dict[str, list[float]]) -> None:
    """One table of times, one of the targets."""
    rows = [
        (
            name,
            milliseconds(times[name]) if name in times else None,
            ratio(times[name], times[OURS]) if name in times else None,
        )
        for name in ENGINES
    ]
    report.table((f"threads: {threads}", "ms per step", "time / ours"), rows)
    formats = [name for name in times if name.startswith("PyTorch")]
    if formats:
        fastest = min(formats, key=lambda name: milliseconds(times[name]).median)
        found = ratio(times[OURS], times[fastest])
        report.note(
            f"ours / {fastest}: {found}, target at most {MOST_PYTORCH:g}:"
            f" {verdict(found.median <= MOST_PYTORCH)}"
        )
    if "MyGrad" in times:
        found = ratio(times["MyGrad"], times[OURS])
        report.note(
            f"MyGrad / ours: {found}, target at least {LEAST_MYGRAD:g}:"
            f" {verdict(found.median >= LEAST_MYGRAD)}"
        )


if __name__ == "__main__":
    main()
