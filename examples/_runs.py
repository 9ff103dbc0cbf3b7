"""What the training runs share: their options, a part of the data, the pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import tinygrad_cnn as tc
from tinygrad_cnn.data import ArrayDataset


def parser(description: str, epochs: int) -> argparse.ArgumentParser:
    """The options of every run."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--root", help="the folder with the data")
    made.add_argument("--epochs", type=int, default=epochs, help=f"by default {epochs}")
    made.add_argument("--images", type=int, help="only so many of each data set, to try out")
    made.add_argument("--figures", type=Path, help="a folder for pictures (needs matplotlib)")
    return made


def first(dataset: ArrayDataset, count: int | None) -> ArrayDataset:
    """The first so many examples, or all."""
    return dataset if count is None else dataset.subset(np.arange(min(count, len(dataset))))


def draw(model: tc.nn.Module, test: tc.data.DataLoader, folder: Path, name: str) -> None:
    """Pictures of the first filters, and of the activations for the first test image."""
    folder.mkdir(parents=True, exist_ok=True)
    images, _ = next(iter(test))
    for what, figure in (
        ("filters", tc.draw.filters(model.conv1)),
        ("activations", tc.draw.activations(model, images[0], classes=test.dataset.classes)),
    ):
        figure.savefig(folder / f"{name}-{what}.png", pil_kwargs={"optimize": True})
