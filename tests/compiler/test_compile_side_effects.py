"""What a compiled function changes around it is changed at each call."""

from __future__ import annotations

import collections
import contextlib
import io
import itertools
import types

import tinygrad_cnn as tc
from tests.compiled_scenarios import Scenarios, calls, linear, tensor

scenario = Scenarios()
COUNT = 0


@scenario(eagerly="it changes 'seen'")
def append_list(compiled):
    seen = []

    @compiled
    def f(x):
        seen.append(1)
        return x * 2

    return [*calls(f, 4), list(seen)]


@scenario(eagerly="it changes 'seen'")
def append_loss(compiled):
    seen = []

    @compiled
    def f(x):
        y = (x * 2).sum()
        seen.append(y.item())
        return y

    return [*calls(f, 4), list(seen)]


@scenario(eagerly="it changes 'n'")
def nonlocal_counter(compiled):
    n = 0

    @compiled
    def f(x):
        nonlocal n
        n += 1
        return x * n

    return [*calls(f, 4), n]


@scenario(eagerly="it changes 'COUNT'")
def global_counter(compiled):
    global COUNT
    COUNT = 0

    @compiled
    def f(x):
        global COUNT
        COUNT += 1
        return x * 2

    return [*calls(f, 4), COUNT]


@scenario(eagerly="it changes 'n'")
def attribute_counter(compiled):
    g = types.SimpleNamespace(n=0)

    @compiled
    def f(x):
        g.n += 1
        g.last = x.sum().item()
        return x * 2

    return [*calls(f, 4), g.n, g.last]


@scenario(eagerly="it changes 'n'")
def function_attribute_counter(compiled):
    def h(x):
        h.n += 1
        return x * 2

    h.n = 0
    f = compiled(lambda x: h(x))
    return [*calls(f, 4), h.n]


@scenario(eagerly="it changes 'n'")
def class_counter(compiled):
    class Thing:
        n = 0

    @compiled
    def f(x):
        Thing.n += 1
        return x * Thing.n

    return [*calls(f, 4), Thing.n]


@scenario(eagerly="it changes 'steps'")
def method_counted(compiled):
    class Trainer:
        model, steps = linear(), 0

        def counted(self, x):
            self.steps += 1
            return self.model(x) * self.steps

    trainer = Trainer()
    return [*calls(compiled(trainer.counted), 4, (2, 4)), trainer.steps]


@scenario(eagerly="a count outside of the function goes on in each call")
def counting_iterator(compiled):
    it = itertools.count()
    f = compiled(lambda x: x * next(it))
    return [f(tc.ones(2)) for _ in range(4)]


@scenario(eagerly="it changes 'd'")
def default_dict(compiled):
    d = collections.defaultdict(float)

    @compiled
    def f(x):
        d["n"] += 1
        return x * d["n"]

    return [*calls(f, 4), dict(d)]


@scenario(eagerly="it changes 'd'")
def rotated_deque(compiled):
    d = collections.deque([1.0, 2.0, 3.0])

    @compiled
    def f(x):
        d.rotate(1)
        return x * d[0]

    return [*calls(f, 5), list(d)]


@scenario(eagerly="it changes a list or dict that is an argument")
def dict_argument(compiled):
    @compiled
    def f(d):
        d["y"] = d["x"] * 2
        return d["y"]

    found = []
    for _ in range(3):
        d = {"x": tensor(3)}
        found += [f(d), d]
    return found


@scenario(eagerly="it changes a list or dict that is an argument")
def list_argument(compiled):
    @compiled
    def f(d):
        d.append(d[0] * 2)
        return d[0]

    found = []
    for _ in range(3):
        d = [tensor(3)]
        found += [f(d), d]
    return found


@scenario(eagerly="it prints, which is to happen in each call")
def prints(compiled):
    b = io.StringIO()

    @compiled
    def f(x):
        print("hello")
        return x * 2

    with contextlib.redirect_stdout(b):
        return [*calls(f, 4), b.getvalue()]


test_compiled_is_as_written = scenario.test()
