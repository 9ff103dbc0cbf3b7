"""exp, log and what follows from them, on vectors: polynomials, without tables or branches.

The scheme is the usual one (W. J. Cody and W. Waite, *Software Manual for the Elementary
Functions*, 1980): reduce the argument to a small interval, where a short series is exact to the
last digit, and put the result together with the exponent. In float32 the error is at most 2 units
in the last place (3 without fused multiplication), in float64 at most 4. Infinities, NaN, the sign
of zero, overflow, and numbers too small to be normal are right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..._kernels import special
from .values import bits_of, constant, integers, intrinsic

if TYPE_CHECKING:
    from .emit import Builder, Value


class _Format(NamedTuple):
    """What depends on the type of a number.

    Attributes:
        bits: of a number; mantissa: how many of them are stored for the fraction.
        bias: of the exponent.
        exp_range: beyond it exp is 0 or infinite for certain.
        exp_terms: the degree of the series of exp for |x| <= ln(2) / 2.
        log_terms: how many terms the series of log has for sqrt(1/2) < x < sqrt(2).
        erf_terms: the degree of the series of erf, in x**2 for |x| < 7/8.
        log2: ln(2) as a sum; the first number's product with any exponent is exact.
    """

    bits: int
    mantissa: int
    bias: int
    exp_range: tuple[float, float]
    exp_terms: int
    log_terms: int
    erf_terms: int
    log2: tuple[float, float]


_LOG2 = Fraction("0.6931471805599453094172321214581765680755")
_SLOPE_OF_ERF = Fraction("1.1283791670955125738961589031215451716881")  # 2 / sqrt(pi)


def _split(number: Fraction, bits: int) -> tuple[float, float]:
    """The number as a sum: its first bits behind the point, and the rest."""
    high = Fraction(math.floor(number * 2**bits), 2**bits)
    return float(high), float(number - high)


_FORMATS = {
    32: _Format(32, 23, 127, (-104.0, 89.0), 7, 4, 9, _split(_LOG2, 12)),
    64: _Format(64, 52, 1023, (-746.0, 710.0), 13, 10, 16, _split(_LOG2, 32)),
}


def _format(x: Value) -> _Format:
    return _FORMATS[bits_of(x)]


def _c(x: Value, value: float) -> Value:
    return constant(x.type, float(value))


def _madd(b: Builder, x: Value, y: Value, z: Value) -> Value:
    """x y + z; rounded once where the machine can, and no result here depends on that."""
    return intrinsic(b, "fmuladd", x, y, z)


def _select(b: Builder, x: Value, sign: str, y: float, then: Value, other: Value) -> Value:
    """``then`` where x compares so with a constant; ``other`` elsewhere and for NaN."""
    return b.ir.select(b.ir.fcmp_ordered(sign, x, _c(x, y)), then, other)


def _polynomial(b: Builder, coefficients: Sequence[float], x: Value) -> Value:
    """The polynomial with these coefficients, the highest power first (Horner's rule)."""
    total = _c(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = _madd(b, total, x, _c(x, coefficient))
    return total


def _bits(b: Builder, x: Value) -> Value:
    return b.ir.bitcast(x, integers(x.type, bits_of(x)))


def _power_of_two(b: Builder, n: Value) -> Value:
    """2**n of a whole number n whose result is a normal number.

    Added to 1.5 * 2**mantissa, n + bias stands in the lowest bits, which become the exponent.
    """
    f = _format(n)
    shifted = _bits(b, b.ir.fadd(n, _c(n, 1.5 * 2**f.mantissa + f.bias)))
    exponent = b.ir.shl(shifted, constant(shifted.type, f.mantissa))
    return b.ir.bitcast(exponent, n.type)


def _reduced(b: Builder, x: Value) -> tuple[Value, Value]:
    """n and r with x = n ln(2) + r, where n is a whole number and |r| <= ln(2) / 2."""
    high, low = _format(x).log2
    n = intrinsic(b, "roundeven", b.ir.fmul(x, _c(x, math.log2(math.e))))
    return n, _madd(b, n, _c(x, -low), _madd(b, n, _c(x, -high), x))


def _series(x: Value) -> list[float]:
    """1/k! for the powers of x from the highest to x**2."""
    return [1 / math.factorial(k) for k in range(_format(x).exp_terms, 1, -1)]


def exp(b: Builder, x: Value) -> Value:
    """e**x: 2**n times the Taylor series of e**r."""
    low, high = _format(x).exp_range
    x = _select(b, x, "<", low, _c(x, low), x)
    x = _select(b, x, ">", high, _c(x, high), x)
    n, r = _reduced(b, x)
    p = _polynomial(b, [*_series(x), 1.0, 1.0], r)
    # In two factors, since 2**n alone may be too small or too large for a normal number.
    half = intrinsic(b, "roundeven", b.ir.fmul(n, _c(n, 0.5)))
    p = b.ir.fmul(p, _power_of_two(b, half))
    return b.ir.fmul(p, _power_of_two(b, b.ir.fsub(n, half)))


def _half_of_expm1(b: Builder, x: Value) -> tuple[Value, Value]:
    """(e**x - 1) / 2 and what its rounding lost, where neither it nor e**-x overflows.

    It is (2**n - 1) + 2**n r + 2**n (r²/2 + …), halved for n at the end of its range. The first
    two may cancel: what their sum loses is added to the third.
    """
    n, r = _reduced(b, x)
    series = b.ir.fmul(b.ir.fmul(r, r), _polynomial(b, _series(x), r))
    half = _power_of_two(b, b.ir.fsub(n, _c(n, 1.0)))
    less = b.ir.fsub(half, _c(n, 0.5))
    first = _madd(b, half, r, less)
    rest = _madd(b, half, series, _madd(b, half, r, b.ir.fsub(less, first)))
    result = b.ir.fadd(first, rest)
    return result, b.ir.fsub(rest, b.ir.fsub(result, first))


def expm1(b: Builder, x: Value) -> Value:
    """e**x - 1, without loss where x is small."""
    _, high = _format(x).exp_range
    limited = _select(b, x, "<", -60.0, _c(x, -60.0), x)  # there it is -1 to the last digit
    limited = _select(b, limited, ">", high, _c(x, high), limited)
    half, _ = _half_of_expm1(b, limited)
    return intrinsic(b, "copysign", b.ir.fadd(half, half), x)  # for -0


def _quotient(b: Builder, x: Value, y: Value, x_lost: Value, y_lost: Value) -> Value:
    """(x + x_lost) / (y + y_lost), where what was lost is small: corrected by what is left of x."""
    inverse = b.ir.fdiv(_c(y, 1.0), y)
    quotient = b.ir.fmul(x, inverse)
    negative = b.ir.fneg(quotient)
    left = b.ir.fadd(_madd(b, negative, y, x), _madd(b, negative, y_lost, x_lost))
    return _madd(b, left, inverse, quotient)


def tanh(b: Builder, x: Value) -> Value:
    """h / (h + 1) with h = (e**(2 |x|) - 1) / 2, and the sign of x."""
    one, size = _c(x, 1.0), intrinsic(b, "fabs", x)
    size = _select(b, size, ">", 20.0, _c(x, 20.0), size)  # there it is 1 to the last digit
    h, lost = _half_of_expm1(b, b.ir.fadd(size, size))
    divisor = b.ir.fadd(h, one)
    divisor_lost = b.ir.fadd(b.ir.fsub(h, b.ir.fsub(divisor, one)), lost)
    return intrinsic(b, "copysign", _quotient(b, h, divisor, lost, divisor_lost), x)


def sigmoid(b: Builder, x: Value) -> Value:
    """1 / (1 + e**-x); e of a number that is not positive alone is taken."""
    one, small = _c(x, 1.0), exp(b, b.ir.fneg(intrinsic(b, "fabs", x)))
    divisor = b.ir.fadd(small, one)
    lost = b.ir.fsub(small, b.ir.fsub(divisor, one))
    numerator = _select(b, x, ">=", 0.0, one, small)
    return _quotient(b, numerator, divisor, _c(x, 0.0), lost)


def _log_of_normal(b: Builder, x: Value, shift: Value, correction: Value) -> Value:
    """log(x) - shift ln(2) + correction, of a normal number x.

    With x = 2**k (1 + f) and s = f / (2 + f), log(1 + f) = f - (f²/2 - s (f²/2 + R)), where
    R = 2 s²/3 + 2 s⁴/5 + …: the form of fdlibm's log (Sun Microsystems, 1993), which adds
    what is small first.
    """
    k, f = _exponent_and_fraction(b, x)
    k = b.ir.fsub(k, shift)
    s = b.ir.fdiv(f, b.ir.fadd(f, _c(x, 2.0)))
    square = b.ir.fmul(s, s)
    terms = [2 / (2 * i + 1) for i in range(_format(x).log_terms, 0, -1)]
    series = b.ir.fmul(square, _polynomial(b, terms, square))
    half = b.ir.fmul(b.ir.fmul(f, f), _c(x, 0.5))
    high, low = _format(x).log2
    small = _madd(b, k, _c(x, low), correction)
    small = _madd(b, s, b.ir.fadd(half, series), small)
    return _madd(b, k, _c(x, high), b.ir.fsub(f, b.ir.fsub(half, small)))


def _exponent_and_fraction(b: Builder, x: Value) -> tuple[Value, Value]:
    """k and f of a normal number 2**k (1 + f), with sqrt(1/2) <= 1 + f < sqrt(2)."""
    bits, mantissa, bias = _format(x)[:3]
    whole = integers(x.type, bits)
    root = int(np.array(math.sqrt(0.5), f"f{bits // 8}").view(f"i{bits // 8}"))
    moved = b.ir.sub(_bits(b, x), constant(whole, root))
    k = b.ir.add(moved, constant(whole, bias << mantissa))
    k = b.ir.lshr(k, constant(whole, mantissa))
    # k + bias, put into the fraction of 2**mantissa, is added to that number.
    k = b.ir.or_(k, constant(whole, (bias + mantissa) << mantissa))
    k = b.ir.fsub(b.ir.bitcast(k, x.type), _c(x, 2.0**mantissa + bias))
    fraction = b.ir.and_(moved, constant(whole, (1 << mantissa) - 1))
    m = b.ir.bitcast(b.ir.add(fraction, constant(whole, root)), x.type)
    return k, b.ir.fsub(m, _c(x, 1.0))


def _log_at_ends(b: Builder, x: Value, pole: float, result: Value) -> Value:
    """The logarithm where x is infinite, NaN, or not above the pole; else the result."""
    result = _select(b, x, "<", math.inf, result, x)
    result = _select(b, x, "==", pole, _c(x, -math.inf), result)
    return _select(b, x, "<", pole, _c(x, math.nan), result)


def log(b: Builder, x: Value) -> Value:
    """The natural logarithm."""
    _, mantissa, bias = _format(x)[:3]
    smallest = 2.0 ** (1 - bias)  # of the normal numbers
    scaled = b.ir.fmul(x, _c(x, 2.0**mantissa))
    normal = _select(b, x, "<", smallest, scaled, x)
    shift = _select(b, x, "<", smallest, _c(x, mantissa), _c(x, 0.0))
    return _log_at_ends(b, x, 0.0, _log_of_normal(b, normal, shift, _c(x, 0.0)))


def log1p(b: Builder, x: Value) -> Value:
    """log(1 + x): of the rounded sum u, corrected by what it lacks (divided by u)."""
    one = _c(x, 1.0)
    u = b.ir.fadd(x, one)
    rounded = b.ir.fsub(u, x)
    lacks = b.ir.fsub(x, b.ir.fsub(u, rounded))
    lacks = b.ir.fadd(lacks, b.ir.fsub(one, rounded))
    result = _log_of_normal(b, u, _c(x, 0.0), b.ir.fdiv(lacks, u))
    return _log_at_ends(b, x, -1.0, intrinsic(b, "copysign", result, x))  # for -0


def logaddexp(b: Builder, x: Value, y: Value) -> Value:
    """log(e**x + e**y) = max + log(1 + e**-|x - y|)."""
    larger = b.ir.select(b.ir.fcmp_ordered(">", x, y), x, y)
    distance = intrinsic(b, "fabs", b.ir.fsub(x, y))
    result = b.ir.fadd(larger, log1p(b, exp(b, b.ir.fneg(distance))))
    # Equal infinities have no distance.
    doubled = b.ir.fadd(x, _c(x, math.log(2)))
    return b.ir.select(b.ir.fcmp_ordered("==", x, y), doubled, result)


def erf(b: Builder, x: Value) -> Value:
    """The error function: its Taylor series up to 7/8, and 1 - erfc beyond.

    There erfc is W. J. Cody's approximation (see ``_kernels/special.py``), whose error counts
    little beside 1; further on the first term of the series would be above 1.
    """
    size = intrinsic(b, "fabs", x)
    size = _select(b, size, ">", 6.0, _c(x, 6.0), size)  # there it is 1 to the last digit
    square = b.ir.fmul(size, size)
    high, low = _split(_SLOPE_OF_ERF, _format(x).mantissa)
    degrees = range(_format(x).erf_terms, 0, -1)
    terms = [(high + low) * (-1) ** k / (math.factorial(k) * (2 * k + 1)) for k in degrees]
    inner = b.ir.fmul(size, _polynomial(b, [*terms, low], square))
    inner = _madd(b, size, _c(x, high), inner)
    p, q = (_polynomial(b, part, size) for part in (special._R, special._S))
    erfc = b.ir.fmul(exp(b, b.ir.fneg(square)), b.ir.fdiv(p, q))
    outer = b.ir.fsub(_c(x, 1.0), erfc)
    return intrinsic(b, "copysign", _select(b, size, "<", 0.875, inner, outer), x)
