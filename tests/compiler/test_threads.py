"""How many threads programs use."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tinygrad_cnn import errors
from tinygrad_cnn.compiler import threads


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(threads.VARIABLE, raising=False)
    yield
    threads.set_num_threads(None)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
def test_default_is_the_cores_of_the_process() -> None:
    cores = os.sched_getaffinity(0)
    assert threads.get_num_threads() == len(cores)
    os.sched_setaffinity(0, {min(cores)})
    try:
        assert threads.get_num_threads() == 1
    finally:
        os.sched_setaffinity(0, cores)


def test_what_is_set_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(threads.VARIABLE, " 7 ")
    assert threads.get_num_threads() == 7
    threads.set_num_threads(3)
    assert threads.get_num_threads() == 3
    threads.set_num_threads(None)
    assert threads.get_num_threads() == 7
    monkeypatch.setenv(threads.VARIABLE, "")
    assert threads.get_num_threads() == threads.available_cores()


@pytest.mark.parametrize("count", [0, -1, 2.0, "2", True])
def test_bad_counts(count: object) -> None:
    with pytest.raises(errors.ArgumentError, match="set_num_threads: count="):
        threads.set_num_threads(count)  # type: ignore[arg-type]
    assert threads.get_num_threads() == threads.available_cores()


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_bad_environment(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(threads.VARIABLE, text)
    with pytest.raises(errors.ArgumentError, match=r"TINYGRAD_CNN_THREADS=.*positive integer"):
        threads.get_num_threads()
