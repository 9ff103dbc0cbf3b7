"""Relu and pools after it: rewritten programs have the bits of those that were written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn.compiler._layers import SWAPS
from tinygrad_cnn.compiler._program import Program
from tinygrad_cnn.compiler._signature import flatten
from tinygrad_cnn.compiler._trace import Trace


def pixels() -> np.ndarray:
    """Images with windows that have ties, nothing positive, and zeros of both signs."""
    x = np.random.default_rng(3).integers(-4, 4, (2, 3, 7, 8)).astype(np.float64)
    x[0, 0, :4, :4] = -1.0
    x[0, 1, :2, :2] = [[-0.0, 0.0], [-1.0, -0.0]]
    return x


def traced(function: Any, *arguments: tc.Tensor) -> tuple[Program, list[Any]]:
    """A program with whole layers, and its inputs."""
    leaves: list[Any] = []
    trace = Trace(function, flatten((arguments, {}), leaves), leaves, SWAPS)
    return trace.program, trace.arrays(leaves)


def step(pool: Any, x: tc.Tensor) -> Any:
    """A function of weights that computes the gradient of their product with a pool of relu(x)."""

    def run(weights: tc.Tensor) -> tc.Tensor:
        loss = (pool(x) * weights).sum()
        loss.backward()
        return loss

    return run


POOLS = {
    "apart": lambda x: F.max_pool2d(F.relu(x), 2),
    "overlapping": lambda x: F.max_pool2d(F.relu(x), 3, 2),
    "padded": lambda x: F.max_pool2d(F.relu(x), 3, 2, padding=1),
    "ceil": lambda x: F.max_pool2d(F.relu(x), 2, ceil_mode=True),
    "after an operation": lambda x: F.max_pool2d(F.relu(x + 0.5), 2),
    "twice": lambda x: F.relu(F.max_pool2d(F.relu(F.max_pool2d(F.relu(x), 2)), 2)),
}
# Here relu stays where it is, as others need it, or where its gradient is another.
WITHOUT = {
    "relu is used twice": lambda x: F.max_pool2d(h := F.relu(x), 2) + h[:, :, :3, :4],
    "two pools": lambda x: F.max_pool2d(h := F.relu(x), 2) + F.max_pool2d(h, 3, 2)[:, :, :, :1],
    "a tie goes to x": lambda x: F.max_pool2d(tc.maximum(x, 0.0), 2),
    "a tie is split": lambda x: _with_ties(x),
}


def _with_ties(x: Any) -> Any:
    with tc.conventions(relu_at_zero=0.5):
        return F.max_pool2d(F.relu(x), 2)


@pytest.mark.parametrize("name", [*POOLS, *WITHOUT])
def test_values_and_gradients_are_the_same_bits(name: str) -> None:
    pool = (POOLS | WITHOUT)[name]
    x = tc.tensor(pixels(), requires_grad=True)
    weights = tc.tensor(np.random.default_rng(1).standard_normal(pool(x).shape))
    function = step(pool, x)
    program, inputs = traced(function, weights)
    loss, gradient = program(*inputs)
    expected = function(weights)
    assert x.grad is not None
    np.testing.assert_array_equal(loss, expected.data)
    np.testing.assert_array_equal(gradient, x.grad.data)


@pytest.mark.parametrize("name", [*POOLS, *WITHOUT])
def test_pools_come_first_where_nobody_else_needs_relu(name: str) -> None:
    pool = (POOLS | WITHOUT)[name]
    x = tc.tensor(pixels(), requires_grad=True)
    program, _ = traced(step(pool, x), tc.tensor(np.ones(pool(x).shape)))
    made = {operation.result: operation.name for operation in program.operations}
    pooled = [made.get(o.args[0], "given") for o in program.operations if o.name == "max_pool"]
    assert (pooled[0] == "maximum") is (name in WITHOUT)


def test_gradients_ask_the_result_of_relu() -> None:
    x = tc.tensor(pixels(), requires_grad=True)
    program, _ = traced(step(lambda x: F.relu(x * 2.0), x), tc.tensor(pixels()))
    by_name = {operation.name: operation for operation in program.operations}
    assert by_name["greater"].args[0] is by_name["maximum"].result


def test_nan_stays_where_it_is() -> None:
    array = pixels()
    array[1, 2, 3, 3] = np.nan
    x = tc.tensor(array, requires_grad=True)
    pool = POOLS["apart"]
    weights = tc.tensor(np.ones(pool(x).shape))
    function = step(pool, x)
    program, inputs = traced(function, weights)
    _, gradient = program(*inputs)
    function(weights)
    np.testing.assert_array_equal(gradient, x.grad.data)  # type: ignore[union-attr]
