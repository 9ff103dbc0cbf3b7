"""The process that runs a submission: it calls functions of it and sends back what they return.

It runs as a script and imports nothing of the package: references, tolerances and points exist
in the grader alone, which sends inputs and judges the arrays that come back. ``pack`` and
``unpack`` are the format in both directions; it is data without code, unlike pickle.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import struct
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np

HEADER = struct.Struct("!IQ")  # the lengths of the JSON part and of the arrays' bytes
MAX_TEXT = 1 << 20
MAX_BYTES = 1 << 26
_DTYPES = frozenset(
    ("|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8")
)
_MAX_MESSAGE = 400
_FORBIDDEN = (
    "os.exec", "os.fork", "os.forkpty", "os.kill", "os.killpg", "os.posix_spawn", "os.spawn",
    "os.system", "pty.spawn", "socket.bind", "socket.connect", "subprocess.Popen",
)  # fmt: skip

Arrays: TypeAlias = "list[np.ndarray[Any, Any]]"


class Kept:
    """A value that stays in the worker, such as the cache of a forward pass."""

    def __init__(self, number: int) -> None:
        self.number = number


def pack(tree: Any) -> bytes:
    """Numbers, text, lists, dicts with text keys, arrays and ``Kept`` values as bytes."""
    arrays: Arrays = []
    text = json.dumps(_plain(tree, arrays))
    about = json.dumps([[a.dtype.str, a.shape] for a in arrays])
    header = f"[{text},{about}]".encode()
    body = b"".join(a.tobytes() for a in arrays)
    return HEADER.pack(len(header), len(body)) + header + body


def _plain(value: Any, arrays: Arrays) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.kind == "f" and array.dtype.itemsize > 8:
            array = array.astype(np.float64)
        array = array.astype(array.dtype.newbyteorder("<"))
        if array.dtype.str in _DTYPES:
            arrays.append(array)
            return {"array": len(arrays) - 1}
        return {"object": f"array of {array.dtype}"[:_MAX_MESSAGE]}
    if isinstance(value, list | tuple):
        return {"list": [_plain(item, arrays) for item in value]}
    if isinstance(value, dict):
        return {"dict": {str(key): _plain(item, arrays) for key, item in value.items()}}
    if isinstance(value, Kept):
        return {"kept": value.number}
    return {"object": type(value).__name__[:_MAX_MESSAGE]}


def unpack(header: bytes, body: bytes) -> Any:
    """What ``pack`` was given; lists for tuples, the name of its type for any other object.

    Raises:
        ValueError: the bytes are not what ``pack`` writes.
    """
    try:
        tree, about = json.loads(header)
        return _rebuilt(tree, _arrays(about, body))
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError) as error:
        raise ValueError(f"the message cannot be read: {error}") from None


def _arrays(about: list[tuple[str, list[int]]], body: bytes) -> Arrays:
    arrays, start = [], 0
    for dtype, shape in about:
        if dtype not in _DTYPES or not all(type(n) is int and 0 <= n <= MAX_BYTES for n in shape):
            raise ValueError(f"array of {dtype!r} and shape {shape!r}")
        count = 1
        for n in shape:
            count *= n
        end = start + count * np.dtype(dtype).itemsize
        if end > len(body):
            raise ValueError("arrays are longer than the message")
        arrays.append(np.frombuffer(body[start:end], dtype).reshape(shape).copy())
        start = end
    return arrays


def _rebuilt(plain: Any, arrays: Arrays) -> Any:
    if not isinstance(plain, dict):
        return plain
    ((kind, value),) = plain.items()
    if kind == "array":
        return arrays[value]
    if kind == "list":
        return [_rebuilt(item, arrays) for item in value]
    if kind == "dict":
        return {key: _rebuilt(item, arrays) for key, item in value.items()}
    return Kept(value) if kind == "kept" else str(value)


def main() -> None:
    """Import the submission, then answer calls until the grader closes the channel."""
    channel, path, *search = int(sys.argv[1]), *sys.argv[2:]
    os.set_inheritable(channel, False)
    sys.addaudithook(_refuse_processes)
    worker = _Worker(path, search)
    with open(channel, "r+b", buffering=0) as stream:
        while head := _read(stream.read, HEADER.size):
            text, size = HEADER.unpack(head)
            request = unpack(_read(stream.read, text), _read(stream.read, size))
            answer = memoryview(worker.answer(request))
            while answer:
                answer = answer[stream.write(answer) :]


def _refuse_processes(event: str, _: Any) -> None:
    if event in _FORBIDDEN:
        raise PermissionError(f"a submission may not use {event}")


def _read(read: Callable[[int], bytes], size: int) -> bytes:
    parts = []
    while size and (part := read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class _Worker:
    """A submission with the values that it wants to see again."""

    def __init__(self, path: str, search: list[str]) -> None:
        self.path, self.search = path, search
        self.module: Any = None
        self.kept: list[tuple[Any, list[Any], list[Any]]] = []

    def answer(self, request: dict[str, Any]) -> bytes:
        """The packed result of one request, or the error that it ended with."""
        try:
            if self.module is None:
                self._load()
            # The packing runs the submission's code too: an array can be of its own class.
            return pack(self._call(**request) if request else {"names": self._names()})
        except BaseException as error:
            return pack({"error": self._describe(error)})

    def _load(self) -> None:
        sys.path[:0] = self.search
        spec = importlib.util.spec_from_file_location("submission", self.path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{os.path.basename(self.path)} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules["submission"] = module
        spec.loader.exec_module(module)
        self.module = module

    def _names(self) -> list[str]:
        return [name for name, value in vars(self.module).items() if callable(value)]

    def _call(self, name: str, args: list[Any], seed: int, keep: bool) -> dict[str, Any]:
        """Call a function; with ``keep`` its result is a pair whose second half stays here.

        The answer tells which arrays the call changed in place, also those of the call that
        a kept value comes from, and how dicts look now.
        """
        earlier = [self.kept[value.number] for value in args if isinstance(value, Kept)]
        given = [self.kept[a.number][0] if isinstance(a, Kept) else a for a in args]
        before = [np.array(a) if isinstance(a, np.ndarray) else None for a in given]
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - it is what most submissions draw from
        value = getattr(self.module, name)(*given)
        if keep:
            if not isinstance(value, tuple | list) or len(value) != 2:
                raise TypeError(f"{name} has to return a pair (out, cache)")
            self.kept.append((value[1], given, before))
            value = [value[0], Kept(len(self.kept) - 1)]
        return {
            "value": value,
            "changed": _changed(given, before),
            "changed_earlier": [_changed(old, copies) for _, old, copies in earlier],
        }

    def _describe(self, error: BaseException) -> dict[str, Any]:
        line = None
        trace: TracebackType | None = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == self.path:
                line = trace.tb_lineno
            trace = trace.tb_next
        if isinstance(error, SyntaxError) and error.filename == self.path:
            line = error.lineno
        message = str(error)[:_MAX_MESSAGE]
        return {
            "type": type(error).__name__[:_MAX_MESSAGE],
            "message": message,
            "line": line,
            "fatal": isinstance(error, SystemExit | MemoryError),
        }


def _changed(values: list[Any], before: list[Any]) -> list[Any]:
    """The arrays that are not as before, and all dicts; None for everything else."""
    return [
        value
        if isinstance(value, dict) or (old is not None and value.tobytes() != old.tobytes())
        else None
        for value, old in zip(values, before, strict=True)
    ]


if __name__ == "__main__":
    main()
