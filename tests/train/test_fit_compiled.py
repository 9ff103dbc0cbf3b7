"""``fit`` compiles by default: the same history as eager mode, but for rounding."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import convnet, values
from tinygrad_cnn.compiler import CompileWarning
from tinygrad_cnn.data import DataLoader
from tinygrad_cnn.train import fit

F = tc.functional
LABELS = np.random.default_rng(0).integers(0, 3, 22)


def trained(
    compile: bool, optimizer: Any = tc.optim.Adam, dtype: Any = np.float64, **options: Any
) -> tuple[np.ndarray, dict[str, Any]]:
    """The history of three epochs, whose last batch is a smaller one, and the model's state."""
    model, images = convnet().astype(dtype), values(22, 2, 8, 8, dtype=dtype)
    history = fit(
        model, DataLoader((images, LABELS), 8, shuffle=True, seed=1), epochs=3,
        validation=[(images[:10], LABELS[:10])], optimizer=optimizer(model.parameters(), lr=0.01),
        progress=False, compile=compile, **options,
    )  # fmt: skip
    rows = [(e.loss, e.accuracy, e.validation_loss, e.learning_rate) for e in history.epochs]
    return np.array(rows), model.state_dict()


def momentum(parameters: Any, lr: float) -> tc.optim.Optimizer:
    return tc.optim.SGD(parameters, lr=lr, momentum=0.9)


@pytest.mark.parametrize("clip_norm", [None, 0.1])
@pytest.mark.parametrize("optimizer", [momentum, tc.optim.Adam])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-10)])
def test_the_same_history(optimizer: Any, clip_norm: Any, dtype: Any, tolerance: float) -> None:
    options = {"optimizer": optimizer, "clip_norm": clip_norm, "dtype": dtype}
    rows, states = trained(False, **options)
    found, others = trained(True, **options)
    np.testing.assert_allclose(found, rows, tolerance)
    for name, state in states.items():
        atol = tolerance * np.abs(state).max()
        np.testing.assert_allclose(others[name], state, 10 * tolerance, atol, err_msg=name)


def loss_of_floats(scores: Any, labels: Any) -> Any:
    return F.cross_entropy(scores - float(scores.mean()), labels)


def loss_of_arrays(scores: Any, labels: Any) -> Any:
    return F.cross_entropy(scores - scores.numpy().mean(), labels)


@pytest.mark.parametrize(
    ("loss", "reason"),
    [(loss_of_floats, "Python needs a value"), (loss_of_arrays, r"scores\.numpy\(\)")],
)
def test_a_loss_that_leaves_tensors_runs_as_it_is_written(loss: Any, reason: str) -> None:
    with pytest.warns(CompileWarning, match=f"runs as it is written.*{reason}") as caught:
        found, others = trained(True, loss=loss)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows, states = trained(False, loss=loss)
    np.testing.assert_array_equal(found, rows)
    for name, state in states.items():
        np.testing.assert_array_equal(others[name], state, err_msg=name)
