"""How much memory training and inference take, against what is told beforehand.

Training: the largest amount that tracemalloc sees in the second step, model and optimiser
included, beside ``models.training_memory`` and the recipe of the CS231n notes. Inference: VGG-16
on one image, beside its parameters and the two largest neighbouring volumes.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import _nets
import numpy as np
from _measure import Report, arguments, traced, verdict

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import models, nn, optim

BATCHES = 1, 32
MOST_OFF, MOST_INFERENCE = 0.25, 1.3


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "LeNet-5": (models.LeNet5, (1, 28, 28)),
    "ConvNetJS": (models.ConvNetJS, (1, 28, 28)),
    "small VGG": (partial(_nets.small_vgg, nn), (3, 32, 32)),
    "CIFAR ResNet-20": (partial(models.CifarResNet, 20), (3, 32, 32)),
}
OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "momentum": partial(optim.SGD, lr=0.01, momentum=0.9),
    "adam": partial(optim.Adam, lr=1e-3),
}


def training(build: Callable[[], nn.Module], shape: tuple[int, ...], optimizer: str) -> int:
    """The peak of the second step: the first one makes the state of the optimiser."""
    with traced() as peak:
        model = build()
        stepper = OPTIMIZERS[optimizer](model.parameters())
        images = tc.Tensor(np.random.default_rng(0).random(shape, np.float32))
        for _ in range(2):
            tracemalloc.reset_peak()
            stepper.zero_grad()
            F.cross_entropy(model(images), np.zeros(shape[0], int)).backward()
            stepper.step()
        return peak()


def inference(report: Report) -> None:
    """VGG-16 on one image of 224x224."""
    model = models.VGG(16).eval()
    image = tc.zeros(1, 3, 224, 224, dtype=np.float32)
    result = models.summary(model, image)
    volumes = [image.data.nbytes, *(row.activation_bytes for row in result.rows)]
    parameters = 4 * result.parameters
    with traced() as peak, tc.no_grad():
        model(image)
        held = parameters + image.data.nbytes + peak()
    least = parameters + max(a + b for a, b in pairwise(volumes))
    report.table(
        ("inference", "MiB", "parameters and two volumes, MiB", "ratio"),
        [("VGG-16, one image", held / 2**20, least / 2**20, held / least)],
    )
    report.note(f"at most {MOST_INFERENCE}: {verdict(held <= MOST_INFERENCE * least)}")


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__).parse_args()
    report = Report("Memory of training and inference", (), batches=BATCHES)
    rows, off = [], []
    for name, (build, shape) in NETS.items():
        for optimizer in OPTIMIZERS:
            for images in BATCHES:
                told = models.training_memory(build(), (images, *shape), optimizer)
                found = training(build, (images, *shape), optimizer)
                off.append(abs(told.total / found - 1))
                sizes = [size / 2**20 for size in (found, told.total, told.notes)]
                rows.append((name, optimizer, images, *sizes, told.total / found))
    columns = "training", "optimizer", "batch", "MiB", "told", "recipe of the notes", "told / MiB"
    report.table(columns, rows)
    report.note(f"within {MOST_OFF:.0%}: {verdict(max(off) <= MOST_OFF)}, at most {max(off):.1%}")
    inference(report)
    report.write(options.json)


if __name__ == "__main__":
    main()
