"""Compiled training steps: gradients kept, optimisers, schedules, clipping.

Each scenario runs once as it is written and once compiled; all that can be seen must be the same.
"""

from __future__ import annotations

import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import EXECUTORS, Scenarios, state, tensor
from tinygrad_cnn import nn, optim

scenario = Scenarios()


@scenario
def frozen_step(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.SGD(m.parameters(), lr=0.1, momentum=0.9)
    found = []

    def step(x):
        opt.zero_grad()
        loss = (m(x) ** 2).sum()
        loss.backward()
        opt.step()
        return loss

    f = compiled(step)

    def run():
        found.append((f(tensor(2, 4)), state(m)))

    run()
    run()
    m.weight.requires_grad = False
    run()
    run()
    m.weight.requires_grad = True
    run()
    run()
    return found


@scenario
def arg_grad_step(compiled):
    w = tensor(3, grad=True)

    def step(x):
        loss = (w * x).sum()
        loss.backward()
        return loss

    f = compiled(step)
    found = []
    x = tensor(3, grad=True)
    found.append(f(x))
    found.append(f(x))
    f(tensor(3))
    return [*found, x.grad, w.grad]


@scenario(eagerly="backward goes on into the graph of an argument")
def arg_grad_step_nonleaf(compiled):
    w = tensor(3, grad=True)

    def step(x):
        loss = (w * x).sum()
        loss.backward()
        return loss

    f = compiled(step)
    found = []
    x = tensor(3, grad=True)
    for _ in range(3):
        z = x * 2
        found.append(f(z))
    return [*found, x.grad, w.grad]


@scenario
def arg_also_closed_step(compiled):
    w = tensor(3, grad=True)

    def s(x):
        (x * w * w).sum().backward()

    f = compiled(s)
    f(w)
    f(w)
    f(w)
    return [w.grad]


@scenario
def accumulate(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)

    def s(x):
        loss = (m(x) ** 2).sum()
        loss.backward()
        return loss

    f = compiled(s)
    found = [f(tensor(2, 4, seed=i)) for i in range(4)]
    return [*found, state(m)]


@scenario
def two_backward(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)

    def s(x):
        loss = (m(x) ** 2).sum()
        loss.backward(retain_graph=True)
        loss.backward()
        return loss

    f = compiled(s)
    found = [f(tensor(2, 4, seed=i)) for i in range(4)]
    return [*found, state(m)]


@scenario
def two_backward_noretain(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)

    def s(x):
        loss = (m(x) ** 2).sum()
        loss.backward()
        loss.backward()
        return loss

    f = compiled(s)
    found = []
    for _i in range(3):
        try:
            found.append(f(tensor(2, 4)))
        except Exception as e:
            found.append(type(e).__name__ + str(e))
    return [*found, state(m)]


@scenario
def clip_used(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.Adam(m.parameters(), lr=0.1)

    def s(x):
        opt.zero_grad()
        loss = (m(x) ** 2).sum()
        loss.backward()
        n = optim.clip_grad_norm_(m.parameters(), 0.1)
        opt.step()
        return (loss, n)

    f = compiled(s)
    return [f(tensor(2, 4)) for _ in range(4)] + [state(m)]


@scenario(eagerly="Python needs what an action such as clip_grad_norm_ returns")
def clip_log(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.Adam(m.parameters(), lr=0.1)

    def s(x):
        opt.zero_grad()
        loss = (m(x) ** 2).sum()
        loss.backward()
        n = optim.clip_grad_norm_(m.parameters(), 0.1)
        if n > 0.2:
            opt.step()
        return loss

    f = compiled(s)
    return [f(tensor(2, 4)) for _ in range(4)] + [state(m)]


@scenario
def sched(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.SGD(m.parameters(), lr=0.1)
    sch = optim.StepLR(opt, 2, 0.5)

    def s(x):
        opt.zero_grad()
        loss = (m(x) ** 2).sum()
        loss.backward()
        opt.step()
        sch.step()
        return loss

    f = compiled(s)
    return [f(tensor(2, 4)) for _ in range(6)] + [
        state(m),
        opt.param_groups[0]["lr"],
        sch.last_epoch,
    ]


@scenario(eagerly="it reads 'param_groups' of an optimiser or schedule")
def sched_lr_returned(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.SGD(m.parameters(), lr=0.1)
    sch = optim.StepLR(opt, 2, 0.5)

    def s(x):
        opt.zero_grad()
        loss = (m(x) ** 2).sum()
        loss.backward()
        opt.step()
        sch.step()
        return (loss, opt.param_groups[0]["lr"])

    f = compiled(s)
    return [f(tensor(2, 4)) for _ in range(6)] + [state(m)]


@scenario(eagerly="it changes 'lr'")
def lr_manual(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    lr = [0.1]

    def s(x):
        m.zero_grad()
        loss = (m(x) ** 2).sum()
        loss.backward()
        with tc.no_grad():
            for p in m.parameters():
                p -= lr[0] * p.grad
        lr[0] *= 0.9
        return loss

    f = compiled(s)
    return [f(tensor(2, 4)) for _ in range(6)] + [state(m), lr]


@scenario
def manual_sgd(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)

    def s(x):
        m.zero_grad()
        loss = (m(x) ** 2).sum()
        loss.backward()
        with tc.no_grad():
            for p in m.parameters():
                p -= 0.1 * p.grad
        return loss

    f = compiled(s)
    return [f(tensor(2, 4)) for _ in range(6)] + [state(m)]


@scenario(eagerly="it calls backward and returns a Tensor that could be differentiated")
def manual_sgd_order(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)

    def s(x):
        m.zero_grad()
        loss = (m(x) ** 2).sum()
        loss.backward()
        with tc.no_grad():
            for p in m.parameters():
                p -= 0.1 * p.grad
        return m(x).sum()

    f = compiled(s)
    return [f(tensor(2, 4)) for _ in range(6)] + [state(m)]


@scenario
def zero_grad_last(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    opt = optim.SGD(m.parameters(), lr=0.1)

    def s(x):
        loss = (m(x) ** 2).sum()
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    f = compiled(s)
    return [f(tensor(2, 4)) for _ in range(6)] + [state(m)]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", scenario.functions)
def test_compiled_is_as_written(name, executor):
    scenario.check(name, executor)
