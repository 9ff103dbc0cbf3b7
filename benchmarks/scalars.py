"""Scalar graphs beside micrograd's: its moons network, and a chain of 100,000 operations.

The network of micrograd's demo (2-16-16-1, hinge loss, L2 penalty, 100 points) is micrograd's
own code in both cases: only the parameters and inputs are scalars of one engine or the other.
A step builds the graph, runs it backward and updates the parameters. Python's garbage collector
runs as it does by default, then not at all, each time on a clean heap; what it has to collect
after a step is counted.
"""

from __future__ import annotations

import gc
import math
import random
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache, partial
from typing import Any

from _measure import (
    Report,
    Spread,
    arguments,
    milliseconds,
    missing,
    paired,
    process,
    ratio,
    seconds,
    verdict,
)

POINTS, NOISE, PENALTY, LEARNING_RATE = 100, 0.1, 1e-4, 0.1
ROUNDS, CHECKED_STEPS = 11, 3
CHAIN, FACTOR = 100_000, 1.00001
MOST = 1.0
ENGINES = ("tinygrad_cnn", "micrograd")


def moons() -> tuple[list[tuple[float, float]], list[int]]:
    """Points on two half circles that reach into each other, labelled -1 and 1."""
    generator = random.Random(0)
    points, labels = [], []
    for index in range(POINTS):
        label = 1 if index % 2 else -1
        angle = math.pi * index / (POINTS - 1)
        x, y = math.cos(angle), math.sin(angle)
        if label == 1:
            x, y = 1 - x, 0.5 - y
        points.append((x + generator.gauss(0, NOISE), y + generator.gauss(0, NOISE)))
        labels.append(label)
    return points, labels


@cache
def step_of(engine: str) -> Callable[[], float]:
    """A training step, which returns the loss."""
    from micrograd.nn import MLP

    random.seed(0)
    model = MLP(2, [16, 16, 1])
    scalar = _ours(model) if engine == "tinygrad_cnn" else _micrograd()
    points, labels = moons()
    parameters = model.parameters()

    def step() -> float:
        scores = [model([scalar(x), scalar(y)]) for x, y in points]
        hinges = [(1 + -label * score).relu() for score, label in zip(scores, labels, strict=True)]
        penalty = PENALTY * sum(p * p for p in parameters)
        loss = sum(hinges) * (1.0 / POINTS) + penalty
        for p in parameters:
            p.grad = None if engine == "tinygrad_cnn" else 0
        loss.backward()
        for p in parameters:
            p.data -= LEARNING_RATE * (p.grad.data if engine == "tinygrad_cnn" else p.grad)
        return float(loss.data)

    return step


def _ours(model: Any) -> Any:
    """Make the parameters of a micrograd model Tensors; how an input becomes one."""
    import tinygrad_cnn as tc

    for layer in model.layers:
        for neuron in layer.neurons:
            neuron.w = [tc.tensor(float(w.data), requires_grad=True) for w in neuron.w]
            neuron.b = tc.tensor(float(neuron.b.data), requires_grad=True)
    return tc.tensor


def _micrograd() -> Any:
    from micrograd.engine import Value

    return Value


def losses(engine: str) -> list[float]:
    """The losses of the next steps."""
    step = step_of(engine)
    return [step() for _ in range(CHECKED_STEPS)]


def left_over(engine: str) -> int:
    """How many objects of one step only the garbage collector can free."""
    step = step_of(engine)
    gc.collect()
    gc.disable()
    step()
    gc.enable()
    return gc.collect()


def turn(engine: str, collecting: bool) -> float:
    """The seconds of one step."""
    step = step_of(engine)
    gc.collect()
    if not collecting:
        gc.disable()
    elapsed = seconds(step)
    gc.enable()
    return elapsed


def chain() -> tuple[float, float]:
    """The seconds of 100,000 multiplications, and those of the way back."""
    import tinygrad_cnn as tc

    results: dict[str, Any] = {}

    def forward() -> None:
        y = results["x"] = tc.tensor(1.0, requires_grad=True)
        for _ in range(CHAIN):
            y = y * FACTOR
        results["y"] = y

    def backward() -> None:
        results["y"].backward()

    times = seconds(forward), seconds(backward)
    if not math.isclose(results["x"].grad.item(), FACTOR**CHAIN, rel_tol=1e-9):
        raise SystemExit(f"the derivative of the chain is wrong: {results['x'].grad}")
    return times


def report_moons(report: Report) -> None:
    """The step of both engines, with and without the garbage collector."""
    with ExitStack() as stack:
        engines = {name: stack.enter_context(process()) for name in ENGINES}
        first = {name: call(losses, name) for name, call in engines.items()}
        ours, theirs = (first[name] for name in ENGINES)
        if not all(map(lambda a, b: math.isclose(a, b, rel_tol=1e-9), ours, theirs)):
            raise SystemExit(f"the losses differ: ours {ours}, micrograd's {theirs}")
        for collecting in (True, False):
            turns = {name: partial(call, turn, name, collecting) for name, call in engines.items()}
            times = paired(turns, ROUNDS)
            title = f"garbage collector {'as by default' if collecting else 'disabled'}"
            rows = [
                (name, milliseconds(times[name]), call(left_over, name))
                for name, call in engines.items()
            ]
            report.table((title, "ms per step", "objects left to collect"), rows)
            found = ratio(*(times[name] for name in ENGINES))
            met = verdict(found.median <= MOST)
            report.note(f"ours / micrograd: {found}, target at most {MOST:g}: {met}")


def report_chain(report: Report) -> None:
    """Building and differentiating the chain."""
    with process() as call:
        times = [call(chain) for _ in range(ROUNDS)]
    microseconds = [Spread.of([1e6 * t / CHAIN for t in part]) for part in zip(*times, strict=True)]
    columns = (f"chain of {CHAIN:,} products", "µs forward", "µs backward, each")
    report.table(columns, [("tinygrad_cnn", *microseconds), ("micrograd", None, None)])
    report.note("micrograd walks the graph by recursion, which Python ends at a depth of 1,000.")


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__).parse_args()
    report = Report(
        "Scalar graphs, median (quartiles)", ("micrograd",), points=POINTS, rounds=ROUNDS, threads=1
    )
    if reason := missing("micrograd"):
        report.note(reason)
    else:
        report_moons(report)
    report_chain(report)
    report.write(options.json)


if __name__ == "__main__":
    main()
