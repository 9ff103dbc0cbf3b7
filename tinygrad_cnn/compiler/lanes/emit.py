"""A thin layer over llvmlite: functions of pointers, loops that carry values, vectors of lanes.

An index is a Python int, an i64 value, or a list of (index, factor) pairs, which stands for
their sum of products. Indices count elements. Values that a loop carries stay in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from llvmlite import ir

from .target import Target

Value: TypeAlias = Any  # llvmlite has no types
Index: TypeAlias = "int | Value | list[tuple[int | Value, int]]"

i8, i32, i64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


class Module:
    """One LLVM module: the functions that are compiled together.

    Attributes:
        real: the type of a number, ``float`` or ``double``.
        lanes: how many numbers a vector has, which is how many images a block has.
        vector: the type of a vector.
    """

    def __init__(self, target: Target, itemsize: int) -> None:
        self.target, self.itemsize = target, itemsize
        self.module = ir.Module()
        self.real = ir.FloatType() if itemsize == 4 else ir.DoubleType()
        self.integer = i32 if itemsize == 4 else i64  # of the width of a number
        self.lanes = target.lanes(itemsize)
        self.registers = target.registers
        self.vector = ir.VectorType(self.real, self.lanes)
        self.suffix = "f32" if itemsize == 4 else "f64"
        self._constants: dict[str, Value] = {}

    def constant(self, kind: Value, value: Any) -> Value:
        """A constant, of which there is one: llvmlite formats each of them once, at length."""
        key = f"{kind} {value!r}"
        if key not in self._constants:
            self._constants[key] = ir.Constant(kind, value)
        return self._constants[key]

    def intrinsic(self, name: str, result: Value, arguments: Sequence[Value]) -> Value:
        """A function that LLVM knows, such as ``llvm.fma.v8f32``."""
        known = self.module.globals.get(name)
        return known or ir.Function(self.module, ir.FunctionType(result, arguments), name)

    def inner(self, name: str, count: int, body: Callable[..., None]) -> Value:
        """A function of ``count`` pointers to numbers, to be called by other functions here.

        ``body(builder, *pointers)`` emits it. No two pointers may overlap where one is written.
        """
        pointer = self.real.as_pointer()
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [pointer] * count), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        for argument in function.args:
            argument.add_attribute("noalias")
        builder = Builder(self, function)
        body(builder, *function.args)
        builder.ir.ret_void()
        return function

    def kernel(self, name: str, count: int, body: Callable[..., None]) -> None:
        """A function that is called from outside: ``void name(void **pointers)``."""
        inner = self.inner(f"{name}.body", count, body)
        pointer = self.real.as_pointer()
        outer = ir.Function(
            self.module, ir.FunctionType(ir.VoidType(), [pointer.as_pointer()]), name
        )
        builder = ir.IRBuilder(outer.append_basic_block())
        given = [builder.load(builder.gep(outer.args[0], [i64(i)])) for i in range(count)]
        builder.call(inner, given)
        builder.ret_void()


class Builder:
    """Emits the code of one function. ``ir`` is llvmlite's own builder."""

    def __init__(self, module: Module, function: Value) -> None:
        self.module, self.function = module, function
        self.lanes, self.real, self.vector = module.lanes, module.real, module.vector
        self.ir = ir.IRBuilder(function.append_basic_block())

    # -- constants and indices -------------------------------------------------------------

    def number(self, value: float) -> Value:
        """One number."""
        return ir.Constant(self.real, float(value))

    def splat(self, value: float) -> Value:
        """The same number in all lanes."""
        return self.module.constant(self.vector, [float(value)] * self.lanes)

    @property
    def zero(self) -> Value:
        """Zeros in all lanes."""
        return self.splat(0.0)

    def index(self, at: Index) -> Value:
        """An index as one i64 value; constants are folded."""
        if isinstance(at, int):
            return i64(at)
        if not isinstance(at, list):
            return at
        total, constant = None, 0
        for value, factor in at:
            if isinstance(value, int):
                constant += value * factor
            elif factor:
                term = value if factor == 1 else self.ir.mul(value, i64(factor))
                total = term if total is None else self.ir.add(total, term)
        if total is None:
            return i64(constant)
        return self.ir.add(total, i64(constant)) if constant else total

    # -- memory ----------------------------------------------------------------------------

    def at(self, pointer: Value, index: Index) -> Value:
        """The pointer, moved on by so many numbers."""
        if isinstance(index, int) and not index:
            return pointer
        return self.ir.gep(pointer, [self.index(index)])

    def load(self, pointer: Value, index: Index = 0, *, aligned: bool = True) -> Value:
        """A vector; ``aligned`` where its address is a multiple of its size."""
        place = self.ir.bitcast(self.at(pointer, index), self.vector.as_pointer())
        return self.ir.load(place, align=self._alignment(aligned))

    def store(
        self, value: Value, pointer: Value, index: Index = 0, *, aligned: bool = True
    ) -> None:
        """Write a vector."""
        place = self.ir.bitcast(self.at(pointer, index), self.vector.as_pointer())
        self.ir.store(value, place, align=self._alignment(aligned))

    def _alignment(self, aligned: bool) -> int:
        return self.module.itemsize * (self.lanes if aligned else 1)

    def load_number(self, pointer: Value, index: Index = 0) -> Value:
        """One number."""
        return self.ir.load(self.at(pointer, index))

    def store_number(self, value: Value, pointer: Value, index: Index = 0) -> None:
        """Write one number."""
        self.ir.store(value, self.at(pointer, index))

    def load_splat(self, pointer: Value, index: Index = 0) -> Value:
        """One number from memory, in all lanes."""
        return self.broadcast(self.load_number(pointer, index))

    def room(self, vectors: int) -> Value:
        """A pointer to so many vectors of the function's own, aligned; some KB at most."""
        with self.ir.goto_entry_block():
            made = self.ir.alloca(self.vector, vectors)
            made.align = self._alignment(aligned=True)
            return self.ir.bitcast(made, self.real.as_pointer())

    # -- arithmetic ------------------------------------------------------------------------

    def broadcast(self, number: Value) -> Value:
        """A number in all lanes."""
        undefined = self.module.constant(self.vector, ir.Undefined)
        first = self.ir.insert_element(undefined, number, i32(0))
        return self.shuffle(first, undefined, [0] * self.lanes)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a b + c, rounded once where the machine has an instruction for it."""
        kind = f"v{self.lanes}{self.module.suffix}" if a.type == self.vector else self.module.suffix
        fma = self.module.intrinsic(f"llvm.fmuladd.{kind}", a.type, [a.type] * 3)
        return self.ir.call(fma, [a, b, c])

    def greater(self, a: Value, b: Value) -> Value:
        """A mask, false where an operand is NaN."""
        return self.ir.fcmp_ordered(">", a, b)

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """A vector of these lanes of ``a`` and, from ``lanes`` up, of ``b``."""
        kind = ir.VectorType(i32, len(lanes))
        return self.ir.shuffle_vector(a, b, self.module.constant(kind, list(lanes)))

    def transpose(self, rows: Sequence[Value]) -> list[Value]:
        """As many vectors as there are lanes, transposed as a matrix."""
        v, n = list(rows), self.lanes
        half = n // 2
        while half:
            low = [i if not i & half else n + i - half for i in range(n)]
            high = [i + half if not i & half else n + i for i in range(n)]
            for i in range(n):
                if not i & half:
                    pair = v[i], v[i + half]
                    v[i], v[i + half] = self.shuffle(*pair, low), self.shuffle(*pair, high)
            half //= 2
        return v

    def lane_sums(self, vectors: Sequence[Value]) -> Value:
        """Of as many vectors as there are lanes, or fewer, the sums: lane i that of the i-th."""
        n = self.lanes
        v: list[Any] = [*vectors, *[None] * (n - len(vectors))]
        half = n // 2
        while half:
            low = [i if not i & half else n + i - half for i in range(n)]
            high = [i + half if not i & half else n + i for i in range(n)]
            folded: list[Any] = []
            for i in range(half):
                a, b = v[i], v[i + half]
                if a is None and b is None:
                    folded.append(None)
                    continue
                a, b = (self.zero if w is None else w for w in (a, b))
                folded.append(self.ir.fadd(self.shuffle(a, b, low), self.shuffle(a, b, high)))
            v = folded
            half //= 2
        return v[0]

    # -- loops -----------------------------------------------------------------------------

    def loop(
        self,
        start: int | Value,
        stop: int | Value,
        body: Callable[[Value, list[Value]], Sequence[Value] | None],
        carry: Sequence[Value] = (),
        step: int = 1,
    ) -> list[Value]:
        """``for i in range(start, stop, step): carry = body(i, carry)``; the last carry.

        There is at least one pass; a loop that has one for certain is written out.
        """
        if isinstance(start, int) and isinstance(stop, int) and start + step >= stop:
            return list(body(i64(start), list(carry)) or [])
        before, head = self.ir.block, self.function.append_basic_block()
        self.ir.branch(head)
        self.ir.position_at_end(head)
        i = self.ir.phi(i64)
        i.add_incoming(self.index(start), before)
        carried = []
        for value in carry:
            phi = self.ir.phi(value.type)
            phi.add_incoming(value, before)
            carried.append(phi)
        made = list(body(i, list(carried)) or [])
        following = self.ir.add(i, i64(step))
        i.add_incoming(following, self.ir.block)
        for phi, value in zip(carried, made, strict=True):
            phi.add_incoming(value, self.ir.block)
        after = self.function.append_basic_block()
        again = self.ir.icmp_signed("<", following, self.index(stop))
        self.ir.cbranch(again, head, after)
        self.ir.position_at_end(after)
        return made

    def repeat(
        self, start: Value, stop: Value, body: Callable[[Value], object], step: int = 1
    ) -> None:
        """``for i in range(start, stop, step): body(i)``, which may be no pass at all."""

        def one(i: Value, _: list[Value]) -> None:
            body(i)

        with self.ir.if_then(self.ir.icmp_signed("<", start, stop)):
            self.loop(start, stop, one, step=step)

    def tiles(self, length: int, size: int, body: Callable[[Value, int], None]) -> None:
        """``body(start, size)`` over ``length`` in tiles, and the smaller remainder last."""
        whole = length // size * size
        if whole:
            self.loop(0, whole, lambda i, _: body(i, size), step=size)
        if length > whole:
            body(i64(whole), length - whole)
