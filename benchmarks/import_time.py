"""What ``import tinygrad_cnn`` costs beside ``import numpy``, each in fresh processes."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from _measure import Report, arguments, milliseconds, paired, ratio, seconds, verdict

STATEMENTS = ("pass", "import numpy", "import tinygrad_cnn")
ROUNDS, REST = 41, 0.02
MOST = 1.5


def run(statement: str) -> float:
    """The wall time of an interpreter that runs one statement."""
    return seconds(lambda: subprocess.run((sys.executable, "-c", statement), check=True))


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__).parse_args()
    report = Report(
        "A fresh interpreter's wall time, milliseconds: median (quartiles)", (), rounds=ROUNDS
    )
    turns = {statement: partial(run, statement) for statement in STATEMENTS}
    paired(turns, rounds=2, rest=REST)  # writes the byte code
    times = paired(turns, ROUNDS, REST)
    report.table(
        ("statement", "ms", "time / import numpy"),
        [(s, milliseconds(times[s]), ratio(times[s], times["import numpy"])) for s in STATEMENTS],
    )
    start, numpy, ours = (times[statement] for statement in STATEMENTS)
    alone = ratio(
        [a - b for a, b in zip(ours, start, strict=True)],
        [a - b for a, b in zip(numpy, start, strict=True)],
    )
    report.note(f"without the interpreter's own start: {alone}")
    found = ratio(ours, numpy)
    met = verdict(max(found.median, alone.median) <= MOST)
    report.note(f"target at most {MOST:g} either way: {met}")
    report.write(options.json)


if __name__ == "__main__":
    main()
