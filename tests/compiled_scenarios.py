"""Scenarios that run once as written and once compiled, and must look the same from outside.

A scenario is a function of ``compiled``, which it applies to what it tries: either nothing, or
``tc.compile``. It returns all that can be seen: results, gradients, buffers, random numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.compiler import CompileWarning

# "auto" takes scalars and lanes where they can; they alone decline most of the scenarios.
EXECUTORS = ("plain", "numpy", "auto")


def values(*shape: int, dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + len(shape)).standard_normal(shape).astype(dtype)


def tensor(*shape: int, grad: bool = False, **options: Any) -> tc.Tensor:
    return tc.tensor(values(*shape, **options), requires_grad=grad)


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

    def check(self, name: str, executor: str) -> None:
        """Compare both runs; there is one warning where a function cannot be compiled."""
        function, reason = self.functions[name], self._reasons[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            expected = _seen(function(lambda inner: inner))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = _seen(function(lambda inner: tc.compile(inner, executor=executor)))
        _compare(found, expected, name)
        said = [str(w.message) for w in caught if issubclass(w.category, CompileWarning)]
        if executor == "numpy":
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
