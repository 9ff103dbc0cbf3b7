"""The training step beside that of other engines: JAX, tinygrad, MyGrad and HIPS autograd.

The six networks at batch 32, the same parameters, the same losses; each engine at its defaults,
under its ``jit`` where it has one. An engine whose first steps take longer than ``--patience``
is left out.
"""

from __future__ import annotations

from statistics import geometric_mean

import _nets
from _engines import OURS, PEERS, PYTORCH
from _measure import Report, arguments, cores, milliseconds, ratio
from _race import CHECKED_STEPS, TOLERANCE, fastest, race

IMAGES, ROUNDS, ABOUT = 32, 3, 0.2
FORMATS = PYTORCH[:2]


def main() -> None:
    """Measure, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--nets", nargs="*", default=list(_nets.NETS), choices=_nets.NETS)
    parser.add_argument("--patience", type=float, default=10, help="seconds for the first steps")
    options = parser.parse_args()
    report = Report(
        "Training step beside other engines: median (quartiles)",
        ("torch", "jax", "tinygrad", "mygrad", "autograd"),
        dtype="float32",
        threads=cores(),
        rounds=ROUNDS,
        batch=IMAGES,
        patience=options.patience,
    )
    engines = (*OURS[:1], *OURS[2:], *FORMATS, *PEERS)
    found = {}
    with race(engines) as open_race:
        for net in options.nets:
            found[net] = open_race.times(
                "training", net, IMAGES, ROUNDS, ABOUT, engines, options.patience
            )
        reasons = open_race.reasons
    for times in found.values():
        if best := fastest(times, FORMATS):
            times["PyTorch"] = times[best]
    shown = (*OURS[:1], *OURS[2:], "PyTorch", *PEERS)
    rows = [
        (net, *(milliseconds(times[name]).median if name in times else None for name in shown))
        for net, times in found.items()
    ]
    report.table(("ms", *shown), rows, "ms")
    for ours in (OURS[0], *OURS[2:]):
        report_against(report, found, ours)
    for name, reason in reasons.items():
        report.note(f"- {name}: {reason}")
    report.note(f"The losses of the first {CHECKED_STEPS} steps agree to {TOLERANCE}.")
    report.write(options.json)


def report_against(report: Report, found: dict[str, dict[str, list[float]]], ours: str) -> None:
    """How many times our time each of the others takes."""
    rows, others = [], ("PyTorch", *PEERS)
    for net, times in found.items():
        if ours in times:
            both = (name in times for name in others)
            rows.append(
                (
                    net,
                    *(
                        ratio(times[name], times[ours]) if is_there else None
                        for name, is_there in zip(others, both, strict=True)
                    ),
                )
            )
    if not rows:
        return
    means = []
    for column in list(zip(*rows, strict=True))[1:]:
        medians = [value.median for value in column if value is not None]
        means.append(geometric_mean(medians) if medians else None)
    rows.append(("geometric mean", *means))
    report.table((f"time / {ours}", *others), rows, f"time / {ours}")


if __name__ == "__main__":
    main()
