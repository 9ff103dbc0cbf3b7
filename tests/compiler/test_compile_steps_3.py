"""Compiled training steps: gradients kept, optimisers, schedules, clipping.

Each scenario runs once as it is written and once compiled; all that can be seen must be the same.
"""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import EXECUTORS, Scenarios, state, tensor, values
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn, optim

scenario = Scenarios()


@scenario(eagerly="it changes 'lr'")
def lr_of_group_inside(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.SGD(m.parameters(), lr=0.1)

    def s(x, k):
        for g in opt.param_groups:
            g["lr"] = 0.1 * k
        opt.zero_grad()
        loss = (m(x) ** 2).mean()
        loss.backward()
        opt.step()
        return loss.item()

    f = compiled(s)
    return [
        f(tensor(2, 4), 1.0),
        f(tensor(2, 4), 1.0),
        f(tensor(2, 4), 0.1),
        f(tensor(2, 4), 0.1),
        f(tensor(2, 4), 1.0),
        state(m),
        opt.param_groups[0]["lr"],
    ]


@scenario(eagerly=".grad is read where this call has not computed it")
def clip_then_returned(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.SGD(m.parameters(), lr=0.1)

    def s(x):
        opt.zero_grad()
        loss = (m(x) ** 2).mean()
        loss.backward()
        n = optim.clip_grad_norm_(m.parameters(), 0.05)
        opt.step()
        return (loss.item(), n, m.weight.grad)

    f = compiled(s)
    return [f(tensor(2, 4)) for _ in range(4)] + [state(m)]


@scenario
def clip_fixed_gen(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.SGD(m.parameters(), lr=0.1)

    def s(x):
        opt.zero_grad()
        loss = (m(x) ** 2).mean()
        loss.backward()
        optim.clip_grad_norm_(parameters=m.parameters(), max_norm=0.05)
        opt.step()
        return loss.item()

    f = compiled(s)
    return [f(tensor(2, 4)) for _ in range(4)] + [state(m)]


@scenario
def ignored_error_mid(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.SGD(m.parameters(), lr=0.1)
    found = []

    def s(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(m(x), y)
        loss.backward()
        opt.step()
        return loss.item()

    f = compiled(s)
    for y in ([0, 1], [0, 1], [0, 9], [0, 1], [1, 2]):
        try:
            found.append(f(tensor(2, 4, dtype=np.float32), np.array(y)))
        except Exception as e:
            found.append(type(e).__name__)
        found.append(state(m))
    return found


@scenario
def weight_decay_groups(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.SGD([{"params": [m.weight], "weight_decay": 0.1}, {"params": [m.bias]}], lr=0.1)

    def s(x):
        opt.zero_grad()
        loss = (m(x) ** 2).sum()
        loss.backward()
        opt.step()
        return loss

    f = compiled(s)
    found = [f(tensor(2, 4)) for _ in range(3)]
    opt.param_groups[0]["lr"] = 0.01
    return [*found, f(tensor(2, 4)), f(tensor(2, 4)), state(m)]


@scenario
def batches(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.SGD(m.parameters(), lr=0.1, momentum=0.9)

    def s(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(m(x), y)
        loss.backward()
        opt.step()
        return loss.item()

    f = compiled(s)
    return [f(tensor(n, 4, dtype=np.float32), np.arange(n) % 3) for n in (8, 8, 3, 8, 3, 1, 8)] + [
        state(m)
    ]


@scenario(eagerly="retain_grad() in a compiled function")
def retain(compiled):
    w = tensor(3, grad=True)

    def s(x):
        y = w * x
        y.retain_grad()
        y.sum().backward()
        return y.grad

    f = compiled(s)
    return [f(tensor(3)) for _ in range(3)]


@scenario(eagerly="the function assigns to .grad of a Tensor")
def assign_grad(compiled):
    w = tensor(3, grad=True)

    def s(x):
        w.grad = x * 2
        return x

    f = compiled(s)
    [f(tensor(3)) for _ in range(3)]
    return [w.grad]


@scenario
def backward_seed(compiled):
    w = tensor(3, grad=True)

    def s(x, g):
        w.grad = None
        (w * x).backward(g)
        return w.grad

    f = compiled(s)
    return [f(tensor(3), tensor(3)), f(tensor(3), values(3)), f(tensor(3), tensor(3, seed=4))]


@scenario
def shared_grad_none(compiled):
    a = tensor(3, grad=True)
    b = tensor(3, grad=True)

    def s(x):
        (a * x).sum().backward()

    f = compiled(s)
    f(tensor(3))
    f(tensor(3))
    return [a.grad, b.grad]


@scenario(eagerly="an array of the function's values was asked for")
def ema(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    e = [np.array(p.data) for p in m.parameters()]

    def s(x):
        loss = m(x).sum()
        for a, p in zip(e, m.parameters(), strict=False):
            a *= 0.9
            a += 0.1 * p.numpy()
        return loss

    f = compiled(s)
    return [f(tensor(2, 4)) for _ in range(4)] + e


@scenario
def grads_kept(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    k = []

    def s(x):
        m.zero_grad()
        loss = (m(x) ** 2).sum()
        loss.backward()
        return loss

    f = compiled(s)
    for i in range(6):
        f(tensor(2, 4, seed=i))
        k.append(m.weight.grad)
        k.append(m.bias.grad.data[1:])
    return k


@scenario
def grads_shared(compiled):
    a = tensor(3, grad=True)
    b = tensor(3, grad=True)

    def s(x):
        ((a + b) * x).sum().backward()

    f = compiled(s)
    f(tensor(3))
    a.grad.data[0] = 77
    r = [np.array(b.grad.data)]
    a.grad = None
    b.grad = None
    f(tensor(3))
    a.grad.data[0] = 77
    return [*r, b.grad]


@scenario
def grad_is_input(compiled):
    a = tensor(3, grad=True)

    def s(x):
        (a * x).sum().backward()

    f = compiled(s)
    x = tensor(3)
    f(x)
    a.grad.data[0] = 77
    r = [np.array(x.data)]
    f(x)
    return [*r, x, a.grad]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", scenario.functions)
def test_compiled_is_as_written(name, executor):
    scenario.check(name, executor)
