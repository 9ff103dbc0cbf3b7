"""Peak memory of a training step: how much more is resident at most, in a fresh process.

The engine is imported and the batch is there; then the peak that the kernel keeps is reset, the
network built, and three steps done. So parameters, momentum, activations, gradients, buffers,
thread stacks, generated code and the compiler that made it count, and so do the pages of the
engine's libraries that are used for the first time; importing does not. Code that an earlier
process has made is not found. Settings of the memory allocator are each engine's own.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from tempfile import TemporaryDirectory

import _nets
from _engines import ENGINES, OURS, PYTORCH, present
from _measure import Report, arguments, cores, forget_peak, process, resident
from _race import load

IMAGES, STEPS = 128, 3
MEASURED = (*OURS, *PYTORCH[:2], "JAX")
MIB = 2**20


def growth(engine: str, net: str, images: int, weights: list[_nets.Array]) -> float:
    """In a fresh process: the MiB by which the peak passes what was resident before."""
    load(engine)
    x, y = _nets.batch(net, images)
    forget_peak()
    before = resident("VmRSS")
    step = ENGINES[engine].do("training", _nets.NETS[net].build, weights, _nets.SGD)
    for _ in range(STEPS):
        step(x, y)
    return (resident("VmHWM") - before) / MIB


def measured(engine: str, net: str, weights: list[_nets.Array]) -> float | str:
    """The growth, or why there is none."""
    with TemporaryDirectory() as empty, process(cores(), TINYGRAD_CNN_CACHE=empty) as call:
        try:
            return float(call(growth, engine, net, IMAGES, weights))
        except Exception as error:  # of any library
            return f"{engine}, {net}: {type(error).__name__}: {error}"


def main() -> None:
    """Measure, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--nets", nargs="*", default=list(_nets.NETS), choices=_nets.NETS)
    options = parser.parse_args()
    report = Report(
        "Peak memory of a training step, MiB", ("torch", "jax", "llvmlite"), batch=IMAGES
    )
    able, reasons = present(MEASURED)
    rows = []
    with ThreadPoolExecutor(cores()) as pool:
        for net in options.nets:
            weights = _nets.weights(net)
            values = pool.map(partial(measured, net=net, weights=weights), able)
            found = dict(zip(able, values, strict=True))
            reasons |= {name: value for name, value in found.items() if isinstance(value, str)}
            mib = {name: value for name, value in found.items() if isinstance(value, float)}
            least = min((mib[name] for name in PYTORCH if name in mib), default=None)
            ours = mib.get(OURS[0])
            against = ours / least if ours is not None and least else None
            rows.append((net, *(mib.get(name) for name in MEASURED), against))
    report.table(("MiB", *MEASURED, f"{OURS[0]} / PyTorch"), rows, "mebibytes")
    for name, reason in reasons.items():
        report.note(f"- {name}: {reason}")
    report.write(options.json)


if __name__ == "__main__":
    main()
