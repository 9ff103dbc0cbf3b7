"""Tables of calls, and the threads that run them."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from tinygrad_cnn import errors
from tinygrad_cnn.compiler.lanes import driver
from tinygrad_cnn.compiler.lanes.emit import Builder, Module
from tinygrad_cnn.compiler.lanes.library import build
from tinygrad_cnn.compiler.lanes.runtime import Slot, Table, Team, aligned, synchronise

ROOT = Path(__file__).parents[3]
can_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")


@dataclass(frozen=True)
class Affine:
    """x = factor x + term, so often; the order of calls matters, and each takes its time."""

    factor: float
    term: float
    times: int = 1
    pointers: ClassVar[tuple[str, ...]] = ("x",)

    def emit(self, module: Module, name: str) -> None:
        def body(b: Builder, x: Any) -> None:
            factor, term = b.number(self.factor), b.number(self.term)
            (last,) = b.loop(
                0, self.times, lambda _, c: [b.fma(c[0], factor, term)], [b.load_number(x)]
            )
            b.store_number(last, x)

        module.kernel(name, 1, body)


@dataclass(frozen=True)
class Least:
    """y = min(x[0:count]) + 1: a number that was not written in time shows."""

    count: int
    pointers: ClassVar[tuple[str, ...]] = ("x", "y")

    def emit(self, module: Module, name: str) -> None:
        def body(b: Builder, x: Any, y: Any) -> None:
            def less(i: Any, carried: list[Any]) -> list[Any]:
                found = b.load_number(x, i)
                return [b.ir.select(b.greater(carried[0], found), found, carried[0])]

            (least,) = b.loop(0, self.count, less, [b.load_number(x)])
            b.store_number(b.ir.fadd(least, b.number(1)), y)

        module.kernel(name, 2, body)


ADD, DOUBLE, LONG = Affine(1.0, 1.0), Affine(2.0, 0.0), Affine(1.0, 1.0, 100_000)
LEAST = {count: Least(count) for count in (1, 2, 3, 5, 16, 64)}
LIBRARY = build([ADD, DOUBLE, LONG, *LEAST.values()], itemsize=8)


def counter(*kernels: Affine) -> tuple[Table, Any]:
    """A table of calls on one number, and the number."""
    table, number = Table(), aligned(1, np.float64)
    for kernel in kernels:
        table.append(LIBRARY.address(kernel), [number.ctypes.data])
    return table, number


def counters(count: int, kernel: Affine = ADD) -> tuple[list[Table], list[Any]]:
    tables, numbers = zip(*(counter(kernel) for _ in range(count)), strict=True)
    return list(tables), list(numbers)


# -- tables --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [5, (), (0, 3), (3, 7), np.int64(4)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", bool])
def test_aligned(shape: Any, dtype: Any) -> None:
    arrays = [aligned(shape, dtype) for _ in range(5)]
    for array in arrays:
        assert array.shape == np.zeros(shape).shape
        assert array.dtype == dtype
        assert array.ctypes.data % 64 == 0 or not array.size
        assert not array.any()
        array[...] = 1


def test_calls_are_made_in_order() -> None:
    table, number = counter(ADD, DOUBLE, ADD, DOUBLE, DOUBLE)
    assert len(table) == 5
    Team().run([table])
    assert number[0] == 12.0
    table.append(LIBRARY.address(ADD), [number.ctypes.data])
    Team().run([table])
    assert number[0] == 109.0


def test_slots_are_patched() -> None:
    numbers, others = aligned(4, np.float64), aligned(4, np.float64)
    table, add, copy = Table(), LIBRARY.address(ADD), LIBRARY.address(LEAST[1])
    table.append(add, [Slot(0)])
    table.append(add, [Slot(0, 24)])
    table.append(add, [Slot(2, -8)])
    table.append(add, [numbers.ctypes.data + 8])
    table.append(copy, [Slot(0), Slot(2)])
    for _ in range(2):
        table.patch([numbers.ctypes.data, 0, numbers[2:].ctypes.data])
        Team().run([table])
    np.testing.assert_array_equal(numbers, [2, 4, 3, 2])
    table.patch(np.array([others.ctypes.data, 0, numbers[3:].ctypes.data]))
    Team().run([table])
    np.testing.assert_array_equal(others, [1, 0, 0, 1])
    np.testing.assert_array_equal(numbers, [2, 5, 4, 2])


def test_slots_that_are_not_patched() -> None:
    table, number = Table(), aligned(1, np.float64)
    table.append(LIBRARY.address(ADD), [Slot(1)])
    with pytest.raises(errors.GraphError, match="1 pointers are not set yet: call patch"):
        Team().run([table])
    with pytest.raises(errors.ArgumentError, match="1 addresses for slots up to number 1"):
        table.patch([number.ctypes.data])
    table.patch([0, number.ctypes.data])
    table.append(LIBRARY.address(ADD), [number.ctypes.data])
    with pytest.raises(errors.GraphError, match="patch"):
        Team().run([table])
    assert number[0] == 0


@pytest.mark.parametrize(
    ("function", "pointers"), [(0, [8]), (-1, [8]), (8, [0]), (8, [8, -3]), (8, [Slot(-1)])]
)
def test_what_is_no_address(function: int, pointers: list[int | Slot]) -> None:
    table = Table()
    with pytest.raises(errors.ArgumentError, match=r"call 0: .*expected addresses"):
        table.append(function, pointers)
    assert len(table) == 0


def test_a_prepared_run() -> None:
    tables, numbers = counters(2)
    other, last = aligned(1, np.float64), aligned(1, np.float64)
    tables[1].append(LIBRARY.address(ADD), [Slot(0)])
    with pytest.raises(errors.GraphError, match="patch"):
        Team().prepare(tables)
    tables[1].patch([other.ctypes.data])
    team = Team()
    step = team.prepare(tables)
    for _ in range(3):
        step()
    tables[1].patch([last.ctypes.data])
    team.run(counters(5)[0])  # the team grows
    step()
    assert [*numbers, other, last] == [4, 4, 3, 1]
    tables[0].append(LIBRARY.address(ADD), [other.ctypes.data])
    with pytest.raises(errors.GraphError, match="prepare again"):
        step()
    assert other == 3


# -- barriers ------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 3, 5, 16, 64])
def test_no_thread_passes_a_barrier_early(threads: int) -> None:
    """In each round every thread reads what all threads wrote in the round before."""
    rounds = 20_000 // threads**2 + 5
    rows = aligned((rounds + 1, threads), np.float64)
    tables = [Table() for _ in range(threads)]
    for round_ in range(rounds):
        for i, table in enumerate(tables):
            pointers = [rows[round_].ctypes.data, rows[round_ + 1, i:].ctypes.data]
            table.append(LIBRARY.address(LEAST[threads]), pointers)
        synchronise(tables)
    team = Team()
    for _ in range(3):
        rows[...] = 0
        team.run(tables)
        np.testing.assert_array_equal(rows[:, :1], np.arange(rounds + 1.0)[:, None])
        np.testing.assert_array_equal(rows, rows[:, :1].repeat(threads, 1))


def test_barriers_need_all_their_tables() -> None:
    tables = [Table() for _ in range(3)]
    synchronise(tables)
    for wrong in (tables[:2], tables[:1], [*tables, Table()], []):
        with pytest.raises(errors.ArgumentError, match=f"{len(wrong)} tables whose barriers"):
            Team().run(wrong)
    with pytest.raises(errors.ArgumentError, match=r"barrier of 2 tables, but some .*\[3, 3\]"):
        synchronise(tables[:2])
    Team().run(tables)


# -- teams ---------------------------------------------------------------------------------


def test_a_team_grows() -> None:
    team, runs = Team(), [2, 5, 3, 1, 12, 12]
    for count in runs:
        tables, numbers = counters(count)
        for _ in range(20):
            team.run(tables)
        assert numbers == [20] * count


def is_asleep(team: Team) -> bool:
    assert team._crew is not None
    return bool((team._crew._slots[1:, driver.STATE] == driver.ASLEEP).all())


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_idle_workers_sleep_and_wake() -> None:
    team = Team()
    tables, numbers = counters(4)
    for run in range(1, 30):
        team.run(tables)
        assert numbers == [run] * 4
        until(lambda: is_asleep(team))


def test_workers_end_with_their_team() -> None:
    def workers() -> int:
        return sum(thread.name.startswith("tinygrad_cnn") for thread in threading.enumerate())

    gc.collect()
    others = workers()  # of the team that compiled functions share
    files = Path("/proc/self/fd")
    before = len(list(files.iterdir())) if files.exists() else 0
    team = Team()
    team.run(counters(3)[0])
    assert workers() == others + 2
    team.run(counters(5)[0])
    until(lambda: workers() == others + 4)
    del team
    until(lambda: workers() == others)
    if before:
        assert len(list(files.iterdir())) == before


def test_python_threads_share_a_team() -> None:
    team, rounds = Team(), 300

    def hammer(count: int) -> None:
        tables, numbers = counters(count)
        synchronise(tables)
        for table, number in zip(tables, numbers, strict=True):
            table.append(LIBRARY.address(ADD), [number.ctypes.data])
        for run in range(1, rounds + 1):
            team.run(tables)
            assert numbers == [2 * run] * count

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hammer, (2, 4, 3, 1)))


def test_teams_work_side_by_side() -> None:
    tables, numbers = counters(6)

    def work(own: list[Table]) -> None:
        team = Team()
        for _ in range(30):
            team.run(own)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, (tables[:3], tables[3:])))
    assert numbers == [30] * 6


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers on this platform")
def test_signals_do_not_wake_the_leader() -> None:
    """The workers' tables are long, so that the leader sleeps, and a read ends with EINTR."""
    signals: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: signals.append(number))
    team, short = Team(), Table()
    tables, numbers = counters(2, LONG)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
        for run in range(1, 200):
            team.run([short, *tables])
            assert numbers == [run * 100_000] * 2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert signals


