"""The process between the grader and a submission: it starts the worker, and leaves nothing.

It runs as a script and imports nothing of the package. Its standard input is a pipe that the
grader holds open: when that closes, because the question is done or the grader died, or when
the worker ends, or has started a process, everything below this process is killed. As a
"child subreaper" (prctl(2)) it inherits what escaped by a second fork or a session of its own.
Its standard output is one line of JSON: how the worker ended, how many processes it left.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any, NoReturn

_SCAN_SECONDS = 0.1
_SET_PDEATHSIG, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 1, 36, 38  # <sys/prctl.h>


def main() -> None:
    """Watch one worker from its start to the end of everything that it started."""
    settings = json.loads(sys.argv[1])
    _prctl(_SET_CHILD_SUBREAPER, 1)
    _prctl(_SET_NO_NEW_PRIVS, 1)  # no set-user-id program gives more rights back
    worker = os.fork()
    if worker == 0:
        _become_worker(settings)
    os.close(settings["channel"])
    ended = os.pidfd_open(worker)
    while True:
        ready = select.select([sys.stdin, ended], [], [], _SCAN_SECONDS)[0]
        left = _running_descendants() - {worker}
        if ready or left:
            break
    status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) if ended in ready else None
    _kill_descendants()
    print(json.dumps({"status": status, "left": len(left)}))


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def _become_worker(settings: dict[str, Any]) -> NoReturn:
    """Turn this copy of the process into the worker, under its limits, with four open files."""
    try:
        _prctl(_SET_PDEATHSIG, signal.SIGKILL)  # it does not outlive its supervisor
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(settings["output"], 1)
        os.dup2(settings["output"], 2)
        os.dup2(settings["channel"], settings["worker_channel"])
        os.closerange(settings["worker_channel"] + 1, os.sysconf("SC_OPEN_MAX"))
        for name, value in settings["limits"].items():
            resource.setrlimit(getattr(resource, name), (value, value))
        os.execv(sys.executable, [sys.executable, *settings["command"]])
    finally:
        os._exit(127)


def _running_descendants() -> set[int]:
    """The processes below this one that have not ended yet."""
    states, children = {}, dict[int, list[int]]()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            # pid (command) state parent …; the command may hold spaces and brackets itself
            state, parent = file.read().rpartition(b")")[2].split()[:2]
            states[int(name)] = state
            children.setdefault(int(parent), []).append(int(name))
    found, unseen = set[int](), [os.getpid()]
    while unseen:
        below = children.get(unseen.pop(), [])
        unseen += below
        found.update(pid for pid in below if states[pid] not in (b"Z", b"X"))
    return found


def _kill_descendants() -> None:
    """Kill and reap; each becomes a child of this process when its own parent is dead."""
    while True:
        for pid in _running_descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


if __name__ == "__main__":
    main()
