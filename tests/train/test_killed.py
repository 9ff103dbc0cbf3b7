"""Runs that are killed (SIGKILL) at random moments, and end with the bits of one that was not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and fork are POSIX")


def _killed(folder: Path, kills: int, how: str, pause: float = 0.0) -> dict[str, int]:
    command = [sys.executable, "-W", "error", "-m", "tests.resumable", folder, kills, how, pause]
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=500,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert not done.returncode, done.stderr
    seen: dict[str, int] = json.loads(done.stdout)
    assert seen["kills"] == kills
    assert seen["same"] == seen["runs"] > 0
    return seen


def test_killed_at_fifty_moments(tmp_path: Path) -> None:
    _killed(tmp_path, 50, "eager")


def test_killed_while_it_writes(tmp_path: Path) -> None:
    """Writing takes most of the time here, so most kills leave a file that is not whole."""
    assert _killed(tmp_path, 15, "eager", pause=0.003)["writing"] > 1


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.0, 0.003])
@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_killed_many_times(how: str, pause: float, tmp_path: Path) -> None:
    _killed(tmp_path, 200, how, pause)
