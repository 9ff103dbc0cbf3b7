"""Hard input for everything public: a result, or an error of this package that says why.

``fuzz.py`` makes calls without end; here are a few for each, the same in every run, and the cases
it has found.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import calls
import fuzz
import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import _arguments, data, nn, optim
from tinygrad_cnn.errors import TinygradCnnError, TooLargeError

QUICK = "ops.", "functional.", "creation.", "transforms.", "optim.", "data.transforms."
CALLS = 3


def _public(*parts: str) -> list[Any]:
    return [
        pytest.param(name, value, id=name)
        for name, value in calls.public_objects()
        if name.startswith(parts) and name.rpartition(".")[2] not in fuzz.SLOW
    ]


@pytest.mark.parametrize(("name", "value"), _public(*QUICK))
def test_hard_calls_end_well(
    name: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_arguments, "available_memory", lambda: fuzz.LEFT)
    for recipe in calls.recipes(name, value)[:2]:
        choose = random.Random(f"quick {recipe.name}")
        found = [*fuzz.hard_calls(recipe, choose, CALLS), *fuzz.layout_problems(recipe)]
        assert not found, recipe.name


def test_most_of_what_is_public_is_called() -> None:
    """An example without a call of its function would be left out in silence."""
    names = [param.values for param in _public("ops.", "functional.")]
    without = [name for name, value in names if not calls.recipes(str(name), value)]
    assert len(without) <= 1, without  # Conventions, which is a tuple of settings


X = np.zeros((1, 1, 8, 8))
MISTAKES = {
    "text": lambda: tc.add(np.array(["a"]), 1.0),
    "times": lambda: tc.tensor([1.0]) + np.array(["2020-01-01"], "M8[D]"),
    "objects": lambda: tc.exp(np.array([None, 1.0])),
    "negative of booleans": lambda: -tc.tensor([True]),
    "axis of argmax": lambda: tc.argmax(X, axis=[]),  # type: ignore[arg-type]
    "unknown dtype": lambda: tc.astype(X, "nonsense"),
    "shape of col2im": lambda: tc.col2im(np.zeros((1, 1)), (1, 1, [], 3), 2),  # type: ignore[arg-type]
    "nothing to join": lambda: tc.concatenate(None),  # type: ignore[arg-type]
    "a number to stack": lambda: tc.stack(3),  # type: ignore[arg-type]
    "rows of two lengths": lambda: data.ArrayDataset([[1.0], [1.0, 2.0]], [0, 1]),
    "a list of images": lambda: data.Normalize(0.5, 0.5)([[1.0]]),  # type: ignore[arg-type]
    "a transform": lambda: data.Compose([3]),  # type: ignore[list-item]
    "a factor of LinearLR": lambda: optim.LinearLR(_sgd(), None),  # type: ignore[arg-type]
    "a norm": lambda: optim.clip_grad_norm_([], "x"),  # type: ignore[arg-type]
    "no Tensors to clip": lambda: optim.clip_grad_value_([3], 1.0),  # type: ignore[list-item]
    "alpha": lambda: F.local_response_norm(X, 3, alpha=()),  # type: ignore[arg-type]
    "no function": lambda: tc.jvp(3, (1.0,), (1.0,)),  # type: ignore[arg-type]
    "an endless range": lambda: tc.arange(float("nan")),
    "a size of zeros": lambda: tc.zeros(2.5),
}


def _sgd() -> optim.Optimizer:
    return optim.SGD([tc.tensor(1.0, requires_grad=True)], lr=0.1)


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told(name: str) -> None:
    with pytest.raises(TinygradCnnError):
        MISTAKES[name]()


LARGE = {
    "zeros": lambda: tc.zeros(2**24, 2**24),
    "a dimension beyond NumPy's": lambda: tc.ones(10**30),
    "randn": lambda: tc.randn(10**6, 10**6),
    "eye": lambda: tc.eye(10**7),
    "linspace": lambda: tc.linspace(0, 1, 10**13),
    "arange": lambda: tc.arange(10**14),
    "Conv2d": lambda: nn.Conv2d(10**6, 10**6, 3),
    "Linear": lambda: nn.Linear(10**7, 10**7),
    "im2col": lambda: tc.im2col(np.broadcast_to(np.float32(0), (64, 64, 4096, 4096)), 9),
    "conv2d": lambda: F.conv2d(np.broadcast_to(0.0, (64, 8, 9000, 9000)), np.ones((1, 8, 9, 9))),
    "padding": lambda: F.conv2d(X, np.ones((1, 1, 3, 3)), padding=10**7),
    "repeat": lambda: tc.repeat(tc.ones(2), [10**13, 1]),
    "an outer product": lambda: tc.ones(10**6, 1) * tc.ones(1, 10**6),
    "adaptive pooling": lambda: F.adaptive_avg_pool2d(X, 10**13),
    "unpooling": lambda: F.max_unpool2d(X, np.zeros(X.shape, int), 10**7),
    "box_blur": lambda: tc.filters.box_blur(10**8),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_refused_with_the_estimate(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_arguments, "available_memory", lambda: fuzz.LEFT)
    with pytest.raises(TooLargeError, match=r"takes \S+ ([MGT]iB)"):
        LARGE[name]()


def test_it_is_refused_before_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the system grants what it then ends the process for."""
    monkeypatch.setattr(_arguments, "available_memory", lambda: 2**28)
    with pytest.raises(TooLargeError, match="takes 512 MiB, available are 256 MiB"):
        tc.zeros(2**26)
    column, row = tc.ones(2**14, 1), tc.ones(1, 2**14)
    with pytest.raises(TooLargeError, match=r"multiply: .* takes 2 GiB"):
        column * row
    assert tc.zeros(2**20).size == 2**20


@pytest.mark.skipif(not os.path.exists("/proc/meminfo"), reason="asks Linux")
def test_available_memory_is_known() -> None:
    assert 2**20 < _arguments.available_memory() < 2**50
