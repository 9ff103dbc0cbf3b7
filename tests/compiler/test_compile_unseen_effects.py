"""Effects of calls into C happen in each call of a compiled function."""

from __future__ import annotations

import contextvars
import logging
import os
import queue
import sqlite3
import threading
import warnings

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.compiler.test_compile_unseen import X, compiled_and_warnings, first


def of_queue(tmp):
    q = queue.Queue()
    return lambda x: q.put(x * 3), lambda: [first(q.get()) for _ in range(q.qsize())] == [3.0] * 4


def of_logging(tmp):
    seen = []
    logger = logging.Logger("unseen")
    handler = logging.Handler()
    handler.emit = seen.append
    logger.addHandler(handler)
    return lambda x: logger.info("one"), lambda: len(seen) == 4


def of_open(tmp):
    def write(x):
        with open(tmp / "a", "a") as file:
            file.write("a")

    return write, lambda: (tmp / "a").read_text() == "aaaa"


def of_path(tmp):
    (tmp / "b").write_text("")
    return (
        lambda x: (tmp / "b").write_text((tmp / "b").read_text() + "b"),
        lambda: (tmp / "b").read_text() == "bbbb",
    )


def of_os_write(tmp):
    file = os.open(tmp / "c", os.O_WRONLY | os.O_CREAT)

    def done():
        os.close(file)
        return (tmp / "c").read_bytes() == b"cccc"

    return lambda x: os.write(file, b"c"), done


def of_context(tmp):
    variable = contextvars.ContextVar("unseen", default=0)
    return lambda x: variable.set(variable.get() + 1), lambda: variable.get() == 4


def of_memory(tmp):
    owner = np.zeros(1)
    view = memoryview(owner)

    def write(x):
        view[0] = view[0] + 1

    return write, lambda: owner[0] == 4


def of_semaphore(tmp):
    semaphore = threading.Semaphore(100)
    return lambda x: semaphore.acquire(), lambda: semaphore._value == 96


def of_event_set(tmp):
    event = threading.Event()
    return lambda x: event.set(), event.is_set


def of_environment(tmp):
    os.environ["UNSEEN"] = ""
    return (
        lambda x: os.environ.__setitem__("UNSEEN", os.environ["UNSEEN"] + "e"),
        lambda: os.environ["UNSEEN"] == "eeee",
    )


def of_database(tmp):
    database = sqlite3.connect(":memory:")
    database.execute("create table t (a)")

    def done():
        [(count,)] = database.execute("select count(*) from t")
        database.close()
        return count == 4

    return lambda x: database.execute("insert into t values (1)"), done


EFFECTS = [
    of_queue, of_logging, of_open, of_path, of_os_write, of_context, of_memory, of_semaphore,
    of_event_set, of_environment, of_database,
]  # fmt: skip


@pytest.mark.parametrize("make", EFFECTS, ids=lambda make: make.__name__)
def test_an_effect_happens_in_each_call(make, tmp_path, monkeypatch):
    monkeypatch.setenv("UNSEEN", "")
    effect, done = make(tmp_path)

    def f(x):
        effect(x)
        return x * 2

    _, results, said = compiled_and_warnings(f)
    assert len(said) == 1
    assert [first(r) for r in results] == [2.0] * 4
    assert done()


def test_warnings_are_given_in_each_call():
    def f(x):
        warnings.warn("mind this", stacklevel=2)
        return x * 2

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        g = tc.compile(f)
        for _ in range(4):
            g(X)
    assert sum(str(w.message) == "mind this" for w in caught) == 4
