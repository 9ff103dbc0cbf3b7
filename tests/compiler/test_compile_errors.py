"""Errors in compiled functions: raised, caught, and the calls after them."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tc
from tests.compiled_scenarios import (
    ROUNDS,
    Scenarios,
    calls,
    differentiated,
    in_rounds,
    linear,
    outcome,
    state,
    tensor,
    training_step,
)
from tinygrad_cnn import functional as F
from tinygrad_cnn import optim

scenario = Scenarios()


@scenario
def raised(compiled):
    @compiled
    def f(x):
        if x.shape[0] == 2:
            raise KeyError("mine")
        return x * 2

    return [outcome(f, tensor(n)) for n in (2, 3, 2, 3, 3, 3, 2)]


@scenario
def raised_by_setting(compiled):
    w = tc.tensor([1.0, 2.0], requires_grad=True)
    raises = [True]

    @compiled
    def f(x):
        if raises[0]:
            raise KeyError("mine")
        return (x * w).sum()

    found = []
    for setting in (True, False, False, False, True, False):
        raises[0] = setting
        found += [outcome(differentiated, f, tensor(2)), w.grad]
    return found


@scenario
def caught(compiled):
    @compiled
    def f(x):
        try:
            return x * float(x.exp().sum())
        except Exception:
            return x * 0

    return calls(f)


@scenario(eagerly="Python needs a value that depends on parameters or random numbers")
def caught_with_parameter(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        try:
            return x * float(w.sum())
        except Exception:
            return x * 0

    return calls(f)


@scenario
def asserted(compiled):
    @compiled
    def f(x):
        assert (x >= 0).all(), "negative"
        return x * 2

    *passed, (kind, text) = [outcome(f, x) for x in (*[tc.ones(3)] * ROUNDS, -tc.ones(3))]
    return [*passed, kind, text.splitlines()[0]]  # below that pytest explains


@scenario
def division_by_zero(compiled):
    f = compiled(lambda x: 1 / x.sum().item())
    return [outcome(f, x) for x in (*[tc.ones(2)] * ROUNDS, tc.zeros(2))]


@scenario
def bad_labels(compiled):
    m = linear()
    f = compiled(lambda x, y: F.cross_entropy(m(x), y))
    given = *[[0, 1, 2, 0]] * ROUNDS, [0, 7, 2, 0], [0, 1, 1, 1], [0.5, 1, 1, 1], [0, 1]
    return [outcome(f, tensor(4, 4, dtype=np.float32), np.array(y)) for y in given]


@scenario
def bad_label_between_steps(compiled):
    m = linear()
    opt = optim.SGD(m.parameters(), lr=0.1)
    f = compiled(training_step(lambda x, y: F.cross_entropy(m(x), y), opt, item=True))
    found = []
    for y in (*[[0, 1]] * ROUNDS, [0, 9], [0, 1], [1, 2]):
        found += [outcome(f, tensor(2, 4, dtype=np.float32), np.array(y)), state(m)]
    return found


@scenario
def index_out_of_range(compiled):
    w = tensor(5, 3, grad=True)
    f = compiled(lambda i: w[i].sum())
    return [outcome(f, tc.tensor(np.array(i))) for i in (*[[0, 1]] * ROUNDS, [4, 7], [2, -1])]


@scenario
def detect_anomaly(compiled):
    f = compiled(lambda x: tc.log(x).sum())
    found = in_rounds(f, [tc.ones(2)])
    with tc.detect_anomaly(), np.errstate(all="ignore"):
        return [*found, *(outcome(f, x) for x in (tc.ones(2), tc.zeros(2)))]


@scenario
def floating_point_error(compiled):
    f, g = compiled(lambda x: tc.log(x)), compiled(lambda x: tc.log(x))
    found = in_rounds(f, [tc.ones(2)])
    with np.errstate(all="raise"):
        for x in (tc.ones(2), tc.ones(2), tc.ones(2), tc.zeros(2)):
            found += [outcome(f, x), outcome(g, x)]  # g is recorded under these settings
    return found


test_compiled_is_as_written = scenario.test()
