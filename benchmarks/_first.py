"""The first step in a fresh process: tracing, generating code, compiling, and the step itself."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence

import _nets
from _engines import ENGINES, present
from _measure import Report, cores, process
from _race import load

TIMED = ("tinygrad_cnn", "NumPy only", "JAX")
IMAGES = 128


def seconds_of_first_step(engine: str, net: str, weights: list[_nets.Array]) -> float:
    """In a fresh process, of which importing the engine is not part."""
    load(engine)
    x, y = _nets.batch(net, IMAGES)
    step = ENGINES[engine].do("training", _nets.NETS[net].build, weights, _nets.SGD)
    start = time.perf_counter()
    step(x, y)
    return time.perf_counter() - start


def first_steps(report: Report, nets: Sequence[str]) -> None:
    """With an empty cache on disk, then in another process with what the first left there."""
    able, reasons = present(TIMED)
    rows = []
    for net in nets:
        weights = _nets.weights(net)
        for name in able:
            with tempfile.TemporaryDirectory() as folder:
                where = {"XDG_CACHE_HOME": folder, "TINYGRAD_CNN_CACHE": os.path.join(folder, "tc")}
                times = []
                for _ in range(2):
                    with process(cores(), **where) as call:
                        times.append(call(seconds_of_first_step, name, net, weights))
            rows.append((net, name, *times, times[1] / times[0]))
    columns = ("first step", "engine", "s, nothing cached", "s, second process", "ratio")
    report.table(columns, rows, "first steps")
    for name, reason in reasons.items():
        report.note(f"- {name}: {reason}")
