"""How the cost of a training step grows: time and peak memory against four sizes.

A tower of 3x3 convolutions with ReLU, mean over the image, one linear layer. One of batch, image
side, depth and channels grows while the others stay; the slope of a straight line through the
logarithms of the upper half of the points is the exponent: 1 is linear. Memory is what
``step_memory`` measures, in a process for each engine and size that grows, from small to large.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import _nets
import numpy as np
from _engines import ENGINES, PYTORCH, present
from _measure import (
    KEEP_MEMORY,
    Report,
    arguments,
    cores,
    forget_peak,
    milliseconds,
    missing,
    paired,
    process,
    resident,
)
from _race import hold, turn

COMPARED = ("tinygrad_cnn", "NumPy only", "eager", PYTORCH[0])
ROUNDS, ABOUT, REST = 3, 0.05, 0.05


class Sizes(NamedTuple):
    """Of a tower and its batch."""

    batch: int = 32
    side: int = 16
    depth: int = 4
    channels: int = 16


GROWING: dict[str, tuple[Sizes, Sequence[int]]] = {
    "batch": (Sizes(), (8, 16, 32, 64, 128, 256)),
    "side": (Sizes(), (8, 16, 32, 64, 128)),
    "depth": (Sizes(batch=8, side=8, channels=8), (10, 30, 100, 300, 1000)),
    "channels": (Sizes(), (8, 16, 32, 64, 128)),
}


def tower(sizes: Sizes) -> Callable[[Any], Any]:
    """The network, for any engine."""

    def build(nn: Any) -> Any:
        layers = []
        for number in range(sizes.depth):
            inside = sizes.channels if number else 3
            layers += [nn.Conv2d(inside, sizes.channels, 3, padding=1), nn.ReLU()]
        head = nn.Linear(sizes.channels, _nets.CLASSES)
        return nn.Sequential(*layers, nn.AvgPool2d(sizes.side), nn.Flatten(), head)

    return build


def weights(sizes: Sizes) -> list[_nets.Array]:
    """Of variance 2 / fan-in, biases zero."""
    generator = np.random.default_rng(0)
    shapes = [(sizes.channels, sizes.channels if k else 3, 3, 3) for k in range(sizes.depth)]
    drawn = []
    for shape in (*shapes, (_nets.CLASSES, sizes.channels)):
        scale = np.sqrt(2 / np.prod(shape[1:]))
        drawn.append((scale * generator.standard_normal(shape)).astype(np.float32))
        drawn.append(np.zeros(shape[0], np.float32))
    return drawn


def prepare(engine: str, sizes: Sizes) -> float:
    """In an engine's process: two steps; the MiB that are resident at most."""
    hold(None)
    generator = np.random.default_rng(1)
    x = generator.standard_normal((sizes.batch, 3, sizes.side, sizes.side), np.float32)
    y = generator.integers(0, _nets.CLASSES, sizes.batch)
    values = weights(sizes)
    forget_peak()
    step = ENGINES[engine].do("training", tower(sizes), values, _nets.SGD)
    hold(lambda: step(x, y))
    for _ in range(2):
        step(x, y)
    return resident("VmHWM") / 2**20


def start(engine: str) -> float:
    """In an engine's process: import it and use it once, little; the MiB that are resident."""
    prepare(engine, Sizes(batch=1, side=4, depth=1, channels=4))
    hold(None)
    return resident("VmRSS") / 2**20


class Point(NamedTuple):
    """What was found at one size."""

    size: int
    milliseconds: float
    mebibytes: float


def measure(grows: str, names: Sequence[str]) -> dict[str, list[Point]]:
    """The points of each engine, timed in turns."""
    base, values = GROWING[grows]
    found: dict[str, list[Point]] = {name: [] for name in names}
    with ExitStack() as stack:
        calls = {name: stack.enter_context(process(cores(), **KEEP_MEMORY)) for name in names}
        before = {name: call(start, name) for name, call in calls.items()}
        for value in values:
            sizes = base._replace(**{grows: value})
            peaks = {name: call(prepare, name, sizes) for name, call in calls.items()}
            turns = {name: partial(call, turn, ABOUT) for name, call in calls.items()}
            times = paired(turns, ROUNDS, REST)
            for name in names:
                ms = milliseconds(times[name]).median
                found[name].append(Point(value, ms, peaks[name] - before[name]))
    return found


def exponent(points: Sequence[Point], what: str) -> float:
    """The slope in logarithms of the upper half of the points, three at least."""
    upper = points[min(len(points) // 2, len(points) - 3) :]
    x, y = ([np.log(max(getattr(point, name), 1e-3)) for point in upper] for name in ("size", what))
    return float(np.polyfit(x, y, 1)[0])


def plot(found: dict[str, dict[str, list[Point]]], path: str) -> None:
    """Two rows of pictures, time and memory; a column for each size that grows."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    labels = {"milliseconds": "ms per step", "mebibytes": "peak memory, MiB"}
    figure, axes = pyplot.subplots(
        2, len(found), figsize=(3.4 * len(found), 6), sharey="row", layout="constrained"
    )
    for row, (what, label) in zip(axes, labels.items(), strict=True):
        for axis, (grows, lines) in zip(row, found.items(), strict=True):
            for (name, points), mark in zip(lines.items(), "osD^", strict=False):
                x, y = [p.size for p in points], [max(getattr(p, what), 1e-1) for p in points]
                slope = f"{name}: {exponent(points, what):.2f}"
                axis.loglog(x, y, marker=mark, markersize=4, linewidth=1.3, label=slope)
            axis.set_xticks(x, [str(value) for value in x])
            axis.minorticks_off()
            axis.grid(alpha=0.3)
            axis.legend(fontsize=7.5, title="exponent", title_fontsize=7.5)
            if what == "mebibytes":
                axis.set_xlabel(grows)
        row[0].set_ylabel(label)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measure, print, write, draw."""
    parser = arguments(__doc__)
    parser.add_argument("--plot", metavar="PATH", help="draw the growth here (.png, .svg)")
    parser.add_argument("--grow", nargs="*", default=list(GROWING), choices=GROWING)
    options = parser.parse_args()
    if options.plot and (reason := missing("matplotlib")):
        raise SystemExit(reason)
    report = Report("How the cost of a step grows", ("torch", "llvmlite"), threads=cores())
    able, reasons = present(COMPARED)
    found = {}
    for grows in options.grow:
        found[grows] = measure(grows, able)
        base = GROWING[grows][0]._asdict()
        others = ", ".join(f"{name} {size}" for name, size in base.items() if name != grows)
        rows = [(name, *point) for name, points in found[grows].items() for point in points]
        report.table((others, grows, "ms", "MiB"), rows, grows)
    rows = [
        (grows, name, exponent(points, "milliseconds"), exponent(points, "mebibytes"))
        for grows, lines in found.items()
        for name, points in lines.items()
    ]
    report.table(("exponent of", "engine", "time", "memory"), rows, "exponents")
    for name, reason in reasons.items():
        report.note(f"- {name}: {reason}")
    report.write(options.json)
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    main()
