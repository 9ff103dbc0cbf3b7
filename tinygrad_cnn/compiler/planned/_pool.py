"""Threads that wait for work, and BLAS kept to one thread meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from queue import SimpleQueue
from typing import Any

Task = Callable[[], Any]
_Job = tuple[Task, "SimpleQueue[BaseException | None]"]


class Pool:
    """Workers beside the calling thread."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._workers = 0
        self._lock = threading.Lock()

    def run(self, tasks: Sequence[Task]) -> None:
        """Carry out tasks at the same time, the first one here; an error of one is raised."""
        if len(tasks) == 1:
            tasks[0]()
            return
        self._hire(len(tasks) - 1)
        done: SimpleQueue[BaseException | None] = SimpleQueue()
        for task in tasks[1:]:
            context = copy_context()  # np.errstate of the caller holds in the task
            self._jobs.put((lambda run=context.run, task=task: run(task), done))  # type: ignore[misc]
        failure: BaseException | None = None
        try:
            tasks[0]()
        except BaseException as error:
            failure = error
        for _ in tasks[1:]:  # all of them, before memory is used for something else
            failure = done.get() or failure
        if failure is not None:
            raise failure

    def _hire(self, workers: int) -> None:
        with self._lock:
            while self._workers < workers:
                self._workers += 1
                name = f"tinygrad_cnn-{self._workers}"
                threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while True:
            task, done = self._jobs.get()
            try:
                task()
                done.put(None)
            except BaseException as error:
                done.put(error)
            del task, done  # hold nothing while waiting


_pools: dict[int, Pool] = {}


def pool() -> Pool:
    """The pool of this process: threads do not survive a fork."""
    return _pools.setdefault(os.getpid(), Pool())


@cache
def _libraries() -> list[Any]:
    """What controls the threads of the libraries that NumPy multiplies with."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return []
    found = ThreadpoolController().select(user_api="blas")
    return list(found.lib_controllers)


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Inside, products of matrices take one thread, where threadpoolctl is installed."""
    before = [(library, library.get_num_threads()) for library in _libraries()]
    for library, _ in before:
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, threads in before:
            library.set_num_threads(threads)
