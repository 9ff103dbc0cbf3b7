"""The native code that makes the calls of tables, and lets threads wait for work and each other.

Memory orders are C11's: who acquires a value sees all that was written before its release. All
waiting begins with looking, which is the quickest where each thread has a core. Where cores are
shared it soon offers the core to others, and in the end, but for barriers, it sleeps.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from llvmlite import ir

from .emit import Module, Value, i8, i32, i64
from .target import binding

# The words of a slot, which has a cache line of its own; slot 0 is the leader's.
STATE, ENTRIES, COUNT, READ, WRITE, LEADER = range(6)
SLOT_WORDS = 8
ASLEEP, WAITING, WORKING = range(3)  # the states of a worker
# The leader's state is the number of workers that are not done, and this if it is asleep.
_LEADER_ASLEEP = 1 << 32
# The words of a barrier; the generation is alone on its cache line.
ARRIVED, THREADS, GENERATION = 0, 1, 8
BARRIER_WORDS = 16

# How often one looks before one offers the core to others, which takes about a microsecond, and
# before one sleeps until a byte comes through a pipe.
_LOOKS, _LOOKS_AWAKE = 64, 120

_YIELD, _READ, _WRITE = (
    ("SwitchToThread", "_read", "_write")
    if sys.platform == "win32"
    else ("sched_yield", "read", "write")
)


@dataclass(frozen=True)
class Barrier:
    """Wait until every thread has come; the last one starts the next generation."""

    pointers = ("barrier",)

    def emit(self, module: Module, name: str) -> None:
        """The function, whose only pointer is that of the barrier's words."""
        code = _Code(module, name)
        b = code.ir
        words = b.inttoptr(code.get(code.words, 0), code.words.type)
        generation = code.acquire(words, GENERATION)
        before = b.atomic_rmw("add", code.at(words, ARRIVED), i64(1), "acq_rel")
        arrived = b.add(before, i64(1))
        with b.if_else(b.icmp_signed("==", arrived, code.get(words, THREADS))) as (last, other):
            with last:
                b.store(i64(0), code.at(words, ARRIVED))
                code.release(b.add(generation, i64(1)), words, GENERATION)
            with other:
                code.wait(lambda: b.icmp_signed("!=", code.acquire(words, GENERATION), generation))
        b.ret_void()


@dataclass(frozen=True)
class Serve:
    """The life of a worker: wait for a table, make its calls, and again; no table ends it."""

    pointers = tuple(f"slot[{word}]" for word in range(SLOT_WORDS))

    def emit(self, module: Module, name: str) -> None:
        """The function, whose pointers are the slot itself."""
        code = _Code(module, name)
        b, slot = code.ir, code.words
        leader = b.inttoptr(code.get(slot, LEADER), slot.type)
        look = code.function.append_basic_block()
        b.branch(look)
        b.position_at_end(look)
        called = code.wait(
            lambda: b.icmp_signed("==", code.acquire(slot, STATE), i64(WORKING)), _LOOKS_AWAKE
        )
        with b.if_then(b.not_(called)):
            state = code.at(slot, STATE)
            seen = b.cmpxchg(state, i64(WAITING), i64(ASLEEP), "acq_rel", "acquire")
            with b.if_then(b.extract_value(seen, 1)):
                code.sleep(slot)
        entries = code.get(slot, ENTRIES)
        code.calls(entries, code.get(slot, COUNT))
        code.release(i64(WAITING), slot, STATE)
        file = code.get(leader, WRITE)  # once the leader knows, its slot may be gone
        before = b.atomic_rmw("sub", code.at(leader, STATE), i64(1), "acq_rel")
        with b.if_then(b.icmp_signed("==", before, i64(_LEADER_ASLEEP + 1))):
            code.wake(file)
        end = code.function.append_basic_block()
        b.cbranch(b.icmp_signed("==", entries, i64(0)), end, look)
        b.position_at_end(end)
        b.ret_void()


@dataclass(frozen=True)
class Lead:
    """Hand tables to workers, make the calls of one's own, and wait until all are done."""

    pointers = ("slots", "workers", "tables")

    def emit(self, module: Module, name: str) -> None:
        """The function, whose pointers are: the slots, how many workers, and of each table,
        one's own first, its entries and how many they are.
        """
        code = _Code(module, name)
        b = code.ir
        leader = b.inttoptr(code.get(code.words, 0), code.words.type)
        workers = code.get(code.words, 1)

        def call(worker: Value) -> None:
            number = b.add(worker, i64(1))
            slot = code.at(leader, b.mul(number, i64(SLOT_WORDS)))
            table = code.at(code.words, b.add(b.mul(number, i64(2)), i64(2)))
            for word, given in ((ENTRIES, 0), (COUNT, 1)):
                b.store(code.get(table, given), code.at(slot, word))
            before = b.atomic_rmw("xchg", code.at(slot, STATE), i64(WORKING), "acq_rel")
            with b.if_then(b.icmp_signed("==", before, i64(ASLEEP))):
                code.wake(code.get(slot, WRITE))

        has_workers = b.icmp_signed(">", workers, i64(0))
        with b.if_then(has_workers):
            code.release(workers, leader, STATE)
            code.each(workers, call)
        code.calls(code.get(code.words, 2), code.get(code.words, 3))
        with b.if_then(has_workers):
            self._join(code, leader)
        b.ret_void()

    def _join(self, code: _Code, leader: Value) -> None:
        b = code.ir
        done = code.wait(
            lambda: b.icmp_signed("==", code.acquire(leader, STATE), i64(0)), _LOOKS_AWAKE
        )
        with b.if_then(b.not_(done)):
            state = code.at(leader, STATE)
            before = b.atomic_rmw("add", state, i64(_LEADER_ASLEEP), "acq_rel")
            with b.if_then(b.icmp_signed(">", before, i64(0))):
                code.sleep(leader)


