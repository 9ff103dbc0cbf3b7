"""Convolution (cross-correlation) twice: the definition as loops, and as one matrix product.

x is (N, C, H, W), w is (K, C, FH, FW), b is (K,), out is (N, K, OH, OW). P is x in its border
of zeros, and output pixel (i, j) sees the window of P that begins at (i*S, j*S):

    out[n, k, i, j] = b[k] + sum_{c, u, v} w[k, c, u, v] P[n, c, i*S + u, j*S + v]
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .windows import Array, crop_images, output_size, pad_images, window_places


def conv_loops_forward(
    x: Array, w: Array, b: Array, stride: int = 1, pad: int = 0
) -> tuple[Array, Any]:
    """The definition above, word for word: one inner product an output pixel."""
    padded = pad_images(x, pad)
    fh, fw = w.shape[2:]
    oh, ow = (output_size(n, f, stride) for n, f in zip(padded.shape[2:], (fh, fw), strict=True))
    out = np.empty((len(x), len(w), oh, ow), x.dtype)
    for n, k, i, j in np.ndindex(out.shape):
        top, left = i * stride, j * stride
        patch = padded[n, :, top : top + fh, left : left + fw]  # (C, FH, FW)
        out[n, k, i, j] = np.sum(patch * w[k]) + b[k]
    return out, (padded, w, stride, pad)


def conv_loops_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """From dout (N, K, OH, OW) to dx, dw, db of the shapes of x, w, b.

    One output pixel with dout[n, k, i, j] = g is an inner product of w[k] with a patch of P
    plus b[k], and the gradient of an inner product with respect to one factor is the other:

        the patch receives g w[k],    w[k] receives g times the patch,    b[k] receives g

    A pixel of P lies in several patches and w[k] serves every patch, so each of the three
    collects the sum of what all output pixels send it.
    """
    padded, w, stride, pad = cache
    fh, fw = w.shape[2:]
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    db = np.zeros(len(w), w.dtype)
    for n, k, i, j in np.ndindex(dout.shape):
        g, top, left = dout[n, k, i, j], i * stride, j * stride
        patch = np.s_[n, :, top : top + fh, left : left + fw]
        dpadded[patch] += g * w[k]
        dw[k] += g * padded[patch]
        db[k] += g
    return crop_images(dpadded, pad), dw, db


def conv_im2col_forward(
    x: Array, w: Array, b: Array, stride: int = 1, pad: int = 0
) -> tuple[Array, Any]:
    """The sum over (c, u, v) as the inner index of a matrix product.

    Copy each window into a column: X_col[(c, u, v), (n, i, j)] = P[n, c, i*S + u, j*S + v].
    With every filter as a row, W_row[k, (c, u, v)] = w[k, c, u, v], the definition reads

        Y = W_row X_col + b     (K, C*FH*FW) (C*FH*FW, N*OH*OW)
    """
    padded = pad_images(x, pad)
    fh, fw = w.shape[2:]
    rows, columns = window_places(padded.shape, fh, fw, stride)
    windows = padded[:, :, rows, columns]  # (N, C, FH, FW, OH, OW)
    n, c, _, _, oh, ow = windows.shape
    x_col = windows.transpose(1, 2, 3, 0, 4, 5).reshape(c * fh * fw, n * oh * ow)
    y = w.reshape(len(w), -1) @ x_col + b[:, None]  # (K, N*OH*OW)
    out = y.reshape(-1, n, oh, ow).transpose(1, 0, 2, 3)  # (N, K, OH, OW)
    return out, (x_col, padded.shape, w, stride, pad)


def conv_im2col_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    """From dout (N, K, OH, OW) to dx, dw, db of the shapes of x, w, b.

    With G (K, N*OH*OW) the gradient of Y, the product and the bias go as in an affine layer:

        dW_row = G X_col^T,    dX_col = W_row^T G,    db[k] = sum of row k of G

    X_col only copies: P[n, c, h, q] stands wherever i*S + u = h and j*S + v = q. A value that
    is used several times receives the sum of the gradients of its uses, so dP adds each entry
    of dX_col back to the place it was copied from.
    """
    x_col, padded_shape, w, stride, pad = cache
    n, k, oh, ow = dout.shape
    c, fh, fw = w.shape[1:]
    g = dout.transpose(1, 0, 2, 3).reshape(k, n * oh * ow)
    dx_col = w.reshape(k, -1).T @ g  # (C*FH*FW, N*OH*OW)
    dwindows = dx_col.reshape(c, fh, fw, n, oh, ow).transpose(3, 0, 1, 2, 4, 5)
    rows, columns = window_places(padded_shape, fh, fw, stride)
    dpadded = np.zeros(padded_shape, dout.dtype)
    for u, v in np.ndindex(fh, fw):  # += forgets repeated pixels; for one (u, v) there are none
        dpadded[:, :, rows[u, 0], columns[0, v]] += dwindows[:, :, u, v]
    return crop_images(dpadded, pad), (g @ x_col.T).reshape(w.shape), g.sum(axis=1)
