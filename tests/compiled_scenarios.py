"""Scenarios that run once as written and once compiled, and must look the same from outside.

A scenario is a function of ``compiled``, which it applies to what it tries: either nothing, or
``tc.compile``. It returns all that can be seen: results, gradients, buffers, random numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.compiler import CompileWarning

# "auto" takes scalars and lanes where they can; they alone decline most of the scenarios.
EXECUTORS = ("plain", "numpy", "auto")
ROUNDS = 3  # the first call records a program, the second confirms it, the third runs it alone


def values(*shape: int, dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + len(shape)).standard_normal(shape).astype(dtype)


def tensor(*shape: int, grad: bool = False, **options: Any) -> tc.Tensor:
    return tc.tensor(values(*shape, **options), requires_grad=grad)


def linear() -> nn.Linear:
    """The same weights each time; the default generator goes on from there."""
    tc.manual_seed(0)
    return nn.Linear(4, 3)


def convnet() -> nn.Sequential:
    """For images (2, 8, 8), with statistics and random numbers."""
    tc.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


class Net(nn.Module):
    """With statistics, random numbers and a setting of its own."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        tc.manual_seed(0)
        self.l1, self.bn = nn.Linear(4, 6), nn.BatchNorm1d(6)
        self.drop, self.l2 = nn.Dropout(p), nn.Linear(6, 3)
        self.scale = 1.0

    def forward(self, x: Any) -> tc.Tensor:
        return self.l2(self.drop(F.relu(self.bn(self.l1(x))))) * self.scale


def state(model: nn.Module) -> list[Any]:
    """Parameters, buffers and gradients, as they are now."""
    parameters = list(model.parameters())
    arrays = [np.array(t.data) for t in (*parameters, *model.buffers())]
    return arrays + [None if p.grad is None else np.array(p.grad.data) for p in parameters]


def calls(function: Callable[..., Any], count: int = ROUNDS, shape: Any = (3,)) -> list[Any]:
    """Results of calls, each with a Tensor of its own of the same values."""
    return [function(tensor(*shape)) for _ in range(count)]


def in_rounds(function: Callable[..., Any], *arguments: Sequence[Any]) -> list[Any]:
    """Results of calls with each of these arguments in turn, again and again."""
    return [function(*args) for _ in range(ROUNDS) for args in arguments]


def differentiated(function: Callable[..., Any], *args: Any, count: int = ROUNDS) -> list[Any]:
    """Results of calls, after each of which the result was differentiated."""
    found = []
    for _ in range(count):
        found.append(function(*args))
        found[-1].sum().backward()
    return found


def outcome(function: Callable[..., Any], *args: Any, text: bool = True) -> Any:
    """The result of a call, or which error it raises and what that says."""
    try:
        return function(*args)
    except Exception as error:
        return type(error).__name__, text and str(error)


def squares(model: Callable[[Any], tc.Tensor]) -> Callable[[Any], tc.Tensor]:
    """A loss: the mean of the squares of what the model makes of its input."""
    return lambda x: (model(x) ** 2).mean()


def fresh_gradients(loss_of: Callable[..., tc.Tensor], *holders: Any) -> Callable[..., tc.Tensor]:
    """A function of a batch: its loss, whose gradients take the place of earlier ones."""

    def loss(*batch: Any) -> tc.Tensor:
        for holder in holders:
            holder.zero_grad()
        found = loss_of(*batch)
        found.backward()
        return found

    return loss


def training_step(
    loss_of: Callable[..., tc.Tensor], *optimizers: Any, item: bool = False
) -> Callable[..., Any]:
    """A function that takes one step down a loss, and returns that, or ``item()`` of it."""
    loss_with_gradients = fresh_gradients(loss_of, *optimizers)

    def step(*batch: Any) -> Any:
        loss = loss_with_gradients(*batch)
        for optimizer in optimizers:
            optimizer.step()
        return loss.item() if item else loss

    return step


class Scenarios:
    """A decorator that collects scenarios, and what checks them.

    Attributes:
        functions: by their names.
    """

    def __init__(self) -> None:
        self.functions: dict[str, Callable[..., Any]] = {}
        self._reasons: dict[str, str] = {}

    def __call__(self, function: Any = None, *, eagerly: str = "") -> Any:
        """Add a scenario, in which a function runs ``eagerly`` for that reason, or for none."""
        if function is None:
            return lambda function: self(function, eagerly=eagerly)
        assert function.__name__ not in self.functions
        self.functions[function.__name__] = function
        self._reasons[function.__name__] = eagerly
        return function

    def test(self) -> Callable[[str, str], None]:
        """The test of each scenario with each executor."""

        @pytest.mark.parametrize("executor", EXECUTORS)
        @pytest.mark.parametrize("name", self.functions)
        def test(name: str, executor: str) -> None:
            self.check(name, executor)

        return test

    def check(self, name: str, executor: str) -> None:
        """Compare both runs; there is one warning where a function cannot be compiled."""
        function, reason = self.functions[name], self._reasons[name]
        if reason.startswith("numpy: ") and executor != "numpy":
            reason = ""  # which that executor alone has
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            expected = _seen(function(lambda inner: inner))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = _seen(function(lambda inner: tc.compile(inner, executor=executor)))
        _compare(found, expected, name)
        said = [str(w.message) for w in caught if issubclass(w.category, CompileWarning)]
        assert len(said) == bool(reason), said
        assert all(reason in text and " at " in text for text in said), (reason, said)


def _seen(value: Any) -> Any:
    """A value with copies of its arrays, and what a user sees of its Tensors."""
    if isinstance(value, tc.Tensor):
        return "Tensor", value.requires_grad, value.is_leaf, _seen(value.data)
    if isinstance(value, (np.ndarray, np.generic)):
        return np.array(value)
    if isinstance(value, (list, tuple)):
        return type(value).__name__, *map(_seen, value)
    if isinstance(value, dict):
        return "dict", *((key, _seen(item)) for key, item in value.items())
    return value


def _compare(found: Any, expected: Any, place: str) -> None:
    assert type(found) is type(expected), (place, found, expected)
    if isinstance(expected, tuple):
        assert len(found) == len(expected), (place, found, expected)
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            _compare(one, other, f"{place}.{number}")
    elif isinstance(expected, (np.ndarray, float)):
        one, other = np.asarray(found), np.asarray(expected)
        assert (one.dtype, one.shape) == (other.dtype, other.shape), place
        exact = other.dtype.kind not in "fc"
        relative = {2: 1e-3, 4: 1e-5}.get(other.dtype.itemsize, 1e-12)
        if isinstance(expected, float):  # it may come from a float32
            relative = 1e-6
        tolerance = 0.0 if exact else relative * max(1.0, _largest(other))
        np.testing.assert_allclose(one, other, 0.0 if exact else relative, tolerance, err_msg=place)
    else:
        assert found == expected, place


def _largest(array: np.ndarray) -> float:
    finite = np.abs(array[np.isfinite(array)])
    return float(np.max(finite, initial=0.0))
