"""Some steps of training on real images, for comparisons of ways to do the same arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

STEPS, IMAGES = 20, 32


class Trained(NamedTuple):
    """What a run leaves.

    Attributes:
        losses: of the steps.
        state: all parameters and buffers as one vector.
    """

    losses: Any
    state: Any

    def distance(self, other: Trained) -> tuple[float, float]:
        """The largest relative difference of a loss, and that of all parameters by their norm."""
        losses = np.max(np.abs(self.losses - other.losses) / np.abs(other.losses))
        norm = np.linalg.norm(self.state - other.state) / np.linalg.norm(other.state)
        return float(losses), float(norm)


def images(shape: Sequence[int], folder: Path) -> tuple[Any, Any]:
    """Standardised images of MNIST or CIFAR-10, whichever have this shape, and their labels."""
    from tinygrad_cnn.data import CIFAR10, MNIST

    data: Any = MNIST(folder, "test") if shape[0] == 1 else CIFAR10(folder, "test-first-1000")
    count = STEPS * IMAGES
    x = np.asarray(data.images[:count], np.float64).reshape(count, *shape)
    return (x - x.mean()) / x.std(), np.asarray(data.labels[:count])


def trained(
    model: Any, x: Any, y: Any, rate: float, dtype: Any, compiled: Callable[..., Any] | None = None
) -> Trained:
    """Twenty steps of SGD with momentum, each on other images."""
    import tinygrad_cnn as tc

    model.astype(dtype)
    optimizer = tc.optim.SGD(model.parameters(), lr=rate, momentum=0.9)

    def step(x: Any, y: Any) -> Any:
        loss = tc.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    run = step if compiled is None else compiled(step)
    losses = [
        run(
            tc.tensor(x[first : first + IMAGES].astype(dtype)), tc.tensor(y[first : first + IMAGES])
        )
        for first in range(0, STEPS * IMAGES, IMAGES)
    ]
    state = [np.ravel(t.data).astype(np.float64) for t in (*model.parameters(), *model.buffers())]
    return Trained(np.array([loss.item() for loss in losses]), np.concatenate(state))
