"""Whatever a submission does costs its question, never the grader."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn.check.grade import grade
from tinygrad_cnn.check.grade._sandbox import Raised, Sandbox, Stopped
from tinygrad_cnn.check.grade._spec import Limits
from tinygrad_cnn.check.grade._worker import Kept, pack, unpack

if sys.platform != "linux":
    pytest.skip("the limits are Linux's", allow_module_level=True)

LIMITS = Limits(seconds=3.0, total_seconds=6.0, memory_mb=1024)

# A submission for two questions: the first one misbehaves, the second one is right.
SUBMISSION = """\
import ctypes, os, signal, subprocess, sys, time
import numpy as np

def sgd(w, dw, config):
    {body}

def sgd_momentum(w, dw, config):
    config["velocity"] = v = (
        config["momentum"] * config.get("velocity", 0) - config["learning_rate"] * dw
    )
    return w + v, config
"""
SPEC = """\
[limits]
seconds = {seconds}
memory_mb = 1024
[[question]]
kind = "sgd"
[[question]]
kind = "sgd_momentum"
"""
MISBEHAVIOUR = {
    "endless loop": ("while True: pass", "it took longer than the 1.5 s for one call"),
    "sleep": ("time.sleep(1000)", "it took longer than the 1.5 s"),
    "sys.exit": ("sys.exit(0)", "SystemExit"),
    "os._exit": ("os._exit(0)", "it ended its process with status 0"),
    "abort": ("os.abort()", "ended by signal 6"),
    "segmentation fault": ("ctypes.string_at(0)", "ended by signal 11"),
    "signal to itself": ("signal.raise_signal(signal.SIGKILL)", "ended by signal 9"),
    "memory at once": ("return np.ones(1 << 34), config", "MemoryError"),
    "memory bit by bit": ("config['all'] = [np.empty(1 << 20) for _ in range(10**6)]", "Memory"),
    "closed descriptors": ("os.closerange(0, 100); time.sleep(1000)", "closed the way back"),
    "killed grader's helper": (
        "ctypes.CDLL(None).kill(os.getppid(), 9); time.sleep(9)", "its process was killed"),
    "too much to return": ("return np.zeros(1 << 24), config", "it returned 128 MB"),
    "forged answer": ("os.write(3, b'x' * 1000); time.sleep(9)", "it returned"),
    "half an answer": ("os.write(3, b'x'); time.sleep(9)", "it took longer"),
    "unreadable answer": (
        "os.write(3, (9).to_bytes(4, 'big') + bytes(8) + b'[' * 9)", "cannot be read"),
    "child process": ("ctypes.CDLL(None).fork(); time.sleep(9)", "it started a process"),
}  # fmt: skip


def graded(tmp_path, body, seconds=1.5):
    submission, spec = tmp_path / "submission.py", tmp_path / "spec.toml"
    submission.write_text(SUBMISSION.format(body=body), "utf-8")
    spec.write_text(SPEC.format(seconds=seconds), "utf-8")
    return grade(submission, spec)


@pytest.mark.parametrize(("body", "reason"), MISBEHAVIOUR.values(), ids=MISBEHAVIOUR)
def test_it_costs_the_question_and_no_other(tmp_path, body, reason):
    seconds = 1.5 if "longer" in reason else 20  # a busy machine needs it for the others
    bad, good = graded(tmp_path, body, seconds).questions
    assert bad.points == 0
    assert reason in bad.stopped
    assert (good.points, good.stopped) == (1, "")


FORBIDDEN = [
    "os.kill(os.getppid(), 9)", "os.killpg(0, 9)", "os.fork()", "os.system('true')",
    "subprocess.run(['true'])", "os.execv('/bin/true', ['true'])",
]  # fmt: skip


@pytest.mark.parametrize("body", FORBIDDEN)
def test_processes_and_signals_are_refused(tmp_path, body):
    bad, good = graded(tmp_path, body).questions
    assert "a submission may not use" in bad.parts[0].hints[1]
    assert (bad.points, good.points) == (0, 1)


def test_a_flood_of_output_is_cut_off(tmp_path):
    bad, good = graded(tmp_path, "while True: print('x' * 10**5)").questions
    assert "File too large" in bad.parts[0].hints[1]
    assert len(bad.printed) <= 2000
    assert good.points == 1


def test_a_patched_numpy_deceives_nobody(tmp_path):
    body = "np.array_equal = np.allclose = lambda *a, **k: True; return w, config"
    bad, _ = graded(tmp_path, body).questions
    assert bad.points == 0


def test_a_process_that_escaped_is_killed_and_costs_the_question(tmp_path):
    mark = tmp_path / "pid"
    body = f"""
    libc = ctypes.CDLL(None)
    if libc.fork() == 0:
        libc.setsid()
        if libc.fork() == 0:
            open({str(mark)!r}, "w").write(str(os.getpid()))
            time.sleep(1000)
        os._exit(0)
    while not os.path.exists({str(mark)!r}): time.sleep(0.01)
    return w - config["learning_rate"] * dw, config"""
    bad, good = graded(tmp_path, body).questions
    assert "it started a process" in bad.stopped
    assert (bad.points, good.points) == (0, 1)
    assert mark.exists()
    assert not Path("/proc", mark.read_text() or "none").exists()


def test_nothing_is_left_when_the_grader_is_killed(tmp_path):
    mark = tmp_path / "pid"
    body = f"open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(1000)"
    submission, spec = tmp_path / "submission.py", tmp_path / "spec.toml"
    submission.write_text(SUBMISSION.format(body=body), "utf-8")
    spec.write_text('[[question]]\nkind = "sgd"\n', "utf-8")
    script = "import sys; from tinygrad_cnn.check.grade import grade; grade(*sys.argv[1:])"
    command = [sys.executable, "-c", script, str(submission), str(spec)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}  # whose cleaning died with it
    grader = subprocess.Popen(command, env=environment)
    wait_until(lambda: mark.exists() and mark.read_text())
    worker = Path("/proc", mark.read_text())
    assert worker.exists()
    grader.kill()
    grader.wait()
    wait_until(lambda: not worker.exists())


def wait_until(condition, seconds=10.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


# -- the surroundings ----------------------------------------------------------------------


@pytest.fixture
def sandbox(tmp_path, request):
    path = tmp_path / "submission.py"
    path.write_text(request.param, "utf-8")
    with Sandbox(path, LIMITS, seed=1) as sandbox:
        yield sandbox


LOOK_AROUND = """\
import os, resource, sys
def files(): return sorted(map(int, os.listdir("/proc/self/fd")))[:-1]
def stdin(): return sys.stdin.read()
def names(): return sorted(os.environ)
def folder(): return os.getcwd()
def session(): return os.getsid(0) == os.getpid()
def processes(): return resource.getrlimit(resource.RLIMIT_NPROC)
def modules(): return [name for name in sys.modules if name.startswith("tinygrad_cnn")]
"""


def test_the_process_starts_with_almost_nothing(tmp_path):
    path = tmp_path / "submission.py"
    path.write_text(LOOK_AROUND, "utf-8")
    with open(path) as secret:
        os.set_inheritable(secret.fileno(), True)
        with Sandbox(path, LIMITS, seed=1) as sandbox:
            assert sandbox.call("files") == [0, 1, 2, 3]
            assert sandbox.call("stdin") == ""
            assert not {"PATH", "USER", "PYTHONPATH"} & set(sandbox.call("names"))
            folder = Path(sandbox.call("folder"))
            assert sandbox.call("session") is True
            assert sandbox.call("processes") == [0, 0]
            assert sandbox.call("modules") == []
    assert folder.parent == Path(tempfile.gettempdir())
    assert not folder.exists()


CALLS = """\
import numpy as np
def forward(x): return 2 * x, x
def backward(dout, x):
    x[0] = 9.0
    dout *= 0
    return [dout, {"a": (1, None, "b")}]
