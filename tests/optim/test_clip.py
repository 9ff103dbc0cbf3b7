"""Gradient clipping."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn._core.tensor import Tensor
from tinygrad_cnn.errors import ArgumentError, NonFiniteError
from tinygrad_cnn.optim import clip_grad_norm_, clip_grad_value_


def with_grads(*grads: Any) -> list[Tensor]:
    params = [Tensor(np.zeros_like(grad), requires_grad=True) for grad in grads]
    for param, grad in zip(params, grads, strict=True):
        param.grad = Tensor(grad)
    return params


def grad(param: Tensor) -> Any:
    assert param.grad is not None
    return param.grad.data


@pytest.mark.parametrize("norm_type", [1, 2, 3.5, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 100.0, float("inf")])
def test_clip_grad_norm_equals_pytorch(
    max_norm: float, norm_type: float, rng: np.random.Generator
) -> None:
    torch = pytest.importorskip("torch")
    grads = [rng.normal(size=(3, 4)).T, np.array(rng.normal()), np.broadcast_to(0.5, (2, 3))]
    params = with_grads(*grads)
    theirs = [torch.zeros(grad.shape, dtype=torch.float64) for grad in grads]
    for param, array in zip(theirs, grads, strict=True):
        param.grad = torch.tensor(array.copy())
    total = clip_grad_norm_(params, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert isinstance(total, float)
    assert total == pytest.approx(expected.item(), rel=1e-13)
    for ours, reference in zip(params, theirs, strict=True):
        np.testing.assert_allclose(grad(ours), reference.grad.numpy(), rtol=1e-13)


def test_a_gradient_that_two_parameters_share_is_scaled_once_for_each() -> None:
    shared_grad = np.array([3.0, 4.0])
    first, second = with_grads(shared_grad, shared_grad)
    total = clip_grad_norm_([first, second], 1.0)
    assert total == pytest.approx(50**0.5)
    np.testing.assert_allclose(grad(first), shared_grad / total, rtol=1e-6)
    np.testing.assert_allclose(grad(second), shared_grad / total, rtol=1e-6)


def test_float32_stays_float32() -> None:
    [param] = with_grads(np.array([3.0, 4.0], dtype=np.float32))
    clip_grad_norm_(param, 1.0)
    assert grad(param).dtype == np.float32
    clip_grad_value_(param, 0.1)
    assert grad(param).dtype == np.float32


def test_no_gradients_have_norm_zero() -> None:
    assert clip_grad_norm_([Tensor(1.0, requires_grad=True)], 1.0) == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_norm_that_is_not_finite_is_an_error_only_if_asked(bad: float) -> None:
    params = with_grads(np.array([1.0, bad]), np.ones(2))
    with pytest.raises(NonFiniteError, match="2 parameters"):
        clip_grad_norm_(params, 1.0, error_if_nonfinite=True)
    assert (grad(params[1]) == 1).all()
    assert not np.isfinite(clip_grad_norm_(params, 1.0))
    assert np.isnan(grad(params[0])).any()


def test_clip_grad_value_limits_every_element() -> None:
    array = np.array([-3.0, 0.5, 3.0])
    params = [*with_grads(array, np.array(-2.0)), Tensor(1.0, requires_grad=True)]
    clip_grad_value_(params, 1.0)
    assert grad(params[0]).tolist() == [-1.0, 0.5, 1.0]
    assert grad(params[1]) == -1.0
    assert array.tolist() == [-3.0, 0.5, 3.0]


@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_negative_limits_are_refused(limit: float) -> None:
    [param] = with_grads(np.ones(2))
    with pytest.raises(ArgumentError, match="max_norm"):
        clip_grad_norm_([param], limit)
    with pytest.raises(ArgumentError, match="clip_value"):
        clip_grad_value_([param], limit)
    assert (grad(param) == 1).all()
