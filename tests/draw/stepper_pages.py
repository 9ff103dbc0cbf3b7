"""Results for the stepper to step through, and what its tests ask a page."""

from __future__ import annotations

import re

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn

TIMES = "\u00d7"


class Block(nn.Module):
    """A residual block."""

    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2)
        self.conv2 = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x):
        return F.relu(x + self.conv2(F.relu(self.norm1(self.conv1(x)))))


def lenet(rng):
    model = tc.models.LeNet5(generator=tc.manual_seed(0))
    return F.cross_entropy(model(rng.random((1, 1, 28, 28)).astype("float32")), [7])


def residual(rng):
    """Two blocks, and one of them is used twice."""
    tc.manual_seed(0)
    first, second, head = Block(), Block(), nn.Linear(32, 3)
    h = first(second(first(rng.normal(size=(1, 2, 4, 4)).astype("float32"))))
    return F.cross_entropy(head(h.reshape(1, -1)), [1])


def perceptron(rng):
    w1 = tc.tensor(rng.normal(size=(4, 5)), requires_grad=True, name="W1")
    b1 = tc.tensor(rng.normal(size=5), requires_grad=True, name="b1")
    w2 = tc.tensor(rng.normal(size=(5, 3)), requires_grad=True, name="W2")
    loss = F.cross_entropy(F.relu(rng.normal(size=(3, 4)) @ w1 + b1) @ w2, [0, 2, 1])
    return loss, {"W1": w1, "b1": b1, "W2": w2}


def expression():
    """A number that is used twice."""
    a = tc.tensor(2.0, requires_grad=True, name="a")
    b = tc.tensor(-3.0, requires_grad=True, name="b")
    return a * b + a


def step_of(browser):
    return int(re.match(r"Step (\d+) of", browser.text("#caption"))[1])


def titles(browser):
    return browser.js(
        '[...document.querySelectorAll("#scene > .box .title")].map(e => e.innerText)'
    )
