"""Compiled training steps that clip gradients, set learning rates, or update parameters by hand."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tc
from tests.compiled_scenarios import (
    Scenarios,
    calls,
    fresh_gradients,
    in_rounds,
    linear,
    squares,
    state,
    tensor,
    training_step,
)
from tinygrad_cnn import optim

scenario = Scenarios()
BATCH = (2, 4)


def model_and_loss(optimizer):
    """A model, its optimiser, and a function of a batch: the loss, with gradients left behind."""
    m = linear()
    opt = optimizer(m.parameters(), lr=0.1)
    return m, opt, fresh_gradients(squares(m), opt)


def descend(m, rate):
    """Take a step by hand."""
    with tc.no_grad():
        for p in m.parameters():
            p -= rate * p.grad


@scenario
def norm_returned(compiled):
    m, opt, loss_with_gradients = model_and_loss(optim.Adam)

    @compiled
    def step(x):
        loss = loss_with_gradients(x)
        norm = optim.clip_grad_norm_(m.parameters(), 0.1)
        opt.step()
        return loss, norm

    return [*calls(step, 4, BATCH), state(m)]


@scenario
def clip_with_keywords(compiled):
    m, opt, loss_with_gradients = model_and_loss(optim.SGD)

    @compiled
    def step(x):
        loss = loss_with_gradients(x)
        optim.clip_grad_norm_(parameters=m.parameters(), max_norm=0.05)
        opt.step()
        return loss.item()

    return [*calls(step, 4, BATCH), state(m)]


@scenario(eagerly="Python needs what an action such as clip_grad_norm_ returns")
def norm_compared(compiled):
    m, opt, loss_with_gradients = model_and_loss(optim.Adam)

    @compiled
    def step(x):
        loss = loss_with_gradients(x)
        if optim.clip_grad_norm_(m.parameters(), 0.1) > 0.2:
            opt.step()
        return loss

    return [*calls(step, 4, BATCH), state(m)]


@scenario(eagerly=".grad is read where this call has not computed it")
def clipped_gradient_returned(compiled):
    m, opt, loss_with_gradients = model_and_loss(optim.SGD)

    @compiled
    def step(x):
        loss = loss_with_gradients(x)
        norm = optim.clip_grad_norm_(m.parameters(), 0.05)
        opt.step()
        return loss.item(), norm, m.weight.grad

    return [*calls(step, 4, BATCH), state(m)]


@scenario(eagerly="it changes 'lr'")
def rate_set_inside(compiled):
    m = linear()
    opt = optim.SGD(m.parameters(), lr=0.1)
    once = training_step(squares(m), opt)

    @compiled
    def step(x, factor):
        for group in opt.param_groups:
            group["lr"] = 0.1 * factor
        return once(x).item()

    found = [step(tensor(*BATCH), factor) for factor in (1.0, 1.0, 0.1, 0.1, 1.0)]
    return [*found, state(m), opt.param_groups[0]["lr"]]


@scenario(eagerly="it changes 'lr'")
def rate_kept_in_a_list(compiled):
    m, lr = linear(), [0.1]
    loss_with_gradients = fresh_gradients(squares(m), m)

    @compiled
    def step(x):
        loss = loss_with_gradients(x)
        descend(m, lr[0])
        lr[0] *= 0.9
        return loss

    return [*calls(step, 6, BATCH), state(m), lr]


@scenario
def by_hand(compiled):
    m = linear()
    loss_with_gradients = fresh_gradients(squares(m), m)

    @compiled
    def step(x):
        loss = loss_with_gradients(x)
        descend(m, 0.1)
        return loss

    return [*calls(step, 6, BATCH), state(m)]


@scenario(eagerly="it calls backward and returns a Tensor that could be differentiated")
def by_hand_then_forward(compiled):
    m = linear()
    loss_with_gradients = fresh_gradients(squares(m), m)

    @compiled
    def step(x):
        loss_with_gradients(x)
        descend(m, 0.1)
        return m(x).sum()

    return [*calls(step, 6, BATCH), state(m)]


@scenario
def rate_as_argument(compiled):
    w = tensor(3, grad=True)

    @compiled
    def step(x, lr):
        w.grad = None
        loss = (w * x).sum()
        loss.backward()
        with tc.no_grad():
            w.__isub__(lr * w.grad)
        return loss.item()

    return [*in_rounds(step, *([tensor(3), 0.1 / (i + 1)] for i in range(3))), w]


@scenario(eagerly="an array of the function's values was asked for")
def averaged_parameters(compiled):
    m = linear()
    averages = [np.array(p.data) for p in m.parameters()]

    @compiled
    def forward(x):
        for average, p in zip(averages, m.parameters(), strict=True):
            average *= 0.9
            average += 0.1 * p.numpy()
        return m(x).sum()

    return [*calls(forward, 4, BATCH), *averages]


test_compiled_is_as_written = scenario.test()
