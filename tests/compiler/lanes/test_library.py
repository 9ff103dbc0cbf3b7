"""Kernels become native functions once, whatever lies in the cache."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from tinygrad_cnn import errors
from tinygrad_cnn.compiler.lanes import cache, library, target
from tinygrad_cnn.compiler.lanes.emit import Builder, Module
from tinygrad_cnn.compiler.lanes.runtime import aligned

VECTORS = 3
emitted: list[Scale] = []


@dataclass(frozen=True)
class Scale:
    """y = factor x, for as many vectors."""

    factor: float
    vectors: int = VECTORS
    pointers: ClassVar[tuple[str, ...]] = ("x", "y")

    def emit(self, module: Module, name: str) -> None:
        emitted.append(self)

        def body(b: Builder, x: Any, y: Any) -> None:
            def scale(i: Any, _: Any) -> None:
                at = [(i, b.lanes)]
                b.store(b.ir.fmul(b.load(x, at), b.splat(self.factor)), y, at)

            b.loop(0, self.vectors, scale)

        module.kernel(name, 2, body)


@dataclass(frozen=True)
class Foreign(Scale):
    """The same, from outside of the package."""


@dataclass(frozen=True)
class Broken(Scale):
    def emit(self, module: Module, name: str) -> None:
        raise ZeroDivisionError


@dataclass(frozen=True)
class Slow(Scale):
    def emit(self, module: Module, name: str) -> None:
        time.sleep(0.2)
        super().emit(module, name)


# Only what the package defines is kept on disk.
for one in (Scale, Broken, Slow):
    one.__module__ = f"{library.__package__}.kernels.of_a_test"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a process that has no kernels."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    forget(monkeypatch)
    return tmp_path / "cache" / "kernels"


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a new process knows."""
    monkeypatch.setattr(library, "_addresses", {})
    emitted.clear()


def check(built: library.Library, *kernels: Scale) -> None:
    lanes = target.host().lanes(built.itemsize)
    for kernel in kernels:
        x = aligned((kernel.vectors, lanes), f"f{built.itemsize}")
        x += np.arange(x.size).reshape(x.shape)
        y = aligned(x.shape, x.dtype)
        built.call(kernel, x, y)
        np.testing.assert_array_equal(y, x * x.dtype.type(kernel.factor))


@pytest.mark.parametrize("itemsize", [4, 8])
def test_functions_compute(itemsize: int) -> None:
    kernels = [Scale(0.1), Scale(3.0, 1), Foreign(0.1)]
    built = library.build(iter(kernels), itemsize)
    assert built.seconds > 0
    assert built.from_cache == 0
    check(built, *kernels)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="names x86 targets")