def in_child(work: Callable[[], None]) -> int:
    """The status of a forked child that does this work."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, from Python 3.12
        child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    signal.alarm(60)
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


@can_fork
def test_a_forked_child_has_workers_of_its_own() -> None:
    team = Team()
    tables, numbers = counters(3)

    def work() -> None:
        for _ in range(50):
            team.run(tables)
        assert numbers == [51] * 3
        team.run(counters(6)[0])
        assert in_child(lambda: team.run(tables)) == 0

    team.run(tables)
    assert in_child(work) == 0
    team.run(tables)
    assert numbers == [2] * 3


@can_fork
def test_fork_while_another_thread_runs_the_team() -> None:
    team, stop = Team(), threading.Event()
    tables, long_numbers = counters(2, LONG)
    runs = []

    def run() -> None:
        while not stop.is_set():
            team.run(tables)
            runs.append(1)

    runner = threading.Thread(target=run)
    runner.start()
    try:
        for _ in range(5):
            own, numbers = counters(3)

            def work(own: list[Table] = own, numbers: list[Any] = numbers) -> None:
                team.run(own)
                assert numbers == [1] * 3

            assert in_child(work) == 0
    finally:
        stop.set()
        runner.join()
    assert long_numbers == [len(runs) * 100_000] * 2


@pytest.mark.parametrize("busy", [False, True])
def test_the_process_can_end(busy: bool) -> None:
    """Also while a daemon thread runs a team."""
    script = f"""
import threading
from tinygrad_cnn.compiler.lanes.runtime import Table, Team

team = Team()
tables = [Table() for _ in range(4)]
team.run(tables)

def run():
    while True:
        team.run(tables)

if {busy}:
    threading.Thread(target=run, daemon=True).start()
print("end")
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "end\n", "")
