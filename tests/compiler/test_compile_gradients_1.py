"""Gradients through compiled functions, of first and higher order.

Each scenario runs once as it is written and once compiled; all that can be seen must be the same.
"""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import EXECUTORS, Scenarios, tensor

scenario = Scenarios()


@scenario
def arg_grad(compiled):
    f = compiled(lambda x: (x**2).sum())
    x = tensor(3, grad=True)
    y = f(x)
    y.backward()
    y = f(x)
    y.backward()
    z = x * 2
    y = f(z)
    y.backward()
    return [y, x.grad]


@scenario
def same_arg_twice(compiled):
    f = compiled(lambda x, y: (x * y).sum())
    x = tensor(3, grad=True)
    f(x, x).backward()
    f(x, x).backward()
    return [x.grad]


@scenario
def arg_also_closed(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: (x * w * w).sum())
    f(w).backward()
    f(w).backward()
    f(w).backward()
    return [w.grad]


@scenario
def backward_outside_twice(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: ((w * x) ** 2).sum())
    found = []
    for _i in range(3):
        y = f(tensor(3))
        y.backward()
        try:
            y.backward()
        except Exception as e:
            found.append(type(e).__name__)
    y = f(tensor(3))
    y.backward(retain_graph=True)
    y.backward()
    return [*found, w.grad]


@scenario
def changed_between(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: ((w * x) ** 2).sum())
    found = []
    for _i in range(3):
        y = f(tensor(3))
        with tc.no_grad():
            w -= 0.1
        try:
            y.backward()
            found.append(w.grad)
        except Exception as e:
            found.append(type(e).__name__)
    return found


@scenario
def gradgrad(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: ((w * x) ** 3).sum())
    found = []
    for _i in range(3):
        [g] = tc.gradients(f(tensor(3)), [w], create_graph=True)
        (g**2).sum().backward()
        found.append(g)
    return [*found, w.grad]


@scenario
def grad_inside(compiled):

    def f(x):
        return tc.grad(lambda z: (z**3).sum())(x)

    f = compiled(f)
    return [f(tensor(3)), f(tensor(3)), f(tensor(3))]


@scenario
def gradients_inside(compiled):
    w = tensor(3, grad=True)

    def f(x):
        y = ((w * x) ** 3).sum()
        [g] = tc.gradients(y, [w], create_graph=True)
        return y + (g**2).sum()

    f = compiled(f)
    found = []
    for _i in range(3):
        y = f(tensor(3))
        y.backward()
        found.append(y)
    return [*found, w.grad]


@scenario
def gradients_inside_returned(compiled):
    w = tensor(3, grad=True)

    def f(x):
        y = ((w * x) ** 3).sum()
        [g] = tc.gradients(y, [w])
        return (y, g)

    f = compiled(f)
    return [f(tensor(3)) for i in range(3)]


@scenario
def hess(compiled):
    f = compiled(lambda x: (x**3).sum())
    h = tc.hessian(f)
    return [
        h(tensor(3)),
        h(tensor(3)),
        tc.grad(f)(tensor(3)),
        tc.jvp(f, tensor(3), tensor(3, seed=5)) if False else 0,
        tc.vjp(f, tensor(3))[0],
    ]


@scenario(eagerly="an array of shape (3,) that the function makes itself is used")
def hess_compiled(compiled):
    f = compiled(tc.hessian(lambda x: (x**3).sum()))
    return [f(tensor(3)), f(tensor(3)), f(tensor(3, seed=3))]


@scenario(eagerly="an array of shape (3,) that the function makes itself is used")
def jac_compiled(compiled):
    f = compiled(tc.jacobian(lambda x: x**3))
    return [f(tensor(3)), f(tensor(3)), f(tensor(3, seed=3))]


@scenario
def jac_of(compiled):
    f = tc.jacobian(compiled(lambda x: x**3))
    return [f(tensor(3)), f(tensor(3)), f(tensor(3, seed=3))]


@scenario
def vag(compiled):
    f = tc.value_and_grad(compiled(lambda x: (x**3).sum()))
    return [f(tensor(3)), f(tensor(3)), f(tensor(3, seed=3))]


@scenario
def nograd_in(compiled):
    w = tensor(3, grad=True)

    def f(x):
        with tc.no_grad():
            y = w * x
        return (y * w).sum()

    f = compiled(f)
    for _ in range(3):
        f(tensor(3)).backward()
    return [w.grad]


@scenario
def nograd_out(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: (w * x).sum())
    found = []
    with tc.no_grad():
        found += [f(tensor(3)).requires_grad, f(tensor(3)).requires_grad]
    found += [f(tensor(3)).requires_grad]
    return found


@scenario
def enable_in(compiled):
    w = tensor(3, grad=True)

    def f(x):
        with tc.enable_grad():
            return (w * x).sum()

    f = compiled(f)
    found = []
    with tc.no_grad():
        found += [f(tensor(3)).requires_grad, f(tensor(3)).requires_grad]
    return found


@scenario
def nested(compiled):
    w = tensor(3, grad=True)
    g = compiled(lambda x: x * w)
    f = compiled(lambda x: g(g(x)).sum())
    for _ in range(3):
        f(tensor(3)).backward()
    return [w.grad]


@scenario
def unused_param_zero(compiled):
    a = tensor(3, grad=True)
    b = tensor(3, grad=True)
    f = compiled(lambda x: ((a * x).sum(), (b * x).sum()))
    for _ in range(3):
        loss, _k = f(tensor(3))
        loss.backward()
    return [a.grad, b.grad]


@scenario
def retain_out(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: w * x)
    found = []
    for _ in range(3):
        y = f(tensor(3))
        y.retain_grad()
        (y * y).sum().backward()
        found.append(y.grad)
    return [*found, w.grad]


@scenario(eagerly="an element of an array is written to")
def conv_backward(compiled):
    f = compiled(lambda x: x.max())
    x = tc.tensor([1.0, 1.0, 0.0], requires_grad=True)
    found = []
    for _ in range(3):
        y = f(x)
        x.grad = None
        with tc.conventions(ties="split"):
            y.backward()
        found.append(np.array(x.grad.data))
    return found


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", scenario.functions)
def test_compiled_is_as_written(name, executor):
    scenario.check(name, executor)
