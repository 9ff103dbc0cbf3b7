"""Modules and methods in compiled functions: what is replaced, frozen, cast, switched."""

from __future__ import annotations

import numpy as np

from tests.compiled_scenarios import (
    ROUNDS,
    Net,
    Scenarios,
    calls,
    differentiated,
    linear,
    state,
    tensor,
    training_step,
    values,
)
from tinygrad_cnn import nn, optim

scenario = Scenarios()
BATCH = (2, 4)


@scenario
def attributes(compiled):
    f = compiled(Net())
    return [
        f.training,
        [p.shape for p in f.parameters()],
        [y.shape for y in calls(f, shape=BATCH)],
        sorted(f.state_dict()),
    ]


@scenario
def method(compiled):
    class Trainer:
        def __init__(self):
            self.model, self.scale = linear(), 2.0
            self.opt = optim.SGD(self.model.parameters(), lr=0.1)

        def loss(self, x):
            return (self.model(x) * self.scale).sum()

        def step(self, x):
            return training_step(self.loss, self.opt)(x)

    trainer = Trainer()
    f = compiled(trainer.step)
    found = calls(f, shape=BATCH)
    trainer.scale = 3.0
    found += calls(f, shape=BATCH)
    trainer.model = nn.Linear(4, 3)
    return [*found, *calls(f, shape=BATCH), state(trainer.model)]


@scenario
def method_decorated(compiled):
    class Scaled:
        def __init__(self, factor):
            self.factor = factor

        @compiled
        def method(self, x):
            return x * self.factor

        @compiled
        def __call__(self, x):
            return x / self.factor

    two, three = Scaled(2.0), Scaled(3.0)
    functions = two, three, two.method, three.method
    found = [calls(f) for f in functions]
    two.factor = 9.0
    return [*found, *(calls(f) for f in functions)]


@scenario
def module_forward_decorated(compiled):
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(values(3))

        @compiled
        def forward(self, x):
            return x * self.w

    m = M()
    return [*differentiated(m, tensor(3)), m.w.grad]


@scenario
def parameter_replaced(compiled):
    m = linear()
    f = compiled(lambda x: m(x).sum())
    found = calls(f, shape=BATCH)
    m.weight = nn.Parameter(values(3, 4))
    return [*found, *differentiated(f, tensor(*BATCH)), m.weight.grad]


@scenario
def submodule_replaced(compiled):
    m = nn.Sequential(linear())
    f = compiled(lambda x: m(x).sum())
    found = calls(f, shape=BATCH)
    m[0] = nn.Linear(4, 3)
    return [*found, *differentiated(f, tensor(*BATCH)), state(m)]


@scenario
def module_appended(compiled):
    m = nn.Sequential(linear())
    f = compiled(lambda x: m(x).sum())
    found = calls(f, shape=BATCH)
    m.append(nn.ReLU())
    return [*found, *differentiated(f, tensor(*BATCH)), state(m)]


@scenario
def cast(compiled):
    m = linear()
    f = compiled(lambda x: m(x).sum())
    found = calls(f, shape=BATCH)
    for convert in (m.double, m.float):
        convert()
        found += [*differentiated(f, tensor(*BATCH)), state(m)]
    return found


@scenario
def state_loaded(compiled):
    m = Net()
    f = compiled(lambda x: m(x).sum())
    kept = m.state_dict()
    found = calls(f, shape=BATCH)
    m.load_state_dict({name: array * 2 for name, array in kept.items()})
    return [*found, f(tensor(*BATCH)), state(m)]


@scenario
def frozen(compiled):
    m = linear()
    f = compiled(lambda x: m(x).sum())
    found = []
    for weight, bias in ((True, True), (False, True), (False, False), (True, False)):
        m.weight.requires_grad, m.bias.requires_grad = weight, bias
        for _ in range(ROUNDS):
            m.zero_grad()
            y = f(tensor(*BATCH))
            if y.requires_grad:
                y.backward()
            found += [y, state(m)]
    return found


@scenario(eagerly="a module has hooks, which may do anything")
def hooks(compiled):
    m = linear()
    seen = []
    f = compiled(lambda x: m(x).sum())
    found = calls(f, shape=BATCH)
    hook = m.register_forward_hook(lambda *args: seen.append(1))
    found += calls(f, shape=BATCH)
    hook.remove()
    return [*found, f(tensor(*BATCH)), seen]


@scenario(eagerly="Net.training is set")
def mode_set_inside(compiled):
    m = Net(p=0.0)

    @compiled
    def f(x):
        m.eval()
        y = m(x)
        m.train()
        return y

    return [*calls(f, shape=(3, 4)), state(m), m.training]


@scenario(eagerly="momentum=None counts batches in Python")
def settings_of_parts(compiled):
    m = Net()
    f = compiled(m)
    found = []
    for _ in range(3):
        for training in (True, False):
            m.train(training)
            found += calls(f, 1, (8, 4))
    found.append(state(m))
    m.train()
    m.bn.eval()
    found += calls(f, 1, (8, 4))
    m.drop.p = 0.1
    found += calls(f, 1, (8, 4))
    m.bn.train()
    m.bn.momentum = 0.5
    found += calls(f, 1, (8, 4))
    m.bn.momentum = None
    found += calls(f, 2, (8, 4))
    m.scale = 3.0
    return [*found, f(tensor(8, 4)), state(m)]


def normalised(function, dtype=np.float32):
    """Results for four batches."""
    return [function(tensor(5, 4, seed=i, dtype=dtype)) for i in range(4)]


@scenario(eagerly="momentum=None counts batches in Python")
def statistics_without_momentum(compiled):
    m = nn.BatchNorm1d(4, momentum=None)
    return [normalised(compiled(m), np.float64), state(m)]


@scenario
def statistics_updated_twice(compiled):
    m = nn.BatchNorm1d(4)
    return [normalised(compiled(lambda x: m(m(x) * 2))), state(m)]


@scenario
def statistics_read_after(compiled):
    m = nn.BatchNorm1d(4)
    found = normalised(compiled(lambda x: (m(x), m.running_mean, m.running_mean * 1.0)))
    return [found, found[-1][1] is m.running_mean, state(m)]


@scenario
def statistics_held(compiled):
    m = nn.BatchNorm1d(4)
    f = compiled(m)
    return normalised(lambda x: (f(x), m.running_mean.data)[1])


test_compiled_is_as_written = scenario.test()
