"""Gradient checkpointing: peak memory and time of a training step of a deep network, with and
without, and in parts of several lengths.

A ConvNet of equal blocks (3x3 convolution, batch normalisation, ReLU) on one batch. Memory is the
largest amount that tracemalloc sees in the second step, parameters included, the batch not; time
is the median of steps that are not traced. Gradients are compared with
those of the step without, to the bit.
"""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from _measure import Report, arguments, seconds, traced, verdict

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn

BLOCKS, CHANNELS, SIDE, IMAGES = 36, 16, 24, 16
LENGTHS = 1, 2, 3, 6, 12, 18
STEPS = 3
MOST = 0.25  # of the peak without, for parts of about the square root of the depth

Step = Callable[[], Any]


def network() -> list[nn.Module]:
    """The blocks, the same in every call."""
    tc.manual_seed(0)
    return [
        nn.Sequential(
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU()
        )
        for _ in range(BLOCKS)
    ]


def step_of(blocks: list[nn.Module], length: int | None) -> Step:
    """A step forward and back, in checkpointed parts of so many blocks; None: without."""
    numbers = np.random.default_rng(0)
    x = tc.Tensor(numbers.random((IMAGES, CHANNELS, SIDE, SIDE), np.float32))
    parts = [nn.Sequential(*blocks[i : i + (length or 1)]) for i in range(0, BLOCKS, length or 1)]

    def step() -> None:
        h = x
        for part in parts:
            part.zero_grad()
            h = part(h) if length is None else tc.checkpoint(part, h)
        F.mean(h * h).backward()

    return step


def measured(length: int | None) -> tuple[float, float, list[Any]]:
    """MiB, seconds, gradients."""
    with traced() as peak:
        blocks = network()
        step = step_of(blocks, length)
        step()
        tracemalloc.reset_peak()
        step()
        mib = peak() / 2**20
    gradients = [p.grad.data for block in blocks for p in block.parameters() if p.grad is not None]
    return mib, seconds(step, STEPS, untimed=1), gradients


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__).parse_args()
    report = Report(
        "Gradient checkpointing", (), blocks=BLOCKS, channels=CHANNELS, side=SIDE, images=IMAGES
    )
    least, fastest, expected = measured(None)
    rows: list[tuple[object, ...]] = [("without", least, 1.0, 1e3 * fastest, 1.0, "")]
    shares = {}
    for length in LENGTHS:
        mib, time, gradients = measured(length)
        same = all(map(np.array_equal, gradients, expected)) and len(gradients) == len(expected)
        shares[length] = mib / least
        rows.append(
            (f"parts of {length}", mib, mib / least, 1e3 * time, time / fastest, verdict(same))
        )
    columns = "step", "MiB", "share", "ms", "times as long", "gradients the same to the bit"
    report.table(columns, rows, "checkpointing")
    near = min(LENGTHS, key=lambda length: abs(length - math.sqrt(BLOCKS)))
    report.note(f"parts of {near}, at most {MOST:.0%} of the peak: {verdict(shares[near] <= MOST)}")
    report.write(options.json)


if __name__ == "__main__":
    main()
