"""Runs native functions: tables of calls, one for each thread, and the threads that make them.

A step of a program is one native call in each thread; no code is made for the program itself.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from ...errors import ArgumentError, GraphError
from ...typing import Array, DTypeLike, IntTuple
from .library import build

_ALIGNMENT = 64


def aligned(shape: IntTuple, dtype: DTypeLike = np.float32) -> Array:
    """An array of zeros whose address is a multiple of 64 bytes, as vectors need it.

    >>> aligned((3, 8)).ctypes.data % 64
    0
    """
    kind = np.dtype(dtype)
    size = kind.itemsize * int(np.prod(shape, dtype=np.intp))
    memory = np.zeros(size + _ALIGNMENT, np.uint8)
    return np.ndarray(shape, kind, memory, -memory.ctypes.data % _ALIGNMENT)


# -- tables --------------------------------------------------------------------------------


class Slot(NamedTuple):
    """A pointer that changes from run to run: so many bytes behind the slot's address."""

    number: int
    offset: int = 0


class Table:
    """The calls that one thread makes, in order.

    It holds addresses only: who makes it keeps the arrays and patches what moves.
    """

    def __init__(self) -> None:
        self.threads = 1  # how many tables wait for each other
        self._functions: list[int] = []
        self._pointers: list[int] = []  # of all calls, one after the other
        self._first: list[int] = []  # of each call, where its pointers start
        self._slots: dict[int, Slot] = {}  # by the index of the pointer
        self._barriers: list[Array] = []
        self._memory: Array | None = None  # laid out for the driver

    def __len__(self) -> int:
        return len(self._functions)

    def append(self, function: int, pointers: Sequence[int | Slot]) -> None:
        """Add a call.

        Args:
            function: the address of a ``void function(void **pointers)``.
            pointers: addresses, or Slots, whose addresses ``patch`` will tell.

        Raises:
            ArgumentError: an address is 0, or a slot's number is negative.
        """
        bad = [p for p in pointers if (p.number < 0 if isinstance(p, Slot) else p <= 0)]
        if bad or function <= 0:
            raise ArgumentError(
                f"call {len(self)}: function={function}, pointers {bad or 'valid'}: expected"
                " addresses, which are positive, and slots that are counted from 0"
            )
        self._functions.append(function)
        self._first.append(len(self._pointers))
        for pointer in pointers:
            if isinstance(pointer, Slot):
                self._slots[len(self._pointers)] = pointer
            self._pointers.append(0 if isinstance(pointer, Slot) else pointer)
        self._memory = None

    def patch(self, addresses: Sequence[int] | Array) -> None:
        """Set the pointers of all slots; what was patched stays until the next ``append``.

        Args:
            addresses: of the slots, by number.

        Raises:
            ArgumentError: a slot is beyond the last address.
        """
        memory = self._memory if self._memory is not None else self._lay_out()
        if not self._slots:
            return
        given = np.asarray(addresses, np.uintp)
        if len(given) <= self._last:
            raise ArgumentError(
                f"{len(given)} addresses for slots up to number {self._last}: expected one for each"
            )
        memory[self._where] = given[self._numbers] + self._offsets
        self._patched = True

    def native(self) -> Array:
        """The words that the driver reads: the entries, then the pointers.

        Raises:
            GraphError: it has slots that were not patched since the last ``append``.
        """
        memory = self._memory if self._memory is not None else self._lay_out()
        if not self._patched:
            raise GraphError(f"{len(self._slots)} pointers are not set yet: call patch first")
        return memory

    def _lay_out(self) -> Array:
        start = 2 * len(self)  # of the pointers; an entry is a function and where its own begin
        memory = np.array([0] * start + self._pointers + [0], np.uintp)  # never empty
        memory[:start:2] = self._functions
        memory[1:start:2] = self._first
        memory[1:start:2] = (memory[1:start:2] + start) * memory.itemsize + memory.ctypes.data
        self._where = np.array(list(self._slots), np.intp) + start
        self._numbers = np.array([slot.number for slot in self._slots.values()], np.intp)
        # Unsigned arithmetic wraps around, so that an offset may be negative.
        offsets = np.array([slot.offset for slot in self._slots.values()], np.intp)
        self._offsets = offsets.view(np.uintp)
        self._last = max(self._numbers, default=-1)
        self._patched = not self._slots
        self._memory = memory
        return memory


def synchronise(tables: Sequence[Table]) -> None:
    """Add a barrier: no thread goes on before all of them have come here.

    Raises:
        ArgumentError: a table waits already for another number of tables.
    """
    from .driver import BARRIER_WORDS, THREADS

    count = len(tables)
    if any(table.threads not in (1, count) for table in tables):
        raise ArgumentError(
            f"a barrier of {count} tables, but some wait for {[t.threads for t in tables]}: all"
            " barriers of a table must be with the same tables"
        )
    if count < 2:
        return
    words = aligned(BARRIER_WORDS, np.int64)
    words[THREADS] = count
    for table in tables:
        table.append(_native().barrier, [words.ctypes.data])
        table.threads = count
        table._barriers.append(words)


