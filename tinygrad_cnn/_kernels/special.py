"""Special functions that NumPy lacks."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..typing import Array


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)); only exp of a non-positive number is taken, so nothing overflows."""
    if np.iscomplexobj(x):  # the absolute value is not analytic
        return 1.0 / (1.0 + np.exp(-x))
    if np.asarray(x).dtype.kind in "biu":  # of which bytes have no negative
        x = np.asarray(x, np.float64)
    small = np.exp(-np.abs(x))
    return np.where(np.greater_equal(x, 0), 1.0, small) / (1.0 + small)


# W. J. Cody (1969), "Rational Chebyshev approximation for the error function", Mathematics of
# Computation 23: erf(x) = x P(x²)/Q(x²) for |x| <= 0.46875, and beyond erfc(x) =
# exp(-x²) R(x)/S(x), published for x up to 4; from there on erfc < 2e-8, so that the lower
# relative accuracy of R/S does not reach the last digit of erf = 1 - erfc.
_P = (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2,
      3.77485237685302021e2, 3.20937758913846947e3)  # fmt: skip
_Q = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
      2.84423683343917062e3)  # fmt: skip
_R = (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594,
      6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2,
      1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3)  # fmt: skip
_S = (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
      1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3,
      3.43936767414372164e3, 1.23033935480374942e3)  # fmt: skip


def erf(x: Any) -> Any:
    """The error function, to the last digit or two of its dtype."""
    x = np.asarray(x) if np.asarray(x).dtype.kind == "f" else np.asarray(x, np.float64)
    size = np.minimum(np.abs(x), 6.0)  # erf(6) is 1 to the last digit; the powers stay small
    square = size * size
    inner = size * _horner(_P, square) / _horner(_Q, square)
    outer = 1.0 - np.exp(-square) * _horner(_R, size) / _horner(_S, size)
    return np.copysign(np.where(size <= 0.46875, inner, outer), x)


def _horner(coefficients: tuple[float, ...], x: Array) -> Array:
    """The polynomial with these coefficients, the highest power first."""
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total *= x
        total += coefficient
    return total
