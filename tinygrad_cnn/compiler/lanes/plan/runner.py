"""Runs a plan: tables of native calls, one for each thread."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ....typing import Array
from ..._symbols import Symbol
from ..expression import Place
from ..kernels.pack import Fill, Pack, Unpack, ZeroBorder
from ..library import build
from ..runtime import Slot, Table, Team, aligned, synchronise
from . import tasks
from .analysis import BLOCKS, COMMON
from .memory import Memory
from .planner import Plan
from .storage import Ref, Storage

_team = Team()
# Of a result that nobody else holds: the list of those that were made, the variable, and the
# argument of getrefcount.
_HOLDERS = 3
_MOST_KEPT = 2  # arrays for one result: a caller may hold the last one while the next is made


def address(array: Any) -> int:
    """Where the first number of an array is; four times as fast as ``array.ctypes.data``."""
    return int(array.__array_interface__["data"][0])


class _Call(NamedTuple):
    kernel: Any
    pointers: list[Any]


class LaneRunner:
    """A program's native step.

    Attributes:
        keeps_apart: results never share memory with each other or with inputs.
        plan: what it does.
        library: the native functions.
    """

    keeps_apart = True

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.real = np.dtype(f"f{plan.itemsize}")
        total = -(-plan.batch.size // plan.lanes)
        base, extra = divmod(total, plan.threads)
        counts = [base + (t < extra) for t in range(plan.threads)]
        self.first = [sum(counts[:t]) for t in range(plan.threads)]
        self.counts, self.total = counts, total
        self.memory = Memory(plan, max(counts))
        self.arenas = [aligned((max(1, self.memory.thread),), self.real) for _ in counts]
        self.common = aligned((max(1, self.memory.common),), self.real)
        for storage, value in plan.constants:
            view = self.common[storage.offset : storage.offset + storage.size]
            view[:] = value.ravel()
        self._bases = [address(arena) for arena in self.arenas]
        self._tables: dict[Any, list[Table]] = {}
        self._runs: dict[Any, Callable[[], None]] = {}
        self._kept: dict[int, list[Any]] = {}
        self._lock = threading.Lock()
        self._known: list[int] = []  # the ids of arrays, and where these are
        self._addresses: Array = np.zeros(0, np.uintp)
        self._held: Any = None
        self._results = [(n, o) for n, o in enumerate(plan.outputs) if isinstance(o, Symbol)]
        self._inputs = [
            (number, symbol in plan.packed) for number, symbol in enumerate(plan.program.inputs)
        ]

    # -- calls -------------------------------------------------------------------------------

    def _pointer(self, ref: Ref, thread: int, block: int) -> Any:
        storage, size = ref.storage, self.plan.itemsize
        if storage.kind == "slot":
            return Slot(storage.slot, ref.offset * size)
        if storage.kind == "common":
            return address(self.common) + (storage.offset + ref.offset) * size
        own = storage.offset + ref.offset
        if storage.persistent:
            own += block * storage.size
        return self._bases[thread] + own * size

    def _calls(self, thread: int, strides: dict[Symbol, Any]) -> list[Any]:
        """What a thread does, None standing for a barrier."""
        plan = self.plan
        calls: list[Any] = []
        start, count = self.memory.zeroed
        if count:
            clear = Fill((count // plan.lanes,), Place((plan.lanes,)))
            calls.append(_Call(clear, [self._bases[thread] + start * plan.itemsize]))
        for stage, kind in enumerate(plan.analysis.stages):
            work = plan.stages[stage]
            packs = plan.packed if stage == 1 else {}
            if not work and not packs:
                continue
            if kind == COMMON:
                calls += [None, *self._common(work, thread), None]
            elif kind == BLOCKS:
                for block in range(self.counts[thread]):
                    for symbol, storage in packs.items():
                        calls += self._pack(symbol, storage, thread, block, strides[symbol])
                    for task in work:
                        calls += self._block(task, thread, block)
            else:
                for task in work:
                    calls += self._whole(task, thread)
        for number, ref in plan.unpacked:
            for block in range(self.counts[thread]):
                calls.append(self._unpack(number, ref, thread, block))
        return calls

    def _images(self, thread: int, block: int) -> int:
        """How many lanes of a block have an image."""
        index = self.first[thread] + block
        return min(self.plan.lanes, self.plan.batch.size - index * self.plan.lanes)

    def _ragged(self, thread: int, block: int) -> int | None:
        images = self._images(thread, block)
        return None if images == self.plan.lanes else images

    def _borders(self, task: tasks.Task, thread: int, block: int) -> list[Any]:
        """Zeros around what a task writes, where the memory had another use."""
        calls = []
        if task.group is None:
            return []
        for ref in task.group.written:
            storage = ref.storage
            if storage in self.memory.dirty:
                (top, bottom), (left, right) = storage.border
                padded = storage.padded
                step = self.plan.lanes
                strides = (storage.ref.strides[0], padded[2] * step, step)
                kernel = ZeroBorder(padded, strides, (top, bottom, left, right))  # type: ignore[arg-type]
                whole = Ref(storage, padded, strides)
                calls.append(_Call(kernel, [self._pointer(whole, thread, block)]))
        return calls

    def _block(self, task: tasks.Task, thread: int, block: int) -> list[Any]:
        images = self._ragged(thread, block)
        calls = self._borders(task, thread, block)
        if task.masked is not None and images is not None:
            clear = tasks.mask(task.masked, images)
            calls.append(_Call(clear, [self._pointer(task.masked, thread, block)]))
        pointers = [
            self._room(thread) if ref is None else self._pointer(ref, thread, block)
            for ref in task.pointers()
        ]
        calls.append(_Call(task.make(1, images), pointers))
        return calls

    def _whole(self, task: tasks.Task, thread: int) -> list[Any]:
        calls: list[Any] = []
        blocks = self.counts[thread]
        images = self._ragged(thread, blocks - 1)
        if task.masked is not None and images is not None:
            clear = tasks.mask(task.masked, images)
            calls.append(_Call(clear, [self._pointer(task.masked, thread, blocks - 1)]))
        kernel = task.make(blocks, images)
        pointers = [
            self._room(thread) if ref is None else self._pointer(ref, thread, 0)
            for ref in task.pointers()
        ]
        calls.append(_Call(kernel, pointers))
        return calls

    def _room(self, thread: int) -> int:
        """A thread's memory for what kernels need while they run."""
        return self._bases[thread] + self.memory.scratch * self.plan.itemsize

    def _common(self, work: list[tasks.Task], thread: int) -> list[Any]:
        """Shared values: by thread 0, or by all where a task can be divided.

        A barrier stands where one kind reads or writes what the other has written.
        """
        calls: list[Any] = []
        touched: dict[bool, set[Storage]] = {True: set(), False: set()}
        for task in work:
            split = task.split or tasks.split_loop(task)
            divided = split is not None
            if touched[not divided].intersection(task.storages) or (
                divided and touched[True].intersection(task.storages)
            ):
                calls.append(None)
                touched = {True: set(), False: set()}
            touched[divided].update(s for s in task.storages if s.kind != "thread")
            if split is not None:
                part = split(thread, self.plan.threads)
                if part is not None:
                    calls.append(_Call(part[0], self._shared(part[1])))
            elif thread == 0:
                calls.append(_Call(task.make(1, None), self._shared(task.pointers())))
        return calls

    def _shared(self, refs: Sequence[Ref | None]) -> list[Any]:
        """Pointers to shared values, and for what each thread has to that of every thread."""
        pointers: list[Any] = []
        for ref in refs:
            if ref is not None and ref.storage.kind == "thread":
                pointers += [self._pointer(ref, t, 0) for t in range(self.plan.threads)]
            elif ref is not None:
                pointers.append(self._pointer(ref, 0, 0))
        return pointers

    def _pack(
        self, symbol: Symbol, storage: Storage, thread: int, block: int, strides: Any
    ) -> list[Any]:
        number = self.plan._inputs[symbol]
        index = self.first[thread] + block
        images = self._images(thread, block)
        ref = storage.ref
        kernel = Pack(storage.shape, strides, Place(ref.strides, 0), images)
        slot = self.plan._slot(("in", number))
        offset = index * self.plan.lanes * strides[0] * self.plan.itemsize
        calls = []
        if storage in self.memory.dirty:
            fake = tasks.Task("pack", 1, lambda b, i: None, lambda: [ref])
            fake.group = _Written([ref])  # type: ignore[assignment]
            calls = self._borders(fake, thread, block)
        return [*calls, _Call(kernel, [Slot(slot, offset), self._pointer(ref, thread, block)])]

    def _unpack(self, number: int, ref: Ref, thread: int, block: int) -> _Call:
        strides, step = [], 1
        for n in reversed(ref.shape):
            strides.append(step)
            step *= n
        images = self._images(thread, block)
        array = (step, *reversed(strides))
        kernel = Unpack(ref.shape, array, Place(ref.strides, 0), images)
        slot = self.plan._slot(("out", number))
        offset = (self.first[thread] + block) * self.plan.lanes * step * self.plan.itemsize
        return _Call(kernel, [Slot(slot, offset), self._pointer(ref, thread, block)])

    # -- running -----------------------------------------------------------------------------

    def tables(self, strides: dict[Symbol, Any]) -> list[Table]:
        """The native calls for inputs that lie so in memory."""
        lists = [self._calls(thread, strides) for thread in range(self.plan.threads)]
        kernels = [call.kernel for calls in lists for call in calls if call is not None]
        self.library = build(kernels, self.plan.itemsize)
        tables = [Table() for _ in lists]
        places = [iter(calls) for calls in lists]
        done = [False] * len(lists)
        while not all(done):  # from barrier to barrier
            for t, calls in enumerate(places):
                for call in calls:
                    if call is None:
                        break
                    tables[t].append(self.library.address(call.kernel), call.pointers)
                else:
                    done[t] = True
            if not all(done) and len(tables) > 1:
                synchronise(tables)
        return tables

    def describe(self) -> list[str]:
        """What a person may want to know of the plan."""
        plan, sizes = self.plan, self.memory
        megabytes = sizes.thread * plan.itemsize / 2**20
        counts = Counter(task.what for tasks_of in plan.stages for task in tasks_of)
        kinds = ", ".join(f"{count} {what}" for what, count in counts.most_common())
        return [
            f"batch {plan.batch.size}: {self.total} blocks of {plan.lanes} images on"
            f" {plan.threads} threads, {megabytes:.1f} MiB for each",
            f"{sum(counts.values())} kernels a block: {kinds}",
        ]

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        with self._lock:  # the memory is this plan's own
            return self._step(arrays)

    def _step(self, arrays: Sequence[Any]) -> list[Any]:
        plan = self.plan
        given = [
            self._converted(array, packed)
            for array, (_, packed) in zip(arrays, self._inputs, strict=True)
        ]
        strides = {symbol: given[plan._inputs[symbol]].strides for symbol in plan.packed}
        key = tuple(strides.values())
        if key not in self._tables:
            counted = {s: tuple(n // plan.itemsize for n in v) for s, v in strides.items()}
            self._tables[key] = self.tables(counted)
        tables = self._tables[key]
        made = {number: self._result_array(number, output) for number, output in self._results}
        for number, source in plan.aliases.items():
            if given[source] is arrays[source]:  # the new values replace the old ones
                made[number] = given[source]
        addresses = self._addressed(given, made)
        for table in tables:
            table.patch(addresses)
        if key not in self._runs:
            self._runs[key] = _team.prepare(tables)
        self._runs[key]()
        outputs = list(plan.outputs)
        for number, output in self._results:
            outputs[number] = self._result(made[number], output)
        return outputs

    def _converted(self, array: Any, packed: bool) -> Any:
        """An input as the kernels take it."""
        if type(array) is not np.ndarray:
            array = np.asarray(array)
        if array.dtype != self.real or not (packed or array.flags.c_contiguous):
            return np.ascontiguousarray(array, self.real).reshape(array.shape)
        return array

    def _addressed(self, given: list[Any], made: dict[int, Any]) -> Array:
        """Where arrays are; most of them are where they were in the run before."""
        new = len(self.plan.slots) - len(self._known)
        if new:
            self._known += [0] * new
            self._addresses = np.append(self._addresses, np.zeros(new, np.uintp))
        for i, (what, number) in enumerate(self.plan.slots):
            array = given[number] if what == "in" else made[number]
            if self._known[i] != id(array):
                self._addresses[i], self._known[i] = address(array), id(array)
        self._held = given  # ids stay theirs as long as the arrays live
        return self._addresses

    def _result_array(self, number: int, output: Symbol) -> Any:
        """An array for a result: one that was handed out before and that nobody holds any more."""
        kept = self._kept.setdefault(number, [])
        for array in kept:
            if sys.getrefcount(array) <= _HOLDERS:
                return array
        if len(kept) == _MOST_KEPT:
            kept.clear()  # they are the callers' now
        kept.append(np.empty(output.shape, self.real))
        self._known = [0] * len(self._known)  # the id of an array that went may be another's now
        return kept[-1]

    def _result(self, array: Any, output: Symbol) -> Any:
        found = array if array.dtype == output.dtype else array.astype(output.dtype)
        return found[()] if not found.shape else found


class _Written:
    """What is written, where no group says it."""

    def __init__(self, written: list[Ref]) -> None:
        self.written = written
