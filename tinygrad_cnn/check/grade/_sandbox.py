"""The grader's side of the process that runs a submission."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ...errors import ArgumentError
from ._spec import Limits
from ._worker import HEADER, MAX_BYTES, MAX_TEXT, Kept, pack, unpack

# What Python needs to find NumPy where it was found here, without the environment's influence.
_START = (
    "import runpy, sys; sys.path.append(sys.argv[1]); del sys.argv[:2];"
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)
_WORKER_CHANNEL = 3  # the file descriptor of the worker's end of the socket
_FOLDER = Path(__file__).parent
_POLL_SECONDS = 0.05
_END_SECONDS, _CLOSE_SECONDS = 1.0, 10.0
_SHOWN_OUTPUT = 2000


class Raised(ValueError):
    """The submission's code raised an exception; for the doctor, as for code of any other kind,
    a sign that it is not made for such inputs.
    """


class Stopped(Exception):
    """The process is gone, or has to go: the question is lost."""


class Cache(Kept):
    """A value that stays in the process, with the arrays of the call that made it."""

    def __init__(self, number: int, args: Sequence[Any]) -> None:
        super().__init__(number)
        self.args = args


class Sandbox:
    """A process of its own that imports a submission and calls its functions.

    Leave it as a context; then ``stopped`` says why the question is lost, if it is, and
    ``printed`` the end of what the submission printed.
    """

    def __init__(self, submission: Path, limits: Limits, seed: int) -> None:
        if sys.platform != "linux":
            raise ArgumentError(
                "grading runs submissions under limits that only Linux enforces; elsewhere, run"
                " it in a Linux container"
            )
        self.submission, self.limits, self.seed = submission.resolve(), limits, seed
        self.stopped, self.printed = "", ""
        self._deadline = time.monotonic() + limits.total_seconds

    def __enter__(self) -> Sandbox:
        self._folder = tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True)
        self._output = tempfile.TemporaryFile()  # has no name by which it could be replaced
        self._socket, theirs = socket.socketpair()
        self._report: dict[str, Any] | None = None
        with theirs:
            settings = self._settings(theirs.fileno(), self._output.fileno())
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-B", str(_FOLDER / "_supervisor.py"), settings],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno(), self._output.fileno()],
                cwd=self._folder.name,
                env=_environment(self._folder.name),
            )
        return self

    def _settings(self, channel: int, output: int) -> str:
        limits = self.limits
        worker, own = str(_FOLDER / "_worker.py"), str(self.submission)
        packages = str(Path(np.__file__).parents[1])
        arguments = [packages, worker, str(_WORKER_CHANNEL), own, str(self.submission.parent)]
        return json.dumps(
            {
                "channel": channel,
                "worker_channel": _WORKER_CHANNEL,
                "output": output,
                "command": ["-I", "-B", "-u", "-X", "utf8", "-c", _START, *arguments],
                "limits": {
                    "RLIMIT_AS": limits.memory_mb << 20,
                    "RLIMIT_CPU": int(limits.total_seconds) + 2,
                    "RLIMIT_FSIZE": limits.output_mb << 20,
                    "RLIMIT_NOFILE": 64,
                    "RLIMIT_NPROC": 0,  # neither processes nor threads; root is exempt
                    "RLIMIT_CORE": 0,
                },
            }
        )

    def names(self) -> set[str]:
        """Import the submission; the names of its functions.

        Raises:
            Raised, Stopped: it cannot be imported.
        """
        return set(self._ask({})["names"])

    def call(self, name: str, *args: Any, keep: bool = False) -> Any:
        """Call a function of the submission.

        Arrays and dicts that it changes in place are changed here too. With ``keep`` it has to
        return a pair, of which the second part comes back as a ``Cache``.

        Raises:
            Raised: it raised an exception.
            Stopped: it took too long, crashed, or ended in another way that costs the question.
        """
        request = {"name": name, "args": args, "seed": self.seed, "keep": keep}
        answer = self._ask(request)
        try:
            _write_back(args, answer["changed"])
            caches = [value for value in args if isinstance(value, Cache)]
            for cache, changed in zip(caches, answer["changed_earlier"], strict=True):
                _write_back(cache.args, changed)
            if not keep:
                return answer["value"]
            out, kept = answer["value"]
            return out, Cache(kept.number, args)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._stop(f"its answer cannot be read: {error}") from None

    def _ask(self, request: dict[str, Any]) -> Any:
        if self.stopped:
            raise Stopped(self.stopped)
        deadline = min(time.monotonic() + self.limits.seconds, self._deadline)
        self._send(pack(request), deadline)
        text, size = HEADER.unpack(self._receive(HEADER.size, deadline))
        if text > MAX_TEXT or size > MAX_BYTES:
            raise self._stop(f"it returned {(text + size) >> 20} MB")
        try:
            answer = unpack(self._receive(text, deadline), self._receive(size, deadline))
            error = answer.get("error")
        except (ValueError, AttributeError) as unreadable:
            raise self._stop(f"its answer cannot be read: {unreadable}") from None
        if error is not None:
            raise self._raised(error)
        return answer

    def _raised(self, error: Any) -> Exception:
        try:
            line = f"line {error['line']}: " if error["line"] else ""
            message = f"{line}{error['type']}: {error['message']}".removesuffix(": ")
            fatal = bool(error["fatal"])
        except (KeyError, TypeError):
            return self._stop("its answer cannot be read")
        return self._stop(message) if fatal else Raised(message)

    def _stop(self, reason: str) -> Stopped:
        self.stopped = self.stopped or reason
        return Stopped(self.stopped)

    def _send(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            self._wait(deadline, write=True)
            try:
                rest = rest[self._socket.send(rest, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self._stop(self._ending()) from None

    def _receive(self, size: int, deadline: float) -> bytes:
        parts = []
        while size:
            self._wait(deadline, write=False)
            try:
                part = self._socket.recv(min(size, 1 << 16))
            except OSError:
                part = b""
            if not part:
                raise self._stop(self._ending())
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _wait(self, deadline: float, write: bool) -> None:
        """Wait until the socket is ready; the supervisor ends when the question is over."""
        sockets: list[socket.socket] = [self._socket]
        while True:
            ready = select.select(*([], sockets) if write else (sockets, []), [], _POLL_SECONDS)
            if any(ready):
                return
            if self._process.poll() is not None:
                raise self._stop(self._ending())
            if time.monotonic() > deadline:
                total = deadline == self._deadline
                allowed = self.limits.total_seconds if total else self.limits.seconds
                what = "for all its calls" if total else "for one call"
                raise self._stop(f"it took longer than the {allowed:g} s {what}")

    def _ending(self) -> str:
        """Say how the worker ended, which the supervisor learns a moment after the socket."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        report = self._end_processes()
        if report.get("left"):
            return "it started a process, which is not allowed"
        status = report.get("status")
        if status is None:
            return "its process was killed, or has closed the way back to the grader"
        if status < 0:
            return f"its process was ended by signal {-status}, as by a crash"
        return f"it ended its process with status {status}"

    def _end_processes(self) -> dict[str, Any]:
        """Let the supervisor kill everything that the submission started; its report."""
        if self._report is None:
            try:
                out, _ = self._process.communicate(timeout=_CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                out, _ = self._process.communicate()
            # A supervisor that was killed has written nothing.
            self._report = json.loads(out) if out else {}
        return self._report

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
        if self._end_processes().get("left"):
            self._stop("it started a process, which is not allowed")
        with self._output as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _SHOWN_OUTPUT, 0))
            self.printed = file.read().decode("utf-8", "replace")
        with contextlib.suppress(RecursionError):  # folders nested by the thousand
            self._folder.cleanup()


def _environment(folder: str) -> dict[str, str]:
    """What the process gets of the environment: where libraries are, and one thread for BLAS."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**kept, **threads, "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8"}


def _write_back(args: Sequence[Any], changed: Sequence[Any]) -> None:
    for value, now in zip(args, changed, strict=True):
        if isinstance(value, dict) and isinstance(now, dict):
            value.clear()
            value.update(now)
        elif isinstance(value, np.ndarray) and np.shape(now) == value.shape:
            value[...] = now
