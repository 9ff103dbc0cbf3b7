"""Steps of data-parallel training: measured on the ranks of this machine, modelled beyond.

Measured: compiled steps of reference networks, forward to update, one thread a rank, the batch of a
rank the same for any number of ranks; and how long the gradients' message takes by itself.

Times are the least of many steps, so that other programs disturb them little.

Modelled: the step that one rank was measured to take alone, plus the messages. A sum of n bytes
over p ranks by recursive halving and doubling takes 2 ceil(log2 p) a + 2 (p - 1) / p n b
(R. Thakur, R. Rabenseifner and W. Gropp, Optimization of collective communication operations in
MPICH, 2005), with a network's latency a and time for a byte b; a step sends the gradients and two
short sums.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from _measure import Report, arguments

NETS = ("lenet5", "keras_mnist", "convnetjs_cifar")
BATCH, STEPS, UNTIMED = 128, 40, 8
JOINED = 1024  # examples of all ranks together, where they share a fixed batch
RANKS = [2**power for power in range(11)]
SHORT = 40  # bytes of the sums that go with a step
PAYS = 1.5  # times as fast with twice as many ranks


class Network(NamedTuple):
    """Published figures of a message between two machines."""

    name: str
    latency: float  # seconds
    bandwidth: float  # bytes a second
    source: str


NETWORKS = (
    Network(
        "40 GbE, kernel bypass", 1.93e-6, 37.23e9 / 8,
        "J. Squyres, MPI over 40Gb Ethernet, Cisco 2014: blogs.cisco.com/performance/"
        "mpi-over-40gb-ethernet",
    ),
    Network(
        "Red Storm (XT3), as required", 5e-6, 1.5e9,
        "R. Brightwell et al., Portals 3.3 on the Sandia/Cray Red Storm system, 2005",
    ),
)  # fmt: skip


def measured(name: str) -> dict[str, Any]:
    """Seconds of a step and its parts on this rank (run under mpiexec)."""
    import _nets
    import numpy as np

    import tinygrad_cnn as tc
    from tinygrad_cnn import distributed
    from tinygrad_cnn import functional as F

    communicator = distributed.MPI()
    tc.manual_seed(0)
    net = getattr(_nets, name)
    model = net(tc.nn)
    parallel = distributed.DataParallel(model, communicator)
    optimizer = tc.optim.SGD(model.parameters(), **_nets.SGD)
    image = (3, 32, 32) if "cifar" in name else (1, 28, 28)
    rng = np.random.default_rng(communicator.rank)
    x = tc.tensor(rng.standard_normal((BATCH, *image), np.float32))
    y = rng.integers(0, 10, BATCH)

    @tc.compile
    def gradients(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    size = sum(parameter.size for parameter in model.parameters())
    message = np.zeros(size + 1, np.float32)
    times: dict[str, list[float]] = {"gradients": [], "reduce": [], "update": [], "message": []}
    for step in range(UNTIMED + STEPS):
        marks = [perf_counter()]
        optimizer.zero_grad()
        loss = gradients(x, y)
        marks.append(perf_counter())
        if communicator.size > 1:
            parallel.reduce(BATCH, loss.item())
        marks.append(perf_counter())
        optimizer.step()
        marks.append(perf_counter())
        communicator.barrier()
        marks.append(perf_counter())
        communicator.allreduce(message)
        end = perf_counter()
        if step >= UNTIMED:
            for key, begin, until in zip(times, marks[:3], marks[1:], strict=False):
                times[key].append(until - begin)
            times["message"].append(end - marks[4])
    least = {key: min(values) for key, values in times.items()}
    return {"ranks": communicator.size, "rank": communicator.rank, "bytes": 4 * size} | least


def job(ranks: int, name: str) -> dict[str, Any]:
    """What rank 0 measured in a job of so many ranks."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    mpiexec = shutil.which("mpiexec", path=path)
    if mpiexec is None:
        raise SystemExit("mpiexec is missing: pip install 'tinygrad-cnn[mpi]'")
    command = [mpiexec, "-n", str(ranks), sys.executable, "-m", "mpi4py", __file__, "--job", name]
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TINYGRAD_CNN_THREADS": "1"}
    done = subprocess.run(
        command, env={**os.environ, **one}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def message(network: Network, ranks: int, size: float) -> float:
    """Seconds of a sum over all ranks."""
    rounds = 2 * math.ceil(math.log2(ranks))
    return rounds * network.latency + 2 * (ranks - 1) / ranks * size / network.bandwidth


def communication(network: Network, ranks: int, size: int) -> float:
    """Seconds that a step spends on messages."""
    return message(network, ranks, size) + 2 * message(network, ranks, SHORT)


def modelled(alone: dict[str, Any], network: Network) -> list[list[object]]:
    """Of each number of ranks the efficiency with a fixed batch a rank, and with one joined batch.

    The time of a part of the batch is taken as proportional to it, down to one image.
    """
    update, per_image = alone["update"], alone["gradients"] / BATCH
    rows: list[list[object]] = []
    whole = JOINED * per_image + update
    for ranks in RANKS:
        spent = communication(network, ranks, alone["bytes"])
        step = alone["gradients"] + update
        shared = math.ceil(JOINED / ranks) * per_image + update + spent
        hidden = max(alone["gradients"] / 2, spent) + alone["gradients"] / 2 + update
        rows.append([ranks, 1e3 * spent, step / (step + spent), step / hidden, whole / shared])
    return rows


def last_that_pays(rows: list[list[Any]]) -> int:
    """The ranks up to which doubling them makes a step of the joined batch PAYS times as fast."""
    last = 1
    for before, after in pairwise(rows):
        if after[4] < PAYS * before[4]:
            break
        last = after[0]
    return last


def main() -> None:
    """Measure, model, print, write."""
    parser = arguments(__doc__)
    parser.add_argument("--job", help="measure on the ranks of this job")
    options = parser.parse_args()
    if options.job:
        found = measured(options.job)
        if not found["rank"]:
            print(json.dumps(found))
        return
    report = Report("Data-parallel steps", ("mpi4py", "mpich"), batch_of_a_rank=BATCH, steps=STEPS)
    alone, rows = {}, []
    for name in NETS:
        for ranks in (1, 2):
            found = job(ranks, name)
            alone[name] = found if ranks == 1 else alone[name]
            step = found["gradients"] + found["reduce"] + found["update"]
            images = ranks * BATCH / step
            first = BATCH / (alone[name]["gradients"] + alone[name]["update"])
            parts = [1e3 * found[key] for key in ("gradients", "reduce", "update", "message")]
            rows.append(
                [name, ranks, found["bytes"] // 1024, *parts, images, images / ranks / first]
            )
    report.table(
        ("network", "ranks", "KiB", "gradients ms", "reduce ms", "update ms", "message ms",
         "images/s", "efficiency"), rows, "measured",
    )  # fmt: skip
    for name in NETS:
        for network in NETWORKS:
            table = modelled(alone[name], network)
            print(f"\n{name}, {network.name}: {network.latency * 1e6:g} us, "
                  f"{network.bandwidth / 1e9:.2f} GB/s")  # fmt: skip
            report.table(
                ("ranks", "messages ms", "efficiency", "if hidden", f"speedup, batch {JOINED}"),
                table, f"{name} {network.name}",
            )  # fmt: skip
            report.note(
                f"{name}, {network.name}: a joined batch of {JOINED} is worth sharing among"
                f" {last_that_pays(table)} ranks (twice as many make less than {PAYS} of it)"
            )
    for network in NETWORKS:
        report.note(f"{network.name}: {network.source}")
    report.write(options.json)


if __name__ == "__main__":
    main()
