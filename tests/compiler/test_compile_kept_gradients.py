"""Gradients that compiled functions leave in ``.grad``, add to, read and share."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tc
from tests.compiled_scenarios import (
    ROUNDS,
    Scenarios,
    calls,
    fresh_gradients,
    in_rounds,
    linear,
    outcome,
    squares,
    state,
    tensor,
    values,
)

scenario = Scenarios()


@scenario
def argument_with_gradient(compiled):
    w, x = tensor(3, grad=True), tensor(3, grad=True)
    f = compiled(fresh_gradients(lambda x: (w * x).sum()))
    return [*in_rounds(f, [x], [tensor(3)]), x.grad, w.grad]


@scenario(eagerly="backward goes on into the graph of an argument")
def argument_with_graph(compiled):
    w, x = tensor(3, grad=True), tensor(3, grad=True)
    f = compiled(fresh_gradients(lambda x: (w * x).sum()))
    return [*(f(x * 2) for _ in range(3)), x.grad, w.grad]


@scenario
def argument_also_closed(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: (x * w * w).sum().backward())
    return [f(w), f(w), f(w), w.grad]


@scenario
def accumulate(compiled):
    m = linear()
    f = compiled(fresh_gradients(squares(m)))
    return [*(f(tensor(2, 4, seed=i)) for i in range(4)), state(m)]


def backward_twice(m, retain_graph):
    def f(x):
        loss = squares(m)(x)
        loss.backward(retain_graph=retain_graph)
        loss.backward()
        return loss

    return f


@scenario
def two_backward(compiled):
    m = linear()
    f = compiled(backward_twice(m, retain_graph=True))
    return [*(f(tensor(2, 4, seed=i)) for i in range(4)), state(m)]


@scenario
def two_backward_freed(compiled):
    m = linear()
    f = compiled(backward_twice(m, retain_graph=False))
    return [*(outcome(f, tensor(2, 4)) for _ in range(3)), state(m)]


@scenario
def gradient_returned(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        w.grad = None
        ((w * x) ** 2).sum().backward()
        return w.grad

    found = [f(tensor(3, seed=i)) for i in range(4)]
    return [*found, w.grad, found[-1] is w.grad]


@scenario(eagerly="a gradient is kept from before, and the function reads it")
def kept_gradient_read(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        ((w * x) ** 2).sum().backward()
        return w.grad.sum()

    return [*(f(tensor(3, seed=i)) for i in range(4)), w.grad]


@scenario
def enabled_inside(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        with tc.enable_grad():
            (w * x).sum().backward()

    with tc.no_grad():
        calls(f)
    return [w.grad]


@scenario(eagerly="retain_grad() in a compiled function")
def retain_grad(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        y = w * x
        y.retain_grad()
        y.sum().backward()
        return y.grad

    return calls(f)


@scenario(eagerly="the function assigns to .grad of a Tensor")
def grad_assigned(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        w.grad = x * 2
        return x

    return [*calls(f), w.grad]


@scenario
def seeded_backward(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x, g):
        w.grad = None
        (w * x).backward(g)
        return w.grad

    return in_rounds(
        f, [tensor(3), tensor(3)], [tensor(3), values(3)], [tensor(3), tensor(3, seed=4)]
    )


@scenario
def without_gradient(compiled):
    a, b = tensor(3, grad=True), tensor(3, grad=True)
    f = compiled(lambda x: (a * x).sum().backward())
    return [*calls(f), a.grad, b.grad]


@scenario
def gradients_held(compiled):
    m = linear()
    f = compiled(fresh_gradients(squares(m), m))
    held = []
    for i in range(6):
        f(tensor(2, 4, seed=i))
        held += [m.weight.grad, m.bias.grad.data[1:]]
    return held


@scenario
def equal_gradients_are_separate(compiled):
    a, b = tensor(3, grad=True), tensor(3, grad=True)
    f = compiled(lambda x: ((a + b) * x).sum().backward())
    found = []
    for _ in range(ROUNDS):
        a.grad = b.grad = None
        f(tensor(3))
        a.grad.data[0] = 77
        found.append(np.array(b.grad.data))
    return found


@scenario
def gradient_is_the_input(compiled):
    a, x = tensor(3, grad=True), tensor(3)
    f = compiled(lambda x: (a * x).sum().backward())
    found = []
    for _ in range(ROUNDS):
        f(x)
        a.grad.data[0] = 77
        found.append(np.array(x.data))
    return [*found, a.grad]


test_compiled_is_as_written = scenario.test()
