"""What a compiled function reads and changes around it: numbers, lists, objects, modules.

Each scenario runs once as it is written and once compiled; all that can be seen must be the same.
"""

from __future__ import annotations

import dataclasses
import types

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import EXECUTORS, Scenarios, tensor, values
from tinygrad_cnn import nn, optim

scenario = Scenarios()


SCALE = 2.0


class GNet(nn.Module):
    def forward(self, x):
        return x * SCALE


class Cfg:
    alpha = 2.0

    def mul(self, x):
        return x * self.alpha * SCALE


class Slots:
    __slots__ = ("a",)


class Trainer:
    def __init__(self):
        tc.manual_seed(0)
        self.m = nn.Linear(4, 3)
        self.opt = optim.SGD(self.m.parameters(), lr=0.1)
        self.k = 2.0
        self.steps = 0

    def step(self, x):
        self.opt.zero_grad()
        loss = (self.m(x) * self.k).sum()
        loss.backward()
        self.opt.step()
        return loss

    def counted(self, x):
        self.steps += 1
        return self.m(x) * self.steps


@scenario
def global_number(compiled):
    global SCALE
    SCALE = 2.0
    f = compiled(lambda x: x * SCALE)
    found = [f(tensor(3)), f(tensor(3))]
    SCALE = 5.0
    found += [f(tensor(3))]
    SCALE = 2.0
    return [*found, f(tensor(3))]


@scenario
def global_in_forward(compiled):
    global SCALE
    SCALE = 2.0
    m = GNet()
    f = compiled(lambda x: m(x))
    found = [f(tensor(3)), f(tensor(3))]
    SCALE = 5.0
    found += [f(tensor(3))]
    SCALE = 2.0
    return found


@scenario
def closed_list(compiled):
    k = [2.0]
    f = compiled(lambda x: x * k[0])
    found = [f(tensor(3)), f(tensor(3))]
    k[0] = 3.0
    return [*found, f(tensor(3))]


@scenario
def closed_dict(compiled):
    k = {"a": 2.0}
    f = compiled(lambda x: x * k["a"])
    found = [f(tensor(3)), f(tensor(3))]
    k["a"] = 3.0
    return [*found, f(tensor(3))]


@scenario
def closed_nested(compiled):
    k = {"a": [{"b": 2.0}]}
    f = compiled(lambda x: x * k["a"][0]["b"])
    found = [f(tensor(3)), f(tensor(3))]
    k["a"][0]["b"] = 3.0
    return [*found, f(tensor(3))]


@scenario
def class_attr(compiled):
    Cfg.alpha = 2.0
    g = Cfg()
    f = compiled(lambda x: x * g.alpha)
    found = [f(tensor(3)), f(tensor(3))]
    Cfg.alpha = 3.0
    found += [f(tensor(3))]
    Cfg.alpha = 2.0
    return found


@scenario
def class_direct(compiled):
    Cfg.alpha = 2.0
    f = compiled(lambda x: x * Cfg.alpha)
    found = [f(tensor(3)), f(tensor(3))]
    Cfg.alpha = 3.0
    found += [f(tensor(3))]
    Cfg.alpha = 2.0
    return found


@scenario
def method_global(compiled):
    global SCALE
    SCALE = 2.0
    g = Cfg()
    f = compiled(g.mul)
    found = [f(tensor(3)), f(tensor(3))]
    SCALE = 4.0
    found += [f(tensor(3))]
    SCALE = 2.0
    g.alpha = 7.0
    return [*found, f(tensor(3))]


@scenario
def obj_arg(compiled):
    g = Cfg()
    g.alpha = 2.0
    f = compiled(lambda thing, x: x * thing.alpha)
    found = [f(g, tensor(3)), f(g, tensor(3))]
    g.alpha = 3.0
    return [*found, f(g, tensor(3))]


