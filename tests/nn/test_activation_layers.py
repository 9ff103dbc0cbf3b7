"""Activation functions as layers: PyTorch as their oracle, and what they show of themselves."""

from __future__ import annotations

import numpy as np
import pytest
from oracle import compare_layers

import tinygrad_cnn as tc
from tinygrad_cnn import nn

LAYERS = [
    "ELU()", "ELU(2.0)", "SELU()", "SiLU()", "Mish()", "Softplus()", "Softplus(0.5, 2.0)",
    "LogSigmoid()", "Hardtanh()", "Hardtanh(-0.5, 3.0)", "ReLU6()", "Hardswish()", "PReLU()",
    "PReLU(6)", "PReLU(6, 0.1)",
]  # fmt: skip


@pytest.mark.parametrize("expression", LAYERS)
@pytest.mark.parametrize("shape", [(5, 6), (4, 6, 3, 2)])
def test_they_agree_with_pytorch(
    expression: str, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    compare_layers(expression, shape, rng)


@pytest.mark.parametrize(
    "text",
    [
        "ELU(alpha=2.0)",
        "SELU()",
        "SiLU()",
        "Mish()",
        "Softplus(beta=1.0, threshold=20.0)",
        "LogSigmoid()",
        "Hardtanh(min_val=-1.0, max_val=1.0)",
        "ReLU6()",
        "Hardsigmoid()",
        "Hardswish()",
        "PReLU(num_parameters=6)",
        "Maxout(2, axis=1)",
    ],
)
def test_repr_shows_settings_and_makes_the_layer_again(text: str) -> None:
    assert repr(eval(f"nn.{text}")) == text


def test_hardsigmoid(rng: np.random.Generator) -> None:
    x = rng.normal(size=(4, 5)) * 4
    np.testing.assert_allclose(nn.Hardsigmoid()(x), np.clip(x / 6 + 0.5, 0, 1), atol=1e-15)


def test_maxout_halves_the_channels_and_learns(rng: np.random.Generator) -> None:
    """The convex |x| is within reach of two straight pieces, and of no single one."""
    tc.manual_seed(0)
    x = rng.normal(size=(64, 1)).astype(np.float32)
    net = nn.Sequential(nn.Linear(1, 2), nn.Maxout(2))
    optimizer = tc.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(200):
        loss = nn.MSELoss()(net(x), np.abs(x))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert net(x).shape == (64, 1)
    assert loss.item() < 1e-4


def test_slopes_of_prelu_are_learnt_one_for_each_channel() -> None:
    layer = nn.PReLU(3)
    assert [p.shape for p in layer.parameters()] == [(3,)]
    assert layer.weight.tolist() == [0.25] * 3
    x = np.array([[-1.0, 2.0, -3.0], [-4.0, -5.0, 6.0]], np.float32)
    layer(x).sum().backward()
    assert layer.weight.grad.tolist() == [-5.0, -5.0, -3.0]
