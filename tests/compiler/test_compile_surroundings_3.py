"""What a compiled function reads and changes around it: numbers, lists, objects, modules.

Each scenario runs once as it is written and once compiled; all that can be seen must be the same.
"""

from __future__ import annotations

import collections
import functools
import weakref

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import EXECUTORS, Net, Scenarios, state, tensor, values
from tinygrad_cnn import nn

scenario = Scenarios()


@scenario(eagerly="it changes 'd'")
def deque_state(compiled):
    d = collections.deque([1.0, 2.0, 3.0])

    def f(x):
        d.rotate(1)
        return x * d[0]

    f = compiled(f)
    return [f(tensor(3)) for _ in range(5)] + [list(d)]


@scenario
def cache_fn(compiled):
    k = [2.0]

    @functools.lru_cache
    def h(n):
        return k[0] * n

    f = compiled(lambda x: x * h(3))
    return [f(tensor(3)), f(tensor(3))]


@scenario
def weakdict(compiled):
    m = nn.Linear(3, 3)
    r = weakref.ref(m)
    tc.manual_seed(0)
    m.weight.data[...] = values(3, 3)
    m.bias.data[...] = 0
    f = compiled(lambda x: r()(x))
    return [f(tensor(2, 3)), f(tensor(2, 3))]


@scenario
def closure_late(compiled):
    f = compiled(lambda x: x * late)
    late = 2.0
    found = [f(tensor(3)), f(tensor(3))]
    late = 3.0
    return [*found, f(tensor(3))]


@scenario
def custom_prim(compiled):
    p = tc.primitive(
        "my_soft",
        forward=lambda x: np.logaddexp(0.0, x),
        vjps=(lambda g, ans, x: g * tc.sigmoid(x),),
    )
    f = compiled(lambda x: p(x).sum())
    x = tensor(3, grad=True)
    found = []
    for _ in range(3):
        y = f(x)
        y.backward()
        found.append(y)
    return [*found, x.grad]


@scenario
def custom_prim_global(compiled):
    k = [2.0]
    p = tc.primitive("my_scale", forward=lambda x: x * k[0], vjps=(lambda g, ans, x: g * k[0],))
    f = compiled(lambda x: p(x).sum())
    x = tensor(3, grad=True)
    found = []
    for _ in range(3):
        y = f(x)
        y.backward()
        found.append(y)
    k[0] = 7.0
    y = f(x)
    y.backward()
    return [*found, y, x.grad]


@scenario
def param_replaced(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    f = compiled(lambda x: m(x).sum())
    found = [f(tensor(2, 4)), f(tensor(2, 4))]
    m.weight = nn.Parameter(values(3, 4))
    y = f(tensor(2, 4))
    y.backward()
    return [*found[:0], y, m.weight.grad]


@scenario
def submodule_replaced(compiled):
    m = nn.Sequential(nn.Linear(4, 3))
    f = compiled(lambda x: m(x).sum())
    (f(tensor(2, 4)), f(tensor(2, 4)))
    tc.manual_seed(0)
    m[0] = nn.Linear(4, 3)
    y = f(tensor(2, 4))
    y.backward()
    return [y, state(m)]


@scenario
def module_appended(compiled):
    tc.manual_seed(0)
    m = nn.Sequential(nn.Linear(4, 3))
    f = compiled(lambda x: m(x).sum())
    found = [f(tensor(2, 4)), f(tensor(2, 4))]
    m.append(nn.ReLU())
    y = f(tensor(2, 4))
    y.backward()
    return [*found, y, state(m)]


@scenario
def cast(compiled):
    tc.manual_seed(0)
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    f = compiled(lambda x: m(x).sum())
    found = [f(tensor(2, 4)), f(tensor(2, 4))]
    m.double()
    y = f(tensor(2, 4))
    y.backward()
    found += [y, state(m)]
    m.float()
    y = f(tensor(2, 4))
    y.backward()
    return [*found, y, state(m)]


@scenario
def load_state(compiled):
    tc.manual_seed(0)
    m = Net()
    f = compiled(lambda x: m(x).sum())
    sd = m.state_dict()
    found = [f(tensor(2, 4)), f(tensor(2, 4))]
    m.load_state_dict({k: v * 2 for k, v in sd.items()})
    return [*found, f(tensor(2, 4)), state(m)]


@scenario
def requires_grad_inside(compiled):
    w = tensor(3, grad=True)

    def f(x):
        return x * 2 if w.requires_grad else x * 3

    f = compiled(f)
    found = [f(tensor(3)), f(tensor(3))]
    w.requires_grad = False
    return [*found, f(tensor(3))]


@scenario(eagerly="a module has hooks, which may do anything")
def hooks(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    L = []
    f = compiled(lambda x: m(x).sum())
    found = [f(tensor(2, 4)), f(tensor(2, 4))]
    h = m.register_forward_hook(lambda *a: L.append(1))
    found.append(f(tensor(2, 4)))
    found.append(f(tensor(2, 4)))
    h.remove()
    found.append(f(tensor(2, 4)))
    return [*found, L]


@scenario(eagerly="Net.training is set")
def module_mode_inside(compiled):
    m = Net(p=0.0)

    def f(x):
        m.eval()
        y = m(x)
        m.train()
        return y

    f = compiled(f)
    return [f(tensor(3, 4)), f(tensor(3, 4)), f(tensor(3, 4)), state(m), m.training]


@scenario(eagerly="momentum=None counts batches in Python")
def model_train_eval(compiled):
    m = Net()
    f = compiled(m)
    found = []
    for _i in range(3):
        m.train()
        found.append(f(tensor(8, 4)))
        m.eval()
        found.append(f(tensor(8, 4)))
    found.append(state(m))
    m.train()
    m.bn.eval()
    found.append(f(tensor(8, 4)))
    m.drop.p = 0.1
    found.append(f(tensor(8, 4)))
    m.bn.train()
    m.bn.momentum = 0.5
    found.append(f(tensor(8, 4)))
    m.bn.momentum = None
    found.append(f(tensor(8, 4)))
    found.append(f(tensor(8, 4)))
    m.scale = 3.0
    found.append(f(tensor(8, 4)))
    return [*found, state(m)]


@scenario
def frozen(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    f = compiled(lambda x: m(x).sum())
    found = []

    def run():
        m.zero_grad()
        y = f(tensor(2, 4))
        if y.requires_grad:
            y.backward()
        found.append((y, state(m)))

    run()
    run()
    m.weight.requires_grad = False
    run()
    run()
    m.bias.requires_grad = False
    run()
    m.weight.requires_grad = True
    run()
    run()
    return found


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", scenario.functions)
def test_compiled_is_as_written(name, executor):
    scenario.check(name, executor)
