"""What tests of functions share: numbers to try them on, orders in memory, and comparison."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_cnn as tc


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def uniform(*shape: int) -> np.ndarray:
    """Probabilities, neither 0 nor 1."""
    return np.random.default_rng(shape).uniform(0.05, 0.95, shape)


def variable(*shape: int, seed: int = 0) -> tc.Tensor:
    return tc.tensor(normal(*shape, seed=seed), requires_grad=True)


def close(actual: Any, expected: Any, tolerance: float = 1e-12) -> None:
    actual, expected = np.asarray(actual), np.asarray(expected)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def contiguous(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x)


def batch_innermost(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0)


def strided(x: np.ndarray) -> np.ndarray:
    return np.repeat(x, 2, -1)[..., ::2]


LAYOUTS = [contiguous, batch_innermost, strided]
