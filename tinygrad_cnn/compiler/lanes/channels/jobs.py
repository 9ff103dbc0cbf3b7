"""What a plan does one after the other, and how threads divide it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..expression import Expression
from ..kernels.loops import Loop
from ..plan.groups import Group
from ..plan.storage import Ref
from ..plan.tasks import Task, split_loop

# A barrier costs about a microsecond: what takes less than 20 is left to one thread. So many
# numbers of a loop take that long; a product reads as many weights, a convolution multiplies ten
# times as often.
WORTH = 100_000


class Work(NamedTuple):
    """A kernel, and what its pointers point to."""

    kernel: Any
    pointers: Sequence[Ref]


@dataclass
class Job:
    """Kernels that make one or more values.

    Attributes:
        what: for a person.
        calls: what a thread does, of so many; nothing if it is another's.
        group: the elementwise part, which may grow while the plan is made.
    """

    what: str
    calls: Callable[[int, int], list[Work]]
    group: Group | None = None


def shifted(ref: Ref, numbers: int) -> Ref:
    """The place so many numbers further on."""
    return ref._replace(offset=ref.offset + numbers)


def share(count: int, thread: int, threads: int, numbers: float = math.inf) -> range:
    """A thread's part of so many; where they are few numbers, or few, it may be none."""
    threads = min(threads, count) if numbers >= WORTH else 1
    if thread >= threads:
        return range(0)
    return range(count * thread // threads, count * (thread + 1) // threads)


def ended(expression: Expression, pointers: Sequence[Ref], axis: int, start: int) -> list[Ref]:
    """The pointers of an expression at an index of one of its axes."""
    return [
        shifted(ref, start * place.strides[axis])
        for ref, place in zip(pointers, expression.places, strict=True)
    ]


def job(task: Task) -> Job:
    """The job of a loop or a pool: threads divide the channels, or the numbers of plain arrays."""

    def calls(thread: int, threads: int) -> list[Work]:
        assert task.make is not None
        group: Any = task.group
        kernel, refs = task.make(1, None), [ref for ref in task.pointers() if ref is not None]
        if not group.batched:
            return _plain(task, thread, threads) or ([] if thread else [Work(kernel, refs)])
        numbers = math.prod(group.shape) * max(ref.storage.lanes for ref in refs)
        part = share(group.shape[1], thread, threads, numbers)
        if not part:
            return []
        if isinstance(kernel, Loop):
            first = [place.strides[0] for place in kernel.places]
            kernel = replace(kernel, lengths=(len(part), *kernel.lengths[1:]))
        else:
            first = [kernel.source.strides[0], *(p.strides[0] for p in kernel.epilogue.places)]
            kernel = replace(kernel, channels=len(part))
        moved = [shifted(ref, part.start * step) for ref, step in zip(refs, first, strict=True)]
        return [Work(kernel, moved)]

    return Job(task.what, calls, task.group)


def _plain(task: Task, thread: int, threads: int) -> list[Work]:
    """A thread's part of a loop over plain arrays, if these are divided."""
    group = task.group
    large = group is not None and math.prod(group.shape) >= WORTH
    split = split_loop(task) if large and threads > 1 else None
    part = split(thread, threads) if split is not None else None
    return [Work(*part)] if part is not None else []
