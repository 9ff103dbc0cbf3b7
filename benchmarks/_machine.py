"""What this machine can do at most: operations and bytes in a second, on all cores."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from _measure import cores, missing, process, seconds

SIDE, COPIED, REPEATS = 2048, 2**27, 8  # of the matrices; bytes of each thread's copy


class Machine(NamedTuple):
    """The best of several runs."""

    gflops: float  # of a float32 matrix product, by NumPy's BLAS or PyTorch's
    gigabytes: float  # read and written by copies of large arrays, per second


def machine() -> Machine:
    """Measured in fresh processes, one after the other."""
    products: list[Callable[[], float]] = [_numpy]
    if missing("torch") is None:
        products.append(_pytorch)
    speeds = []
    for product in products:
        with process(cores()) as call:
            speeds.append(call(product))
    with process(cores()) as call:
        return Machine(max(speeds), call(_bandwidth))


def _numpy() -> float:
    a, b = np.random.default_rng(0).random((2, SIDE, SIDE), np.float32)
    return _speed(lambda: a @ b)


def _pytorch() -> float:
    import torch

    a, b = torch.rand(2, SIDE, SIDE)
    return _speed(lambda: a @ b)


def _speed(product: Callable[[], object]) -> float:
    product()
    return 2e-9 * SIDE**3 / min(seconds(product) for _ in range(REPEATS))


def _bandwidth() -> float:
    pairs = [np.ones((2, COPIED), np.uint8) for _ in range(cores())]
    with ThreadPoolExecutor(len(pairs)) as pool:
        copies = [
            seconds(lambda: list(pool.map(lambda pair: np.copyto(pair[0], pair[1]), pairs)))
            for _ in range(REPEATS)
        ]
    return 2e-9 * COPIED * len(pairs) / min(copies)
