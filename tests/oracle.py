"""PyTorch as the oracle of functions and layers, in float64; without it a test is skipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from arrays import normal

import tinygrad_cnn as tc
from tinygrad_cnn import nn


def pytorch() -> tuple[Any, Any]:
    """PyTorch and its functions."""
    torch = pytest.importorskip("torch")
    return torch, torch.nn.functional


def close(actual: Any, expected: Any) -> None:
    """An array or Tensor beside one of PyTorch's."""
    expected = expected.numpy(force=True)
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=1e-10, atol=1e-10)


def compare(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    *arrays: np.ndarray,
    second_order: bool = True,
) -> None:
    """The value, the gradients by all inputs, and the gradients of a weighted gradient."""
    torch = pytest.importorskip("torch")
    xs = [tc.as_tensor(a).detach() for a in arrays]
    for x in xs:
        x.requires_grad = True
    ts = [torch.tensor(np.array(a), requires_grad=True) for a in arrays]
    y, t = ours(*xs), theirs(*ts)
    close(y, t)
    weights = normal(*y.shape, seed=1)
    first = tc.gradients(y, xs, weights, create_graph=True)
    expected = torch.autograd.grad(t, ts, torch.tensor(weights), create_graph=True)
    plain = tc.gradients(ours(*xs), xs, weights)
    for g, h, e in zip(first, plain, expected, strict=True):
        close(g, e)
        close(h, e)
    if not second_order:
        return
    probes = [normal(*a.shape, seed=2) for a in arrays]
    slope = sum((g * p).sum() for g, p in zip(first, probes, strict=True))
    expected_slope = sum((e * torch.tensor(p)).sum() for e, p in zip(expected, probes, strict=True))
    if not expected_slope.requires_grad:
        return
    found = tc.gradients(slope, xs) if slope.requires_grad else [None] * len(xs)
    wanted = torch.autograd.grad(expected_slope, ts, allow_unused=True)
    for g, e, x in zip(found, wanted, ts, strict=True):
        close(np.zeros(x.shape) if g is None else g, torch.zeros_like(x) if e is None else e)


def both(expression: str) -> tuple[nn.Module, Any]:
    """The layer here and in PyTorch, in float64 with PyTorch's parameters."""
    torch = pytest.importorskip("torch")
    ours: nn.Module = eval(f"nn.{expression}")
    theirs = eval(f"torch.nn.{expression}", {"torch": torch}).double()
    expected = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == expected
    ours.double().load_state_dict(theirs.state_dict())
    return ours, theirs


def compare_layers(expression: str, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    """Values, gradients and state of a layer and of PyTorch's, in training and in use."""
    ours, theirs = both(expression)
    torch = pytest.importorskip("torch")
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        theirs.zero_grad()
        ours.zero_grad()
        data = rng.normal(size=shape)
        x, t = tc.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
        out, expected = ours(x), theirs(t)
        close(out, expected)
        (out * out).sum().backward()
        (expected * expected).sum().backward()
        pairs = zip((x, *ours.parameters()), (t, *theirs.parameters()), strict=True)
        for variable, reference in pairs:
            close(variable.grad, reference.grad)
    for key, array in ours.state_dict().items():
        np.testing.assert_allclose(array, theirs.state_dict()[key].numpy(), rtol=1e-10)
