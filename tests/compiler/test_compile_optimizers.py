"""Compiled training steps with optimisers and schedules."""

from __future__ import annotations

import copy
import types

import numpy as np

import tinygrad_cnn as tc
from tests.compiled_scenarios import (
    ROUNDS,
    Scenarios,
    calls,
    convnet,
    linear,
    squares,
    state,
    tensor,
    training_step,
)
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn, optim

scenario = Scenarios()
BATCH = (2, 4)


@scenario
def two_steps(compiled):
    m = linear()
    once = training_step(squares(m), optim.SGD(m.parameters(), lr=0.1))
    f = compiled(lambda x: [once(x), once(x)][1])
    return [*calls(f, 4, BATCH), state(m)]


@scenario
def two_optimizers(compiled):
    m, n = linear(), nn.Linear(3, 2)
    o1, o2 = optim.SGD(m.parameters(), lr=0.1), optim.Adam(n.parameters(), lr=0.1)
    f = compiled(training_step(squares(lambda x: n(m(x))), o1, o2))
    return [*calls(f, 4, BATCH), state(m), state(n)]


@scenario
def gan(compiled):
    m, n = linear(), nn.Linear(3, 1)
    critic = training_step(squares(lambda x: n(m(x).detach())), optim.Adam(n.parameters(), lr=0.1))
    actor = training_step(lambda x: -n(m(x)).sum(), optim.SGD(m.parameters(), lr=0.1))
    f = compiled(lambda x: (critic(x), actor(x)))
    return [*calls(f, 4, BATCH), state(m), state(n)]


@scenario
def parameter_frozen(compiled):
    m = linear()
    opt = optim.SGD(m.parameters(), lr=0.1, momentum=0.9)
    f = compiled(training_step(squares(m), opt))
    found = []
    for learns in (True, False, True):
        m.weight.requires_grad = learns
        found += [(f(tensor(*BATCH)), state(m)) for _ in range(ROUNDS)]
    return found


@scenario
def zero_grad_last(compiled):
    m = linear()
    opt = optim.SGD(m.parameters(), lr=0.1)

    @compiled
    def step(x):
        loss = squares(m)(x)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss

    return [*calls(step, 6, BATCH), state(m)]


@scenario
def weight_decay_groups(compiled):
    m = linear()
    opt = optim.SGD([{"params": [m.weight], "weight_decay": 0.1}, {"params": [m.bias]}], lr=0.1)
    f = compiled(training_step(squares(m), opt))
    found = calls(f, shape=BATCH)
    opt.param_groups[0]["lr"] = 0.01
    return [*found, *calls(f, 2, BATCH), state(m)]


@scenario
def ragged_batches(compiled):
    m = linear()
    opt = optim.SGD(m.parameters(), lr=0.1, momentum=0.9)
    f = compiled(training_step(lambda x, y: F.cross_entropy(m(x), y), opt, item=True))
    sizes = (8, 8, 3, 8, 3, 1, 8)
    return [*(f(tensor(n, 4, dtype=np.float32), np.arange(n) % 3) for n in sizes), state(m)]


@scenario
def every_optimizer(compiled):
    found = []
    for kind in ("SGD", "Adagrad", "RMSprop", "Adam", "AdamW", "Adadelta"):
        for options in ({}, {"weight_decay": 0.1}):
            m = linear()
            opt = getattr(optim, kind)(m.parameters(), lr=0.05, **options)
            found += calls(compiled(training_step(squares(m), opt, item=True)), 4, BATCH)
            found.append(state(m))
            found.append([[np.array(v) for v in kept.values()] for kept in opt.state.values()])
    return found


@scenario
def options_changed(compiled):
    m = linear()
    opt = optim.SGD(m.parameters(), lr=0.1, momentum=0.9)
    f = compiled(training_step(squares(m), opt, item=True))
    found = calls(f, shape=BATCH)
    for option, value in (("nesterov", True), ("weight_decay", 0.5), ("lr", 0.001)):
        opt.param_groups[0][option] = value
        found += calls(f, shape=BATCH)
    return [*found, state(m)]


