"""What the steps of an expression are called, and the code of each: on vectors and on numbers.

The names are those of the primitives in ``tinygrad_cnn.ops``, and the meaning is NumPy's: NaN
passes through, comparisons give masks, and a mask that arithmetic receives counts as 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from llvmlite import ir

from . import transcendental
from .values import bits_of, constant, constant_of, intrinsic

if TYPE_CHECKING:
    from .emit import Builder, Value

# Whole exponents whose powers are products, of two roundings at most.
_PRODUCTS = range(-2, 4)


def _number(b: Builder, x: Value) -> Value:
    """A mask as 0 and 1; numbers as they are."""
    if bits_of(x) > 1:
        return x
    kind = b.vector if isinstance(x.type, ir.VectorType) else b.real
    return b.ir.select(x, constant(kind, 1.0), constant(kind, 0.0))


def _mask(b: Builder, x: Value) -> Value:
    """Where a number is not zero, as NaN is not; masks as they are."""
    return x if bits_of(x) == 1 else b.ir.fcmp_unordered("!=", x, constant(x.type, 0.0))


def _on_numbers(emit: Callable[..., Value]) -> Callable[..., Value]:
    """The same operation, for masks too."""
    return lambda b, *operands: emit(b, *(_number(b, x) for x in operands))


def _on_masks(emit: Callable[..., Value]) -> Callable[..., Value]:
    """The same operation, for numbers too."""
    return lambda b, *operands: emit(b, *(_mask(b, x) for x in operands))


def _intrinsic(name: str) -> Callable[..., Value]:
    return _on_numbers(lambda b, *operands: intrinsic(b, name, *operands))


def _compare(sign: str) -> Callable[..., Value]:
    return _on_numbers(lambda b, x, y: b.ir.fcmp_ordered(sign, x, y))


def _is_nan(b: Builder, x: Value) -> Value:
    return b.ir.fcmp_unordered("uno", x, x)


def _extremum(sign: str) -> Callable[..., Value]:
    """The operand that compares so with the other; the first of equals, and NaN."""

    def emit(b: Builder, x: Value, y: Value) -> Value:
        reverse = "<" if sign == ">" else ">"
        # Of either form one comparison is left where LLVM knows that the second is not NaN,
        # as in max(x, 0); two where it knows so of the first, and three where of neither.
        if constant_of(x) is not None:
            return b.ir.select(b.ir.fcmp_ordered(sign + "=", x, y), x, y)
        winner = b.ir.select(b.ir.fcmp_ordered(reverse, x, y), y, x)
        return b.ir.select(_is_nan(b, y), y, winner)

    return _on_numbers(emit)


_maximum, _minimum = _extremum(">"), _extremum("<")


def _clip(b: Builder, x: Value, low: Value, high: Value) -> Value:
    return _minimum(b, _maximum(b, x, low), high)


def _where(b: Builder, condition: Value, x: Value, y: Value) -> Value:
    return b.ir.select(_mask(b, condition), _number(b, x), _number(b, y))


def _sign(b: Builder, x: Value) -> Value:
    zero = constant(x.type, 0.0)
    small = b.ir.select(b.ir.fcmp_ordered("==", x, zero), zero, x)  # or NaN
    small = b.ir.select(b.ir.fcmp_ordered("<", x, zero), constant(x.type, -1.0), small)
    return b.ir.select(b.ir.fcmp_ordered(">", x, zero), constant(x.type, 1.0), small)


def _floor_divide(b: Builder, x: Value, y: Value) -> Value:
    """The floor of the exact quotient, as NumPy and Python find it from the remainder."""
    zero, one = constant(x.type, 0.0), constant(x.type, 1.0)
    quotient = b.ir.fdiv(x, y)
    rest = b.ir.frem(x, y)
    exact = b.ir.fdiv(b.ir.fsub(x, rest), y)
    signs_differ = b.ir.xor(b.ir.fcmp_ordered("<", rest, zero), b.ir.fcmp_ordered("<", y, zero))
    below = b.ir.and_(b.ir.fcmp_unordered("!=", rest, zero), signs_differ)
    exact = b.ir.select(below, b.ir.fsub(exact, one), exact)
    # The division may have rounded the whole number a little down.
    floor = intrinsic(b, "floor", exact)
    over = b.ir.fcmp_ordered(">", b.ir.fsub(exact, floor), constant(x.type, 0.5))
    floor = b.ir.select(over, b.ir.fadd(floor, one), floor)
    floor = b.ir.select(b.ir.fcmp_ordered("==", exact, zero), b.ir.fmul(quotient, zero), floor)
    return b.ir.select(b.ir.fcmp_ordered("==", y, zero), quotient, floor)


def _power(b: Builder, x: Value, y: Value) -> Value:
    """x**y; by products, a root or a reciprocal where y is known, else by the C library."""
    exponent = constant_of(y)
    if exponent == 0.5:
        return intrinsic(b, "sqrt", x)
    if exponent is None or exponent not in _PRODUCTS:  # a whole float equals its int
        return intrinsic(b, "pow", x, y)
    product = constant(x.type, 1.0)
    for i in range(abs(int(exponent))):
        product = b.ir.fmul(product, x) if i else x
    return b.ir.fdiv(constant(x.type, 1.0), product) if exponent < 0 else product


def _reciprocal(b: Builder, x: Value) -> Value:
    return b.ir.fdiv(constant(x.type, 1.0), x)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": _on_numbers(lambda b, x, y: b.ir.fadd(x, y)),
    "subtract": _on_numbers(lambda b, x, y: b.ir.fsub(x, y)),
    "multiply": _on_numbers(lambda b, x, y: b.ir.fmul(x, y)),
    "divide": _on_numbers(lambda b, x, y: b.ir.fdiv(x, y)),
    "negative": _on_numbers(lambda b, x: b.ir.fneg(x)),
    "reciprocal": _on_numbers(_reciprocal),
    "power": _on_numbers(_power),
    "floor_divide": _on_numbers(_floor_divide),
    "maximum": _maximum,
    "minimum": _minimum,
    "clip": _clip,
    "where": _where,
    "abs": _intrinsic("fabs"),
    "sign": _on_numbers(_sign),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "round": _intrinsic("roundeven"),
    "sqrt": _intrinsic("sqrt"),
    "sin": _intrinsic("sin"),
    "cos": _intrinsic("cos"),
    "exp": _on_numbers(transcendental.exp),
    "expm1": _on_numbers(transcendental.expm1),
    "log": _on_numbers(transcendental.log),
    "log1p": _on_numbers(transcendental.log1p),
    "logaddexp": _on_numbers(transcendental.logaddexp),
    "tanh": _on_numbers(transcendental.tanh),
    "sigmoid": _on_numbers(transcendental.sigmoid),
    "erf": _on_numbers(transcendental.erf),
    "greater": _compare(">"),
    "greater_equal": _compare(">="),
    "less": _compare("<"),
    "less_equal": _compare("<="),
    "equal": _compare("=="),
    "not_equal": _on_numbers(lambda b, x, y: b.ir.fcmp_unordered("!=", x, y)),
    "isnan": _on_numbers(_is_nan),
    "logical_and": _on_masks(lambda b, x, y: b.ir.and_(x, y)),
    "logical_or": _on_masks(lambda b, x, y: b.ir.or_(x, y)),
    "logical_not": _on_masks(lambda b, x: b.ir.not_(x)),
    "number": _number,
}
