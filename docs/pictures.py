"""Draw the pictures of the README and the documentation anew.

python docs/pictures.py
"""

from __future__ import annotations

from pathlib import Path

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F

IMAGES = Path(__file__).parent / "images"


def lenet() -> Path:
    """The graph of a LeNet-5 and its loss, one box for each layer, with the gradients."""
    model = tc.models.LeNet5(generator=tc.manual_seed(0))
    images = tc.zeros(32, 1, 28, 28, dtype="float32")
    loss = F.cross_entropy(model(images), [0] * 32)
    return tc.draw.graph(loss, "layers", backward=True).svg(IMAGES / "lenet.svg")


if __name__ == "__main__":
    print(lenet())
