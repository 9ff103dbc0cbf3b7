"""Anomaly mode: the first value that is not finite, wherever it comes up."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.compiler import CompileWarning
from tinygrad_cnn.errors import NonFiniteError, ShapeError


def variable(data: Any, name: str | None = None, dtype: Any = np.float64) -> tc.Tensor:
    return tc.tensor(data, dtype=dtype, requires_grad=True, name=name)


def anomaly(function: Any, *args: Any) -> str:
    """The message of the error, with all that must not change looked at."""
    with tc.detect_anomaly(), pytest.raises(NonFiniteError) as raised:
        function(*args)
    assert tc._core.context.per_thread.context.check_finite is False
    assert tc._core.context.per_thread.context.scope is None
    return str(raised.value)


def test_backward_gives_the_statistics_of_all_that_took_part() -> None:
    x = variable([0.0, 4.0])

    def function() -> None:
        with tc.scope("model"):
            y = tc.sqrt(x)
        (y * 3.0).sum().backward()

    message = anomaly(function)
    assert "gradient of sqrt for argument 0 in model is not finite: 1 infinite of 2" in message
    assert "its gradient from above: float64[2] from 3 to 3, mean 3" in message
    assert "argument 0: float64[2] from 0 to 4, mean 2" in message
    assert message.endswith("y = tc.sqrt(x)")
    assert x.grad is None


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_rule_is_named_by_its_operation(create_graph: bool) -> None:
    """Not by what the rule is made of."""
    x = variable([0.0, 1.0])
    with np.errstate(all="ignore"):
        y = tc.log(x).sum()
    message = anomaly(lambda: y.backward(create_graph=create_graph))
    assert message.startswith("the gradient of log for argument 0")


def test_the_second_derivative_too() -> None:
    x = variable(0.0)
    [dx] = tc.gradients(x**1.5, [x], create_graph=True)
    message = anomaly(lambda: tc.gradients(dx, [x]))
    assert message.startswith("the gradient of power for argument 0")


def test_finite_gradients_whose_sum_is_not() -> None:
    x = variable(1.0, "w", np.float32)
    y = x * np.float32(3e38) - 3e38 + x * np.float32(3e38)
    message = anomaly(y.backward, np.float32(1.0))
    assert "the sum of the gradients of w is not finite: 1 infinite of 1" in message
    assert "found so far: float32[] from 3e+38 to 3e+38" in message
    h = x * np.float32(1.0)
    y = h * np.float32(3e38) - 3e38 + h * np.float32(3e38)
    assert "gradients of the result of multiply is not finite" in anomaly(y.backward)


def test_what_grad_collects_is_checked() -> None:
    x = variable(1.0, "w", np.float32)
    other = variable(1.0)
    (x * np.float32(3e38)).backward()
    y = x * np.float32(3e38) * other
    assert "the sum of the gradients of w" in anomaly(y.backward)
    assert x.grad.item() == np.float32(3e38)
    assert other.grad is None


def test_the_gradient_that_backward_is_given() -> None:
    y = variable([1.0, 2.0]) * 2.0
    assert "the gradient that backward was given" in anomaly(y.backward, np.array([np.nan, 1.0]))


def test_inputs_that_were_not_finite_are_counted() -> None:
    message = anomaly(lambda: variable([np.nan, np.inf, 1.0, 3.0]) * 2.0)
    assert "argument 0: float64[4] with 1 NaN and 1 infinite from 1 to 3, mean 2" in message
    assert "argument 1: float64[] from 2 to 2" in message


def test_half_precision_and_complex_inputs_are_described() -> None:
    message = anomaly(lambda: tc.tensor(np.full(4, 6e4, np.float16)) * np.float16(2.0))
    assert "argument 0: float16[4] from 6e+04 to 6e+04, mean 6e+04" in message


def test_layers_are_named() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model[0].weight.data[0, 0] = np.inf
    message = anomaly(model, tc.ones(1, 2, dtype=np.float32))
    assert "in Sequential/0/linear" in message
    assert "argument 1: float32[2, 2] with 1 infinite" in message or "with 1 infinite" in message


def test_empty_arrays_and_integers_pass() -> None:
    with tc.detect_anomaly():
        (variable(np.zeros((0, 3))) * 2.0).sum().backward()
        assert (tc.tensor([1, 2]) * 2).tolist() == [2, 4]


def test_other_errors_stay_what_they_are() -> None:
    with tc.detect_anomaly(), pytest.raises(ShapeError, match=r"add: .*\(2,\) \(3,\)"):
        tc.ones(2) + tc.ones(3)


# -- compiled functions ---------------------------------------------------------------------


def test_a_compiled_function_runs_as_it_is_written() -> None:
    compiled = tc.compile(lambda x: tc.log(x).sum())
    for _ in range(3):
        compiled(tc.ones(2))
    message = anomaly(compiled, tc.zeros(2))
    assert message.startswith("log made 2 infinite of 2 values")
    assert "tc.log(x).sum()" in message


def test_backward_through_what_was_compiled_before() -> None:
    x = variable([1.0, 4.0])
    compiled = tc.compile(lambda x: tc.sqrt(x) * 2.0)
    for _ in range(3):
        compiled(x)
    x = variable([0.0, 4.0])
    y = compiled(x)
    message = anomaly(lambda: y.sum().backward())
    assert "is not finite: 1 infinite of 2 values" in message
    assert x.grad is None


def test_inside_of_a_compiled_function_it_is_no_silence() -> None:
    @tc.compile
    def function(x: Any) -> Any:
        with tc.detect_anomaly():
            return tc.log(x)

    with pytest.warns(CompileWarning, match="detect_anomaly looks at every value"):
        function(tc.ones(2))
    for _ in range(3):
        with pytest.raises(NonFiniteError, match="log made 2 infinite"):
            function(tc.zeros(2))


def test_a_compiled_step_checks_its_gradients() -> None:
    w = variable([1.0, 1.0])

    @tc.compile
    def step(x: Any) -> Any:
        w.grad = None
        loss = tc.sqrt(w * x).sum()
        loss.backward()
        return loss

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            step(tc.ones(2))
    message = anomaly(step, tc.tensor([0.0, 1.0]))
    assert message.startswith("the gradient of sqrt")
    assert w.grad is None


def test_a_loss_with_labels_that_overflows() -> None:
    logits = variable(np.array([[np.inf, 0.0]]))
    assert "values in cross_entropy" in anomaly(F.cross_entropy, logits, np.array([0]))
