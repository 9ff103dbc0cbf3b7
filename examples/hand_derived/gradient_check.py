"""The referee: derivatives from values of the function alone, with no derivation to get wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .windows import Array


def numeric_gradient(f: Callable[[Array], float], x: Array, h: float = 1e-5) -> Array:
    """Central differences df/dx_a = (f(x + h e_a) - f(x - h e_a)) / 2h of a scalar f; x float64.

    Taylor: the even terms cancel, so the error is h^2 f'''/6, beside about 1e-16 |f| / h of
    rounding. h = 1e-5 makes the two similar, and small.
    """
    gradient = np.empty_like(x)
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = h
        gradient[place] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient


def relative_error(a: Array, b: Array) -> float:
    """The largest difference between two arrays, in units of their largest entry."""
    difference, scale = np.abs(a - b).max(), max(np.abs(a).max(), np.abs(b).max())
    return float(difference / scale) if difference else 0.0
