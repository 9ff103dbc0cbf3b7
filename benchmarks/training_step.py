"""The training step of six reference networks beside PyTorch's, eager.

Forward, loss, backward and SGD with momentum, float32, all cores on both sides, PyTorch in the
better of its memory formats. The losses of the first steps must agree before anything is timed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from statistics import geometric_mean

import _nets
from _measure import (
    KEEP_MEMORY,
    Report,
    Spread,
    arguments,
    cores,
    milliseconds,
    missing,
    paired,
    process,
    ratio,
)

OURS = "tinygrad_cnn"
BATCHES = (16, 32, 128)
CHECKED_STEPS = 3
TOLERANCE = 1e-3  # of the loss, relative, after float32 rounding has passed through three steps
ROUNDS, ABOUT = 5, 0.3  # seconds of each turn


def measure(
    net: str, batches: Sequence[int], rounds: int, about: float
) -> Iterator[dict[str, list[float]]]:
    """For each batch size the seconds of a step in each round, by engine."""
    with ExitStack() as stack:
        engines = {
            name: stack.enter_context(process(cores(), **KEEP_MEMORY)) for name in _nets.ENGINES
        }
        for images in batches:
            check(
                net,
                {
                    name: call(_nets.losses, name, net, images, CHECKED_STEPS)
                    for name, call in engines.items()
                },
            )
            turns = {
                name: partial(call, _nets.turn, name, net, images, about)
                for name, call in engines.items()
            }
            yield paired(turns, rounds)


def check(net: str, losses: dict[str, list[float]]) -> None:
    """Refuse to time engines that do not compute the same."""
    for name, found in losses.items():
        for one, other in zip(found, losses[OURS], strict=True):
            if not abs(one - other) <= TOLERANCE * abs(other):
                raise SystemExit(f"{net}: the losses of {name} differ: {found}, {losses[OURS]}")


def main() -> None:
    """Measure, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--quick", action="store_true", help="batch 32 alone, three rounds")
    options = parser.parse_args()
    if reason := missing("torch"):
        raise SystemExit(reason)
    batches, rounds, about = ((32,), 3, 0.2) if options.quick else (BATCHES, ROUNDS, ABOUT)
    report = Report(
        "Training step of the reference networks: median (quartiles)",
        ("torch",),
        dtype="float32",
        threads=cores(),
        rounds=rounds,
    )
    rows, ratios = [], []
    for net in _nets.NETS:
        for images, times in zip(batches, measure(net, batches, rounds, about), strict=True):
            row, against = compared(net, images, times)
            rows.append(row)
            ratios.append(against.median)
    report.table(("network", "batch", "ms", "PyTorch, ms", "ours / PyTorch", "GF/s"), rows)
    report.note(
        f"geometric mean of ours / PyTorch: {geometric_mean(ratios):.2f}, from {min(ratios):.2f}"
        f" to {max(ratios):.2f}"
    )
    report.note(f"The losses of the first {CHECKED_STEPS} steps agree to {TOLERANCE}.")
    report.write(options.json)


def compared(
    net: str, images: int, times: dict[str, list[float]]
) -> tuple[tuple[object, ...], Spread]:
    """A row of the table, and the ratio in it."""
    formats = [name for name in times if name != OURS]
    fastest = min(formats, key=lambda name: milliseconds(times[name]).median)
    found, ms = ratio(times[OURS], times[fastest]), milliseconds(times[OURS])
    speed = 1e3 * _nets.training_gflop(net, images) / ms.median
    return (net, images, ms, milliseconds(times[fastest]), found, speed), found


if __name__ == "__main__":
    main()
