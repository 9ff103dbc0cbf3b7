"""What a call of a compiled function costs in Python, counted in function calls."""

import gc
import sys

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn, optim

pytest.importorskip("llvmlite")

X = np.random.default_rng(0).standard_normal((8, 6), dtype=np.float32)
LABELS = np.arange(8) % 6


def deep(layers):
    tc.manual_seed(0)
    parts = [part for _ in range(layers) for part in (nn.Linear(6, 6), nn.ReLU())]
    return nn.Sequential(*parts)


def calls(function, *args):
    """How many functions written in Python one call of a function calls, once all is ready."""
    for _ in range(4):
        function(*args)
    count = 0

    def count_calls(frame, event, arg):
        nonlocal count
        count += event == "call"

    collecting = gc.isenabled()
    gc.disable()  # it calls whatever others asked it to call
    sys.setprofile(count_calls)
    try:
        function(*args)
    finally:
        sys.setprofile(None)
        if collecting:
            gc.enable()
    return count


def step_of(model, optimizer):
    @tc.compile(executor="lanes")
    def step(x, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}])
def test_step(options):
    """A few calls for each parameter, and not more the more other attributes there are."""
    counts = []
    for layers in (2, 12):
        model = deep(layers)
        optimizer = optim.SGD(model.parameters(), lr=0.1, **options)
        counts.append(calls(step_of(model, optimizer), X, LABELS))
    parameters = 2 * 10
    assert counts[1] - counts[0] <= 4 * parameters
    assert counts[0] <= 4 * 4 + 100


def test_inference():
    """As many for a deep network as for a shallow one."""
    counts = []
    for layers in (2, 12):
        model = deep(layers).eval()
        compiled = tc.compile(model, executor="lanes")
        with tc.no_grad():
            counts.append(calls(compiled, X))
    assert counts[0] == counts[1] <= 60


def test_state_goes_around_without_new_arrays():
    """Running statistics take turns in two arrays, gradients stay in one."""
    tc.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 6))
    step = step_of(model, optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
    images = np.random.default_rng(0).standard_normal((8, 1, 6, 6), dtype=np.float32)
    seen = []
    for _ in range(8):
        step(images, LABELS)
        gradients = [id(p.grad.data) for p in model.parameters()]
        seen.append([id(model[1].running_mean.data), *gradients])
    ids = [set(each) for each in zip(*seen[2:], strict=True)]
    assert [len(each) for each in ids] == [2] + [1] * (len(ids) - 1)
