"""What the benchmarks share: strict alternation, paired ratios, the machine, the report.

A ratio of two times is taken within one round, a moment apart, so that whatever else slows the
machine down slows both; its median over the rounds is what counts, and the quartiles say how far
to trust it. Each candidate runs in a process of its own, because settings of the memory
allocator and of threads hold for a whole process, and rests before each turn, because the
threads of some libraries go on spinning after a call.

This module imports the standard library alone: a process sets its thread counts in the
environment before NumPy is loaded.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import platform
import signal
import statistics
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

_CHANGING = threading.Lock()  # the environment of this process
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# For other engines, the setting of glibc that tinygrad_cnn makes for itself (_core/allocator.py).
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**30)}


class Spread(NamedTuple):
    """The middle of repeated measurements: median and quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least two values."""
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(statistics.median(values), low, high)

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g} to {self.high:.3g})"


def seconds(function: Callable[[], object], calls: int = 1, untimed: int = 0) -> float:
    """The median wall time of a call, after some that are not timed."""
    times = []
    for _ in range(untimed + calls):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times[untimed:])


def paired(
    turns: Mapping[str, Callable[[], float]], rounds: int, rest: float = 0.2
) -> dict[str, list[float]]:
    """The seconds that each turn returns, in rounds A B C, A B C … with a rest before each."""
    times: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            time.sleep(rest)
            times[name].append(turn())
    return times


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Of the ratios within each round."""
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])


def milliseconds(values: Sequence[float]) -> Spread:
    """Of times in seconds."""
    return Spread.of([1e3 * value for value in values])


class Process:
    """Runs functions in a Python process of its own: ``call(function, *args)`` gives the result."""

    def __init__(self, executor: ProcessPoolExecutor, number: int) -> None:
        self._executor, self._number = executor, number

    def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run it and wait."""
        return self.submit(function, *args).result()

    def submit(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        """Run it and do not wait."""
        return self._executor.submit(function, *args)

    def kill(self) -> None:
        """End it at once, whatever it does."""
        os.kill(self._number, signal.SIGKILL)


@contextmanager
def process(threads: int = 1, **environ: str) -> Iterator[Process]:
    """A fresh Python process with its own thread count and environment."""
    changed = dict.fromkeys(_THREADS, str(threads)) | environ
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        with _environment(changed):
            # Starts it, in the environment of this moment.
            number = executor.submit(os.getpid).result()
        yield Process(executor, number)


@contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    with _CHANGING:
        before = {name: os.environ.get(name) for name in changed}
        os.environ.update(changed)
        yield
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def missing(package: str, extra: str = "bench") -> str | None:
    """Why a package can't take part, or None if it is installed."""
    if importlib.util.find_spec(package):
        return None
    return f"{package} is not installed: pip install 'tinygrad-cnn[{extra}]'"


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    except OSError:  # not Linux
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Yields what tells how many bytes more were held at most since the block began.

    ``tracemalloc.reset_peak`` begins anew.
    """
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield lambda: tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def resident(field: str) -> int:
    """Bytes of this process in memory: now (``VmRSS``) or at most so far (``VmHWM``); Linux."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(field))


def forget_peak() -> None:
    """Let ``VmHWM`` begin anew at what is resident now."""
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


class Report:
    """What a benchmark found, printed as it comes and written as JSON in the end."""

    def __init__(self, title: str, packages: Sequence[str], **settings: Any) -> None:
        versions = {name: _version(name) for name in ("tinygrad-cnn", "numpy", *packages)}
        self._content: dict[str, Any] = {
            "title": title,
            "processor": processor(),
            "cores": cores(),
            "load_average": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
            "versions": versions,
            "settings": settings,
            "tables": [],
            "notes": [],
        }
        described = " ".join(f"{name} {version or '-'}" for name, version in versions.items())
        print(f"{title}\n{processor()}, {cores()} cores, load {os.getloadavg()[0]:.2f}")
        print(f"Python {platform.python_version()} {described}")
        print(", ".join(f"{name} {value}" for name, value in settings.items()))

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[object]], name: str | None = None
    ) -> None:
        """Rows of names, numbers and spreads; None prints as a dash. The name is for the JSON."""
        cells = [tuple(columns), *(tuple(map(_cell, row)) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        print()
        for row in cells:
            print("  ".join(map(str.ljust, row, widths)).rstrip())
        written = [
            [cell._asdict() if isinstance(cell, Spread) else cell for cell in row] for row in rows
        ]
        named = {} if name is None else {"name": name}
        self._content["tables"].append(named | {"columns": list(columns), "rows": written})

    def note(self, text: str) -> None:
        """A sentence below the tables."""
        print(text)
        self._content["notes"].append(text)

    def write(self, path: str | None) -> None:
        """Write everything to a JSON file, if a path is given."""
        if path is not None:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                json.dump(self._content, file, indent=2)
                file.write("\n")


def verdict(met: bool) -> str:
    """Of a target."""
    return "met" if met else "MISSED"


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The parser of a benchmark's command line: ``--json PATH``, to which it may add."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--json", metavar="PATH", help="write the figures here too")
    return parser


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
