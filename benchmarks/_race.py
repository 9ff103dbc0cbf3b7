"""Engines side by side: one process for each, the same work, the same results, in turns.

Before anything is timed, an engine must give what the reference gives (the losses of the first
steps, or the scores of a batch); one that fails, differs or takes too long is left out of that
network, with the reason.
"""

from __future__ import annotations

import gc
import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import _nets
import numpy as np
from _engines import ENGINES, PYTORCH, REFERENCE, present
from _measure import KEEP_MEMORY, Process, cores, milliseconds, paired, process

CHECKED_STEPS = 3
TOLERANCE = 1e-3  # relative, after float32 rounding has passed through three steps
MOST_CALLS = 20  # of a turn
MOST_BEHIND = 1.2  # of the best of PyTorch's times, for another way of it to stay in
REST = 0.1  # seconds before a turn
PATIENCE = 60.0  # seconds for the first results of an engine

_held: list[Callable[[], Any]] = []  # what this process is to time


def hold(work: Callable[[], Any] | None) -> None:
    """In an engine's process: what ``turn`` times from now on; None frees what was held."""
    _held[:] = [] if work is None else [work]
    gc.collect()


def load(engine: str) -> None:
    """In an engine's process: import it."""
    for package in ENGINES[engine].packages:
        importlib.import_module(package)


def prepare(engine: str, what: str, net: str, images: int, weights: list[_nets.Array]) -> list[Any]:
    """In an engine's process: make ready for ``training`` or ``inference``; the first results."""
    hold(None)
    x, y = _nets.batch(net, images)
    build = _nets.NETS[net].build
    if what == "training":
        step = ENGINES[engine].do(what, build, weights, _nets.SGD)
        hold(lambda: step(x, y))
        return [step(x, y) for _ in range(CHECKED_STEPS)]
    scores = ENGINES[engine].do(what, build, weights)
    hold(lambda: scores(x))
    return [np.array(scores(x))]


def turn(about: float) -> float:
    """In an engine's process: the median seconds of as many calls as take ``about`` seconds."""
    times: list[float] = []
    while sum(times) < about and len(times) < MOST_CALLS:
        start = time.perf_counter()
        _held[0]()
        times.append(time.perf_counter() - start)
    # The first is a warm-up: threads and caches belong to whoever ran before.
    return float(np.median(times[1:] or times))


class Race:
    """Open processes, one for each engine that can take part."""

    def __init__(self, stack: ExitStack, names: Sequence[str], reasons: dict[str, str]) -> None:
        self._stack = stack
        self.processes = {name: self._open() for name in names}
        self._pool = stack.enter_context(ThreadPoolExecutor(cores()))  # so many start at a time
        list(self._pool.map(lambda name: self.processes[name](load, name), names))
        self.reasons = reasons  # why an engine is missing, everywhere or in a network

    def _open(self) -> Process:
        return self._stack.enter_context(process(cores(), **KEEP_MEMORY))

    def times(
        self,
        what: str,
        net: str,
        images: int,
        rounds: int,
        about: float,
        engines: Sequence[str] | None = None,
        patience: float = PATIENCE,
    ) -> dict[str, list[float]]:
        """The seconds of each round, by engine."""
        chosen = [name for name in engines or self.processes if name in self.processes]
        ready = self._agreeing(what, net, images, chosen, patience)
        turns = {name: partial(self.processes[name], turn, about) for name in ready}
        return paired(turns, rounds, REST)

    def _agreeing(
        self, what: str, net: str, images: int, engines: Sequence[str], patience: float
    ) -> list[str]:
        """Those whose first results are the reference's."""
        task = (what, net, images, _nets.weights(net))
        expected = self.processes[REFERENCE](prepare, REFERENCE, *task)
        rivals = [name for name in engines if name != REFERENCE]
        outcomes = self._pool.map(lambda name: self._first_results(name, task, patience), rivals)
        found = dict(zip(rivals, outcomes, strict=True))
        ready = []
        for name in engines:
            result = expected if name == REFERENCE else found[name]
            problem = result if isinstance(result, str) else _difference(result, expected)
            if problem is None:
                ready.append(name)
            else:
                self.reasons[f"{name}, {net}, batch {images}, {what}"] = problem
        return ready

    def _first_results(self, name: str, task: Sequence[Any], patience: float) -> list[Any] | str:
        """Those of an engine, or why there are none."""
        try:
            return list(self.processes[name].submit(prepare, name, *task).result(patience))
        except TimeoutError:
            self.processes[name].kill()
            self.processes[name] = self._open()
            return f"no result within {patience:g} s"
        except Exception as error:  # of any library
            return " ".join([type(error).__name__, *str(error).splitlines()[:1]])


def _difference(found: list[Any], expected: list[Any]) -> str | None:
    one, other = np.asarray(found), np.asarray(expected)
    off = float(np.max(np.abs(one - other)) / np.max(np.abs(other)))
    return None if off <= TOLERANCE else f"its results differ by {off:.1e}"


@contextmanager
def race(names: Sequence[str]) -> Iterator[Race]:
    """Start the processes; end them."""
    able, reasons = present(tuple(dict.fromkeys((REFERENCE, *names))))
    with ExitStack() as stack:
        yield Race(stack, able, reasons)


def fastest(times: Mapping[str, list[float]], among: Sequence[str] = PYTORCH) -> str | None:
    """The best of PyTorch's ways to do it, by the median."""
    taking = [name for name in among if name in times]
    return min(taking, key=lambda name: milliseconds(times[name]).median, default=None)


def worthwhile(engines: Sequence[str], times: Mapping[str, list[float]]) -> list[str]:
    """The engines without those ways of PyTorch that are far from its best."""
    best = fastest(times)
    most = MOST_BEHIND * milliseconds(times[best]).median if best else 0.0
    return [
        name
        for name in engines
        if name not in PYTORCH or (name in times and milliseconds(times[name]).median <= most)
    ]
