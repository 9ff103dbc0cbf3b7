"""Random numbers and running statistics of compiled functions.

Each scenario runs once as it is written and once compiled; all that can be seen must be the same.
"""

from __future__ import annotations

import random

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import EXECUTORS, Net, Scenarios, state, tensor
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn, optim

scenario = Scenarios()


@scenario(eagerly="it draws random numbers by itself")
def generator_own(compiled):
    g = np.random.default_rng(3)
    f = compiled(lambda x: x * g.random())
    found = [f(tensor(3)) for _ in range(4)]
    return [*found, g.random()]


@scenario(eagerly="it draws random numbers by itself")
def generator_own_array(compiled):
    g = np.random.default_rng(3)
    f = compiled(lambda x: x * g.random(3))
    found = [f(tensor(3)) for _ in range(4)]
    return [*found, g.random()]


@scenario(eagerly="it draws random numbers by itself")
def np_global_random(compiled):
    np.random.seed(0)  # noqa: NPY002
    f = compiled(lambda x: x * np.random.rand())  # noqa: NPY002
    found = [f(tensor(3)) for _ in range(4)]
    return [*found, np.random.rand()]  # noqa: NPY002


@scenario(eagerly="it draws random numbers by itself")
def np_global_random_arr(compiled):
    np.random.seed(0)  # noqa: NPY002
    f = compiled(lambda x: x + np.random.rand(3))  # noqa: NPY002
    found = [f(tensor(3)) for _ in range(4)]
    return [*found, np.random.rand()]  # noqa: NPY002


@scenario(eagerly="it draws random numbers by itself")
def py_random(compiled):
    random.seed(0)
    f = compiled(lambda x: x * random.random())
    found = [f(tensor(3)) for _ in range(4)]
    return [*found, random.random()]


@scenario(eagerly="it draws random numbers by itself")
def py_random_branch(compiled):
    random.seed(0)
    f = compiled(lambda x: x * 2 if random.random() < 0.5 else x * 3)
    found = [f(tensor(3)) for _ in range(9)]
    return [*found, random.random()]


@scenario
def tc_rand(compiled):
    tc.manual_seed(0)
    f = compiled(lambda x: x * tc.rand(3) + tc.randn(3))
    found = [f(tensor(3)) for _ in range(4)]
    return [*found, tc.rand(2)]


@scenario
def tc_generator_arg(compiled):
    g = np.random.default_rng(3)
    f = compiled(lambda x: x * tc.rand(3, generator=g))
    found = [f(tensor(3)) for _ in range(4)]
    return [*found, g.random()]


@scenario(eagerly="it draws random numbers by itself")
def default_gen_direct(compiled):
    tc.manual_seed(0)
    f = compiled(lambda x: x * tc.default_generator().random())
    found = [f(tensor(3)) for _ in range(4)]
    return [*found, tc.rand(2)]


@scenario(eagerly="it draws random numbers by itself")
def reseed_inside(compiled):

    def f(x):
        tc.manual_seed(1)
        return x * tc.rand(3)

    tc.manual_seed(0)
    f = compiled(f)
    found = [f(tensor(3)) for _ in range(4)]
    return [*found, tc.rand(2)]


@scenario
def randint_perm(compiled):
    tc.manual_seed(0)
    f = compiled(lambda x: F.dropout(x, 0.5))
    found = [f(tensor(30)) for _ in range(4)]
    return [*found, tc.rand(2)]


@scenario
def model_multi_out_dropout(compiled):
    tc.manual_seed(1)
    m = Net()
    f = compiled(m)
    found = []
    for _i in range(4):
        m.zero_grad()
        y = f(tensor(8, 4))
        F.cross_entropy(y, np.arange(8) % 3).backward()
        found.append((y, state(m)))
    return [*found, tc.rand(2)]


@scenario
def model_loss_dropout(compiled):
    tc.manual_seed(1)
    m = Net()
    f = compiled(lambda x, t: F.cross_entropy(m(x), t))
    found = []
    for _i in range(4):
        m.zero_grad()
        y = f(tensor(8, 4), np.arange(8) % 3)
        y.backward()
        found.append((y, state(m)))
    return [*found, tc.rand(2)]