@pytest.mark.parametrize("name", ["sse2", "avx2"])
def test_restricted_targets(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(target.VARIABLE, raising=False)
    check(library.build([Scale(0.1)], 4), Scale(0.1))
    widest = target.host()
    monkeypatch.setenv(target.VARIABLE, name)
    if target.host().vector_bytes > widest.vector_bytes:
        pytest.skip(f"this machine has no {name}")
    check(library.build([Scale(0.1)], 4), Scale(0.1))
    assert len(emitted) == 2


def test_a_kernel_is_made_once() -> None:
    first = library.build([Scale(2.0), Scale(2.0), Scale(3.0)], 4)
    again = library.build([Scale(2.0)], 4)
    assert emitted == [Scale(2.0), Scale(3.0)]
    assert again.address(Scale(2.0)) == first.address(Scale(2.0))
    assert again.from_cache == 0
    assert library.build([Scale(2.0)], 8).address(Scale(2.0)) != first.address(Scale(2.0))


def test_equal_kernels_may_differ() -> None:
    """1 == 1.0, but an Expression takes one for the number of a value, the other for a constant."""
    whole, real = Scale(1), Scale(1.0)
    assert whole == real
    built = library.build([whole, real], 4)
    assert built.address(whole) != built.address(real)


def test_threads_build_the_same_kernels_once() -> None:
    start, made = threading.Barrier(8), []

    def work(first: int) -> None:
        start.wait()
        kernels = [Scale(float(1 + (first + i) % 10)) for i in range(6)]
        made.append((library.build(kernels, 8), kernels))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(emitted) == len(set(emitted)) == 10
    assert len(made) == 8
    for built, kernels in made:
        check(built, *kernels)


def test_an_error_in_a_kernel_leaves_the_rest() -> None:
    with pytest.raises(ZeroDivisionError):
        library.build([Scale(5.0), Broken(1.0)], 4)
    check(library.build([Scale(5.0)], 4), Scale(5.0))


# -- the cache -----------------------------------------------------------------------------


def test_second_process_reads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = [Scale(2.0), Scale(3.0)]
    library.build(kernels, 4)
    assert len(list(folder.iterdir())) == 2
    forget(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(library, "_object_code", None)
        built = library.build(kernels, 4)
    assert built.from_cache == 2
    assert not emitted
    check(built, *kernels)
    forget(monkeypatch)
    built = library.build([*kernels, Scale(4.0)], 4)
    assert built.from_cache == 2
    assert emitted == [Scale(4.0)]


def test_code_for_something_else_is_not_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.build([Scale(2.0)], 4)
    library.build([Scale(2.0)], 8)
    forget(monkeypatch)
    host = target.host()
    lesser = target.Target(host.cpu, host.features, host.vector_bytes // 2, host.registers)
    assert library.build([Scale(2.0)], 4, lesser).from_cache == 0
    forget(monkeypatch)
    monkeypatch.setattr(library, "_origin", lambda itemsize, target: "edited sources")
    assert library.build([Scale(2.0)], 4).from_cache == 0
    assert len(list(folder.iterdir())) == 4


def test_what_users_define_is_not_kept(folder: Path) -> None:
    library.build([Foreign(2.0)], 4)
    assert not folder.exists()


def _flip(at: int) -> Callable[[bytes], bytes]:
    return lambda b: b[:at] + bytes([b[at] ^ 4]) + b[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        *(lambda b, n=n: b[:n] for n in (0, 5, 31, 32, 33, 100, -1)),
        *(_flip(at) for at in (0, 31, 32, 40, 200, 400)),
        lambda b: b + b"\0",
        lambda b: b"\0" * len(b),
        lambda b: b[32:],
    ],
)
def test_damaged_entries_are_made_anew(
    damage: Callable[[bytes], bytes], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.build([Scale(2.0)], 4)
    (entry,) = folder.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    assert entry.read_bytes() != whole
    for expected in (0, 1):
        forget(monkeypatch)
        built = library.build([Scale(2.0)], 4)
        assert built.from_cache == expected
        check(built, Scale(2.0))
    assert entry.read_bytes() == whole


def test_an_entry_under_the_name_of_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library.build([Scale(2.0)], 4)
    (two,) = folder.iterdir()
    library.build([Scale(3.0)], 4)
    (three,) = set(folder.iterdir()) - {two}
    shutil.copy(two, three)
    forget(monkeypatch)
    built = library.build([Scale(3.0)], 4)
    assert built.from_cache == 0
    check(built, Scale(3.0))


def test_an_empty_variable_switches_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(cache.VARIABLE, "")
    check(library.build([Scale(2.0)], 4), Scale(2.0))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="the folder of Linux")
@pytest.mark.parametrize("named", ["xdg", "not/absolute"])
def test_standard_folder(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absolute = "/" not in named
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / named) if absolute else named)
    expected = tmp_path / ("xdg" if absolute else ".cache") / "tinygrad_cnn" / "kernels"
    assert cache.standard().folder == expected


@pytest.mark.parametrize("where", ["folder", "parent", "entry"])
def test_a_folder_that_cannot_be_used(
    where: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "entry":
        library.build([Scale(2.0)], 4)
        (entry,) = folder.iterdir()
        entry.unlink()
        entry.mkdir()
    else:
        blocked = folder if where == "folder" else folder.parent
        blocked.parent.mkdir(parents=True, exist_ok=True)
        blocked.write_text("a file")
    for _ in range(2):
        forget(monkeypatch)
        built = library.build([Scale(2.0)], 4)
        assert built.from_cache == 0
        check(built, Scale(2.0))


def test_prune_removes_the_oldest_of_its_own(tmp_path: Path) -> None:
    kept = cache.Cache(tmp_path)
    for age, digit in enumerate("abcdef"):
        kept.save(digit * 64, bytes(968))  # 1000 with the checksum
        (entry,) = tmp_path.glob(f"{digit}*")
        os.utime(entry, (10**9 - age, 10**9 - age))
    left = tmp_path / f".{'0' * 32}.kernel.12.34"
    left.write_bytes(bytes(1000))
    os.utime(left, (0, 0))
    other = tmp_path / "thesis.pdf"
    other.write_bytes(bytes(9000))
    os.utime(other, (0, 0))
    kept.prune(7000)
    assert left.exists()
    kept.prune(5000)
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["a", "b", "c", "t"]


def test_each_folder_is_pruned_once_in_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruned = []
    monkeypatch.setattr(cache.Cache, "prune", lambda self: pruned.append(self.folder))
    for folder, factor in (("a", 1.0), ("a", 2.0), ("b", 3.0), ("b", 3.0)):
        monkeypatch.setenv(cache.VARIABLE, str(tmp_path / folder))
        library.build([Scale(factor)], 4)
    assert pruned == [tmp_path / "a" / "kernels", tmp_path / "b" / "kernels"]


# -- forks ---------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_fork_while_another_thread_builds() -> None:
    builder = threading.Thread(target=library.build, args=([Slow(1.0), Slow(2.0)], 4))
    builder.start()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, from Python 3.12
        child = os.fork()
    if not child:
        signal.alarm(60)
        status = 1
        try:
            check(library.build([Scale(7.0), Slow(1.0)], 4), Scale(7.0), Slow(1.0))
            status = 0
        finally:
            os._exit(status)
    builder.join()
    assert os.waitpid(child, 0)[1] == 0
    check(library.build([Scale(8.0), Slow(2.0)], 4), Scale(8.0), Slow(2.0))


# -- errors --------------------------------------------------------------------------------


@pytest.fixture
def built() -> Iterator[library.Library]:
    return library.build([Scale(2.0)], 4)


def test_call_counts_arrays(built: library.Library) -> None:
    with pytest.raises(errors.ShapeError, match=r"Scale: expected 2 arrays \(x, y\), got 1"):
        built.call(Scale(2.0), aligned(8))


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros(64), errors.DtypeError, "y has dtype float64, expected float32"),
        (np.zeros(64, np.complex64), errors.DtypeError, "complex64"),
        (np.zeros(64, object), errors.DtypeError, "object"),
        (np.zeros(65, np.uint8)[1:].view("f4"), errors.ArgumentError, "middle of a number"),
        ([0.0] * 64, errors.ArgumentError, "y is a list, expected an array"),
    ],
)
def test_call_checks_arrays(
    array: Any, error: type[Exception], message: str, built: library.Library
) -> None:
    with pytest.raises(error, match=message):
        built.call(Scale(2.0), aligned(64), array)


def test_unknown_kernel(built: library.Library) -> None:
    with pytest.raises(errors.ArgumentError, match=r"of 1 kernels was built without .*Scale.*3\.0"):
        built.address(Scale(3.0))


def test_itemsize() -> None:
    with pytest.raises(errors.ArgumentError, match="itemsize=2, expected 4"):
        library.build([], 2)
    assert library.build([], 4).from_cache == 0


def test_without_llvmlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    with pytest.raises(errors.MissingExtraError, match=r"llvmlite.*tinygrad-cnn\[fast\]"):
        library.build([Scale(2.0)], 4)
