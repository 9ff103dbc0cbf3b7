"""Seven filters made by hand, over a photograph: what networks now learn, people once designed.

    python examples/hand_made_filters.py [filters.png]

The photograph is of Grace Hopper, who wrote the first compiler; it is in the public domain and
comes with matplotlib (the extra ``plot``).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_cnn as tc
from tinygrad_cnn import filters

# Each filter, and whether its results lie around 0, which is drawn grey (edges black or white),
# or are brightnesses as those of the photograph.
FILTERS = {
    "box_blur(9)": (filters.box_blur(9), False),
    "gaussian_blur(13, sigma=2)": (filters.gaussian_blur(13, 2.0), False),
    "sharpen(2)": (filters.sharpen(2.0), False),
    "emboss()": (filters.emboss(), False),
    "sobel_x()": (filters.sobel_x(), True),
    "sobel_y()": (filters.sobel_y(), True),
    "laplacian()": (filters.laplacian(), True),
}


def photograph() -> np.ndarray[Any, Any]:
    """The face and shoulders: (1, 3, 440, 400), float32 from 0 to 1."""
    from matplotlib.cbook import get_sample_data
    from matplotlib.image import imread

    with get_sample_data("grace_hopper.jpg") as file:
        pixels = imread(file)  # (606, 512, 3), uint8
    return pixels[20:460, 60:460].transpose(2, 0, 1)[None].astype(np.float32) / 255


def filtered(images: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """The first image and what each filter makes of it, as pictures: (H, W, 3) or (H, W)."""
    pictures = {"photograph": images[0].transpose(1, 2, 0)}
    grey = images.mean(axis=1, keepdims=True)
    for name, (kernel, edges) in FILTERS.items():
        out = filters.apply(grey if edges else images, kernel).data[0].transpose(1, 2, 0)
        if edges:
            out = 0.5 + 0.5 * out[:, :, 0] / np.quantile(np.abs(out), 0.995)
        pictures[name] = out.clip(0, 1)
    x, y = (filters.apply(grey, kernel) for kernel in (filters.sobel_x(), filters.sobel_y()))
    slope = tc.sqrt(x * x + y * y).data[0, 0]
    pictures["sqrt(sobel_x² + sobel_y²)"] = (slope / np.quantile(slope, 0.995)).clip(0, 1)
    return pictures


def draw(pictures: Mapping[str, np.ndarray[Any, Any]], path: Path) -> None:
    """Nine pictures in three rows, below each the numbers of its filter where they are few."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 11.2), layout="constrained")
    for axes, (name, picture) in zip(figure.subplots(3, 3).flat, pictures.items(), strict=True):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
        axes.set_title(name, fontsize=11)
        axes.set(xticks=[], yticks=[])
        kernel = FILTERS[name][0] if name in FILTERS else np.zeros((0, 0))
        if kernel.shape == (3, 3):
            rows = (" ".join(f"{number:g}" for number in row) for row in kernel)
            axes.set_xlabel("  |  ".join(rows), fontsize=9)
    figure.savefig(path, dpi=110)


def main(path: str = "filters.png") -> None:
    """Write the pictures, and print what each filter adds up to."""
    images = photograph()
    for name, (kernel, _) in FILTERS.items():
        size = "x".join(map(str, kernel.shape))
        print(f"{name:<28} {size:>5}, sum {kernel.sum():.2f}")
    draw(filtered(images), Path(path))
    print(f"wrote {path}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
