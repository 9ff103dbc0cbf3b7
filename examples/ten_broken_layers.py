"""Ten broken backward passes, each with the mistake that courses see most, and what is said of it.

Every function below is written as for an assignment of CS231n; its docstring owns up to what went
wrong. Beside it stands the same layer composed in tinygrad_cnn, with which the doctor compares.

    python examples/ten_broken_layers.py
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F

KEEP = 0.75  # of the units, in dropout
REGULARISATION = 0.1


def affine_backward(dout, x, w, b):
    """Broadcasting adds b to every row, so every row has a share in its gradient: sum over them."""
    dx = dout @ w.T
    dw = x.T @ dout
    db = dout
    return dx, dw, db


def relu_backward(dout, x):
    """What is let through depends on the sign of x, not on that of the gradient from above."""
    dx = dout.copy()
    dx[dout < 0] = 0
    return dx


def softmax_loss(x, y):
    """The loss is a mean over the examples; its gradient has to be divided by N as well."""
    n = np.arange(len(x))
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[n, y]).mean()
    dx = p.copy()
    dx[n, y] -= 1
    return loss, dx


def svm_loss(x, y):
    """Each margin over the limit pulls at the score of the correct class, y, not of the best."""
    n = np.arange(len(x))
    margins = np.maximum(0, x - x[n, y][:, None] + 1)
    margins[n, y] = 0
    dx = (margins > 0).astype(float)
    dx[n, x.argmax(axis=1)] -= dx.sum(axis=1)
    return margins.sum() / len(x), dx / len(x)


def conv_backward(dout, x, w, b, stride=1, pad=1):
    """Windows overlap, and a pixel gets a share from each: ``+=`` for dx, as is done for dw."""
    FH, FW = w.shape[2:]
    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    dx_pad, dw = np.zeros_like(x_pad), np.zeros_like(w)
    for n, i, j in np.ndindex(dout.shape[0], *dout.shape[2:]):
        rows = slice(i * stride, i * stride + FH)
        columns = slice(j * stride, j * stride + FW)
        dw += np.multiply.outer(dout[n, :, i, j], x_pad[n, :, rows, columns])
        dx_pad[n, :, rows, columns] = np.tensordot(dout[n, :, i, j], w, axes=1)
    return dx_pad[:, :, pad:-pad, pad:-pad], dw, dout.sum(axis=(0, 2, 3))


def conv_input_backward(dout, x, w):
    """The gradient slides over x the other way round: rotate w by 180 degrees first."""
    FH, FW = w.shape[2:]
    dout_pad = np.pad(dout, ((0, 0), (0, 0), (FH - 1, FH - 1), (FW - 1, FW - 1)))
    dx = np.zeros_like(x)
    for i, j in np.ndindex(x.shape[2:]):
        window = dout_pad[:, :, i : i + FH, j : j + FW]
        dx[:, :, i, j] = np.einsum("nkpq,kcpq->nc", window, w)
    return {"x": dx}


def max_pool_backward(dout, x, size=2, stride=2):
    """``window == window.max()`` holds for every winner of a tie, and each gets the whole of it."""
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dout.shape):
        rows = slice(i * stride, i * stride + size)
        columns = slice(j * stride, j * stride + size)
        window = x[n, c, rows, columns]
        dx[n, c, rows, columns] += dout[n, c, i, j] * (window == window.max())
    return dx


def batchnorm_backward(dout, x, gamma, beta, eps=1e-5):
    """Mean and variance are functions of x too, through which each example moves all others."""
    std = np.sqrt(x.var(axis=0) + eps)
    x_hat = (x - x.mean(axis=0)) / std
    dx = dout * gamma / std
    dgamma = np.sum(dout * x_hat, axis=0)
    dbeta = np.sum(dout, axis=0)
    return dx, dgamma, dbeta


def dropout_backward(dout, x, mask):
    """The forward pass divides what it keeps by KEEP, and so does the backward pass."""
    return dout * mask


def two_layer_net(x, y, w1, b1, w2, b2):
    """The penalty counts in the loss; its gradient, REGULARISATION * w, is missing in both."""
    n = np.arange(len(x))
    h = np.maximum(0, x @ w1 + b1)
    scores = h @ w2 + b2
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    penalty = 0.5 * REGULARISATION * (np.sum(w1 * w1) + np.sum(w2 * w2))
    loss = -np.log(p[n, y]).mean() + penalty
    dscores = p.copy()
    dscores[n, y] -= 1
    dscores /= len(x)
    dh = dscores @ w2.T
    dh[h <= 0] = 0
    grads = {"w1": x.T @ dh, "b1": dh.sum(axis=0), "w2": h.T @ dscores, "b2": dscores.sum(axis=0)}
    return loss, grads


def two_layer_reference(x, y, w1, b1, w2, b2):
    """The net, composed of functions with gradients of their own."""
    loss = F.cross_entropy(F.relu(x @ w1 + b1) @ w2 + b2, y)
    return loss + 0.5 * REGULARISATION * ((w1 * w1).sum() + (w2 * w2).sum())


@dataclass(frozen=True)
class BrokenLayer:
    """A student's code, the same layer composed in tinygrad_cnn, and inputs for both.

    ``code`` is a backward, or a function that returns a loss and its gradients in one go.
    """

    title: str
    code: Callable[..., Any]
    reference: Callable[..., tc.Tensor]
    inputs: Mapping[str, np.ndarray]
    is_loss: bool = False

    def diagnose(self) -> tc.check.Diagnosis:
        """What the doctor says."""
        if not self.is_loss:
            upstream = self._upstream()
            return tc.check.diagnose(self.reference, self.inputs, self.code, upstream=upstream)
        return tc.check.diagnose(self.reference, self.inputs, _times_dout, forward=self.code)

    def _upstream(self) -> np.ndarray:
        """Random numbers: with ones, many a mistake cancels."""
        out = self.reference(*self.inputs.values())
        return np.random.default_rng(1).normal(size=out.shape)


def _times_dout(dout, gradients):
    """The backward of a loss whose forward has its gradients at hand already."""
    if isinstance(gradients, dict):
        return {name: dout * gradient for name, gradient in gradients.items()}
    return dout * gradients


def broken_layers() -> list[BrokenLayer]:
    """All ten, with small inputs from a fixed seed."""
    rng = np.random.default_rng(0)
    normal = rng.standard_normal
    scores = {"x": normal((5, 4)), "y": np.array([0, 3, 1, 2, 1])}
    images, kernels = normal((2, 2, 5, 4)), normal((3, 2, 3, 2))
    greys = rng.integers(0, 4, (1, 2, 4, 6)).astype(float)  # so few levels that there are ties
    normalised = {"x": normal((6, 3)), "gamma": normal(3), "beta": normal(3)}
    net = {"w1": normal((4, 6)), "b1": normal(6), "w2": normal((6, 3)), "b2": normal(3)}
    data = {"x": normal((5, 4)), "y": np.array([0, 2, 1, 1, 0])}
    return [
        BrokenLayer(
            "Affine: the bias",
            affine_backward,
            lambda x, w, b: x @ w + b,
            {"x": normal((4, 3)), "w": normal((3, 5)), "b": normal(5)},
        ),
        BrokenLayer("ReLU: the mask", relu_backward, F.relu, {"x": normal((3, 6))}),
        BrokenLayer("Softmax loss: the mean", softmax_loss, F.cross_entropy, scores, is_loss=True),
        BrokenLayer("SVM loss: the correct class", svm_loss, F.hinge_loss, scores, is_loss=True),
        BrokenLayer(
            "Convolution: overlapping windows",
            conv_backward,
            lambda x, w, b: F.conv2d(x, w, b, stride=1, padding=1),
            {"x": images, "w": kernels, "b": normal(3)},
        ),
        BrokenLayer(
            "Convolution: the input's gradient",
            conv_input_backward,
            lambda x, w: F.conv2d(x, w),
            {"x": images, "w": kernels},
        ),
        BrokenLayer(
            "Max-pooling: ties", max_pool_backward, lambda x: F.max_pool2d(x, 2), {"x": greys}
        ),
        BrokenLayer(
            "Batch normalisation: the statistics",
            batchnorm_backward,
            lambda x, gamma, beta: F.batch_norm(x, weight=gamma, bias=beta, training=True),
            normalised,
        ),
        BrokenLayer(
            "Dropout: the scale",
            dropout_backward,
            lambda x, mask: x * (mask / KEEP),
            {"x": normal((4, 6)), "mask": rng.random((4, 6)) < KEEP},
        ),
        BrokenLayer(
            "Two-layer net: the penalty",
            two_layer_net,
            two_layer_reference,
            {**data, **net},
            is_loss=True,
        ),
    ]


def main() -> None:
    """Print a verdict for each."""
    for number, layer in enumerate(broken_layers(), 1):
        print(f"{number}. {layer.title}\n\n{layer.diagnose()}\n")


if __name__ == "__main__":
    main()
