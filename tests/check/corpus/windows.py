"""The loops over windows that the convolution and pooling layers of the corpus share, right."""

from __future__ import annotations

import numpy as np


def pad(x, p):
    return np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))


def crop(x, p):
    return x[:, :, p : x.shape[2] - p, p : x.shape[3] - p]


def corners(dout, stride):
    """Each position of the output with the rows and columns where its window begins."""
    for i in range(dout.shape[2]):
        for j in range(dout.shape[3]):
            yield i, j, i * stride, j * stride


def convolve(x_pad, w, stride):
    (n, _, h, width), (k, _, fh, fw) = x_pad.shape, w.shape
    out = np.zeros((n, k, (h - fh) // stride + 1, (width - fw) // stride + 1))
    for i, j, top, left in corners(out, stride):
        window = x_pad[:, :, top : top + fh, left : left + fw]  # (N, C, FH, FW)
        out[:, :, i, j] = np.tensordot(window, w, axes=((1, 2, 3), (1, 2, 3)))
    return out


def weight_gradient(dout, x_pad, w, stride):
    fh, fw = w.shape[2:]
    dw = np.zeros_like(w)
    for i, j, top, left in corners(dout, stride):
        window = x_pad[:, :, top : top + fh, left : left + fw]
        dw += np.tensordot(dout[:, :, i, j], window, axes=(0, 0))  # (K, C, FH, FW)
    return dw


def input_gradient(dout, x_pad, w, stride):
    """The gradient of the padded images."""
    fh, fw = w.shape[2:]
    dx_pad = np.zeros_like(x_pad)
    for i, j, top, left in corners(dout, stride):
        spread = np.tensordot(dout[:, :, i, j], w, axes=1)  # (N, C, FH, FW)
        dx_pad[:, :, top : top + fh, left : left + fw] += spread
    return dx_pad