def draw(): return np.random.rand(2)
def fail(): raise KeyError("k")
def reshaped(x):
    x.shape = (4,)
"""


@pytest.mark.parametrize("sandbox", [CALLS], indirect=True)
def test_calls_pass_values_and_changes_in_place(sandbox):
    x, dout = np.arange(4.0).reshape(2, 2), np.ones(2)
    out, cache = sandbox.call("forward", x, keep=True)
    np.testing.assert_array_equal(out, 2 * x)
    gradient, other = sandbox.call("backward", dout, cache)
    np.testing.assert_array_equal(gradient, [0, 0])
    assert other == {"a": [1, None, "b"]}
    np.testing.assert_array_equal(x, [[9, 9], [2, 3]])
    np.testing.assert_array_equal(dout, [0, 0])
    np.testing.assert_array_equal(sandbox.call("draw"), sandbox.call("draw"))
    with pytest.raises(Raised, match="line 8: KeyError: 'k'"):
        sandbox.call("fail")
    sandbox.call("reshaped", x)
    assert x.shape == (2, 2)
    assert sandbox.names() >= {"forward", "backward"}


@pytest.mark.parametrize("sandbox", ["import os\nos._exit(5)"], indirect=True)
def test_after_the_end_every_call_says_why(sandbox):
    for _ in range(2):
        with pytest.raises(Stopped, match="status 5"):
            sandbox.names()


# -- the format ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 2.5, "text", [1, 2], [],
        np.arange(6, dtype=">i4").reshape(2, 3)[:, ::2], np.float32(1.5), np.zeros((0, 3)),
        np.array(True), np.asfortranarray(np.ones((2, 3))),
    ],
)  # fmt: skip
def test_packed_values_come_back(value):
    back = read(pack({"v": value}))["v"]
    np.testing.assert_array_equal(back, value)
    assert np.shape(back) == np.shape(value)


def test_nested_values_come_back():
    value = {"a": [1, [2.5, None]], "b": {"c": "text"}}
    assert read(pack(value)) == value


def read(message):
    text = int.from_bytes(message[:4], "big")
    return unpack(message[12 : 12 + text], message[12 + text :])


def test_other_objects_become_the_names_of_their_types():
    assert read(pack([object(), 1j, np.array([object()])])) == [
        "object", "complex", "array of object",
    ]  # fmt: skip
    assert read(pack(Kept(3))).number == 3


@pytest.mark.parametrize(
    "header",
    [
        b"", b"[]", b"[1]", b"[" * 100_000, b'[{"array":0},[]]', b'[{"list":3},[]]',
        b'[{},[]]', b'[null,[["|O",[1]]]]', b'[null,[["<f8",[-1]]]]', b'[null,[["<f8",[1e9]]]]',
        b'[null,[["<f8",[3]]]]', b'[null,[["<f8",[67108864,67108864]]]]', b"[" + b"9" * 9999,
        b'[null,[[["<f8"],[1]]]]', b"\xff",
    ],
)  # fmt: skip
def test_a_message_that_nobody_packed_is_refused(header):
    with pytest.raises(ValueError, match="the message cannot be read"):
        unpack(header, bytes(16))
