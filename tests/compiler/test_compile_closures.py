"""What a compiled function reads around it is read at each call."""

from __future__ import annotations

import dataclasses
import functools
import sys
import types
import weakref
from unittest import mock

import numpy as np

import tinygrad_cnn as tc
from tests.compiled_scenarios import Scenarios, calls, differentiated, linear, tensor, values
from tinygrad_cnn import nn

scenario = Scenarios()
SCALE = 2.0


class ScaledNet(nn.Module):
    def forward(self, x):
        return x * SCALE


class Config:
    alpha = 2.0

    def mul(self, x):
        return x * self.alpha * SCALE


class Slots:
    __slots__ = ("a",)


@dataclasses.dataclass
class Data:
    a: float = 2.0


@scenario
def global_number(compiled):
    f = compiled(lambda x: x * SCALE)
    found = calls(f)
    with mock.patch.object(sys.modules[__name__], "SCALE", 5.0):
        found += calls(f)
    return [*found, *calls(f)]


@scenario
def global_in_forward(compiled):
    m = ScaledNet()
    f = compiled(lambda x: m(x))
    found = calls(f)
    with mock.patch.object(sys.modules[__name__], "SCALE", 5.0):
        found += calls(f)
    return found


@scenario
def global_in_method(compiled):
    g = Config()
    f = compiled(g.mul)
    found = calls(f)
    with mock.patch.object(sys.modules[__name__], "SCALE", 4.0):
        found += calls(f)
    g.alpha = 7.0
    return [*found, *calls(f)]


@scenario
def closed_list(compiled):
    k = [2.0]
    f = compiled(lambda x: x * k[0])
    found = calls(f)
    k[0] = 3.0
    return [*found, *calls(f)]


@scenario
def closed_dict(compiled):
    k = {"a": 2.0}
    f = compiled(lambda x: x * k["a"])
    found = calls(f)
    k["a"] = 3.0
    return [*found, *calls(f)]


@scenario
def closed_nested(compiled):
    k = {"a": [{"b": 2.0}]}
    f = compiled(lambda x: x * k["a"][0]["b"])
    found = calls(f)
    k["a"][0]["b"] = 3.0
    return [*found, *calls(f)]


@scenario
def closed_array(compiled):
    k = np.array([1.0, 2.0, 3.0])
    f = compiled(lambda x: x * k)
    found = calls(f)
    k[0] = 30.0
    return [*found, *calls(f)]


@scenario
def closed_array_numpy(compiled):
    k = np.array([1.0, 2.0, 3.0])
    f = compiled(lambda x: x * np.abs(k).sum())
    found = calls(f)
    k[0] = 30.0
    return [*found, *calls(f)]


@scenario
def closed_array_rebound(compiled):
    k = np.array([1.0, 2.0, 3.0])
    f = compiled(lambda x: x * k)
    found = calls(f)
    k = k * 2
    return [*found, *calls(f)]


@scenario
def closed_tensor_rebound(compiled):
    k = tensor(3, grad=True)
    f = compiled(lambda x: x * k)
    found = calls(f)
    k = tc.tensor(values(3) * 5, requires_grad=True)
    return [*found, *differentiated(f, tensor(3)), k.grad]


@scenario
def closure_late(compiled):
    f = compiled(lambda x: x * late)
    late = 2.0
    found = calls(f)
    late = 3.0
    return [*found, *calls(f)]


@scenario
def tensors_in_a_list(compiled):
    ws = [tensor(3, grad=True), tensor(3, grad=True)]
    f = compiled(lambda x: sum((x * w).sum() for w in ws))
    found = calls(f)
    ws.append(tensor(3, grad=True))
    found += differentiated(f, tensor(3))
    ws[0] = tensor(3, seed=9, grad=True)
    found += differentiated(f, tensor(3))
    return [*found, *(w.grad for w in ws)]


@scenario
def class_attribute(compiled):
    g = Config()
    f = compiled(lambda x: x * g.alpha)
    found = calls(f)
    with mock.patch.object(Config, "alpha", 3.0):
        found += calls(f)
    return found


@scenario
def class_itself(compiled):
    f = compiled(lambda x: x * Config.alpha)
    found = calls(f)
    with mock.patch.object(Config, "alpha", 3.0):
        found += calls(f)
    return found


@scenario
def attributes(compiled):
    def reading(holder):
        return lambda x: x * holder.a

    found = []
    for holder in (Slots(), Data(), types.ModuleType("settings"), types.SimpleNamespace()):
        holder.a = 2.0
        f = compiled(reading(holder))
        found += calls(f)
        holder.a = 3.0
        found += calls(f)
    return found


@scenario
def inner_function_replaced(compiled):
    def inner(k):
        return lambda x: x * k

    g = inner(2.0)
    f = compiled(lambda x: g(x))
    found = calls(f)
    g = inner(5.0)
    return [*found, *calls(f)]


@scenario
def partial(compiled):
    k = [2.0]
    f = compiled(functools.partial(lambda k, x: x * k[0], k))
    found = calls(f)
    k[0] = 4.0
    return [*found, *calls(f)]


@scenario
def callable_object(compiled):
    class A:
        k = 2.0

        def __call__(self, x):
            return x * self.k

    a = A()
    f = compiled(a)
    found = calls(f)
    a.k = 4.0
    return [*found, *calls(f)]


@scenario
def deep_chain(compiled):
    k = [2.0]

    def innermost(x):
        return x * k[0]

    function = innermost
    for _ in range(5):
        function = (lambda inner: lambda x: inner(x))(function)
    f = compiled(lambda x: function(x))
    found = calls(f)
    k[0] = 4.0
    return [*found, *calls(f)]


@scenario
def cached_function(compiled):
    k = [2.0]

    @functools.lru_cache
    def h(n):
        return k[0] * n

    f = compiled(lambda x: x * h(3))
    return calls(f)


@scenario
def weak_reference(compiled):
    m = linear()
    reference = weakref.ref(m)
    f = compiled(lambda x: reference()(x))
    return calls(f, shape=(2, 4))


@scenario
def requires_grad_inside(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        return x * 2 if w.requires_grad else x * 3

    found = calls(f)
    w.requires_grad = False
    return [*found, *calls(f)]


test_compiled_is_as_written = scenario.test()
