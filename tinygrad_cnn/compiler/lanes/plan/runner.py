"""Runs a plan for batches: the calls for each block of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..._symbols import Symbol
from ..exchange import address
from ..expression import Place
from ..kernels.pack import Fill, Pack, Unpack, ZeroBorder
from ..runtime import Slot, aligned
from . import tasks
from .analysis import BLOCKS, COMMON
from .memory import Memory
from .native import Call, NativeRunner
from .planner import Plan
from .storage import Ref, Storage


class LaneRunner(NativeRunner):
    """A program's native step, whose lanes are images.

    Attributes:
        plan: what it does.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, plan.threads)
        self.plan = plan
        real = np.dtype(f"f{plan.itemsize}")
        total = -(-plan.batch.size // plan.lanes)
        base, extra = divmod(total, plan.threads)
        counts = [base + (t < extra) for t in range(plan.threads)]
        self.first = [sum(counts[:t]) for t in range(plan.threads)]
        self.counts, self.total = counts, total
        self.memory = Memory(plan, max(counts))
        self.arenas = [aligned((max(1, self.memory.thread),), real) for _ in counts]
        self.common = aligned((max(1, self.memory.common),), real)
        for storage, value in plan.constants:
            view = self.common[storage.offset : storage.offset + storage.size]
            view[:] = value.ravel()
        self._bases = [address(arena) for arena in self.arenas]
        self._kernels: dict[tuple[int, int, int | None], Any] = {}  # which blocks and threads share
        self._zeros: dict[Storage, tuple[ZeroBorder, Ref]] = {}
        self._sizes: dict[Storage, int] = {}

    # -- calls -------------------------------------------------------------------------------

    def _pointer(self, ref: Ref, thread: int, block: int) -> Any:
        storage, size = ref.storage, self.plan.itemsize
        if storage.kind == "slot":
            return Slot(storage.slot, ref.offset * size)
        if storage.kind == "common":
            return address(self.common) + (storage.offset + ref.offset) * size
        own = storage.offset + ref.offset
        if storage.persistent and block:
            if storage not in self._sizes:
                self._sizes[storage] = storage.size
            own += block * self._sizes[storage]
        return self._bases[thread] + own * size

    def calls(self, thread: int, strides: Mapping[Symbol, Any]) -> list[Call | None]:
        """What a thread does, None standing for a barrier."""
        plan = self.plan
        calls: list[Call | None] = []
        start, count = self.memory.zeroed
        if count:
            clear = Fill((count // plan.lanes,), Place((plan.lanes,)))
            calls.append(Call(clear, [self._bases[thread] + start * plan.itemsize]))
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
                        calls += self._task(task, thread, block, 1)
            else:
                for task in work:
                    calls += self._task(task, thread, 0, self.counts[thread])
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

    def _borders(self, written: Sequence[Ref], thread: int, block: int) -> list[Any]:
        """Zeros around what is written, where the memory had another use."""
        calls = []
        for storage in (ref.storage for ref in written if ref.storage in self.memory.dirty):
            if storage not in self._zeros:
                (top, bottom), (left, right) = storage.border
                whole = Ref(storage, storage.padded, storage.ref.strides)
                kernel = ZeroBorder(whole.shape, whole.strides, (top, bottom, left, right))  # type: ignore[arg-type]
                self._zeros[storage] = kernel, whole
            kernel, whole = self._zeros[storage]
            calls.append(Call(kernel, [self._pointer(whole, thread, block)]))
        return calls

    def _kernel(self, task: tasks.Task, blocks: int, images: int | None) -> Any:
        """A task's kernel for so many blocks, and so many images in the last."""
        key = id(task), blocks, images
        if key not in self._kernels:
            assert task.make is not None
            self._kernels[key] = task.make(blocks, images)
        return self._kernels[key]

    def _task(self, task: tasks.Task, thread: int, first: int, blocks: int) -> list[Any]:
        """A task's kernel for so many blocks, and what must be zero before."""
        written = task.group.written if task.group is not None else []
        calls = [
            call for block in range(first, first + blocks)
            for call in self._borders(written, thread, block)
        ]  # fmt: skip
        last = first + blocks - 1
        images = self._ragged(thread, last)
        if task.masked is not None and images is not None:
            clear = tasks.mask(task.masked, images)
            calls.append(Call(clear, [self._pointer(task.masked, thread, last)]))
        pointers = [
            self._room(thread) if ref is None else self._pointer(ref, thread, first)
            for ref in task.pointers()
        ]
        return [*calls, Call(self._kernel(task, blocks, images), pointers)]

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
                    calls.append(Call(part[0], self._shared(part[1])))
            elif thread == 0:
                calls.append(Call(self._kernel(task, 1, None), self._shared(task.pointers())))
        return calls

    def _shared(self, refs: Sequence[Ref | int | None]) -> list[Any]:
        """Pointers to shared values, and for what each thread has to that of every thread."""
        pointers: list[Any] = []
        for ref in refs:
            if isinstance(ref, int):
                pointers.append(ref)
            elif ref is not None and ref.storage.kind == "thread":
                pointers += [self._pointer(ref, t, 0) for t in range(self.plan.threads)]
            elif ref is not None:
                pointers.append(self._pointer(ref, 0, 0))
        return pointers

    def _pack(
        self, symbol: Symbol, storage: Storage, thread: int, block: int, strides: Any
    ) -> list[Any]:
        index = self.first[thread] + block
        images = self._images(thread, block)
        ref = storage.ref
        kernel = Pack(storage.shape, strides, Place(ref.strides), images)
        slot = self.plan.slot("in", self.plan.inputs[symbol])
        offset = index * self.plan.lanes * strides[0] * self.plan.itemsize
        pointers = [Slot(slot, offset), self._pointer(ref, thread, block)]
        return [*self._borders([ref], thread, block), Call(kernel, pointers)]

    def _unpack(self, number: int, ref: Ref, thread: int, block: int) -> Call:
        images = self._images(thread, block)
        strides = Storage("slot", (images, *ref.shape)).ref.strides
        kernel = Unpack(ref.shape, strides, Place(ref.strides), images)
        slot = self.plan.slot("out", number)
        index = self.first[thread] + block
        offset = index * self.plan.lanes * strides[0] * self.plan.itemsize
        return Call(kernel, [Slot(slot, offset), self._pointer(ref, thread, block)])

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
