"""Runs the plan of a program of one image."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._symbols import Symbol
from ..exchange import address
from ..plan.native import Call, NativeRunner
from ..plan.storage import Ref, Storage
from ..runtime import Slot, aligned
from .jobs import Work
from .planner import ChannelPlan

_ALIGNED = 16  # numbers: 64 bytes or more


class ChannelRunner(NativeRunner):
    """A program's native step for one image.

    Attributes:
        plan: what it does.
    """

    def __init__(self, plan: ChannelPlan) -> None:
        divided = plan.threads > 1 and any(job.calls(1, plan.threads) for job in plan.jobs)
        super().__init__(plan, plan.threads if divided else 1)
        self.plan = plan
        self._parts = [
            [job.calls(thread, self.threads) for thread in range(self.threads)] for job in plan.jobs
        ]
        self._room = dict.fromkeys(("common", "shared", "thread", "slot"), 0)
        self._lay_out()
        room = self._room
        total = room["common"] + room["shared"] + self.threads * room["thread"]
        self.memory = aligned((max(1, total),), np.dtype(f"f{plan.itemsize}"))
        for storage, value in plan.constants:
            self.memory[storage.offset : storage.offset + value.size] = value.ravel()

    def _lay_out(self) -> None:
        """Find a place for each storage: one like it that is used no longer, if there is any.

        Like it is what has the same border, which nobody writes to: it stays zero.
        """
        room, free = self._room, defaultdict[Any, list[int]](list)
        kept = dict.fromkeys(storage for storage, _ in self.plan.constants)
        jobs = [kept, *map(self._touched, self._parts)]
        last = {storage: number for number, storages in enumerate(jobs) for storage in storages}
        for number, storages in enumerate(jobs):
            for storage in storages:
                if storage.offset < 0:
                    alone = storage.kind == "common"
                    places = free[_likeness(storage)]
                    storage.offset = 0 if not alone else places.pop() if places else room["common"]
                    size = -(-storage.size // _ALIGNED) * _ALIGNED
                    room[storage.kind] = max(room[storage.kind], storage.offset + size)
            for storage in storages:
                if last[storage] == number and storage not in kept:
                    free[_likeness(storage)].append(storage.offset)
        for alias, storage in self.plan.seen.items():
            alias.offset = storage.offset

    def _touched(self, parts: list[list[Work]]) -> dict[Storage, None]:
        """The storages of a job, in order."""
        refs = (ref for works in parts for work in works for ref in work.pointers)
        return dict.fromkeys(self.plan.seen.get(ref.storage, ref.storage) for ref in refs)

    def _pointer(self, ref: Ref, thread: int) -> Any:
        storage, size, room = ref.storage, self.plan.itemsize, self._room
        if storage.kind == "slot":
            return Slot(storage.slot, ref.offset * size)
        first = storage.offset + ref.offset
        if storage.kind != "common":
            first += room["common"]
        if storage.kind == "thread":
            first += room["shared"] + thread * room["thread"]
        return address(self.memory) + first * size

    def calls(self, thread: int, strides: Mapping[Symbol, Any]) -> list[Call | None]:
        """What a thread does, with a barrier before and after what threads divide."""
        calls: list[Call | None] = []
        together = False
        for parts in self._parts:
            apart = any(parts[1:])
            if apart or together:
                calls.append(None)
            together = apart
            calls += [
                Call(kernel, [self._pointer(ref, thread) for ref in pointers])
                for kernel, pointers in parts[thread]
            ]
        return calls

    def describe(self) -> list[str]:
        """What a person may want to know of the plan."""
        plan = self.plan
        counts = Counter(job.what for job in plan.jobs)
        kinds = ", ".join(f"{count} {what}" for what, count in counts.most_common())
        megabytes = self.memory.nbytes / 2**20
        return [
            f"one image: the {plan.lanes} lanes of a vector are its channels, on {self.threads}"
            f" threads, {megabytes:.1f} MiB",
            f"{len(plan.jobs)} jobs: {kinds}",
        ]


def _likeness(storage: Storage) -> Any:
    """What two storages share of which one may take the place of the other."""
    return storage.kind, storage.size, storage.border and (storage.border, storage.padded)
