"""Recorded losses of the kinds that derivations are written for, and their programs."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn._core.tensor import Tensor
from tinygrad_cnn._graph import Recording, caller_names, read
from tinygrad_cnn.explain._lines import Program
from tinygrad_cnn.explain._program import build
from tinygrad_cnn.explain._source import FUNCTION
from tinygrad_cnn.explain._symbols import Zoom
from tinygrad_cnn.explain.assessment import Assessment


def derivation(loss: Tensor, zoom: Zoom = "layers") -> tuple[Program, Recording]:
    """The program of a loss by all its variables, and what it was built from."""
    recording = read(loss)
    known = caller_names(sys._getframe(1))
    roots = [v for v in recording if v.kind in ("parameter", "variable")]
    targets = {known.get(id(v.node)) or v.name or f"x{i}": v for i, v in enumerate(roots)}
    assert len(targets) == len(roots)
    return build(recording, targets, known, zoom), recording


def two_layer(zoom: Zoom = "layers", dtype: Any = np.float64) -> tuple[Program, Recording]:
    """Affine, ReLU, affine, softmax loss."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 4)).astype(dtype), np.array([0, 2, 1, 1, 0])
    shapes = ((4, 10), (10,), (10, 3), (3,))
    W1, b1, W2, b2 = (
        tc.tensor(rng.normal(size=s).astype(dtype), requires_grad=True) for s in shapes
    )
    h = F.relu(X @ W1 + b1)
    scores = h @ W2 + b2
    loss = F.cross_entropy(scores, y)
    return derivation(loss, zoom)


def lenet(zoom: Zoom = "layers") -> tuple[Program, Recording]:
    """Convolutions, max-pooling and linear layers."""
    tc.manual_seed(0)
    model = tc.models.LeNet5().double()
    images, labels = np.random.default_rng(0).random((2, 1, 28, 28)), np.array([3, 1])
    loss = F.cross_entropy(model(images), labels)
    return derivation(loss, zoom)


def normalised(zoom: Zoom = "layers") -> tuple[Program, Recording]:
    """Batch normalisation, dropout, a value used twice, average pooling, the SVM loss."""
    tc.manual_seed(0)
    net = nn.ModuleDict({"conv": nn.Conv2d(2, 2, 3, padding=1), "bn": nn.BatchNorm2d(2)})
    net["fc"] = nn.Linear(8, 3)
    net.double()
    images, labels = np.random.default_rng(0).normal(size=(4, 2, 4, 4)), np.array([0, 2, 1, 1])
    z = net["conv"](images)
    h = F.relu(net["bn"](z)) + z
    scores = net["fc"](F.flatten(F.dropout(F.avg_pool2d(h, 2), 0.4), 1))
    weight = net["fc"].weight
    loss = F.hinge_loss(scores, labels) + 0.1 * (weight * weight).sum()
    return derivation(loss, zoom)


def scalar(zoom: Zoom = "layers") -> tuple[Program, Recording]:
    """An expression of numbers in which one is used several times."""
    x, w, beta = (tc.tensor(value, requires_grad=True) for value in (3.0, -2.0, 0.5))
    z = x * w + beta
    y = tc.exp(-z) * z + w * w
    return derivation(y, zoom)


NETS = {"two_layer": two_layer, "lenet": lenet, "normalised": normalised, "scalar": scalar}


# -- answers to exercises ------------------------------------------------------------------------


def replaced(source: str, *edits: tuple[str, str]) -> str:
    """Generated code with other statements; each must be there once."""
    for old, new in edits:
        assert source.count(f"    {old}") == 1, old
        source = source.replace(f"    {old}", f"    {new}")
    return source


def function_of(source: str) -> Any:
    """The function that generated code defines."""
    space: dict[str, Any] = {}
    exec(compile(source, "<test>", "exec"), space)
    return space[FUNCTION]


def outcomes(report: Assessment) -> dict[str, str]:
    """What is not right, by the left side of the equation."""
    return {v.target: v.outcome for v in report.verdicts if v.outcome != "right"}
