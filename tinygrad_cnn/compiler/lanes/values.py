"""Constants and intrinsic functions for a value of any type: a number, or a vector of any width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llvmlite import ir

if TYPE_CHECKING:
    from .emit import Builder, Value


def constant(kind: Value, value: float | int) -> Value:
    """A constant of this type, the same in all lanes of a vector."""
    if isinstance(kind, ir.VectorType):
        return ir.Constant(kind, [value] * kind.count)
    return ir.Constant(kind, value)


def constant_of(value: Value) -> float | None:
    """The number that a constant holds in all lanes; None of what is computed or differs."""
    if not isinstance(value, ir.Constant):
        return None
    held: Any = value.constant
    if isinstance(value.type, ir.VectorType):
        lanes = {lane.constant for lane in held}
        held = lanes.pop() if len(lanes) == 1 else None
    return held if isinstance(held, float) else None


def bits_of(value: Value) -> int:
    """How wide an element is: 32 or 64 bits, or 1 of a mask."""
    kind = getattr(value.type, "element", value.type)
    if isinstance(kind, ir.IntType):
        return int(kind.width)
    return 32 if isinstance(kind, ir.FloatType) else 64


def integers(kind: Value, bits: int) -> Value:
    """The type of whole numbers that has as many elements as ``kind``."""
    integer = ir.IntType(bits)
    return ir.VectorType(integer, kind.count) if isinstance(kind, ir.VectorType) else integer


def intrinsic(builder: Builder, name: str, *operands: Value) -> Value:
    """``llvm.name`` of operands that are all of one type, such as ``llvm.fma.v8f32``."""
    kind = operands[0].type
    lanes = f"v{kind.count}" if isinstance(kind, ir.VectorType) else ""
    full = f"llvm.{name}.{lanes}f{bits_of(operands[0])}"
    function = builder.module.intrinsic(full, kind, [kind] * len(operands))
    return builder.ir.call(function, operands)
