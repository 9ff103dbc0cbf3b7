"""Max-pooling: each window keeps its largest pixel and remembers which one that was."""

from __future__ import annotations

from typing import Any

import numpy as np

from .windows import Array, crop_images, pad_images, window_places


def max_pool_forward(x: Array, field: int, stride: int, pad: int = 0) -> tuple[Array, Any]:
    """out[n, c, i, j] = max over u, v of P[n, c, i*S + u, j*S + v], u and v below ``field``.

    x is (N, C, H, W), out (N, C, OH, OW). P is x in a border of -inf, which wins against no
    pixel; as long as pad < field, every window holds a pixel. The winner is kept as its number
    u * field + v; among equals it is the first.
    """
    if pad >= field:
        raise ValueError(f"in a border of {pad} a window of {field} can miss the image: no maximum")
    padded = pad_images(x, pad, -np.inf)
    rows, columns = window_places(padded.shape, field, field, stride)
    windows = padded[:, :, rows, columns]  # (N, C, FH, FW, OH, OW)
    n, c, fh, fw, oh, ow = windows.shape
    winner = windows.reshape(n, c, fh * fw, oh, ow).argmax(axis=2)  # (N, C, OH, OW)
    return windows.max(axis=(2, 3)), (winner, padded.shape, field, stride, pad)


def max_pool_backward(dout: Array, cache: Any) -> Array:
    """From dout (N, C, OH, OW) to dx (N, C, H, W).

    As long as the winner stays the same, out[n, c, i, j] is a copy of it and ignores the rest
    of the window: the slope is 1 for the winner, 0 elsewhere. With (u, v) the winner's place,

        dP[n, c, i*S + u, j*S + v] += dout[n, c, i, j]

    where windows overlap (S < field) one pixel can win several of them and collects the sum.
    """
    winner, padded_shape, field, stride, pad = cache
    n, c, i, j = np.ogrid[tuple(slice(size) for size in dout.shape)]
    u, v = np.divmod(winner, field)
    dpadded = np.zeros(padded_shape, dout.dtype)
    np.add.at(dpadded, (n, c, i * stride + u, j * stride + v), dout)
    return crop_images(dpadded, pad)
