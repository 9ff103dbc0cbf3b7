"""Recorded computations carried out again."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn._graph import read
from tinygrad_cnn.errors import ShapeError
from tinygrad_cnn.explain._replay import replay


def test_a_replay_finds_the_pool_winners_of_other_values():
    def f(x):
        return (F.max_pool2d(F.relu(x * x - 1.0), 2, padding=1) ** 2).sum()

    rng = np.random.default_rng(0)
    x = tc.tensor(rng.normal(size=(2, 1, 4, 4)), requires_grad=True)
    recording = read(f(x))
    again = replay(recording, [recording.vertex(x.node)])
    other = rng.normal(size=x.shape)
    assert again(other).item() == pytest.approx(f(tc.tensor(other)).item(), rel=1e-12)
    np.testing.assert_allclose(tc.grad(again)(other).numpy(), tc.grad(f)(other).numpy(), rtol=1e-12)
    with pytest.raises(ShapeError, match=r"recorded with shape \(2, 1, 4, 4\), got \(4, 4\)"):
        again(other[0, 0])


def test_a_replay_keeps_masks_switches_and_what_was_detached():
    x = tc.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    tc.manual_seed(3)
    square = x * x
    y = (F.dropout(x, 0.5) * square.detach() + 0.0 * square).sum()
    recording = read(y)
    again = replay(recording, [recording.vertex(x.node)])
    drawn = tc.grad(again)(x.numpy()).numpy() / x.numpy() ** 2
    assert set(drawn) == {0.0, 2.0}
    gradient = tc.grad(again)(3 * x.numpy()).numpy()
    np.testing.assert_allclose(gradient, drawn * (3 * x.numpy()) ** 2)
    images = tc.tensor(np.arange(4.0).reshape(1, 1, 2, 2), requires_grad=True)
    first = tc.gather_windows(images, np.zeros((1, 1, 1, 1), int), 2, 2).sum()
    recording = read(first)
    again = replay(recording, [recording.vertex(images.node)])
    assert again(images.numpy() + 5).item() == 5.0


def test_a_replay_from_inside():
    x = tc.tensor(3.0, requires_grad=True)
    square = x * x
    recording = read(tc.exp(square) + x)
    again = replay(recording, [recording.vertex(square.node)])
    assert tc.grad(again)(0.0).item() == 1.0
    assert again(0.0).item() == 4.0
