"""Compiled functions that write to arrays, Tensors and parameters."""

from __future__ import annotations

import types

import numpy as np

import tinygrad_cnn as tc
from tests.compiled_scenarios import Scenarios, calls, tensor, values

scenario = Scenarios()


@scenario(eagerly="an array is written to")
def array_added_to(compiled):
    @compiled
    def f(x):
        x += 1
        return x * 2

    x = values(3)
    return [f(x), f(x), f(x), x]


@scenario(eagerly="an element of an array is written to")
def array_element(compiled):
    @compiled
    def f(x):
        x[0] = 5.0
        return x * 2

    x = values(3)
    return [f(x), f(x), f(x), x]


@scenario
def tensor_added_to(compiled):
    @compiled
    def f(x):
        with tc.no_grad():
            x += 1
        return x * 2

    x = tensor(3)
    return [f(x), f(x), f(x), x]


@scenario(eagerly="it changes a variable and returns what depends on one")
def variable_added_to(compiled):
    @compiled
    def f(x):
        with tc.no_grad():
            x += 1
        return x * 2

    x = tensor(3, grad=True)
    found = [f(x), f(x), f(x)]
    found[-1].sum().backward()
    return [*found, x, x.grad]


@scenario(eagerly="an array of the function's values was asked for")
def view_added_to(compiled):
    @compiled
    def f(x):
        y = x.numpy()
        y += 1
        return x * 2

    x = tensor(3)
    return [f(x), f(x), f(x), x]


@scenario(eagerly="elements of a Tensor are written to")
def tensor_element(compiled):
    @compiled
    def f(x):
        with tc.no_grad():
            x[0] = 5.0
        return x * 2

    x = tensor(3)
    return [f(x), f(x), f(x), x]


@scenario
def buffer_added_to(compiled):
    b = tensor(3)
    a = b.numpy()

    @compiled
    def f(x):
        with tc.no_grad():
            nonlocal b
            b += 1
        return x * b

    return [*calls(f), b, a]


@scenario(eagerly="it changes an array that it also knows otherwise")
def buffer_known_otherwise(compiled):
    holder = types.SimpleNamespace(b=tensor(3))
    a, v = holder.b.numpy(), holder.b.detach()

    @compiled
    def f(x):
        b = holder.b
        with tc.no_grad():
            b += 1
        return x * b + v

    return [*calls(f), holder.b, a, v]


@scenario(eagerly="it changes an array that it also knows otherwise")
def parameter_known_otherwise(compiled):
    w = tensor(3, grad=True)
    v = w.detach()

    @compiled
    def f(x):
        with tc.no_grad():
            w.__iadd__(1)
        return x * v

    return [*calls(f), w, v]


@scenario(eagerly="elements of a Tensor are written to")
def parameter_element(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        with tc.no_grad():
            w[0] = x.sum()
        return x * w

    return [f(tensor(3)), f(tensor(3, seed=2)), f(tensor(3)), w]


@scenario(eagerly="it changes a variable and returns what depends on one")
def parameter_of_other_dtype(compiled):
    w = tensor(3, grad=True, dtype=np.float32)

    @compiled
    def f(x):
        with tc.no_grad():
            w.__iadd__(x)
        return x * w

    return [f(tensor(3)), f(tensor(3, seed=2)), f(tensor(3)), w]


@scenario(eagerly="the function assigns to .data of a Tensor")
def data_assigned(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        y = (x * w).sum()
        w.data = w.data - 0.1
        return y

    return [*calls(f), w]


@scenario(eagerly="an element of an array is written to")
def data_element(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        y = (x * w).sum()
        w.data[...] = w.data - 0.1
        return y

    return [*calls(f), w]


test_compiled_is_as_written = scenario.test()
