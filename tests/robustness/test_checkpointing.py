"""Gradient checkpointing: the same numbers to the bit, for less memory."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn, optim
from tinygrad_cnn._graph import read
from tinygrad_cnn.errors import ArgumentError, GraphError

Call = Callable[..., Any]


def plain(function: Call, *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


def nested(function: Call, *args: Any, **kwargs: Any) -> Any:
    return tc.checkpoint(lambda *given: tc.checkpoint(function, *given, **kwargs), *args)


CALLS = [tc.checkpoint, nested]


def block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.3),
    )


def variable(*shape: int, dtype: Any = np.float64) -> tc.Tensor:
    numbers = np.random.default_rng(shape).normal(size=shape).astype(dtype)
    return tc.tensor(numbers, requires_grad=True)


def trained(call: Call, compile_step: bool = False) -> list[np.ndarray]:
    """All that three steps leave behind: losses, parameters, statistics, the next draw."""
    tc.manual_seed(0)
    blocks = nn.Sequential(block(3, 4), block(4, 4))
    stepper = optim.SGD(blocks.parameters(), lr=0.1, momentum=0.9)
    x = tc.tensor(np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32))

    def step(x: Any) -> Any:
        stepper.zero_grad()
        h = x
        for part in blocks:
            h = call(part, h)
        loss = F.mean(h * h)
        loss.backward()
        stepper.step()
        return loss

    run = tc.compile(step) if compile_step else step
    losses = [run(x).data for _ in range(3)]
    state = [np.asarray(value.data) for value in blocks.state_dict().values()]
    return [*losses, *state, tc.rand(3).data]


def assert_same(found: list[Any], expected: list[Any]) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("call", CALLS)
def test_training_with_dropout_and_batch_norm_is_the_same_to_the_bit(call: Call) -> None:
    assert_same(trained(call), trained(plain))


def test_a_compiled_step_is_traced_through() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no fallback
        assert_same(trained(tc.checkpoint, compile_step=True), trained(plain, compile_step=True))


def test_parts_inside_of_parts() -> None:
    def outer(call: Call) -> Call:
        parts = [block(2, 2) for _ in range(3)]

        def function(h: Any) -> Any:
            return call(lambda h: call(parts[1], call(parts[0], h)), h) + 0 * call(parts[2], h)

        return function

    found = []
    for call in (plain, tc.checkpoint):
        tc.manual_seed(1)
        x = variable(2, 2, 4, 4, dtype=np.float32)
        y = call(outer(call), x)
        y.sum().backward()
        found.append([y.data, x.grad.data, tc.rand(1).data])
    assert_same(*found)


@pytest.mark.parametrize("call", CALLS)
def test_every_order(call: Call) -> None:
    def derivatives(call: Call) -> list[Any]:
        x, w = variable(3), variable(3)
        y = call(lambda x: (tc.sin(x * w) ** 3).sum(), x)
        found = [y]
        for _ in range(3):
            y = sum((g * g).sum() for g in tc.gradients(y, [x, w], create_graph=True))
            found.append(y)
        return [value.data for value in (*found, *tc.gradients(y, [x, w]))]

    assert_same(derivatives(call), derivatives(plain))


def test_transformations_nest_with_it() -> None:
    def cube(x: Any) -> Any:
        return (x * x * x).sum()

    x = np.array([1.0, 2.0])

    def checked(x: Any) -> Any:
        return tc.checkpoint(cube, x)

    assert_same([tc.hessian(checked)(x).data], [tc.hessian(cube)(x).data])
    assert tc.checkpoint(tc.grad(cube), tc.tensor(x, requires_grad=True)).tolist() == [3.0, 12.0]


@pytest.mark.parametrize("call", CALLS)
def test_structures_and_intermediate_arguments(call: Call) -> None:
    def run(call: Call) -> list[Any]:
        x, y = variable(3), variable(3, dtype=np.float64)
        given = {"a": (x * 2, 3.0), "b": [y, "text", None]}

        def function(given: Any, times: float = 1.0) -> Any:
            a, b = given["a"][0], given["b"][0]
            return {"product": tc.exp(a) * b * times, "same": b, "number": 7, "none": None}

        out = call(function, given, times=2.0)
        assert out["number"] == 7
        assert out["same"] is y
        (out["product"] * out["same"]).sum().backward()
        return [x.grad.data, y.grad.data]

    assert_same(run(call), run(plain))


def test_generators_are_replayed_wherever_they_come_from() -> None:
    def run(call: Call) -> list[Any]:
        tc.manual_seed(3)
        own = np.random.default_rng(4)
        x = variable(50)

        def function(x: Any) -> Any:
            h = F.dropout(x, 0.5) * tc.rand(50) + F.dropout(tc.exp(x), 0.5, generator=own)
            default = F.dropout(h, 0.2, generator=tc.default_generator())
            tc.manual_seed(9)
            return F.dropout(tc.sin(default), 0.2)

        y = call(function, x)
        middle = tc.rand(1).data
        y.sum().backward()
        return [x.grad.data, middle, tc.rand(1).data, own.random(1)]

    for call in CALLS:
        assert_same(run(call), run(plain))


def test_conventions_are_those_of_the_call() -> None:
    x = tc.tensor([[2.0, 2.0]], requires_grad=True)
    with tc.conventions(ties="split", relu_at_zero=1):
        y = tc.checkpoint(lambda x: F.relu(x.max(1) - 2.0), x)
    y.sum().backward()
    assert x.grad.tolist() == [[0.5, 0.5]]


def test_average_of_all_batches_counts_each_once() -> None:
    found = []
    for call in (plain, tc.checkpoint):
        norm = nn.BatchNorm1d(2, momentum=None)
        for seed in range(3):
            x = tc.tensor(np.random.default_rng(seed).normal(size=(4, 2)), requires_grad=True)
            (call(norm, x) ** 2).sum().backward()
        found.append([np.asarray(value.data) for value in norm.state_dict().values()])
    assert_same(*found)


def test_retained_graphs_are_walked_again() -> None:
    x = variable(3)
    y = tc.checkpoint(lambda x: tc.exp(x) * tc.sin(x), x).sum()
    y.backward(retain_graph=True)
    once = x.grad.data.copy()
    y.backward()
    assert_same([x.grad.data], [once + once])
    with pytest.raises(GraphError, match="were freed by an earlier backward"):
        y.backward()


def test_nothing_is_recorded_under_no_grad() -> None:
    with tc.no_grad():
        y = tc.checkpoint(lambda x: x * 2, variable(2))
    assert y.node is None


def test_tools_see_the_whole_graph() -> None:
    x = variable(3)
    y = tc.checkpoint(lambda x: tc.exp(tc.sin(x)), x)
    recording = read(y)
    assert not recording.freed
    assert [vertex.operation for vertex in recording][-2:] == ["sin", "exp"]
    assert all(vertex.value is not None for vertex in recording)
    line = y.node.source.text  # the user's
    assert "tc.exp(tc.sin(x))" in line


def test_another_computation_is_an_error() -> None:
    x, count = variable(4), []

    def counting(x: Any) -> Any:
        count.append(1)
        return x * 2.0 if len(count) == 1 else tc.exp(x)

    with pytest.raises(GraphError, match="computed something else"):
        tc.checkpoint(counting, x).sum().backward()
    assert x.grad is None


def test_random_numbers_from_elsewhere_are_an_error() -> None:
    x, numbers = variable(4), np.random.default_rng(0)
    y = tc.checkpoint(lambda x: tc.exp(x) * numbers.normal(size=4), x)
    with pytest.raises(GraphError, match="random numbers that are not from this package"):
        y.sum().backward()


def test_parameters_changed_in_between_are_an_error() -> None:
    model, x = nn.Linear(3, 2), variable(2, 3, dtype=np.float32)
    stepper = optim.SGD(model.parameters(), lr=1.0)
    y = tc.checkpoint(lambda x: tc.tanh(model(x)), x).sum()
    (model(x) ** 2).sum().backward()
    stepper.step()
    with pytest.raises(GraphError, match=r"changed in (between|place)"):
        y.backward()


def test_buffers_changed_in_between_are_an_error() -> None:
    norm, x = nn.BatchNorm1d(3).eval(), variable(4, 3, dtype=np.float32)
    y = tc.checkpoint(lambda x: tc.tanh(norm(x)), x).sum()
    norm.running_mean.data = norm.running_mean.data + 1
    with pytest.raises(GraphError, match="buffers changed in between"):
        y.backward()


def test_backward_inside_is_refused() -> None:
    x = variable(2)

    def function(x: Any) -> Any:
        y = (x * x).sum()
        y.backward()
        return y

    with pytest.raises(GraphError, match=r"use tc\.gradients"):
        tc.checkpoint(function, x)
    assert x.grad is None
    x.sum().backward()  # as always afterwards


def test_an_error_in_the_function_leaves_nothing_behind() -> None:
    with pytest.raises(ZeroDivisionError):
        tc.checkpoint(lambda x: 1 // 0, variable(2))
    variable(2).sum().backward()
    with pytest.raises(ArgumentError, match="is no function"):
        tc.checkpoint(variable(2))  # type: ignore[arg-type]


def test_anomalies_inside_are_found() -> None:
    x = tc.tensor([0.0, 1.0], requires_grad=True)
    with tc.detect_anomaly(), pytest.raises(tc.errors.NonFiniteError, match="gradient of sqrt"):
        tc.checkpoint(lambda x: tc.sqrt(x).sum(), x).backward()


def test_memory_is_that_of_one_part() -> None:
    parts, size = 12, 100_000

    def held(call: Call) -> int:
        def function(x: Any) -> Any:
            for _ in range(4):
                x = tc.sin(x)
            return x

        x = variable(size)
        tracemalloc.start()
        try:
            y = x
            for _ in range(parts):
                y = call(function, y)
            y.sum().backward()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    array = 8 * size
    assert held(plain) > 4 * parts * array
    assert held(tc.checkpoint) < (parts + 4 + 6) * array
