"""Scores of one image and of 128: tinygrad_cnn, PyTorch and JAX.

Images from NumPy, scores as a NumPy array, nothing recorded; PyTorch under ``inference_mode`` in
the best of its ways.
"""

from __future__ import annotations

from collections.abc import Sequence

import _nets
from _engines import OURS, PYTORCH
from _measure import Report, arguments, cores, milliseconds, ratio
from _race import TOLERANCE, fastest, race, worthwhile

BATCHES = (1, 128)
ROUNDS, ABOUT = 5, 0.1
PEERS = ("JAX",)


def main() -> None:
    """Measure, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--nets", nargs="*", default=list(_nets.NETS), choices=_nets.NETS)
    options = parser.parse_args()
    report = Report(
        "Inference: median (quartiles)",
        ("torch", "jax", "llvmlite"),
        dtype="float32",
        threads=cores(),
        rounds=ROUNDS,
    )
    rows, details = [], []
    others = (*OURS, *PEERS)
    with race((*others, *PYTORCH)) as open_race:
        for net in options.nets:
            engines: Sequence[str] = (*others, *PYTORCH)
            for images in BATCHES:
                times = open_race.times("inference", net, images, ROUNDS, ABOUT, engines)
                engines = worthwhile(engines, times)
                best = fastest(times)
                row: list[object] = [net, images, best and milliseconds(times[best]).median, best]
                for name in others:
                    taking = best and name in times
                    row.append(ratio(times[name], times[best]) if taking else None)
                rows.append(row)
                for name, values in times.items():
                    ms = milliseconds(values)
                    details.append((net, images, name, ms, 1e3 * images / ms.median))
        reasons = open_race.reasons
    columns = ("time / PyTorch's", "images", "PyTorch, ms", "which")
    report.table((*columns, *others), rows, "ratios")
    report.table(("inference", "images", "engine", "ms", "images / s"), details, "times")
    for name, reason in reasons.items():
        report.note(f"- {name}: {reason}")
    report.note(f"The scores agree to {TOLERANCE} of the largest.")
    report.write(options.json)


if __name__ == "__main__":
    main()
