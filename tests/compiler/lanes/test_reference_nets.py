"""The six reference networks, compiled and eager, after twenty steps on real images.

In float32 a rounding error decides now and then which pixel wins a pool or the sign of what relu
gets, in eager mode as well; with batch norm it soon does: ``benchmarks/equality.py`` shows how far
all are from float64 then. A wrong kernel is wrong at each learning rate, such an error is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from benchmarks import _nets
from benchmarks._real import images, trained

pytest.importorskip("llvmlite")

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
RATES = (0.01, 0.001)
SMALL = ["ConvNetJS MNIST", "LeNet-5", "ConvNetJS CIFAR-10"]
LARGE = ["Keras MNIST", "small VGG"]


def check(net: str, folder: Path, dtype: Any) -> None:
    """Losses and parameters of lanes equal those of eager mode."""
    x, y = images(_nets.NETS[net].image, folder / "data")

    def distance(rate: float) -> float:
        eager, lanes = (
            trained(_nets.model(net), x, y, rate, dtype, compiled)
            for compiled in (None, lambda step: tc.compile(step, executor="lanes"))
        )
        return max(lanes.distance(eager))

    assert min(map(distance, RATES)) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("net", SMALL)
def test_small_networks(net: str, dtype: Any, shared: Path) -> None:
    check(net, shared, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("net", LARGE)
def test_large_networks(net: str, dtype: Any, shared: Path) -> None:
    check(net, shared, dtype)


@pytest.mark.slow
def test_batch_norm(shared: Path) -> None:
    check("CIFAR ResNet-20", shared, np.float64)
