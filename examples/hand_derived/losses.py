"""Two losses over class scores s (N, C) with labels y (N,): each gives (loss, ds).

A loss is the end of the chain, dL/dL = 1, so its gradient comes with its value.
"""

from __future__ import annotations

import numpy as np

from .windows import Array


def softmax_loss(scores: Array, labels: Array) -> tuple[float, Array]:
    """The mean negative log-probability of the right class, p = softmax(scores).

        L_n = -log p[n, y_n] = log sum_j exp(s[n, j]) - s[n, y_n]

    The derivative of log sum exp is exp(s[n, j]) / sum_k exp(s[n, k]) = p[n, j], and s[n, y_n]
    itself contributes -1 where j is the right class; the mean over examples divides by N:

        ds[n, j] = (p[n, j] - [j = y_n]) / N

    Adding a constant to a row of scores changes neither L nor p. Making the row's maximum 0
    keeps exp from overflowing and the sum at 1 or more, so that its logarithm exists.
    """
    count = len(scores)
    right = np.arange(count), labels
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    dscores = np.exp(log_p)
    dscores[right] -= 1
    return -float(log_p[right].mean()), dscores / count


def svm_loss(scores: Array, labels: Array, margin: float = 1.0) -> tuple[float, Array]:
    """How far each wrong class reaches into the margin below the right one, summed.

        h[n, j] = s[n, j] - s[n, y_n] + margin,    L = (1/N) sum_n sum_{j != y_n} max(0, h[n, j])

    A term with h > 0 is linear: slope 1 in its own score and -1 in the right one. All others
    are flat (at h = 0 we take the slope 0, as in the rectifier). So

        ds[n, j] = [h[n, j] > 0] / N  for j != y_n,    ds[n, y_n] = -sum_{j != y_n} ds[n, j]
    """
    count = len(scores)
    right = np.arange(count), labels
    violation = np.maximum(scores - scores[right][:, None] + margin, 0)  # (N, C)
    violation[right] = 0
    dscores = (violation > 0).astype(scores.dtype) / count
    dscores[right] = -dscores.sum(axis=1)
    return float(violation.sum() / count), dscores
