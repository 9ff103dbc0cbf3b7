"""Compiled training steps: gradients kept, optimisers, schedules, clipping.

Each scenario runs once as it is written and once compiled; all that can be seen must be the same.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import EXECUTORS, Scenarios, state, tensor
from tinygrad_cnn import nn, optim

scenario = Scenarios()


@scenario
def two_steps(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.SGD(m.parameters(), lr=0.1)

    def s(x):
        for _ in range(2):
            opt.zero_grad()
            loss = (m(x) ** 2).sum()
            loss.backward()
            opt.step()
        return loss

    f = compiled(s)
    return [f(tensor(2, 4)) for _ in range(4)] + [state(m)]


@scenario
def two_opts(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    n = nn.Linear(3, 2)
    o1 = optim.SGD(m.parameters(), lr=0.1)
    o2 = optim.Adam(n.parameters(), lr=0.1)

    def s(x):
        o1.zero_grad()
        o2.zero_grad()
        loss = (n(m(x)) ** 2).sum()
        loss.backward()
        o1.step()
        o2.step()
        return loss

    f = compiled(s)
    return [f(tensor(2, 4)) for _ in range(4)] + [state(m), state(n)]


@scenario
def gan(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    n = nn.Linear(3, 1)
    o1 = optim.SGD(m.parameters(), lr=0.1)
    o2 = optim.Adam(n.parameters(), lr=0.1)

    def s(x):
        o2.zero_grad()
        loss = (n(m(x).detach()) ** 2).sum()
        loss.backward()
        o2.step()
        o1.zero_grad()
        l2 = -n(m(x)).sum()
        l2.backward()
        o1.step()
        return (loss, l2)

    f = compiled(s)
    return [f(tensor(2, 4)) for _ in range(4)] + [state(m), state(n)]


@scenario
def grad_read_return(compiled):
    w = tensor(3, grad=True)

    def s(x):
        w.grad = None
        ((w * x) ** 2).sum().backward()
        return w.grad

    f = compiled(s)
    k = [f(tensor(3, seed=i)) for i in range(4)]
    return [*k, w.grad]


@scenario
def grad_returned_is(compiled):
    w = tensor(3, grad=True)

    def s(x):
        w.grad = None
        ((w * x) ** 2).sum().backward()
        return w.grad

    f = compiled(s)
    f(tensor(3))
    g = f(tensor(3))
    return [g is w.grad]


@scenario(eagerly="a gradient is kept from before, and the function reads it")
def grad_keep(compiled):
    w = tensor(3, grad=True)

    def s(x):
        ((w * x) ** 2).sum().backward()
        return w.grad.sum()

    f = compiled(s)
    return [f(tensor(3, seed=i)) for i in range(4)] + [w.grad]


@scenario
def enable_step(compiled):
    w = tensor(3, grad=True)

    def f(x):
        with tc.enable_grad():
            (w * x).sum().backward()

    f = compiled(f)
    with tc.no_grad():
        f(tensor(3))
        f(tensor(3))
    return [w.grad]


@scenario
def kw_lr(compiled):
    w = tensor(3, grad=True)

    def s(x, lr):
        w.grad = None
        loss = (w * x).sum()
        loss.backward()
        with tc.no_grad():
            w.__isub__(lr * w.grad)
        return loss.item()

    f = compiled(s)
    return [f(tensor(3), 0.1 / (i + 1)) for i in range(5)] + [w]


@scenario
def opt_nesterov_switch(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.SGD(m.parameters(), lr=0.1, momentum=0.9)

    def s(x):
        opt.zero_grad()
        loss = (m(x) ** 2).mean()
        loss.backward()
        opt.step()
        return loss.item()

    f = compiled(s)
    found = [f(tensor(2, 4)) for _ in range(3)]
    opt.param_groups[0]["nesterov"] = True
    found += [f(tensor(2, 4)) for _ in range(2)]
    opt.param_groups[0]["weight_decay"] = 0.5
    found += [f(tensor(2, 4)) for _ in range(2)]
    opt.param_groups[0]["lr"] = 0.001
    found += [f(tensor(2, 4)) for _ in range(2)]
    return [*found, state(m)]


@scenario
def opt_state_load(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.Adam(m.parameters(), lr=0.1)

    def s(x):
        opt.zero_grad()
        loss = (m(x) ** 2).mean()
        loss.backward()
        opt.step()
        return loss.item()

    f = compiled(s)
    found = [f(tensor(2, 4)) for _ in range(3)]
    sd = copy.deepcopy(opt.state_dict())
    found += [f(tensor(2, 4)) for _ in range(3)]
    opt.load_state_dict(sd)
    found += [f(tensor(2, 4)) for _ in range(3)]
    opt.param_groups[0]["lr"] = 0.5
    found += [f(tensor(2, 4)) for _ in range(3)]
    return [*found, state(m)]


@scenario
def opt_add_group(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    n = nn.Linear(3, 2)
    opt = optim.Adam(m.parameters(), lr=0.1)

    def s(x):
        opt.zero_grad()
        loss = (n(m(x)) ** 2).mean()
        loss.backward()
        opt.step()
        return loss.item()

    f = compiled(s)
    found = [f(tensor(2, 4)) for _ in range(3)]
    opt.add_param_group({"params": list(n.parameters())})
    found += [f(tensor(2, 4)) for _ in range(3)]
    return [*found, state(m), state(n)]


@scenario
def opt_all(compiled):
    found = []
    for cls in ("SGD", "Adagrad", "RMSprop", "Adam", "AdamW", "Adadelta"):
        for kw in ({}, {"weight_decay": 0.1}):
            tc.manual_seed(0)
            m = nn.Linear(4, 3)
            opt = getattr(optim, cls)(m.parameters(), lr=0.05, **kw)

            def s(x, opt=opt, m=m):
                opt.zero_grad()
                loss = (m(x) ** 2).mean()
                loss.backward()
                opt.step()
                return loss.item()

            f = compiled(s)
            found.append([f(tensor(2, 4)) for _ in range(4)])
            found.append(state(m))
            found.append([[np.array(v) for v in st.values()] for st in opt.state.values()])
    return found


@scenario
def opt_accum(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.SGD(m.parameters(), lr=0.1)

    def a(x):
        loss = (m(x) ** 2).mean()
        loss.backward()
        return loss.item()

    def b():
        opt.step()
        opt.zero_grad()

    a, b = (compiled(a), compiled(b))
    found = []
    for _ in range(3):
        found += [a(tensor(2, 4)), a(tensor(2, 4, seed=3))]
        b()
    return [*found, state(m)]


@scenario
def opt_replaced(compiled):

    class Tr:
        pass

    t = Tr()
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    t.opt = optim.SGD(m.parameters(), lr=0.1)

    def s(x):
        t.opt.zero_grad()
        loss = (m(x) ** 2).mean()
        loss.backward()
        t.opt.step()
        return loss.item()

    f = compiled(s)
    found = [f(tensor(2, 4)) for _ in range(3)]
    t.opt = optim.Adam(m.parameters(), lr=0.5)
    found += [f(tensor(2, 4)) for _ in range(3)]
    return [*found, state(m)]


@scenario
def opt_arg(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.SGD(m.parameters(), lr=0.1)

    def s(m, opt, x):
        opt.zero_grad()
        loss = (m(x) ** 2).mean()
        loss.backward()
        opt.step()
        return loss.item()

    f = compiled(s)
    found = [f(m, opt, tensor(2, 4)) for _ in range(3)]
    opt.param_groups[0]["lr"] = 0.5
    return [*found, f(m, opt, tensor(2, 4)), state(m)]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", scenario.functions)
def test_compiled_is_as_written(name, executor):
    scenario.check(name, executor)
