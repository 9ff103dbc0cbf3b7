"""A program's native step: tables of calls, one for each thread, and the arrays they work on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..._program import Program
from ..._symbols import Symbol
from ..exchange import Exchange
from ..kernels.loops import counted
from ..library import build
from ..runtime import Table, Team, synchronise
from .storage import Storage

_team = Team()


class Call(NamedTuple):
    """A kernel, and what its pointers are: addresses and slots."""

    kernel: Any
    pointers: list[Any]


class Planned(Protocol):
    """What a plan says of its program's arrays.

    Attributes:
        program: what it carries out.
        itemsize: the size of a number.
        inputs: the number of each input of the program.
        packed: the inputs that need not be contiguous, and where they are packed to.
        aliases: for each output that is written over an input the number of the input.
        slots: of each slot ("in", the input's number) or ("out", the output's).
    """

    program: Program
    itemsize: int
    inputs: dict[Symbol, int]
    packed: dict[Symbol, Storage]
    aliases: dict[int, int]
    slots: list[tuple[str, int]]


class NativeRunner:
    """What runs a plan.

    Attributes:
        keeps_apart: results never share memory with each other or with inputs.
        threads: how many there are.
        library: the native functions.
    """

    keeps_apart = True

    def __init__(self, plan: Planned, threads: int) -> None:
        self._plan, self.threads = plan, threads
        self._tables: dict[Any, list[Table]] = {}
        self._runs: dict[Any, Callable[[], None]] = {}
        self._lock = threading.Lock()
        self._packed = [plan.inputs[symbol] for symbol in plan.packed]
        real = np.dtype(f"f{plan.itemsize}")
        self._exchange = Exchange(plan.program, plan.aliases, self._packed, real)

    def calls(self, thread: int, strides: Mapping[Symbol, Any]) -> list[Call | None]:
        """What a thread does, None standing for a barrier.

        Args:
            thread: its number.
            strides: how the packed inputs lie in memory, in numbers.
        """
        raise NotImplementedError

    def tables(self, strides: Mapping[Symbol, Any]) -> list[Table]:
        """The native calls for inputs that lie so in memory."""
        lists = [self.calls(thread, strides) for thread in range(self.threads)]
        # Of each kernel what is native, and the numbers that it is given: see Loop.counted.
        native = {
            id(call.kernel): counted(call.kernel) for calls in lists for call in calls if call
        }
        self.library = build([kernel for kernel, _ in native.values()], self._plan.itemsize)
        functions = {
            key: (self.library.address(kernel), numbers)
            for key, (kernel, numbers) in native.items()
        }
        tables = [Table() for _ in lists]
        places = [iter(calls) for calls in lists]
        done = [False] * len(lists)
        while not all(done):  # from barrier to barrier
            for t, calls in enumerate(places):
                for call in calls:
                    if call is None:
                        break
                    function, numbers = functions[id(call.kernel)]
                    tables[t].append(function, [*call.pointers, *numbers])
                else:
                    done[t] = True
            if not all(done) and len(tables) > 1:
                synchronise(tables)
        return tables

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        with self._lock:  # the memory is this plan's own
            return self._step(arrays)

    def _step(self, arrays: Sequence[Any]) -> list[Any]:
        exchange = self._exchange
        exchange.take(arrays)
        key = tuple([exchange.given[number].strides for number in self._packed])
        tables = self._tables.get(key)
        if tables is None:
            strides = {
                symbol: tuple(n // self._plan.itemsize for n in steps)
                for symbol, steps in zip(self._plan.packed, key, strict=True)
            }
            tables = self._tables[key] = self.tables(strides)
        outputs = exchange.results()
        addresses = exchange.addresses(self._plan.slots)
        for table in tables:
            table.patch(addresses)
        if key not in self._runs:
            self._runs[key] = _team.prepare(tables)
        self._runs[key]()
        exchange.finish(outputs)
        return outputs
