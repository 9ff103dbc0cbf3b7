"""What a newcomer does first: ``make demo`` in a fresh clone of the last commit."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_SECONDS = 180
MIN_ACCURACY = 97.0


def _run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that has to succeed."""
    done = subprocess.run(
        command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the last commit in a folder of its own."""
    folder = tmp_path_factory.mktemp("clone")
    _run("git", "clone", "--quiet", ROOT, folder, cwd=ROOT)
    return folder


@pytest.mark.slow
def test_demo_installs_and_trains(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = time.perf_counter()
    output = _run("make", "demo", cwd=clone)
    seconds = time.perf_counter() - start
    accuracy = re.search(r"test accuracy\D*([\d.]+) ?%", output)
    assert accuracy, output
    with capsys.disabled():
        print(f"\nmake demo: {accuracy[1]} % in {seconds:.0f} s with installation")
    assert float(accuracy[1]) >= MIN_ACCURACY
    assert seconds <= MAX_SECONDS
    names = {path.name for path in (clone / "demo").iterdir()}
    assert {"graph.dot", "graph.html", "stepper.html", "report.html", "derivation.html"} <= names
    assert {"derivation.py", "convolution.html"} <= names


@pytest.mark.slow
def test_wheel_holds_the_whole_package(clone: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    _run(*command, tmp_path, ".", cwd=clone)
    (wheel,) = tmp_path.glob("*.whl")
    tracked = _run("git", "ls-files", "tinygrad_cnn", cwd=clone).split()
    assert set(tracked) <= set(zipfile.ZipFile(wheel).namelist())
