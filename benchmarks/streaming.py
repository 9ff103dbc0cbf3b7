"""Images a second from memory, from mapped files and from tar shards, with nothing else to do.

The files lie in the memory of the operating system: what is measured is the work on them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from _measure import Report, Spread, arguments

from tinygrad_cnn.data import DataLoader, MappedDataset, Shards, write_shards

IMAGES, SHAPE, BATCH, SHARD, ROUNDS = 4_000, (3, 32, 32), 128, 500, 5


def rate(make: Callable[[], Iterable[Any]]) -> Spread:
    """Images a second over whole epochs."""
    rates = []
    for _ in range(ROUNDS):
        start = perf_counter()
        images = sum(len(labels) for _, labels in make())
        rates.append(images / (perf_counter() - start))
    return Spread.of(rates)


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__).parse_args()
    report = Report("Reading images, images/s: median (quartiles)", ("webdataset",),
                    images=IMAGES, shape=SHAPE, batch=BATCH, shard=SHARD)  # fmt: skip
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, *SHAPE), np.uint8)
    labels = rng.integers(0, 10, IMAGES)
    with tempfile.TemporaryDirectory() as folder:
        start = perf_counter()
        shards = write_shards(folder, images, labels, SHARD)
        written = IMAGES / (perf_counter() - start)
        x, y = Path(folder, "x.npy"), Path(folder, "y.npy")
        np.save(x, images)
        np.save(y, labels)
        mapped = MappedDataset(x, y)
        rows = [
            ("memory", rate(lambda: DataLoader((images, labels), BATCH, True, seed=0))),
            ("mapped files", rate(lambda: DataLoader(mapped, BATCH, True, seed=0))),
            ("shards in order", rate(lambda: Shards(shards, BATCH, seed=0))),
            ("shards, shuffled", rate(lambda: Shards(shards, BATCH, True, seed=0))),
        ]
    report.table(("from", "images/s"), rows)
    report.note(f"written at {written:,.0f} images/s")
    report.write(options.json)


if __name__ == "__main__":
    main()
