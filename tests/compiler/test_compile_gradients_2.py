"""Gradients through compiled functions, of first and higher order.

Each scenario runs once as it is written and once compiled; all that can be seen must be the same.
"""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import EXECUTORS, Scenarios, state, tensor
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn

scenario = Scenarios()


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

    def f(x):
        with tc.conventions(ties="split"):
            return x.max()

    f = compiled(f)
    x = tc.tensor([1.0, 1.0, 0.0], requires_grad=True)
    f(x).backward()
    f(x).backward()
    return [x.grad]


@scenario(eagerly="a Tensor is used that was computed outside, with its graph")
def outer_graph_closed(compiled):
    w = tensor(3, grad=True)
    h = [None]
    f = compiled(lambda x: (x * h[0]).sum())
    for _ in range(3):
        h[0] = w * 2
        f(tensor(3)).backward()
    return [w.grad]


@scenario(eagerly="a Tensor is used that was computed outside, with its graph")
def global_tensor_computed(compiled):
    w = tensor(3, grad=True)
    k = w * 2
    f = compiled(lambda x: (x * k).sum())
    found = []
    for _ in range(3):
        try:
            f(tensor(3)).backward(retain_graph=False)
        except Exception as e:
            found.append(type(e).__name__)
    return [*found, w.grad]


@scenario
def f64_conv(compiled):
    tc.manual_seed(0)
    m = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 3)
    ).double()
    f = compiled(lambda x: m(x).sum())
    x = tensor(4, 2, 8, 8, grad=True)
    for _ in range(3):
        f(x).backward()
    return [x.grad, state(m)]


@scenario
def pow_neg(compiled):
    f = compiled(lambda x: x**2 + (-x) ** 3 + x ** (-1))
    x = tc.tensor([1.0, 2.0, -3.0], requires_grad=True)
    found = []
    for _ in range(3):
        y = f(x)
        y.sum().backward()
        found.append(y)
    return [*found, x.grad]


@scenario
def zero_pow_grad(compiled):
    f = compiled(lambda x, y: (x**y).sum())
    x = tc.tensor([0.0, 2.0, 3.0], requires_grad=True)
    y = tc.tensor([0.0, 2.0, 0.0], requires_grad=True)
    with np.errstate(all="ignore"):
        for _ in range(3):
            f(x, y).backward()
    return [x.grad, y.grad]


@scenario
def prod_zero_grad(compiled):
    f = compiled(lambda x: x.prod())
    found = []
    for v in ([0.0, 2.0, 3.0], [1.0, 2.0, 3.0], [0.0, 0.0, 3.0]):
        x = tc.tensor(v, requires_grad=True)
        f(x).backward()
        found.append(x.grad)
    return found


@scenario(eagerly="an element of an array is written to")
def max_nan(compiled):
    f = compiled(
        lambda x: (
            x.max(axis=1),
            F.relu(x),
            x.clip(0, 1) if hasattr(x, "clip") else x,
            tc.maximum(x, 0.0),
        )
    )
    x = tc.tensor([[0.0, np.nan, 1.0], [2.0, 2.0, 1.0]], requires_grad=True)
    found = []
    for _ in range(3):
        r = f(x)
        sum(a.sum() for a in r).backward()
        found.append(r)
    return [*found, x.grad]


@scenario
def vjp_after_arg_change(compiled):
    f = compiled(lambda x, w: x * w)
    w = tensor(3, grad=True)
    x = tensor(3)
    y = f(x, w)
    y = f(x, w)
    y.sum().backward()
    return [w.grad]


@scenario
def detach_scalar(compiled):
    w = tc.tensor(2.0, requires_grad=True)
    f = compiled(lambda x: x * w.detach())
    found = [f(tensor(3)), f(tensor(3))]
    with tc.no_grad():
        w -= 1
    return [*found, f(tensor(3))]


@scenario
def detach_vector(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: (x * w.detach() + w).sum())
    found = [f(tensor(3)), f(tensor(3))]
    with tc.no_grad():
        w -= 1
    y = f(tensor(3))
    y.backward()
    return [*found, y, w.grad]


@scenario
def ret_same_grad(compiled):

    def f(x):
        y = x * 2
        return (y, y + 1)

    x = tensor(3, grad=True)
    f = compiled(f)
    a, b = f(x)
    (a * b).sum().backward()
    return [x.grad, a.is_leaf]


@scenario
def grad_shared_loss(compiled):
    a = tensor(3, grad=True)
    b = tensor(3, grad=True)
    f = compiled(lambda x: ((a + b) * x).sum())
    for _ in range(3):
        a.grad = None
        b.grad = None
        f(tensor(3)).backward()
        a.grad.data[0] = 77
    return [b.grad, a.grad]


@scenario
def copy_clone(compiled):

    def f(x):
        y = x.clone()
        return (y, x.detach())

    f = compiled(f)
    x = tensor(3, grad=True)
    a, b = f(x)
    a, b = f(x)
    a.data[0] = 9
    a.sum().backward()
    return [x, x.grad, a, b]


@scenario
def detach_alias(compiled):
    f = compiled(lambda x: x.detach())
    x = tensor(3, grad=True)
    y = f(x)
    y = f(x)
    return [y.requires_grad, y]


@scenario
def einsum_etc(compiled):
    w = tensor(3, 4, grad=True)
    f = compiled(lambda x: tc.einsum("ij,kj->ik", x, w).std() + tc.logsumexp(x @ w.T, axis=1).sum())
    found = []
    for _ in range(3):
        y = f(tensor(2, 4))
        y.backward()
        found.append(y)
    return [*found, w.grad]


@scenario
def clamp_where(compiled):
    f = compiled(lambda x: (tc.clip(x, -1, 1), tc.where(x > 0, x, 0.0), tc.maximum(x, 0.5)))
    x = tensor(5, grad=True)
    found = []
    for _ in range(3):
        a, b, d = f(x)
        (a + b * d).sum().backward()
        found.append((a, b, d))
    return [*found, x.grad]


@scenario
def index_by_tensor(compiled):
    w = tensor(5, 3, grad=True)
    f = compiled(lambda i: w[i].sum())
    found = []
    for i in ([0, 1], [0, 1], [4, 4], [2, -1]):
        y = f(tc.tensor(np.array(i)))
        y.backward()
        found.append(y)
    return [*found, w.grad]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", scenario.functions)
def test_compiled_is_as_written(name, executor):
    scenario.check(name, executor)
