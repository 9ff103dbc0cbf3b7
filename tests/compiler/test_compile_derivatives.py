"""Derivatives through compiled functions and inside of them, of first and higher order."""

from __future__ import annotations

import tinygrad_cnn as tc
from tests.compiled_scenarios import (
    ROUNDS,
    Scenarios,
    calls,
    differentiated,
    in_rounds,
    outcome,
    tensor,
)

scenario = Scenarios()


@scenario
def argument_with_gradient(compiled):
    f = compiled(lambda x: (x**2).sum())
    x = tensor(3, grad=True)
    found = differentiated(f, x)
    for _ in range(ROUNDS):
        found += differentiated(f, x * 2, count=1)
    return [*found, x.grad]


@scenario
def same_argument_twice(compiled):
    f = compiled(lambda x, y: (x * y).sum())
    x = tensor(3, grad=True)
    return [*differentiated(f, x, x), x.grad]


@scenario
def argument_also_closed(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: (x * w * w).sum())
    return [*differentiated(f, w), w.grad]


@scenario
def backward_outside_twice(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: ((w * x) ** 2).sum())
    found = [outcome(y.backward, text=False) for y in differentiated(f, tensor(3))]
    y = f(tensor(3))
    y.backward(retain_graph=True)
    y.backward()
    return [*found, w.grad]


@scenario
def changed_between(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: ((w * x) ** 2).sum())
    found = []
    for _ in range(3):
        y = f(tensor(3))
        with tc.no_grad():
            w -= 0.1
        found += [outcome(y.backward, text=False), w.grad]
    return found


@scenario
def second_order(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: ((w * x) ** 3).sum())
    found = []
    for _ in range(3):
        [g] = tc.gradients(f(tensor(3)), [w], create_graph=True)
        (g**2).sum().backward()
        found.append(g)
    return [*found, w.grad]


@scenario
def grad_inside(compiled):
    return calls(compiled(lambda x: tc.grad(lambda z: (z**3).sum())(x)), 3)


@scenario
def gradients_inside(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        y = ((w * x) ** 3).sum()
        [g] = tc.gradients(y, [w], create_graph=True)
        return y + (g**2).sum()

    return [*differentiated(f, tensor(3)), w.grad]


@scenario
def gradients_inside_returned(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        y = ((w * x) ** 3).sum()
        [g] = tc.gradients(y, [w])
        return y, g

    return calls(f)


@scenario
def transforms_of_compiled(compiled):
    f = compiled(lambda x: (x**3).sum())
    hessian, jacobian = tc.hessian(f), tc.jacobian(compiled(lambda x: x**3))
    value, pull_back = tc.vjp(f, tensor(3))
    return [
        value,
        pull_back(tc.tensor(1.0)),
        *calls(hessian),
        *calls(jacobian),
        jacobian(tensor(3, seed=3)),
        *calls(tc.value_and_grad(f)),
        tc.value_and_grad(f)(tensor(3, seed=3)),
        tc.grad(f)(tensor(3)),
        tc.jvp(f, (tensor(3),), (tensor(3, seed=5),)),
    ]


@scenario(eagerly="an array of shape (3,) that the function makes itself is used")
def hessian_compiled(compiled):
    f = compiled(tc.hessian(lambda x: (x**3).sum()))
    return [*calls(f), f(tensor(3, seed=3))]


@scenario(eagerly="an array of shape (3,) that the function makes itself is used")
def jacobian_compiled(compiled):
    f = compiled(tc.jacobian(lambda x: x**3))
    return [*calls(f), f(tensor(3, seed=3))]


@scenario
def no_grad_inside(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        with tc.no_grad():
            y = w * x
        return (y * w).sum()

    return [*differentiated(f, tensor(3)), w.grad]


@scenario
def no_grad_outside(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: (w * x).sum())
    with tc.no_grad():
        found = calls(f)
    return [*found, *calls(f)]


@scenario
def enable_grad_inside(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        with tc.enable_grad():
            return (w * x).sum()

    with tc.no_grad():
        return calls(f)


@scenario
def nested(compiled):
    w = tensor(3, grad=True)
    g = compiled(lambda x: x * w)
    f = compiled(lambda x: g(g(x)).sum())
    return [*differentiated(f, tensor(3)), w.grad]


@scenario
def unused_parameter(compiled):
    a, b = tensor(3, grad=True), tensor(3, grad=True)
    f = compiled(lambda x: ((a * x).sum(), (b * x).sum()))
    for _ in range(3):
        loss, _unused = f(tensor(3))
        loss.backward()
    return [a.grad, b.grad]


@scenario
def retain_grad_of_result(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: w * x)
    found = []
    for _ in range(3):
        y = f(tensor(3))
        y.retain_grad()
        (y * y).sum().backward()
        found.append(y.grad)
    return [*found, w.grad]


@scenario
def gradient_of_one_argument(compiled):
    f = compiled(lambda x, w: x * w)
    w = tensor(3, grad=True)
    return [*differentiated(f, tensor(3), w), w.grad]


@scenario
def detached_number(compiled):
    w = tc.tensor(2.0, requires_grad=True)
    f = compiled(lambda x: x * w.detach())
    found = calls(f)
    with tc.no_grad():
        w -= 1
    return [*found, f(tensor(3))]


@scenario
def detached_vector(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: (x * w.detach() + w).sum())
    found = calls(f)
    with tc.no_grad():
        w -= 1
    return [*found, *differentiated(f, tensor(3), count=1), w.grad]


@scenario
def detached_argument(compiled):
    f = compiled(lambda x: x.detach())
    x = tensor(3, grad=True)
    return in_rounds(f, [x])


@scenario
def result_used_in_another(compiled):
    @compiled
    def f(x):
        y = x * 2
        return y, y + 1

    x = tensor(3, grad=True)
    found = in_rounds(f, [x])
    for a, b in found:
        (a * b).sum().backward()
    return [found, x.grad]


@scenario
def equal_gradients_are_separate(compiled):
    a, b = tensor(3, grad=True), tensor(3, grad=True)
    f = compiled(lambda x: ((a + b) * x).sum())
    for _ in range(3):
        a.grad = b.grad = None
        f(tensor(3)).backward()
        a.grad.data[0] = 77
    return [b.grad, a.grad]


@scenario
def clone_and_detach(compiled):
    f = compiled(lambda x: (x.clone(), x.detach()))
    x = tensor(3, grad=True)
    found = in_rounds(f, [x])
    a, _ = found[-1]
    a.data[0] = 9
    a.sum().backward()
    return [found, x, x.grad]


@scenario(eagerly="a Tensor is used that was computed outside, with its graph")
def outer_graph(compiled):
    w = tensor(3, grad=True)
    h = [None]
    f = compiled(lambda x: (x * h[0]).sum())
    for _ in range(3):
        h[0] = w * 2
        f(tensor(3)).backward()
    return [w.grad]


@scenario(eagerly="a Tensor is used that was computed outside, with its graph")
def outer_graph_freed(compiled):
    w = tensor(3, grad=True)
    k = w * 2
    f = compiled(lambda x: (x * k).sum())
    return [*(outcome(f(tensor(3)).backward) for _ in range(3)), w.grad]


test_compiled_is_as_written = scenario.test()
