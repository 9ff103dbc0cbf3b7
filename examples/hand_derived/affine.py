"""The affine layer: each output is a weighted sum of all inputs, plus a bias."""

from __future__ import annotations

from typing import Any

from .windows import Array


def affine_forward(x: Array, w: Array, b: Array) -> tuple[Array, Any]:
    """out[n, m] = sum_d X[n, d] w[d, m] + b[m], that is out = X w + b.

    x is (N, ...), read as the matrix X (N, D) with one flattened example a row; w is (D, M),
    inputs by outputs; b is (M,). out is (N, M).
    """
    return x.reshape(len(x), -1) @ w + b, (x, w)


def affine_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """From dout (N, M) to dx (N, ...), dw (D, M), db (M,).

    Example n uses w[d, m] once, in out[n, m], with the factor X[n, d]; X[n, d] enters all M
    outputs of example n, with the factors w[d, m]; b[m] enters out[n, m] of every n, with 1:

        dX[n, d] = sum_m dout[n, m] w[d, m]     dX = dout w^T     (N, M) (M, D)
        dw[d, m] = sum_n X[n, d] dout[n, m]     dw = X^T dout     (D, N) (N, M)
        db[m]    = sum_n dout[n, m]
    """
    x, w = cache
    dx = (dout @ w.T).reshape(x.shape)  # (N, D) -> (N, ...)
    return dx, x.reshape(len(x), -1).T @ dout, dout.sum(axis=0)
