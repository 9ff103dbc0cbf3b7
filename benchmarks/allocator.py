"""What keeping freed memory is worth: the eager LeNet-5 step with and without it.

Two fresh processes take turns, one with TINYGRAD_CNN_KEEP_MEMORY=0, which leaves glibc's
allocator alone, one with the package's default; page faults are counted by the kernel.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache, partial

import _nets
from _engines import ENGINES
from _measure import Report, arguments, cores, milliseconds, paired, process, ratio, seconds

NET, IMAGES = "LeNet-5", 64
ROUNDS, CALLS, COUNTED = 15, 15, 20


@cache
def step() -> Callable[[], object]:
    """The eager step of this process."""
    x, y = _nets.batch(NET, IMAGES)
    made = ENGINES["eager"].do("training", _nets.NETS[NET].build, _nets.weights(NET), _nets.SGD)
    return lambda: made(x, y)


def turn(calls: int) -> float:
    """The seconds of a step: the median of some calls after a few that are not timed."""
    return seconds(step(), calls, untimed=4)


def page_faults() -> float:
    """The page faults of a step."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(COUNTED):
        step()()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / COUNTED


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__).parse_args()
    report = Report(
        "Training step of LeNet-5 by allocator setting, median (quartiles)",
        (),
        batch=IMAGES,
        rounds=ROUNDS,
        calls_per_round=CALLS,
    )
    for threads in sorted({1, cores()}):
        with ExitStack() as stack:
            settings = {
                f"TINYGRAD_CNN_KEEP_MEMORY={value}": stack.enter_context(
                    process(threads, TINYGRAD_CNN_KEEP_MEMORY=value)
                )
                for value in "01"
            }
            turns = {name: partial(call, turn, CALLS) for name, call in settings.items()}
            times = paired(turns, ROUNDS)
            faults = {name: call(page_faults) for name, call in settings.items()}
        off, on = times.values()
        report.table(
            (f"threads: {threads}", "ms per step", "page faults per step"),
            [(name, milliseconds(times[name]), faults[name]) for name in times],
        )
        report.note(f"kept / given back: {ratio(on, off)}")
    report.write(options.json)


if __name__ == "__main__":
    main()
