"""When are two gradients the same?"""

from __future__ import annotations

import numpy as np

from ..typing import Array

# Two formulas in float64 for one number differ by rounding, 1e-15 each step of it; the factor
# leaves room for long sums and ill-conditioned layers. float32 has half the digits.
_TOLERANCE = {"f8": 1e-8, "f4": 3e-5, "f2": 3e-5}

# What is left of numbers that cancel, relative to the largest of them.
NOTHING = 1e-13


def tolerance_for(hand: Array) -> float:
    """The relative difference that rounding explains, by the dtype of the hand's gradient."""
    return _TOLERANCE.get(hand.dtype.str[1:], 1e-8)


def error(one: Array, other: Array) -> float:
    """The largest difference, relative to the largest number; infinite where shapes differ."""
    if one.shape != other.shape:
        return float("inf")
    if not one.size:
        return 0.0
    with np.errstate(invalid="ignore"):  # of two infinities
        difference = np.abs(one - other)
    if not np.isfinite(difference).all():
        return float("inf")
    scale = max(float(np.abs(one).max()), float(np.abs(other).max()))
    return float(difference.max()) / scale if scale else 0.0


def same(one: Array, other: Array, tolerance: float = 1e-8) -> bool:
    """Whether two arrays agree in shape and, up to rounding, in every element."""
    return error(one, other) <= tolerance


def not_finite(hand: Array, right: Array) -> str:
    """At how many elements a value is NaN or infinite that should be finite; "" for none."""
    if hand.shape != right.shape:
        return ""
    said = []
    for word, found in (("NaN", np.isnan(hand)), ("infinite", np.isinf(hand))):
        count = int((found & np.isfinite(right)).sum())
        if count:
            said.append(f"{word} at {count} of {right.size} elements")
    return f"it is {' and '.join(said)}" if said else ""


def ratio(hand: Array, right: Array, tolerance: float = 1e-8) -> float | None:
    """The constant c with hand = c * right, or None where there is no such constant."""
    if hand.shape != right.shape or not right.size:
        return None
    norm = float(np.vdot(right, right))
    if not norm or not np.isfinite(hand).all():
        return None
    constant = float(np.vdot(right, hand)) / norm
    return constant if same(hand, constant * right, tolerance) else None
