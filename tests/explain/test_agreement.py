"""The comparison of generated code with autograd: what it refuses, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn._core.primitive import registry
from tinygrad_cnn._core.tensor import Tensor
from tinygrad_cnn.errors import GraphError
from tinygrad_cnn.explain import derive, formula
from tinygrad_cnn.explain.formulas import FORMULAS


def variable(*shape: int, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return tc.tensor(rng.normal(size=shape), requires_grad=True)


def key_bias() -> tuple[Tensor, Tensor]:
    """Attention: each row of the scores moves as a whole with the bias of the keys."""
    X = np.random.default_rng(1).normal(size=(5, 4))
    Wq, Wk, bk = variable(4, 4), variable(4, 4, seed=2), variable(4, seed=3)
    scores = (X @ Wq) @ (X @ Wk + bk).T
    return (F.softmax(scores, axis=-1) @ X).sum(), bk


ZERO = {
    "batch norm": lambda: (F.batch_norm(variable(8, 3), None, None, training=True).sum(), None),
    "softmax": lambda: (F.softmax(variable(5), axis=-1).sum(), None),
    "the bias of the keys": key_bias,
    "a common bias of all scores": lambda: (
        F.cross_entropy(np.eye(3) + (b := variable(1)), [0, 1, 2]),
        b,
    ),
}


@pytest.mark.parametrize("name", ZERO)
def test_gradients_that_are_zero_but_for_rounding(name: str) -> None:
    loss, wrt = ZERO[name]()
    assert derive(loss, wrt).error < 1e-10


@pytest.mark.parametrize("seed", range(12))
def test_float32_models_with_batch_norm(seed: int) -> None:
    tc.manual_seed(seed)
    x = np.random.default_rng(seed).normal(size=(5, 4)).astype(np.float32)
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.3))
    derivation = derive((model(x) ** 2).sum(), model)
    assert derivation.error < 1e-10
    assert {array.dtype for array in derivation.inputs().values()} >= {np.dtype(np.float32)}


def test_a_float32_conversion_on_the_way() -> None:
    x = variable(3)
    assert derive((tc.exp(x).astype(np.float32) ** 2).sum()).error < 1e-10


def test_float32_max_pool_and_integer_labels() -> None:
    x = variable(2, 1, 6, 6).astype(np.float32).detach().numpy()
    W = tc.tensor(np.ones((3, 1, 3, 3), np.float32) / 7, requires_grad=True)
    scores = F.flatten(F.max_pool2d(F.conv2d(x, W), 2), 1)
    assert derive(F.cross_entropy(scores, np.array([0, 2]))).error < 1e-10


@pytest.fixture
def wrong_cube() -> Iterator[Any]:
    """A function whose formula has a factor that is wrong by 1e-6."""
    cube = tc.primitive("test_wrong_cube", lambda x: x**3, (lambda g, ans, x: 3.0 * g * x**2,))
    formula(
        "test_wrong_cube",
        latex="{$0}^{3}",
        numpy="$0 ** 3",
        rules=[(r"3 \, $g \odot {$0}^{2}", "3.000003 * $g * $0 ** 2")],
    )
    yield cube
    del registry["test_wrong_cube"]
    FORMULAS.pop("test_wrong_cube")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("size", [1.0, 1e-6, 1e-12])
def test_a_slightly_wrong_rule_is_refused(wrong_cube: Any, size: float, dtype: Any) -> None:
    x = tc.tensor(np.array([1.0, -2.0], dtype) * dtype(size), requires_grad=True)
    large = tc.tensor(np.ones(3, dtype), requires_grad=True)
    loss = wrong_cube(x).sum() + (large * 1000.0).sum()
    with pytest.raises(GraphError, match=r"the gradient of x by .* differs .* 1.0e-06"):
        derive(loss)


def test_a_wrong_forward_formula_is_refused(wrong_cube: Any) -> None:
    formula(
        "test_wrong_cube", latex="x", numpy="$0 ** 3 * 1.000001", rules=[("g", "3 * $g * $0 ** 2")]
    )
    x = tc.tensor(np.ones(2, np.float32), requires_grad=True)
    with pytest.raises(GraphError, match="the loss by the generated code differs"):
        derive(wrong_cube(x).sum())


def test_a_name_that_a_formula_does_not_know(wrong_cube: Any) -> None:
    formula("test_wrong_cube", latex="x", numpy="foo($0)", rules=[("g", "3 * $g * $0 ** 2")])
    with pytest.raises(GraphError, match=r"formula of 'test_wrong_cube': foo is not defined"):
        derive(wrong_cube(variable(2)).sum())


def test_generated_code_that_fails(wrong_cube: Any) -> None:
    formula("test_wrong_cube", latex="x", numpy="np.foo($0)", rules=[("g", "3 * $g * $0 ** 2")])
    with pytest.raises(GraphError, match=r"generated code fails: AttributeError: .*foo"):
        derive(wrong_cube(variable(2)).sum())


def test_constants_changed_in_place() -> None:
    A, w = np.ones((3, 3)), variable(3, 3)
    loss = (A * w**2).sum()
    A *= 2
    with pytest.raises(GraphError, match=r"'multiply' of shape .* changed in place"):
        derive(loss)
