"""``fit`` compiles by default: the same history as eager mode, but for rounding."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn.compiler import CompileWarning
from tinygrad_cnn.data import DataLoader
from tinygrad_cnn.train import fit


def _history(compile: bool, loss: Any = tc.functional.cross_entropy) -> tuple[list[Any], Any]:
    tc.manual_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((22, 2, 6, 6)), rng.integers(0, 3, 22)
    model = tc.nn.Sequential(
        tc.nn.Conv2d(2, 4, 3, padding=1), tc.nn.BatchNorm2d(4), tc.nn.ReLU(), tc.nn.MaxPool2d(2),
        tc.nn.Flatten(), tc.nn.Dropout(0.3), tc.nn.Linear(36, 3),
    ).double()  # fmt: skip
    optimizer = tc.optim.Adam(model.parameters(), lr=0.01)
    data = DataLoader((x, y), 8, shuffle=True, seed=1)
    epochs = fit(
        model, data, epochs=3, optimizer=optimizer, loss=loss, clip_norm=1.0, compile=compile
    ).epochs
    return [(e.loss, e.accuracy) for e in epochs], model.state_dict()


def test_compiled_training_is_eager_training() -> None:
    eager, states = _history(False)
    compiled, found = _history(True)
    assert np.allclose(eager, compiled, rtol=1e-9)
    for name, state in states.items():
        assert np.allclose(found[name], state, rtol=1e-8, atol=1e-10), name


def test_a_loss_that_leaves_tensors_runs_as_it_is_written() -> None:
    def loss(scores: Any, labels: Any) -> Any:
        mean = float(scores.mean())  # Python asks for a value
        return tc.functional.cross_entropy(scores - mean, labels)

    with pytest.warns(CompileWarning, match="runs as it is written") as caught:
        compiled, _ = _history(True, loss)
    assert len(caught) == len({str(warning.message) for warning in caught}) <= 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        eager, _ = _history(False, loss)
    assert np.allclose(eager, compiled)
