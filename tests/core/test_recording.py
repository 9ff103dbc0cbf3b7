"""What is recorded: switches, scopes, source lines; and what anomalies look like."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn._core.tensor import Tensor
from tinygrad_cnn.errors import NonFiniteError


def variable(values: Any) -> Tensor:
    return tc.tensor(values, requires_grad=True)


def test_nothing_is_recorded_for_constants() -> None:
    y = tc.tensor([1.0]) * 2
    assert y.node is None
    assert not y.requires_grad
    assert y.is_leaf


def test_no_grad_and_enable_grad_nest() -> None:
    x = variable(1.0)
    with tc.no_grad():
        assert not (x * 2).requires_grad
        with tc.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_no_grad_as_decorator_and_entered_again() -> None:
    x = variable(1.0)
    switch = tc.no_grad()
    with switch, switch:
        assert not tc.is_grad_enabled()

    @tc.no_grad()
    def evaluate(depth: int) -> bool:
        return (x * 2).requires_grad or (depth > 0 and evaluate(depth - 1))

    assert not evaluate(3)
    assert tc.is_grad_enabled()


def test_an_error_inside_the_block_restores_recording() -> None:
    with pytest.raises(ZeroDivisionError), tc.no_grad(), tc.scope("broken"), tc.detect_anomaly():
        raise ZeroDivisionError
    y = variable(0.0) * np.inf if not tc.is_grad_enabled() else variable(1.0) * 2
    assert y.requires_grad
    assert y.node.scope is None


def test_scopes_nest_and_hold_settings() -> None:
    x = variable(np.ones((1, 1, 4, 4)))
    with tc.scope("features.0", kind="module", stride=2):
        y = F.conv2d(x, np.ones((1, 1, 2, 2)), stride=2, padding=(1, 0))
    inner = y.node.scope
    assert inner.path == "features.0/conv2d"
    assert inner.params == {"stride": 2, "padding": (1, 0)}
    assert (inner.kind, inner.parent.kind, inner.parent.params) == (
        "function", "module", {"stride": 2},
    )  # fmt: skip
    assert "features.0/conv2d" in repr(y.node)


def test_a_scope_is_left_after_an_error() -> None:
    with pytest.raises(ValueError, match="channels"):
        F.conv2d(variable(np.ones((1, 1, 4, 4))), np.ones((1, 2, 2, 2)))
    assert (variable(1.0) * 2).node.scope is None


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x + 1.0, lambda x: 1.0 - x, lambda x: np.ones(3) * x, lambda x: x.T,
        lambda x: x.sum(), lambda x: F.softmax(x), lambda x: x[0], lambda x: x.clone(),
        lambda x: tc.einsum("i,i", x, x), lambda x: F.cross_entropy(x, 1), lambda x: x.mean(),
        lambda x: x.reshape(3, 1), lambda x: x ** 2, lambda x: abs(x), lambda x: next(iter(x)),
    ],
)  # fmt: skip
def test_the_source_line_is_the_users(operation: Any) -> None:
    source = operation(variable([1.0, 2.0, 3.0])).node.source
    assert source.file == __file__
    assert source.function == "<lambda>"
    assert source.line == operation.__code__.co_firstlineno


def test_a_source_line_shows_its_text() -> None:
    y = variable(1.0) * 3.0
    assert y.node.source.text == "y = variable(1.0) * 3.0"
    assert str(y.node.source).endswith(
        "in test_a_source_line_shows_its_text: " + y.node.source.text
    )


def test_an_anomaly_forward_names_operation_scope_line_and_inputs() -> None:
    x = variable([0.0, 1.0, 2.0])
    with tc.scope("model"), tc.detect_anomaly(), pytest.raises(NonFiniteError) as raised:
        tc.log(x) / x
    message = str(raised.value)
    assert "log made 1 infinite of 3 values in model" in message
    assert f"{__file__}:" in message
    assert "tc.log(x) / x" in message
    assert "argument 0: float64[3] from 0 to 2, mean 1" in message


@pytest.mark.parametrize(
    ("operation", "count"),
    [
        (lambda x: x / x, "divide made 1 NaN of 2"),
        (lambda x: 1.0 / x, "divide made 1 infinite of 2"),
        (lambda x: x * np.array([np.inf, np.inf]), "multiply made 1 NaN and 1 infinite of 2"),
        (lambda x: tc.exp(x * 1000), "exp made 1 infinite of 2"),
    ],
)
def test_an_anomaly_is_counted(operation: Any, count: str) -> None:
    with tc.detect_anomaly(), pytest.raises(NonFiniteError, match=count):
        operation(variable([0.0, 1.0]))


def test_an_anomaly_backward_names_operation_scope_and_line() -> None:
    x = variable([0.0, 1.0])
    with tc.detect_anomaly(), tc.scope("model"):
        y = tc.sqrt(x)
        with pytest.raises(NonFiniteError) as raised:
            y.sum().backward()
    message = str(raised.value)
    assert "the gradient of sqrt for argument 0 in model is not finite" in message
    assert f"recorded at {__file__}:" in message
    assert message.endswith("y = tc.sqrt(x)")
    assert x.grad is None


def test_without_anomaly_detection_numbers_pass() -> None:
    with np.errstate(all="ignore"):
        assert np.isinf(tc.log(variable(0.0)).item())


def test_finite_values_pass_anomaly_detection() -> None:
    x = variable([1.0, 2.0])
    with tc.detect_anomaly():
        (tc.exp(x) * np.array([1, 2])).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [np.e, 2 * np.e**2])


def test_a_scope_keeps_no_tuple_of_tensors() -> None:
    w = tc.ones(2, requires_grad=True)
    y = tc.functional.l2_regularization((w, w), 0.1)
    assert y.node is not None
    assert y.node.scope is not None
    assert y.node.scope.params == {"strength": 0.1}
