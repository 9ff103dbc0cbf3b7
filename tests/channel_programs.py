"""Programs of one image for tests: their runners, and the same programs as NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinygrad_cnn as tc
from tinygrad_cnn.compiler._executors import EXECUTORS
from tinygrad_cnn.compiler._signature import flatten
from tinygrad_cnn.compiler._trace import Trace

PRECISIONS = [np.float64, np.float32]
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}


class Program:
    """A function recorded for these arrays.

    Attributes:
        run: what runs it natively.
    """

    def __init__(
        self, function: Callable[..., Any], *arrays: Any, accuracy: Any = "default"
    ) -> None:
        self._leaves: list[Any] = []
        structure = flatten((arrays, {}), self._leaves)
        executor = EXECUTORS["lanes"]
        self._trace = Trace(function, structure, self._leaves, executor.swaps)
        self._plain = Trace(function, structure, self._leaves)
        self.run: Any = executor.build(self._trace, tc.compile(function, accuracy=accuracy))

    def check(self) -> Sequence[Any]:
        """The results, after a comparison with those of NumPy."""
        tc.manual_seed(1)
        arrays = self._trace.arrays(self._leaves)
        tc.manual_seed(1)
        expected = self._plain.program(*self._plain.arrays(self._leaves))
        found: Sequence[Any] = self.run(arrays)
        assert len(found) == len(expected)
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            one, other = np.array(one), np.array(other)
            assert one.shape == other.shape
            finite = np.isfinite(other)
            assert np.array_equal(one[~finite], other[~finite], equal_nan=True)
            one, other = one[finite], other[finite]
            scale = max(float(np.max(np.abs(other), initial=0.0)), 1e-3)
            error = float(np.max(np.abs(1.0 * one - other), initial=0.0)) / scale
            kind = np.float32 if other.dtype == np.float32 else np.float64
            assert error < TOLERANCE[kind], (number, error)
        return found

    def check_twice(self) -> Sequence[Any]:
        """The second run is in memory that was used, and gives the same bits."""
        once = [np.array(value) for value in self.check()]
        again = self.check()
        for one, other in zip(once, again, strict=True):
            assert np.array_equal(one, other, equal_nan=True)
        return again


def values(*shape: int, dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    """Numbers of both signs."""
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(dtype)