# -- threads -------------------------------------------------------------------------------


class _Native(NamedTuple):
    """The driver: an address for tables, and functions that run without Python's lock."""

    barrier: int
    lead: Callable[[int], None]
    serve: Callable[[int], None]


@cache
def _native() -> _Native:
    from .driver import Barrier, Lead, Serve

    library = build([Barrier(), Lead(), Serve()], itemsize=8)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    lead, serve = (kind(library.address(one)) for one in (Lead(), Serve()))
    return _Native(library.address(Barrier()), lead, serve)


class _Crew:
    """A number of workers: their threads, slots, and the pipes that wake them."""

    def __init__(self, size: int) -> None:
        from .driver import LEADER, READ, SLOT_WORDS, STATE, WAITING, WRITE

        self.size, self._process = size, os.getpid()
        self._slots = aligned((size + 1, SLOT_WORDS), np.int64)  # the first is the leader's
        self.slots = self._slots.ctypes.data
        self._slots[:, LEADER] = self.slots
        for slot in self._slots:
            slot[[READ, WRITE]] = os.pipe()
        for number, slot in enumerate(self._slots[1:], 1):
            slot[STATE] = WAITING
            name, serve = f"tinygrad_cnn worker {number}", _native().serve
            threading.Thread(target=serve, args=(slot.ctypes.data,), name=name, daemon=True).start()

    def dismiss(self) -> None:
        """End the workers, who touch nothing here afterwards; a child of a fork has none."""
        from .driver import READ, WRITE

        if os.getpid() == self._process:
            words = np.array([self.slots, self.size] + [0, 0] * (self.size + 1), np.uintp)
            _native().lead(words.ctypes.data)
        for file in self._slots[:, [READ, WRITE]].flat:
            os.close(file)


class Team:
    """Threads that wait for tables; they start when they are needed first, and stay.

    A worker looks for the next table for less than 0.1 ms, and then sleeps. None of it takes
    Python's lock: other Python threads neither wait for it nor hold it up.

    >>> Team().run([Table()])
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._crew: _Crew | None = None
        self._end: weakref.finalize[..., Team] | None = None
        _teams.add(self)

    def run(self, tables: Sequence[Table]) -> None:
        """Run all tables at the same time, the first in this thread; return when all are done.

        Python threads that share a team take turns.

        Raises:
            ArgumentError: there is no table, or barriers wait for other tables than these.
            GraphError: a table has slots that were not patched.
        """
        self.prepare(tables)()

    def prepare(self, tables: Sequence[Table]) -> Callable[[], None]:
        """``run`` of the same tables again and again, for a third of its overhead.

        They may be patched between calls, but a call that is appended is a GraphError.

        Raises:
            ArgumentError, GraphError: as ``run``.
        """
        if not tables or any(table.threads not in (1, len(tables)) for table in tables):
            raise ArgumentError(
                f"{len(tables)} tables whose barriers wait for {[t.threads for t in tables]}:"
                " expected at least one, and all that wait for each other"
            )
        held = [(table, table.native()) for table in tables]
        calls = [word for table, memory in held for word in (memory.ctypes.data, len(table))]
        workers, lead = len(tables) - 1, _native().lead
        words = np.array([0, workers, *calls], np.uintp)
        at = words.ctypes.data

        def run() -> None:
            for table, memory in held:
                if table._memory is not memory:
                    raise GraphError("a table has got more calls: prepare again")
            if not workers:
                lead(at)
                return
            with self._lock:
                words[0] = self._workers(workers).slots
                lead(at)

        return run

    def _workers(self, count: int) -> _Crew:
        """At least so many workers."""
        if self._crew is None or self._crew.size < count:
            self._let_go()
            self._crew = _Crew(count)
            self._end = weakref.finalize(self, _dismiss, self._crew, self._lock)  # at exit, too
        return self._crew

    def _let_go(self) -> None:
        """End the workers, while nobody runs tables."""
        if self._end is not None and self._crew is not None:
            self._end.detach()
            self._crew.dismiss()

    def _after_fork(self) -> None:
        """Begin without workers; the lock may be that of a thread that is not here."""
        self._let_go()
        self._lock, self._crew, self._end = threading.Lock(), None, None


def _dismiss(crew: _Crew, lock: threading.Lock) -> None:
    """End the workers of a team that is gone, or of all teams at exit.

    Then a daemon thread may be running tables: it is waited for, and gets the lock never again. If
    its tables take longer than a second, the end of the process ends the workers too.
    """
    if lock.acquire(timeout=1.0):
        crew.dismiss()


_teams: weakref.WeakSet[Team] = weakref.WeakSet()


def _after_fork() -> None:
    for team in list(_teams):
        team._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