@scenario
def state_loaded(compiled):
    m = linear()
    opt = optim.Adam(m.parameters(), lr=0.1)
    f = compiled(training_step(squares(m), opt, item=True))
    found = calls(f, shape=BATCH)
    kept = copy.deepcopy(opt.state_dict())
    found += calls(f, shape=BATCH)
    opt.load_state_dict(kept)
    found += calls(f, shape=BATCH)
    opt.param_groups[0]["lr"] = 0.5
    return [*found, *calls(f, shape=BATCH), state(m)]


@scenario
def group_added(compiled):
    m, n = linear(), nn.Linear(3, 2)
    opt = optim.Adam(m.parameters(), lr=0.1)
    f = compiled(training_step(squares(lambda x: n(m(x))), opt, item=True))
    found = calls(f, shape=BATCH)
    opt.add_param_group({"params": list(n.parameters())})
    return [*found, *calls(f, shape=BATCH), state(m), state(n)]


@scenario
def accumulated_over_calls(compiled):
    m = linear()
    opt = optim.SGD(m.parameters(), lr=0.1)

    @compiled
    def accumulate(x):
        loss = squares(m)(x)
        loss.backward()
        return loss.item()

    @compiled
    def step():
        opt.step()
        opt.zero_grad()

    found = []
    for _ in range(3):
        found += [accumulate(tensor(*BATCH)), accumulate(tensor(*BATCH, seed=3))]
        step()
    return [*found, state(m)]


@scenario
def optimizer_replaced(compiled):
    m = linear()
    trainer = types.SimpleNamespace(opt=optim.SGD(m.parameters(), lr=0.1))
    f = compiled(lambda x: training_step(squares(m), trainer.opt)(x).item())
    found = calls(f, shape=BATCH)
    trainer.opt = optim.Adam(m.parameters(), lr=0.5)
    return [*found, *calls(f, shape=BATCH), state(m)]


@scenario
def optimizer_as_argument(compiled):
    m = linear()
    opt = optim.SGD(m.parameters(), lr=0.1)
    f = compiled(lambda m, opt, x: training_step(squares(m), opt)(x).item())
    found = [f(m, opt, tensor(*BATCH)) for _ in range(ROUNDS)]
    opt.param_groups[0]["lr"] = 0.5
    return [*found, f(m, opt, tensor(*BATCH)), state(m)]


@scenario
def schedule(compiled):
    m = linear()
    opt = optim.SGD(m.parameters(), lr=0.1)
    rates = optim.StepLR(opt, 2, 0.5)
    once = training_step(squares(m), opt)
    f = compiled(lambda x: (once(x), rates.step()))
    return [*calls(f, 6, BATCH), state(m), opt.param_groups[0]["lr"], rates.last_epoch]


@scenario(eagerly="it reads 'param_groups' of an optimiser or schedule")
def schedule_and_rate_returned(compiled):
    m = linear()
    opt = optim.SGD(m.parameters(), lr=0.1)
    rates = optim.StepLR(opt, 2, 0.5)
    once = training_step(squares(m), opt)
    f = compiled(lambda x: (once(x), rates.step(), opt.param_groups[0]["lr"]))
    return [*calls(f, 6, BATCH), state(m)]


def convnet_batch(n):
    return tensor(n, 2, 8, 8, dtype=np.float32), np.arange(n) % 3


@scenario
def convnet_step(compiled):
    m = convnet()
    opt = optim.SGD(m.parameters(), lr=0.05, momentum=0.9)
    f = compiled(training_step(lambda x, y: F.cross_entropy(m(x), y), opt, item=True))
    found = [f(*convnet_batch(n)) for n in (6, 6, 6, 3, 6, 2)]
    m.eval()
    g = compiled(lambda x: m(x))
    found += [g(convnet_batch(n)[0]) for n in (5, 1, 1)]
    return [*found, m.state_dict(), tc.rand(2)]


@scenario
def convnet_alone(compiled):
    m = convnet()
    f = compiled(m)
    step = training_step(lambda x, y: F.cross_entropy(f(x), y), optim.SGD(m.parameters(), lr=0.01))
    found = [step(*convnet_batch(n)) for n in (6, 6, 6, 3, 6)]
    return [*found, state(m), tc.rand(2)]


test_compiled_is_as_written = scenario.test()
