"""Where storages lie in the memory of a thread: those that are not needed at one time share it."""

from __future__ import annotations

from collections.abc import Iterable

from .analysis import BLOCKS, THREAD
from .planner import Plan
from .storage import Storage
from .tasks import Task

_ALIGNED = 16  # numbers: 64 bytes or more


def _rounded(count: int) -> int:
    return -(-count // _ALIGNED) * _ALIGNED


class Memory:
    """Offsets for the storages of a plan.

    Attributes:
        thread: how many numbers a thread needs.
        common: how many numbers all share.
        zeroed: the numbers (first, count) that a thread clears at the beginning of a run.
        scratch: where a thread's room for kernels begins.
        dirty: bordered storages whose memory others write to.
    """

    def __init__(self, plan: Plan, blocks: int) -> None:
        self.plan, self.blocks = plan, blocks
        storages = self._lifetimes()
        at = 0
        for storage in plan.zeroed:
            storage.offset = at
            at += _rounded(storage.size)
        self.zeroed = (0, at)
        for storage in plan.written:
            storage.offset = at
            at += _rounded(storage.size)
        self.scratch = at
        at += _rounded(
            max((self._scratch(task) for tasks in plan.stages for task in tasks), default=0)
        )
        self.thread = at + self._allocate([s for s in storages if s.kind == "block"], at)
        common = 0
        for storage in storages:
            if storage.kind == "common":
                storage.offset = common
                common += _rounded(storage.size)
        self.common = common

    def _scratch(self, task: Task) -> int:
        return 0 if task.scratch is None else task.scratch(self.blocks)

    def _lifetimes(self) -> list[Storage]:
        """All storages, each with the interval of its use."""
        plan, found, time = self.plan, dict.fromkeys(s for s, _ in self.plan.constants), 0
        spans = []
        for stage, tasks in enumerate(plan.stages):
            start = time
            if stage == 1:
                for storage in plan.packed.values():
                    self._use(storage, time, stage, found)
                    time += 1
            for task in tasks:
                for storage in task.storages:
                    self._use(storage, time, stage, found)
                time += 1
            spans.append((start, time))
        for _, ref in plan.unpacked:
            self._use(ref.storage, time, len(plan.stages), found)
        spans.append((time, time + 1))
        kinds = [*plan.analysis.stages, BLOCKS]
        for storage in found:
            used = storage.stages
            storage.persistent = storage.kind == "block" and (
                len(used) > 1 or any(kinds[s] == THREAD for s in used)
            )
            if storage.persistent:
                storage.first = spans[min(used)][0]
                storage.last = spans[max(used)][1]
        return list(found)

    @staticmethod
    def _use(storage: Storage, time: int, stage: int, found: dict[Storage, None]) -> None:
        found[storage] = None
        storage.first, storage.last = min(storage.first, time), max(storage.last, time)
        storage.stages.add(stage)

    def _taken(self, storage: Storage) -> int:
        return _rounded(storage.size) * (self.blocks if storage.persistent else 1)

    def _allocate(self, storages: Iterable[Storage], base: int) -> int:
        """The lowest place that is free while a storage is used, the largest ones first."""
        placed: list[Storage] = []
        highest = base
        self.dirty: set[Storage] = set()
        for storage in sorted(storages, key=lambda s: -self._taken(s)):
            size = self._taken(storage)
            busy = sorted(
                (other.offset, other.offset + self._taken(other))
                for other in placed
                if other.first <= storage.last and storage.first <= other.last
            )
            at = base
            for start, end in busy:
                if start - at >= size:
                    break
                at = max(at, end)
            storage.offset = at
            placed.append(storage)
            highest = max(highest, at + size)
        for storage in placed:
            start, end = storage.offset, storage.offset + self._taken(storage)
            if storage.border and any(
                other is not storage
                and other.offset < end
                and start < other.offset + self._taken(other)
                for other in placed
            ):
                self.dirty.add(storage)
        return highest - base