@scenario
def default_arg(compiled):

    def f(x, k=[2.0]):  # noqa: B006 the point of it
        return x * k[0]

    d = f.__defaults__[0]
    g = compiled(f)
    found = [g(tensor(3)), g(tensor(3))]
    d[0] = 3.0
    return [*found, g(tensor(3))]


@scenario
def slots_obj(compiled):
    g = Slots()
    g.a = 2.0
    f = compiled(lambda x: x * g.a)
    found = [f(tensor(3)), f(tensor(3))]
    g.a = 3.0
    return [*found, f(tensor(3))]


@scenario
def prop_obj(compiled):

    @dataclasses.dataclass
    class D:
        a: float = 2.0

    g = D()
    f = compiled(lambda x: x * g.a)
    found = [f(tensor(3)), f(tensor(3))]
    g.a = 3.0
    return [*found, f(tensor(3))]


@scenario
def user_module(compiled):
    cfg = types.ModuleType("cfg")
    cfg.a = 2.0
    f = compiled(lambda x: x * cfg.a)
    found = [f(tensor(3)), f(tensor(3))]
    cfg.a = 3.0
    return [*found, f(tensor(3))]


@scenario
def closed_array(compiled):
    k = np.array([1.0, 2.0, 3.0])
    f = compiled(lambda x: x * k)
    found = [f(tensor(3)), f(tensor(3))]
    k[0] = 30.0
    return [*found, f(tensor(3))]


@scenario
def closed_array_numpy(compiled):
    k = np.array([1.0, 2.0, 3.0])
    f = compiled(lambda x: x * np.abs(k).sum())
    found = [f(tensor(3)), f(tensor(3))]
    k[0] = 30.0
    return [*found, f(tensor(3))]


@scenario
def closed_array_rebound(compiled):
    k = np.array([1.0, 2.0, 3.0])
    f = compiled(lambda x: x * k)
    found = [f(tensor(3)), f(tensor(3))]
    k = k * 2
    return [*found, f(tensor(3))]


@scenario
def closed_tensor_rebound(compiled):
    k = tensor(3, grad=True)
    f = compiled(lambda x: x * k)
    found = [f(tensor(3)), f(tensor(3))]
    k = tc.tensor(values(3) * 5, requires_grad=True)
    y = f(tensor(3))
    y.sum().backward()
    return [*found, y, k.grad]


@scenario
def method(compiled):
    t = Trainer()
    f = compiled(t.step)
    found = [f(tensor(2, 4)) for _ in range(3)]
    t.k = 3.0
    found += [f(tensor(2, 4)) for _ in range(3)]
    t.m = nn.Linear(4, 3)
    t.m.weight.data[...] = 0.5
    t.m.bias.data[...] = 0
    found += [f(tensor(2, 4)) for _ in range(3)]
    return found


@scenario(eagerly="it changes 'steps'")
def method_counted(compiled):
    t = Trainer()
    f = compiled(t.counted)
    found = [f(tensor(2, 4)) for _ in range(4)]
    return [*found, t.steps]


@scenario
def method_decorated(compiled):

    class A:
        def __init__(self, k):
            self.k = k

        @compiled
        def f(self, x):
            return x * self.k

    a, b = (A(2.0), A(3.0))
    found = [a.f(tensor(3)), b.f(tensor(3)), a.f(tensor(3))]
    a.k = 9.0
    return [*found, a.f(tensor(3)), a.f(tensor(3))]


@scenario
def module_forward_decorated(compiled):

    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(values(3))

        @compiled
        def forward(self, x):
            return x * self.w

    m = M()
    for _ in range(3):
        m(tensor(3)).sum().backward()
    return [m.w.grad]


@scenario
def fn_many_inner(compiled):

    def inner(k):
        return lambda x: x * k

    g = inner(2.0)
    f = compiled(lambda x: g(x))
    found = [f(tensor(3)), f(tensor(3))]
    g = inner(5.0)
    return [*found, f(tensor(3))]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", scenario.functions)
def test_compiled_is_as_written(name, executor):
    scenario.check(name, executor)
