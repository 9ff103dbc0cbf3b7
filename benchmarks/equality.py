"""How far compiled steps are from eager ones after twenty steps on real images.

In float64 the difference is what reordered sums leave. In float32 a rounding error now and then
decides which pixel wins a pool, or the sign of what relu gets; from there on two runs differ by
whole gradients. So the distance of each from the float64 run stands beside it: a difference
between two float32 runs says no more than these.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import _nets
import numpy as np
from _measure import Report, arguments
from _real import IMAGES, STEPS, Trained, images, trained

RATES = (0.01, 0.001)
EXECUTORS = ("lanes", "numpy")


def _run(net: str, x: Any, y: Any, rate: float, dtype: Any, compiled: Any = None) -> Trained:
    return trained(_nets.model(net), x, y, rate, dtype, compiled)


def main() -> None:
    """Run, print, write."""
    import tinygrad_cnn as tc

    parser = arguments(__doc__)
    default = os.environ.get("TINYGRAD_CNN_DATA", Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--data", default=str(default), help="the folder with mnist/ and cifar-10")
    parser.add_argument("--nets", nargs="*", default=list(_nets.NETS), choices=_nets.NETS)
    options = parser.parse_args()
    report = Report(
        "Compiled and eager after the same steps: relative differences of losses; of parameters",
        ("llvmlite",),
        steps=STEPS,
        batch=IMAGES,
    )
    rows: list[tuple[object, ...]] = []
    for net in options.nets:
        if not Path(options.data).is_dir():
            report.note(f"no folder {options.data}: set TINYGRAD_CNN_DATA or --data")
            break
        x, y = images(_nets.NETS[net].image, Path(options.data))
        for rate in RATES:
            run = partial(_run, net, x, y, rate)
            exact, single = run(np.float64), run(np.float32)
            rows.append((net, rate, "eager", None, None, *single.distance(exact), None, None))
            for executor in EXECUTORS:
                compiled = partial(tc.compile, executor=executor)
                double = run(np.float64, compiled)
                found: Trained = run(np.float32, compiled)
                rows.append(
                    (net, rate, executor, *double.distance(exact), *found.distance(exact),
                     *found.distance(single))
                )  # fmt: skip
            print(".", end="", flush=True)
    pairs = ("float64 to eager", "float32 to float64", "float32 to eager")
    names = [name for pair in pairs for name in (pair, "parameters")]
    columns = (f"after {STEPS} steps", "rate", "by", *names)
    report.table(columns, rows, "differences")
    report.write(options.json)


if __name__ == "__main__":
    main()
