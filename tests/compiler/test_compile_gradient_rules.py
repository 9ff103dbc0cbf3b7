"""Gradients of single operations in compiled functions: kinks, poles, indices, own primitives."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tc
from tests.compiled_scenarios import Scenarios, calls, differentiated, state, tensor
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn

scenario = Scenarios()


@scenario(eagerly="an element of an array is written to")
def conventions_of_backward(compiled):
    f = compiled(lambda x: x.max())
    x = tc.tensor([1.0, 1.0, 0.0], requires_grad=True)
    found = []
    for _ in range(3):
        y = f(x)
        x.grad = None
        with tc.conventions(ties="split"):
            y.backward()
        found.append(np.array(x.grad.data))
    return found


@scenario(eagerly="an element of an array is written to")
def conventions(compiled):
    f = compiled(lambda x: F.relu(x).max())
    x = tc.tensor([0.0, 0.0, 0.0], requires_grad=True)
    found = []
    for kw in ({}, {"ties": "split"}, {"relu_at_zero": 1.0}, {}):
        for _ in range(2):
            x.grad = None
            with tc.conventions(**kw):
                f(x).backward()
            found.append(np.array(x.grad.data))
    return found


@scenario
def conventions_inside(compiled):
    @compiled
    def f(x):
        with tc.conventions(ties="split"):
            return x.max()

    x = tc.tensor([1.0, 1.0, 0.0], requires_grad=True)
    return [*differentiated(f, x), x.grad]


@scenario
def convnet_in_double(compiled):
    tc.manual_seed(0)
    m = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 3)
    ).double()
    f = compiled(lambda x: m(x).sum())
    x = tensor(4, 2, 8, 8, grad=True)
    return [*differentiated(f, x), x.grad, state(m)]


@scenario
def powers(compiled):
    f = compiled(lambda x: x**2 + (-x) ** 3 + x ** (-1))
    x = tc.tensor([1.0, 2.0, -3.0], requires_grad=True)
    return [*differentiated(f, x), x.grad]


@scenario
def powers_of_zero(compiled):
    f = compiled(lambda x, y: (x**y).sum())
    x = tc.tensor([0.0, 2.0, 3.0], requires_grad=True)
    y = tc.tensor([0.0, 2.0, 0.0], requires_grad=True)
    with np.errstate(all="ignore"):
        return [*differentiated(f, x, y), x.grad, y.grad]


@scenario
def products_with_zeros(compiled):
    f = compiled(lambda x: x.prod())
    found = []
    for v in ([0.0, 2.0, 3.0], [1.0, 2.0, 3.0], [0.0, 0.0, 3.0]):
        x = tc.tensor(v, requires_grad=True)
        f(x).backward()
        found.append(x.grad)
    return found


@scenario(eagerly="an element of an array is written to")
def extrema_of_nan(compiled):
    f = compiled(lambda x: (x.max(axis=1), F.relu(x), x.clip(0, 1), tc.maximum(x, 0.0)))
    x = tc.tensor([[0.0, np.nan, 1.0], [2.0, 2.0, 1.0]], requires_grad=True)
    found = []
    for _ in range(3):
        found.append(f(x))
        sum(result.sum() for result in found[-1]).backward()
    return [*found, x.grad]


@scenario
def einsum(compiled):
    w = tensor(3, 4, grad=True)
    f = compiled(lambda x: tc.einsum("ij,kj->ik", x, w).std() + tc.logsumexp(x @ w.T, axis=1).sum())
    return [*differentiated(f, tensor(2, 4)), w.grad]


@scenario
def clip_and_where(compiled):
    f = compiled(lambda x: (tc.clip(x, -1, 1), tc.where(x > 0, x, 0.0), tc.maximum(x, 0.5)))
    x = tensor(5, grad=True)
    found = []
    for _ in range(3):
        a, b, d = f(x)
        (a + b * d).sum().backward()
        found.append((a, b, d))
    return [*found, x.grad]


@scenario
def index_by_argument(compiled):
    w = tensor(5, 3, grad=True)
    f = compiled(lambda i: w[i].sum())
    found = []
    for i in ([0, 1], [0, 1], [4, 4], [2, -1]):
        found += differentiated(f, tc.tensor(np.array(i)), count=1)
    return [*found, w.grad]


@scenario
def own_primitive(compiled):
    p = tc.primitive(
        "my_soft",
        forward=lambda x: np.logaddexp(0.0, x),
        vjps=(lambda g, ans, x: g * tc.sigmoid(x),),
    )
    f = compiled(lambda x: p(x).sum())
    x = tensor(3, grad=True)
    return [*differentiated(f, x), x.grad]


@scenario
def own_primitive_with_setting(compiled):
    k = [2.0]
    p = tc.primitive("my_scale", forward=lambda x: x * k[0], vjps=(lambda g, ans, x: g * k[0],))
    f = compiled(lambda x: p(x).sum())
    x = tensor(3, grad=True)
    found = differentiated(f, x)
    k[0] = 7.0
    return [*found, *differentiated(f, x, count=1), x.grad]


@scenario
def own_primitive_that_branches(compiled):
    p = tc.primitive(
        "my_abs", forward=lambda x: x if x.sum() > 0 else -x, vjps=(lambda g, ans, x: g,)
    )
    f = compiled(lambda x: p(x).sum())
    return [*calls(f), f(-tensor(3))]


test_compiled_is_as_written = scenario.test()
