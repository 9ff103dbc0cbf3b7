"""Scalar graphs beside micrograd's: its moons network, 1,000 nodes, a chain of 100,000.

The network of micrograd's demo (2-16-16-1, hinge loss, L2 penalty, 100 points) is micrograd's
own code in all cases: only the parameters and inputs are scalars of one engine or the other. So
is an expression of 1,000 sums, products and ReLUs of ten numbers. A step builds the graph, runs
it backward and updates the parameters; a compiled step does the same with ``optim.SGD``. With
Python's garbage collector as it is by default, a turn is several steps in a row, as training does
them: what a step leaves behind is collected during the next. Without it, a turn is one step. Each
turn begins on a clean heap; what there is to collect after a step is counted.
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
NODES, RECENT = 1_000, 50  # of the expression; operands come from the last so many
ROUNDS, CHECKED_STEPS = 7, 3
CALLS = {"eager": 5, "compiled": 100, "micrograd": 5}  # of a turn with the collector
ALONE = {"eager": 1, "compiled": 20, "micrograd": 1}  # without: what is left fills the memory
CHAIN, CHAINS, FACTOR = 100_000, 5, 1.00001
LEAST = {"eager": 2, "compiled": 50}  # times as fast as micrograd
ENGINES = ("eager", "compiled", "micrograd")

Scalar = Callable[[float], Any]


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


def moons_loss(parameter: Scalar, scalar: Scalar) -> tuple[list[Any], Callable[[], Any]]:
    """The parameters of micrograd's network, made scalars of an engine, and the loss."""
    from micrograd.nn import MLP

    random.seed(0)
    model = MLP(2, [16, 16, 1])
    for layer in model.layers:
        for neuron in layer.neurons:
            neuron.w = [parameter(float(w.data)) for w in neuron.w]
            neuron.b = parameter(float(neuron.b.data))
    points, labels = moons()
    parameters = model.parameters()

    def loss() -> Any:
        scores = [model([scalar(x), scalar(y)]) for x, y in points]
        hinges = [(1 + -label * score).relu() for score, label in zip(scores, labels, strict=True)]
        return sum(hinges) * (1.0 / POINTS) + PENALTY * sum(p * p for p in parameters)

    return parameters, loss


def expression_loss(parameter: Scalar, _: Scalar) -> tuple[list[Any], Callable[[], Any]]:
    """Ten numbers, and an expression of 1,000 sums, products and ReLUs of them."""
    generator = random.Random(0)
    parameters = [parameter(generator.uniform(-0.9, 0.9)) for _ in range(10)]
    recipe = [[generator.random() for _ in range(2)] for _ in range(NODES - RECENT)]

    def loss() -> Any:
        nodes = list(parameters)
        for number, draws in enumerate(recipe):
            recent = nodes[-RECENT:]
            a, b = (recent[int(draw * len(recent))] for draw in draws)
            if number % 3 == 0:
                nodes.append(a + b)
            elif number % 3 == 1:
                nodes.append(a * parameters[number % 10])
            else:
                nodes.append(a.relu())
        total = nodes[-RECENT]
        for node in nodes[1 - RECENT :]:
            total = total + node
        return total * 0.01

    return parameters, loss


TASKS = {"moons MLP": moons_loss, "expression of 1,000 nodes": expression_loss}


@cache
def step_of(engine: str, task: str) -> Callable[[], float]:
    """A training step, which returns the loss."""
    if engine == "micrograd":
        from micrograd.engine import Value

        parameters, loss_of = TASKS[task](Value, Value)
    else:
        import tinygrad_cnn as tc

        parameters, loss_of = TASKS[task](partial(tc.tensor, requires_grad=True), tc.tensor)
    if engine == "compiled":
        return _compiled(parameters, loss_of)

    def step() -> float:
        loss = loss_of()
        for p in parameters:
            p.grad = None if engine == "eager" else 0
        loss.backward()
        for p in parameters:
            p.data -= LEARNING_RATE * (p.grad.data if engine == "eager" else p.grad)
        return float(loss.data)

    return step


def _compiled(parameters: list[Any], loss_of: Callable[[], Any]) -> Callable[[], float]:
    import tinygrad_cnn as tc

    optimizer = tc.optim.SGD(parameters, lr=LEARNING_RATE)

    @tc.compile
    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss

    return lambda: float(step().item())


def losses(engine: str, task: str) -> list[float]:
    """The losses of the next steps."""
    step = step_of(engine, task)
    return [step() for _ in range(CHECKED_STEPS)]


def left_over(engine: str, task: str) -> int:
    """How many objects of one step only the garbage collector can free."""
    step = step_of(engine, task)
    gc.collect()
    gc.disable()
    step()
    gc.enable()
    return gc.collect()


def turn(engine: str, task: str, collecting: bool) -> float:
    """The seconds of a step, the mean of those of a turn."""
    step = step_of(engine, task)
    calls = (CALLS if collecting else ALONE)[engine]

    def steps() -> None:
        for _ in range(calls):
            step()

    gc.collect()
    if not collecting:
        gc.disable()
    elapsed = seconds(steps) / calls
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


def report_steps(report: Report, task: str, names: list[str]) -> None:
    """The step of each engine, with and without the garbage collector."""
    with ExitStack() as stack:
        engines = {name: stack.enter_context(process()) for name in names}
        first = {name: call(losses, name, task) for name, call in engines.items()}
        for name, found in first.items():
            if not all(map(partial(math.isclose, rel_tol=1e-9), found, first["micrograd"])):
                raise SystemExit(f"the losses of {name} differ: {first}")
        for collecting in (True, False):
            turns = {
                name: partial(call, turn, name, task, collecting) for name, call in engines.items()
            }
            times = paired(turns, ROUNDS)
            rows = [
                (
                    name,
                    milliseconds(times[name]),
                    ratio(times["micrograd"], times[name]),
                    call(left_over, name, task),
                )
                for name, call in engines.items()
            ]
            title = f"{task}, garbage collector {'as by default' if collecting else 'disabled'}"
            columns = (title, "ms per step", "micrograd's time / this", "objects left to collect")
            report.table(columns, rows, title)
            for name in set(LEAST) & set(names):
                found = ratio(times["micrograd"], times[name])
                met = verdict(found.median >= LEAST[name])
                report.note(f"micrograd / {name}: {found}, target at least {LEAST[name]}: {met}")


def report_chain(report: Report) -> None:
    """Building and differentiating the chain."""
    with process() as call:
        times = [call(chain) for _ in range(CHAINS)]
    microseconds = [Spread.of([1e6 * t / CHAIN for t in part]) for part in zip(*times, strict=True)]
    columns = (f"chain of {CHAIN:,} products", "µs forward", "µs backward, each")
    report.table(columns, [("eager", *microseconds), ("micrograd", None, None)], "chain")
    report.note("micrograd walks the graph by recursion, which Python ends at a depth of 1,000.")


def main() -> None:
    """Measure, print, write."""
    import tinygrad_cnn as tc

    options = arguments(__doc__).parse_args()
    report = Report(
        "Scalar graphs, median (quartiles)", ("micrograd",), points=POINTS, rounds=ROUNDS, threads=1
    )
    if reason := missing("micrograd"):
        report.note(reason)
    else:
        names = [name for name in ENGINES if name != "compiled" or hasattr(tc, "compile")]
        for task in TASKS:
            report_steps(report, task, names)
    report_chain(report)
    report.write(options.json)


if __name__ == "__main__":
    main()
