"""The training step of six reference networks, eager and compiled, beside PyTorch's.

A batch from NumPy, gradients set to zero, forward, loss, backward, SGD with momentum, the loss
read: float32, all cores on both sides. PyTorch counts in the best of its memory formats, eager
or through ``torch.compile``; what is a fifth slower than its best at batch 32 is not tried again.
Then what the machine can do at most, and how near each step comes to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import geometric_mean

import _nets
from _engines import OURS, PYTORCH, REFERENCE
from _first import first_steps
from _machine import Machine, machine
from _measure import Report, arguments, cores, milliseconds, ratio
from _race import CHECKED_STEPS, TOLERANCE, Race, fastest, race, worthwhile

BATCHES = (32, 16, 128)  # in this order: the first decides which ways of PyTorch stay in
BUILT = ("LeNet-5", "small VGG", "CIFAR ResNet-20")  # from nothing, for the first step
ROUNDS, ABOUT = 5, 0.15  # seconds of each turn

Times = dict[tuple[str, int], dict[str, list[float]]]  # by network and batch, then by engine


def measure(open_race: Race, nets: Sequence[str], batches: Sequence[int], rounds: int) -> Times:
    """The seconds of a step in each round."""
    found: Times = {}
    for net in nets:
        engines: Sequence[str] = (*OURS, *PYTORCH)
        for images in batches:
            times = open_race.times("training", net, images, rounds, ABOUT, engines)
            found[net, images] = times
            print(".", end="", flush=True)
            engines = worthwhile(engines, times)
    print()
    return dict(sorted(found.items(), key=lambda item: (list(nets).index(item[0][0]), item[0][1])))


def report_ratios(report: Report, found: Times) -> None:
    """Our engines' times over the best of PyTorch's, and their geometric means."""
    ratios: dict[str, list[float]] = {name: [] for name in OURS}
    rows = []
    for (net, images), times in found.items():
        best = fastest(times)
        row: list[object] = [net, images, best and milliseconds(times[best]).median, best]
        for name in OURS:
            against = ratio(times[name], times[best]) if best and name in times else None
            row.append(against)
            if against is not None:
                ratios[name].append(against.median)
        rows.append(row)
    report.table(("time / PyTorch's", "batch", "PyTorch, ms", "which", *OURS), rows, "ratios")
    means = [
        (name, geometric_mean(values), min(values), max(values), len(values))
        if (values := ratios[name])
        else (name, None, None, None, 0)
        for name in OURS
    ]
    report.table(("geometric mean of", "ratios", "least", "most", "how many"), means, "means")


def report_speeds(report: Report, found: Times, limits: Machine) -> None:
    """Every engine's times, and the share of what the machine can do."""
    rows = []
    for (net, images), times in found.items():
        gflop = _nets.work(net, images).gflop
        for name in (*OURS, *PYTORCH):
            if name in times:
                ms = milliseconds(times[name])
                speed = 1e3 * gflop / ms.median
                rows.append((net, images, name, ms, speed, 100 * speed / limits.gflops))
    columns = ("step", "batch", "engine", "ms", "GF/s", "% of peak")
    report.table(columns, rows, "steps")


def report_roofline(report: Report, found: Times, limits: Machine) -> None:
    """Per network at its largest batch: what bounds it, and how near it comes."""
    largest = {net: max(size for other, size in found if other == net) for net, _ in found}
    rows = []
    for net, images in largest.items():
        least, times = _nets.work(net, images), found[net, images]
        roof = min(limits.gflops, least.intensity * limits.gigabytes)
        row: list[object] = [net, images, least.intensity]
        row += ["arithmetic" if roof == limits.gflops else "memory", roof]
        best = fastest(times)
        for name in (*OURS, best):
            seconds = milliseconds(times[name]).median / 1e3 if name in times else None
            row.append(seconds and least.gflop / seconds)
        rows.append(row)
    columns = ("roofline, GF/s", "batch", "operations / byte", "bound by", "at most")
    report.table((*columns, *OURS, "PyTorch"), rows, "roofline")
    report.note(
        f"Peak {limits.gflops:.0f} GF/s (float32 matrix product, best of NumPy and PyTorch),"
        f" {limits.gigabytes:.1f} GB/s (copies); bytes as if no layer's result stayed in the cache,"
        " so that what stays there can pass the roof of memory."
    )


def main() -> None:
    """Measure, print, write."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="batch 32 alone, three rounds, fewer engines"
    )
    parser.add_argument("--nets", nargs="*", default=list(_nets.NETS), choices=_nets.NETS)
    options = parser.parse_args()
    batches, rounds = ((32,), 3) if options.quick else (BATCHES, ROUNDS)
    report = Report(
        "Training step of the reference networks: median (quartiles)",
        ("torch", "llvmlite"),
        dtype="float32",
        threads=cores(),
        rounds=rounds,
    )
    names = (OURS[0], REFERENCE, *PYTORCH[:2]) if options.quick else (*OURS, *PYTORCH)
    with race(names) as open_race:
        found = measure(open_race, options.nets, batches, rounds)
        reasons = open_race.reasons
    report_ratios(report, found)
    limits = machine()
    report_speeds(report, found, limits)
    report_roofline(report, found, limits)
    if not options.quick:
        first_steps(report, [net for net in BUILT if net in options.nets])
    for name, reason in reasons.items():
        report.note(f"- {name}: {reason}")
    report.note(f"The losses of the first {CHECKED_STEPS} steps agree to {TOLERANCE}.")
    report.write(options.json)


if __name__ == "__main__":
    main()
