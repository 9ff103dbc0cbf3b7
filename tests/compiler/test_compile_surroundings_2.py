"""What a compiled function reads and changes around it: numbers, lists, objects, modules.

Each scenario runs once as it is written and once compiled; all that can be seen must be the same.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools

import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import EXECUTORS, Scenarios, tensor

scenario = Scenarios()


SCALE = 2.0


COUNT = 0


class Cfg:
    alpha = 2.0

    def mul(self, x):
        return x * self.alpha * SCALE


@scenario
def partial_fn(compiled):
    k = [2.0]
    f = compiled(functools.partial(lambda k, x: x * k[0], k))
    found = [f(tensor(3)), f(tensor(3))]
    k[0] = 4.0
    return [*found, f(tensor(3))]


@scenario
def callable_obj(compiled):

    class A:
        k = 2.0

        def __call__(self, x):
            return x * self.k

    a = A()
    f = compiled(a)
    found = [f(tensor(3)), f(tensor(3))]
    a.k = 4.0
    return [*found, f(tensor(3))]


@scenario
def deep_chain(compiled):
    k = [2.0]

    def a(x):
        return x * k[0]

    def b(x):
        return a(x)

    def d(x):
        return b(x)

    def e(x):
        return d(x)

    def g(x):
        return e(x)

    def h(x):
        return g(x)

    f = compiled(lambda x: h(x))
    found = [f(tensor(3)), f(tensor(3))]
    k[0] = 4.0
    return [*found, f(tensor(3))]


@scenario(eagerly="a count outside of the function goes on in each call")
def env_time(compiled):
    it = itertools.count()
    f = compiled(lambda x: x * next(it))
    return [f(tc.ones(2)) for _ in range(4)]


@scenario
def tensor_in_list(compiled):
    ws = [tensor(3, grad=True), tensor(3, grad=True)]
    f = compiled(lambda x: sum((x * w).sum() for w in ws))
    found = [f(tensor(3)), f(tensor(3))]
    ws.append(tensor(3, grad=True))
    y = f(tensor(3))
    y.backward()
    ws[0] = tensor(3, seed=9, grad=True)
    y2 = f(tensor(3))
    y2.backward()
    return found + [y, y2] + [w.grad for w in ws]


@scenario(eagerly="it changes 'L'")
def append_list(compiled):
    L = []

    def f(x):
        L.append(1)
        return x * 2

    f = compiled(f)
    found = [f(tensor(3)) for _ in range(4)]
    return [*found, list(L)]


@scenario(eagerly="it changes 'L'")
def append_loss(compiled):
    L = []

    def f(x):
        y = (x * 2).sum()
        L.append(y.item())
        return y

    f = compiled(f)
    found = [f(tensor(3)) for _ in range(4)]
    return [*found, list(L)]


@scenario(eagerly="it changes 'n'")
def nonlocal_counter(compiled):
    n = 0

    def f(x):
        nonlocal n
        n += 1
        return x * n

    f = compiled(f)
    found = [f(tensor(3)) for _ in range(4)]
    return [*found, n]


@scenario(eagerly="it changes 'COUNT'")
def global_counter(compiled):
    global COUNT
    COUNT = 0

    def f(x):
        global COUNT
        COUNT += 1
        return x * 2

    f = compiled(f)
    found = [f(tensor(3)) for _ in range(4)]
    return [*found, COUNT]


@scenario(eagerly="it changes 'n'")
def attr_counter(compiled):
    g = Cfg()
    g.n = 0

    def f(x):
        g.n += 1
        g.last = x.sum().item()
        return x * 2

    f = compiled(f)
    found = [f(tensor(3)) for _ in range(4)]
    return [*found, g.n, g.last]


@scenario(eagerly="it changes 'n'")
def func_attr_counter(compiled):

    def h(x):
        h.n += 1
        return x * 2

    h.n = 0
    f = compiled(lambda x: h(x))
    found = [f(tensor(3)) for _ in range(4)]
    return [*found, h.n]


@scenario(eagerly="it changes a list or dict that is an argument")
def dict_arg_mutated(compiled):

    def f(d):
        d["y"] = d["x"] * 2
        return d["y"]

    f = compiled(f)
    found = []
    for _ in range(3):
        d = {"x": tensor(3)}
        found.append(f(d))
        found.append(d)
    return found


@scenario(eagerly="it changes a list or dict that is an argument")
def list_arg_mutated(compiled):

    def f(d):
        d.append(d[0] * 2)
        return d[0]

    f = compiled(f)
    found = []
    for _ in range(3):
        d = [tensor(3)]
        found.append(f(d))
        found.append(d)
    return found


@scenario(eagerly="it changes 'n'")
def class_counter(compiled):

    class Thing:
        n = 0

    def f(x):
        Thing.n += 1
        return x * Thing.n

    f = compiled(f)
    return [f(tensor(3)) for _ in range(4)] + [Thing.n]


@scenario
def set_arg(compiled):
    f = compiled(lambda x, s: x * len(s))
    s = {1}
    found = [f(tensor(3), s), f(tensor(3), s)]
    s.add(2)
    return [*found, f(tensor(3), s)]


@scenario
def arr_in_obj_arg(compiled):

    class B:
        pass

    b = B()
    b.x = tensor(3)
    f = compiled(lambda thing: thing.x * 2)
    found = [f(b), f(b)]
    b.x = tensor(3, seed=3)
    found.append(f(b))
    b.x.data[...] = 1.0
    return [*found, f(b)]


@scenario
def dataclass_batch(compiled):

    @dataclasses.dataclass
    class B:
        x: object
        y: object

    f = compiled(lambda b: b.x * 2 + b.y)
    return [f(B(tensor(3, seed=i), tensor(3))) for i in range(5)]


@scenario
def dict_subclass(compiled):
    f = compiled(lambda d: d["a"] * d["b"])
    return [f(collections.OrderedDict(a=tensor(3, seed=i), b=2.0 + i)) for i in range(4)]


@scenario(eagerly="it changes 'd'")
def default_dict_state(compiled):
    d = collections.defaultdict(float)

    def f(x):
        d["n"] += 1
        return x * d["n"]

    f = compiled(f)
    return [f(tensor(3)) for _ in range(4)] + [dict(d)]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", scenario.functions)
def test_compiled_is_as_written(name, executor):
    scenario.check(name, executor)
