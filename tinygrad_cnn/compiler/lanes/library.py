"""From kernels to the addresses of native functions, each made once: by LLVM, or read from disk."""

from __future__ import annotations

import ctypes
import gc
import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...errors import ArgumentError, DtypeError, ShapeError
from ...typing import Array
from ..threads import get_num_threads
from .cache import Cache, standard
from .target import Target, binding, host

if TYPE_CHECKING:
    from .emit import Module


class Kernel(Protocol):
    """What a native function is made from: a frozen dataclass of plain values.

    Its ``repr`` says all that its code depends on.
    """

    @property
    def pointers(self) -> tuple[str, ...]:
        """What each pointer of the function is, in order."""

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""


class Library:
    """Native functions ``void function(void **pointers)``, found by their kernels.

    Attributes:
        itemsize: the size of a number in bytes.
        seconds: how long it took to build.
        from_cache: how many kernels were read from disk.
    """

    def __init__(
        self, itemsize: int, addresses: dict[str, int], seconds: float, from_cache: int
    ) -> None:
        self.itemsize, self._addresses = itemsize, addresses
        self.seconds, self.from_cache = seconds, from_cache

    def address(self, kernel: Kernel) -> int:
        """Where the native function of a kernel is; it stays there until the process ends.

        Raises:
            ArgumentError: the library was built without this kernel.
        """
        found = self._addresses.get(_text(kernel))
        if found is None:
            raise ArgumentError(
                f"a library of {len(self._addresses)} kernels was built without {kernel!r}"
            )
        return found

    def call(self, kernel: Kernel, *arrays: Array | int) -> None:
        """Run a kernel once on arrays, one for each of its pointers, or numbers in their place.

        Only the first element's address is passed on: sizes and strides are the kernel's.

        Raises:
            ShapeError: there are not as many arrays as the kernel has pointers.
            DtypeError: an array of real numbers has not the library's precision.
            ArgumentError: an operand is no array, or its numbers are not aligned, or the
                library was built without this kernel.
        """
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.address(kernel))
        owner, names = type(kernel).__name__, kernel.pointers
        if len(arrays) != len(names):
            raise ShapeError(
                f"{owner}: expected {len(names)} arrays ({', '.join(names)}), got {len(arrays)}"
            )
        for name, array in zip(names, arrays, strict=True):
            self._check(owner, name, array)
        addresses = [a if isinstance(a, int) else a.ctypes.data for a in arrays]
        pointers = np.array(addresses, np.uintp)
        function(pointers.ctypes.data)

    def _check(self, owner: str, name: str, array: Array | int) -> None:
        if name == "count" and isinstance(array, int):
            return
        if not isinstance(array, np.ndarray):
            raise ArgumentError(f"{owner}: {name} is a {type(array).__name__}, expected an array")
        if array.dtype.kind not in "fiub" or (
            array.dtype.kind == "f" and array.dtype.itemsize != self.itemsize
        ):
            raise DtypeError(
                f"{owner}: {name} has dtype {array.dtype}, expected float{8 * self.itemsize}"
            )
        if not array.flags.aligned:
            raise ArgumentError(f"{owner}: {name} starts in the middle of a number; copy it")


_building = threading.RLock()
_addresses: dict[str, int] = {}  # of every kernel that this process has, by key
_trackers: list[Any] = []  # they keep the functions in memory
# No fork while LLVM works: the child would wait for ever for locks that nobody holds there.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_building.acquire,
        after_in_parent=_building.release,
        after_in_child=_building.release,
    )


def build(kernels: Iterable[Kernel], itemsize: int, target: Target | None = None) -> Library:
    """Native functions for kernels.

    What this process has already is shared, what the disk has is read, and the rest is made by
    as many threads as there are cores.

    Args:
        kernels: in any order; the same one may come more than once.
        itemsize: the size of a number: 4 for float32, 8 for float64.
        target: the processor; by default this machine's.

    Raises:
        ArgumentError: there are no numbers of that size.
        MissingExtraError: llvmlite is not installed.
    """
    start = time.perf_counter()
    if itemsize not in (4, 8):
        raise ArgumentError(f"build: itemsize={itemsize!r}, expected 4 (float32) or 8 (float64)")
    target = target or host()
    origin = _origin(itemsize, target)
    wanted = {_text(kernel): kernel for kernel in kernels}
    keys = {text: hashlib.sha256(f"{origin} {text}".encode()).hexdigest() for text in wanted}
    with _building:
        missing = {keys[text]: one for text, one in wanted.items() if keys[text] not in _addresses}
        from_cache = _provide(missing, itemsize, target) if missing else 0
        addresses = {text: _addresses[key] for text, key in keys.items()}
    return Library(itemsize, addresses, time.perf_counter() - start, from_cache)


