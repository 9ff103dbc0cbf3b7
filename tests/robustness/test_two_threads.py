"""Threads have no effect on each other: what each computes is what it computes alone."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import data, nn, optim, train
from tinygrad_cnn._core.context import per_thread
from tinygrad_cnn.errors import NonFiniteError

Job = Callable[[], Any]


def together(*jobs: Job) -> list[Any]:
    """What the jobs return, each in a thread of its own, all started at the same moment."""
    results: list[Any] = [None] * len(jobs)
    start = threading.Barrier(len(jobs))

    def run(number: int) -> None:
        start.wait(30)
        try:
            results[number] = jobs[number]()
        except BaseException as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def convnet(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(width * 16, 10),
    )


def training(seed: int, width: int, how: str, rate: float) -> list[np.ndarray]:
    """Losses, parameters, statistics and the next draw, after some steps."""
    tc.manual_seed(seed)
    model = convnet(width)
    stepper = optim.Adam(model.parameters(), lr=rate)
    numbers = np.random.default_rng(seed)

    def step(x: Any, y: Any) -> Any:
        stepper.zero_grad()
        loss = F.cross_entropy(tc.checkpoint(model, x) if how == "checkpoint" else model(x), y)
        loss.backward()
        stepper.step()
        return loss

    run = tc.compile(step) if how == "compiled" else step
    losses = []
    for _ in range(8):
        x = tc.tensor(numbers.normal(size=(6, 1, 8, 8)).astype(np.float32))
        losses.append(run(x, numbers.integers(0, 10, 6)).data)
    state = [np.asarray(value.data) for value in model.state_dict().values()]
    return [*losses, *state, tc.rand(4).data]


SETTINGS = [(0, 3, 0.01), (1, 5, 0.003), (2, 4, 0.02)]


@pytest.mark.parametrize("how", ["eager", "compiled", "checkpoint"])
def test_models_train_as_they_do_alone(how: str) -> None:
    jobs: list[Job] = [
        lambda seed=seed, width=width, rate=rate: training(seed, width, how, rate)
        for seed, width, rate in SETTINGS
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no fallback of the compiler
        alone = [job() for job in jobs]
        both = together(*jobs)
    for expected, found in zip(alone, both, strict=True):
        assert len(expected) == len(found)
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a, b)


def test_fit_in_two_threads() -> None:
    def job(seed: int) -> Job:
        def fitted() -> list[Any]:
            tc.manual_seed(seed)
            model = convnet(2)
            pairs = data.Digits().batch(slice(96))
            loader = data.DataLoader(pairs, batch_size=16, shuffle=True, seed=seed)
            stepper = optim.SGD(model.parameters(), lr=0.1)
            history = train.fit(model, loader, epochs=2, optimizer=stepper, progress=False)
            return [*(epoch.loss for epoch in history), model[0].weight.data]

        return fitted

    jobs = [job(0), job(1)]
    for expected, found in zip([job() for job in jobs], together(*jobs), strict=True):
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a, b)


def test_one_compiled_function_in_two_threads() -> None:
    compiled = tc.compile(lambda x: (tc.sin(x) * x).sum())
    xs = [np.random.default_rng(seed).normal(size=(50,)) for seed in range(4)]

    def job(x: np.ndarray) -> Job:
        def gradients() -> list[Any]:
            found = []
            for _ in range(20):
                v = tc.tensor(x, requires_grad=True)
                compiled(v).backward()
                found.append(v.grad.data)
            return found

        return gradients

    alone = [np.sin(x) + x * np.cos(x) for x in xs]
    for expected, found in zip(alone, together(*map(job, xs)), strict=True):
        for gradient in found:
            np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-12)
            np.testing.assert_array_equal(gradient, found[0])


def test_switches_scopes_conventions_and_generators_are_the_threads_own() -> None:
    steps = threading.Barrier(2, timeout=30)

    def inside() -> Any:
        with tc.no_grad(), tc.detect_anomaly(), tc.scope("mine"), tc.conventions(ties="split"):
            tc.manual_seed(0)
            steps.wait()
            steps.wait()
            with pytest.raises(NonFiniteError):
                tc.log(tc.tensor(0.0))
            return tc.rand(3).tolist()

    def beside() -> Any:
        tc.manual_seed(0)
        steps.wait()
        context = per_thread.context
        seen = tc.is_grad_enabled(), context.check_finite, context.scope
        ties = tc.current_conventions().ties
        drawn = tc.rand(3).tolist()
        with np.errstate(all="ignore"):
            tc.log(tc.tensor(0.0))
        steps.wait()
        return (*seen, ties, drawn)

    drawn, seen = together(inside, beside)
    assert seen == (True, False, None, "first", drawn)


def test_one_switch_that_two_threads_enter() -> None:
    switch, steps = tc.no_grad(), threading.Barrier(2, timeout=30)

    def first() -> bool:
        with switch:
            steps.wait()
            steps.wait()
        return tc.is_grad_enabled()

    def second() -> bool:
        with tc.no_grad():
            steps.wait()
            with switch:
                steps.wait()
            return tc.is_grad_enabled()

    assert together(first, second) == [True, False]


def test_graphs_go_from_thread_to_thread() -> None:
    """Recorded in one, walked in another, with a draw that is repeated there."""
    tc.manual_seed(0)
    x = tc.tensor(np.arange(1.0, 9.0), requires_grad=True)
    y = tc.checkpoint(lambda x: F.dropout(tc.exp(x), 0.5) * x, x)
    mask = (y.data != 0) * 2.0

    def walk() -> Any:
        tc.manual_seed(7)
        y.sum().backward()
        return tc.rand(2).tolist()

    [drawn] = together(walk)
    tc.manual_seed(7)
    assert drawn == tc.rand(2).tolist()
    np.testing.assert_allclose(x.grad.data, mask * np.exp(x.data) * (1 + x.data), rtol=1e-12)