class _Code:
    """Emits one function ``void name(void **)``; what its argument points to are words."""

    def __init__(self, module: Module, name: str) -> None:
        self.module = module
        kind = ir.FunctionType(ir.VoidType(), [i64.as_pointer()])
        self.function = ir.Function(module.module, kind, name)
        self.words = self.function.args[0]
        self.ir = ir.IRBuilder(self.function.append_basic_block())
        self.byte = self.ir.alloca(i8)  # here, since the stack would grow with a loop

    def at(self, words: Value, index: int | Value) -> Value:
        """The address of a word."""
        return self.ir.gep(words, [i64(index) if isinstance(index, int) else index])

    def get(self, words: Value, index: int | Value) -> Value:
        """A word that no other thread writes at the same time."""
        return self.ir.load(self.at(words, index))

    def acquire(self, words: Value, index: int) -> Value:
        """A word, and what was written before it was released."""
        return self.ir.load_atomic(self.at(words, index), "acquire", 8)

    def release(self, value: Value, words: Value, index: int) -> None:
        """Write a word, for threads that acquire it."""
        self.ir.store_atomic(value, self.at(words, index), "release", 8)

    def each(self, count: Value, body: Callable[[Value], None]) -> None:
        """``for i in range(count): body(i)``."""
        b, before = self.ir, self.ir.block
        head, inside, after = (self.function.append_basic_block() for _ in range(3))
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(i64)
        i.add_incoming(i64(0), before)
        b.cbranch(b.icmp_signed("<", i, count), inside, after)
        b.position_at_end(inside)
        body(i)
        i.add_incoming(b.add(i, i64(1)), b.block)
        b.branch(head)
        b.position_at_end(after)

    def calls(self, entries: Value, count: Value) -> None:
        """Call each entry's function with its pointers."""
        table = self.ir.inttoptr(entries, self.words.type)

        def call(i: Value) -> None:
            entry = self.at(table, self.ir.mul(i, i64(2)))
            kind = self.function.function_type.as_pointer()
            function = self.ir.inttoptr(self.get(entry, 0), kind)
            self.ir.call(function, [self.ir.inttoptr(self.get(entry, 1), self.words.type)])

        self.each(count, call)

    def wait(self, condition: Callable[[], Value], limit: int = 0) -> Value:
        """Look until the condition holds, or ``limit`` times; whether it does."""
        b, before = self.ir, self.ir.block
        head, rest, after = (self.function.append_basic_block() for _ in range(3))
        b.branch(head)
        b.position_at_end(head)
        looks = b.phi(i64)
        looks.add_incoming(i64(0), before)
        holds = condition()
        b.cbranch(holds, after, rest)
        b.position_at_end(rest)
        with b.if_else(b.icmp_signed("<", looks, i64(_LOOKS))) as (first, later):
            with first:
                self._pause()
            with later:
                b.call(self._outside(_YIELD, i32, []), [])
        more = b.add(looks, i64(1))
        looks.add_incoming(more, b.block)
        if limit:
            b.cbranch(b.icmp_signed("<", more, i64(limit)), head, after)
        else:
            b.branch(head)
        end = b.block
        b.position_at_end(after)
        result = b.phi(ir.IntType(1))
        result.add_incoming(holds, head)
        if limit:
            result.add_incoming(holds, end)
        return result

    def sleep(self, slot: Value) -> None:
        """Wait for the byte of ``wake``, and for nothing else: a signal may end a read early."""
        b = self.ir
        head, after = (self.function.append_basic_block() for _ in range(2))
        b.branch(head)
        b.position_at_end(head)
        read = self._outside(_READ, i64, [i32, i8.as_pointer(), i64])
        count = b.call(read, [b.trunc(self.get(slot, READ), i32), self.byte, i64(1)])
        b.cbranch(b.icmp_signed("==", count, i64(1)), after, head)
        b.position_at_end(after)

    def wake(self, file: Value) -> None:
        """Send one byte, whichever; nobody is woken who did not say that he sleeps."""
        write = self._outside(_WRITE, i64, [i32, i8.as_pointer(), i64])
        self.ir.call(write, [self.ir.trunc(file, i32), self.byte, i64(1)])

    def _pause(self) -> None:
        """Tell the core that this is a loop that waits, where it has an instruction for that."""
        architecture = binding().get_process_triple().partition("-")[0]
        if architecture == "x86_64":
            self.ir.call(self._outside("llvm.x86.sse2.pause", ir.VoidType(), []), [])
        elif architecture in ("aarch64", "arm64"):
            hint = self._outside("llvm.aarch64.hint", ir.VoidType(), [i32])
            self.ir.call(hint, [i32(1)])

    def _outside(self, name: str, result: Value, arguments: list[Value]) -> Value:
        """A function of LLVM or of the C library."""
        return self.module.intrinsic(name, result, arguments)
