"""The rectifier: an elementwise function, so its Jacobian is diagonal."""

from __future__ import annotations

import numpy as np

from .windows import Array


def relu_forward(x: Array) -> tuple[Array, Array]:
    """out = max(x, 0) for every element; any shape."""
    return np.maximum(x, 0), x


def relu_backward(dout: Array, cache: Array) -> Array:
    """From dout to dx, both of the shape of x.

    d out_a / d x_b is 0 unless a = b, so the chain rule needs no sum:

        dx_a = dout_a [x_a > 0]

    At the kink any slope in [0, 1] is a subgradient; this takes 0.
    """
    x = cache
    return dout * (x > 0)
