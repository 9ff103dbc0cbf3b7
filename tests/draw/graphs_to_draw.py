"""Small nets to draw, and what the boxes of a drawn graph say."""

from __future__ import annotations

import html
import re

import numpy as np

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn


def lenet():
    model = tc.models.LeNet5(generator=tc.manual_seed(0))
    images = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
    return F.cross_entropy(model(images), [0, 1])


class Residual(nn.Module):
    """Two blocks with a way around each, and one layer used twice."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        x = x + F.relu(self.first(x))
        return x + self.second(F.tanh(self.second(x)))


def residual():
    model = Residual()
    return F.mse_loss(model(np.random.default_rng(0).random((3, 4), np.float32)), np.zeros((3, 4)))


def shared_parameter():
    tc.manual_seed(0)
    encoder = nn.Linear(3, 2, bias=False)
    x = np.random.default_rng(0).random((5, 3), np.float32)
    return ((encoder(x) @ encoder.weight - x) ** 2).sum()


def square():
    x = tc.tensor([1.0, -2.0, 3.0], requires_grad=True, name="x")
    return (x * x).sum()


def two_outputs():
    """A scope of which two arrays leave, one of them used inside of it, too."""
    x = tc.tensor([0.5, 2.0], requires_grad=True, name="x")
    with tc.scope("pair"):
        e = tc.exp(x)
        s = e * e
    return (s + e * e.detach() * x).sum()


NETS = [lenet, residual, shared_parameter, square, two_outputs]


def texts(view):
    """The text of each box."""
    found = []
    for number in range(len(view.boxes)):
        label = re.search(rf"^\s*n{number} \[label=<(.*?)> \w+=", view.dot, re.M)[1]
        found.append(" ".join(html.unescape(re.sub(r"<[^<>]*>", " ", label)).split()))
    return found
