"""Random numbers in compiled functions: the same, from generators left the same."""

from __future__ import annotations

import random

import numpy as np

import tinygrad_cnn as tc
from tests.compiled_scenarios import Net, Scenarios, calls, fresh_gradients, state, tensor
from tinygrad_cnn import functional as F

scenario = Scenarios()
LABELLED = tensor(8, 4), np.arange(8) % 3


@scenario(eagerly="it draws random numbers by itself")
def generator_own(compiled):
    g = np.random.default_rng(3)
    f = compiled(lambda x: x * g.random())
    return [*calls(f, 4), g.random()]


@scenario(eagerly="it draws random numbers by itself")
def generator_own_array(compiled):
    g = np.random.default_rng(3)
    f = compiled(lambda x: x * g.random(3))
    return [*calls(f, 4), g.random()]


@scenario(eagerly="it draws random numbers by itself")
def np_global_random(compiled):
    np.random.seed(0)  # noqa: NPY002
    f = compiled(lambda x: x * np.random.rand())  # noqa: NPY002
    return [*calls(f, 4), np.random.rand()]  # noqa: NPY002


@scenario(eagerly="it draws random numbers by itself")
def np_global_random_array(compiled):
    np.random.seed(0)  # noqa: NPY002
    f = compiled(lambda x: x + np.random.rand(3))  # noqa: NPY002
    return [*calls(f, 4), np.random.rand()]  # noqa: NPY002


@scenario(eagerly="it draws random numbers by itself")
def py_random(compiled):
    random.seed(0)
    f = compiled(lambda x: x * random.random())
    return [*calls(f, 4), random.random()]


@scenario(eagerly="it draws random numbers by itself")
def py_random_branch(compiled):
    random.seed(0)
    f = compiled(lambda x: x * 2 if random.random() < 0.5 else x * 3)
    return [*calls(f, 9), random.random()]


@scenario
def tc_rand(compiled):
    tc.manual_seed(0)
    f = compiled(lambda x: x * tc.rand(3) + tc.randn(3))
    return [*calls(f, 4), tc.rand(2)]


@scenario
def tc_rand_of_generator(compiled):
    g = np.random.default_rng(3)
    f = compiled(lambda x: x * tc.rand(3, generator=g))
    return [*calls(f, 4), g.random()]


@scenario(eagerly="it draws random numbers by itself")
def default_generator_itself(compiled):
    tc.manual_seed(0)
    f = compiled(lambda x: x * tc.default_generator().random())
    return [*calls(f, 4), tc.rand(2)]


@scenario(eagerly="it draws random numbers by itself")
def reseed_inside(compiled):
    @compiled
    def f(x):
        tc.manual_seed(1)
        return x * tc.rand(3)

    tc.manual_seed(0)
    return [*calls(f, 4), tc.rand(2)]


@scenario
def dropout(compiled):
    tc.manual_seed(0)
    f = compiled(lambda x: F.dropout(x, 0.5))
    return [*calls(f, 4, (30,)), tc.rand(2)]


@scenario
def model_with_dropout(compiled):
    m = Net()
    f = compiled(m)
    step = fresh_gradients(lambda x, y: F.cross_entropy(f(x), y), m)
    return [[(step(*LABELLED), state(m)) for _ in range(4)], tc.rand(2)]


@scenario
def loss_with_dropout(compiled):
    m = Net()
    f = compiled(lambda x, y: F.cross_entropy(m(x), y))
    step = fresh_gradients(f, m)
    return [[(step(*LABELLED), state(m)) for _ in range(4)], tc.rand(2)]


@scenario
def model_two_outputs(compiled):
    m = Net()
    f = compiled(lambda x: (m(x).sum(), m(x * 2)))
    found = []
    for _ in range(3):
        m.zero_grad()
        a, b = f(tensor(8, 4))
        (a + (b * b).sum()).backward()
        found.append((a, b, state(m)))
    return [*found, tc.rand(2)]


@scenario
def second_order_dropout(compiled):
    tc.manual_seed(0)
    w = tensor(30, grad=True)
    f = compiled(lambda x: (F.dropout(w * x, 0.5) ** 3).sum())
    found = []
    for _ in range(3):
        [g] = tc.gradients(f(tensor(30)), [w], create_graph=True)
        (g**2).sum().backward()
        found.append(g)
    return [*found, w.grad, tc.rand(2)]


@scenario
def second_order_batch_norm(compiled):
    m = Net()
    f = compiled(lambda x: (m(x) ** 2).sum())
    found = []
    for _ in range(3):
        m.zero_grad()
        [g] = tc.gradients(f(tensor(6, 4)), [m.l1.weight], create_graph=True)
        (g**2).sum().backward()
        found.append((g, state(m)))
    return [*found, tc.rand(2)]


test_compiled_is_as_written = scenario.test()
