"""Dropout (Srivastava et al., 2014), scaled in training so that test time changes nothing."""

from __future__ import annotations

import numpy as np

from .windows import Array


def dropout_mask(shape: tuple[int, ...], p: float, generator: np.random.Generator) -> Array:
    """0 with probability p, else 1/(1 - p): an average of p*0 + (1 - p)/(1 - p) = 1."""
    return (generator.random(shape) >= p) / (1 - p)


def dropout_forward(x: Array, mask: Array) -> tuple[Array, Array]:
    """out = mask x for every element. The mask comes from outside: given it, out is a function."""
    return x * mask, mask


def dropout_backward(dout: Array, cache: Array) -> Array:
    """From dout to dx, both of the shape of x.

    out_a depends on x_a alone, and linearly: dx_a = dout_a mask_a. What was dropped in the
    forward pass gets no gradient, and what was kept gets it scaled by the same 1/(1 - p).
    """
    mask = cache
    return dout * mask