@scenario
def model_two_outputs(compiled):
    m = Net()
    f = compiled(lambda x: (m(x).sum(), m(x * 2)))
    found = []
    for _i in range(3):
        m.zero_grad()
        a, b = f(tensor(8, 4))
        (a + (b * b).sum()).backward()
        found.append((a, b, state(m)))
    return [*found, tc.rand(2)]


@scenario
def gradgrad_dropout(compiled):
    tc.manual_seed(0)
    w = tensor(30, grad=True)
    f = compiled(lambda x: (F.dropout(w * x, 0.5) ** 3).sum())
    found = []
    for _i in range(3):
        [g] = tc.gradients(f(tensor(30)), [w], create_graph=True)
        (g**2).sum().backward()
        found.append(g)
    return [*found, w.grad, tc.rand(2)]


@scenario
def gradgrad_bn(compiled):
    m = Net()
    f = compiled(lambda x: (m(x) ** 2).sum())
    found = []
    for _i in range(3):
        m.zero_grad()
        [g] = tc.gradients(f(tensor(6, 4)), [m.l1.weight], create_graph=True)
        (g**2).sum().backward()
        found.append((g, state(m)))
    return [*found, tc.rand(2)]


@scenario(eagerly="momentum=None counts batches in Python")
def bn_momentum_none(compiled):
    tc.manual_seed(0)
    m = nn.BatchNorm1d(4, momentum=None)
    f = compiled(m)
    return [f(tensor(5, 4, seed=i)) for i in range(4)] + [state(m)]


@scenario
def bn_shared_twice(compiled):
    m = nn.BatchNorm1d(4)
    f = compiled(lambda x: m(m(x) * 2))
    return [f(tensor(5, 4, seed=i, dtype=np.float32)) for i in range(4)] + [state(m)]


@scenario
def bn_read_after(compiled):
    m = nn.BatchNorm1d(4)
    f = compiled(lambda x: (m(x), m.running_mean, m.running_mean * 1.0))
    r = [f(tensor(5, 4, seed=i, dtype=np.float32)) for i in range(4)]
    return [a for a, b, d in r] + [d for a, b, d in r] + [r[-1][1] is m.running_mean] + [state(m)]


@scenario
def bn_kept_buffers(compiled):
    m = nn.BatchNorm1d(4)
    f = compiled(m)
    k = []
    for i in range(4):
        f(tensor(5, 4, seed=i, dtype=np.float32))
        k.append(m.running_mean.data)
    return k


@scenario
def convnet_step(compiled):
    tc.manual_seed(0)
    m = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(64, 3),
    )
    opt = optim.SGD(m.parameters(), lr=0.05, momentum=0.9)

    def s(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(m(x), y)
        loss.backward()
        opt.step()
        return loss.item()

    f = compiled(s)
    found = [
        f(tensor(n, 2, 8, 8, dtype=np.float32), np.arange(n) % 3)
        for n in (6, 6, 6, 3, 6, 1 if False else 2)
    ]
    m.eval()
    g = compiled(lambda x: m(x))
    found += [
        g(tensor(5, 2, 8, 8, dtype=np.float32)),
        g(tensor(1, 2, 8, 8, dtype=np.float32)),
        g(tensor(1, 2, 8, 8, dtype=np.float32)),
    ]
    return [*found, m.state_dict(), tc.rand(2)]


@scenario
def convnet_model(compiled):
    tc.manual_seed(0)
    m = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(64, 3),
    )
    opt = optim.SGD(m.parameters(), lr=0.01)
    f = compiled(m)
    found = []
    for n in (6, 6, 6, 3, 6):
        opt.zero_grad()
        loss = F.cross_entropy(f(tensor(n, 2, 8, 8, dtype=np.float32)), np.arange(n) % 3)
        loss.backward()
        opt.step()
        found.append(loss)
    return [*found, state(m), tc.rand(2)]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", scenario.functions)
def test_compiled_is_as_written(name, executor):
    scenario.check(name, executor)
