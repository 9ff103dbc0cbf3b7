"""
2. A gradient by hand, and what is wrong with it
================================================

Whoever learns backpropagation writes backward passes by hand. Here is one of a linear layer with
softmax loss, with a mistake in it.
"""

import numpy as np

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F


def forward(x, w):
    scores = x @ w.T
    shifted = scores - scores.max(axis=1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(len(x)), LABELS]).mean()
    return loss, (x, w, p)


def backward(upstream, cache):
    x, w, p = cache
    d_scores = p.copy()
    d_scores[np.arange(len(x)), LABELS] -= 1  # and not divided by the batch size
    d_scores *= upstream
    return d_scores @ w, d_scores.T @ x


LABELS = np.array([0, 2, 1, 2])
rng = np.random.default_rng(0)
x, w = rng.normal(size=(4, 5)), rng.normal(size=(3, 5))

# %%
# Autograd needs no backward pass:


def loss(x, w):
    return F.cross_entropy(F.linear(x, w), LABELS)


dx, dw = tc.grad(loss, (0, 1))(x, w)
mine = backward(1.0, forward(x, w)[1])[1]
print(np.abs(mine - dw.numpy()).max())

# %%
# The two differ. ``check.diagnose`` says why:

print(tc.check.diagnose(loss, {"x": x, "w": w}, backward, forward))
