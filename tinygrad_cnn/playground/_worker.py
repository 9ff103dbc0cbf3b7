"""The one thread that touches the model."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

from ..errors import GraphError

_MOST_WAITING = 64


class _Call(NamedTuple):
    """What to do, and who waits for it."""

    function: Callable[[], Any]
    future: Future[Any]

    def carry_out(self) -> None:
        if self.future.set_running_or_notify_cancel():
            try:
                self.future.set_result(self.function())
            except BaseException as error:  # the thread lives on; whoever waits is told
                self.future.set_exception(error)


class Worker:
    """A thread that carries out calls one after the other, and works on in between.

    Since nobody else touches the model, it needs no lock: what a page asks for happens between
    two batches.

    Args:
        work: does a piece of work, and says whether there may be more.
    """

    def __init__(self, work: Callable[[], bool]) -> None:
        self._work = work
        self._calls: queue.Queue[_Call | None] = queue.Queue(_MOST_WAITING)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="playground", daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], Any]) -> Future[Any]:
        """What ``function`` will return or raise, once its turn has come.

        Raises:
            GraphError: the worker is closed, or too many calls wait.
        """
        call = _Call(function, Future())
        if self._closing.is_set():
            raise GraphError("the playground is closed")
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            raise GraphError(f"{_MOST_WAITING} commands wait already") from None
        return call.future

    def close(self) -> None:
        """End the thread after the batch that it is at; what still waits is cancelled."""
        self._closing.set()
        with contextlib.suppress(queue.Full):  # then it is awake
            self._calls.put_nowait(None)  # wake it
        self._thread.join()
        with contextlib.suppress(queue.Empty):
            while True:
                left = self._calls.get_nowait()
                if left is not None:
                    left.future.cancel()

    def _run(self) -> None:
        more = False
        while not self._closing.is_set():
            call = None
            with contextlib.suppress(queue.Empty):
                call = self._calls.get(block=not more)
            if call is not None:
                call.carry_out()
                more = True  # the call may have made work
            elif not self._closing.is_set():  # outside of the except: its errors are no others'
                more = self._work()