def _text(kernel: Kernel) -> str:
    """What tells kernels apart; as keys they would not do, since 1 == 1.0."""
    return f"{type(kernel).__module__}.{kernel!r}"


def _symbol(key: str, kernel: Kernel) -> str:
    return f"{type(kernel).__name__}_{key[:16]}"


@cache
def _origin(itemsize: int, target: Target) -> str:
    """Everything beside the kernel that its code depends on."""
    import llvmlite

    llvm = binding()
    sources = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        sources.update(path.read_bytes())
    return repr(
        (
            itemsize,
            target,
            llvmlite.__version__,
            llvm.llvm_version_info,
            llvm.get_process_triple(),
            sources.hexdigest(),
        )
    )


def _provide(missing: dict[str, Kernel], itemsize: int, target: Target) -> int:
    """Make kernels part of this process; how many of them were read from disk."""
    disk = standard()
    # What a kernel from outside of the package depends on is not known.
    stored = {key for key, one in missing.items() if type(one).__module__.startswith(__package__)}
    code = {key: found for key in stored if (found := disk.load(key))}
    from_cache = len(code)

    def make(key: str) -> bytes:
        made = _object_code(missing[key], _symbol(key, missing[key]), itemsize, target)
        if key in stored:
            disk.save(key, made)
        return made

    cold = [key for key in missing if key not in code]
    if cold:
        with _without_collection(), ThreadPoolExecutor(get_num_threads()) as pool:
            code.update(zip(cold, pool.map(make, cold), strict=True))
        _prune_once(disk)
    _load({_symbol(key, missing[key]): (key, content) for key, content in code.items()})
    return from_cache


@contextmanager
def _without_collection() -> Iterator[None]:
    """llvmlite makes so many objects that the collector takes a third of Python's time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@cache
def _prune_once(disk: Cache) -> None:
    disk.prune()


# -- LLVM ----------------------------------------------------------------------------------


def _object_code(kernel: Kernel, name: str, itemsize: int, target: Target) -> bytes:
    """The native code of a kernel.

    No passes run before instructions are chosen: kernels are written in SSA form with their loops
    laid out, and neither -O2 nor its instcombine alone makes any of them faster.
    """
    from .emit import Module

    llvm = binding()
    module = Module(target, itemsize)
    kernel.emit(module, name)
    parsed = llvm.parse_assembly(str(module.module), llvm.create_context())
    parsed.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=target.cpu, features=target.features, opt=2, jit=True
    )
    with llvm.ffi.OutputString() as error:
        buffer = _emit_to_memory()(machine, parsed, 1, error)
        if not buffer:
            raise RuntimeError(f"{name}: {error}")
    try:
        begin = llvm.ffi.lib.LLVMPY_GetBufferStart(buffer)
        return ctypes.string_at(begin, llvm.ffi.lib.LLVMPY_GetBufferSize(buffer))
    finally:
        llvm.ffi.lib.LLVMPY_DisposeMemoryBuffer(buffer)


@cache
def _emit_to_memory() -> Any:
    """The function behind ``TargetMachine.emit_object``, without llvmlite's lock.

    llvmlite holds one lock during every call, so that a second thread would gain nothing. LLVM
    itself needs none where each thread has a context and a target machine of its own.
    """
    ffi = binding().ffi
    locked = ffi.lib.LLVMPY_TargetMachineEmitToMemory
    try:
        free = ctypes.CDLL(ffi.lib._name).LLVMPY_TargetMachineEmitToMemory
    except (AttributeError, OSError):  # another llvmlite: it is only slower
        return locked
    free.argtypes, free.restype = locked.argtypes, locked.restype
    return free


@cache
def _linker() -> Any:
    return binding().create_lljit_compiler()


def _load(code: dict[str, tuple[str, bytes]]) -> None:
    """Load object code, by symbol, and note the addresses under the keys."""
    parts = binding().JITLibraryBuilder().add_current_process()
    for symbol, (_, content) in code.items():
        parts.add_object_img(content).export_symbol(symbol)
    tracker = parts.link(_linker(), f"library{len(_trackers)}")
    _trackers.append(tracker)
    _addresses.update({key: tracker[symbol] for symbol, (key, _) in code.items()})
