"""Training on several processes: the same gradients and the same run as on one."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import mpi_jobs as jobs
import numpy as np
import pytest

pytest.importorskip("mpi4py")
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")
pytestmark = pytest.mark.skipif(MPIEXEC is None, reason="no mpiexec")
ROOT = Path(__file__).parents[2]
LIMIT = 120  # seconds: a job that hangs


def job(name: str, folder: Path, ranks: int) -> subprocess.CompletedProcess[str]:
    """Run a job of ``mpi_jobs.py``."""
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "TINYGRAD_CNN_THREADS": "1",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }  # fmt: skip
    command = [MPIEXEC, "-n", str(ranks), sys.executable, "-m", "mpi4py", jobs.__file__, name]
    return subprocess.run(
        [*map(str, command), str(folder)], env=environment, capture_output=True, text=True,
        timeout=LIMIT,
    )  # fmt: skip


def found(name: str, folder: Path, ranks: int) -> dict[str, np.ndarray]:
    """What a job found that ends well."""
    done = job(name, folder, ranks)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(folder / f"{name}-{ranks}.npz") as file:
        return dict(file)


@functools.cache
def alone(kind: str) -> dict[str, np.ndarray]:
    return {key: np.asarray(v) for key, v in jobs.run(None, **jobs.RUNS[kind]).items()}


def assert_same(here: np.ndarray, there: np.ndarray, tolerance: float) -> None:
    assert here.shape == there.shape
    assert here.dtype == there.dtype
    scale = max(1.0, float(np.abs(there).max(initial=0.0)))
    assert float(np.abs(here - there).max(initial=0.0)) <= tolerance * scale


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_gradients_are_those_of_one_process_with_the_joined_batch(
    ranks: int, tmp_path: Path
) -> None:
    there = found("gradients", tmp_path, ranks)
    for synchronise in (False, True):
        for key, value in jobs.gradients_of_one(synchronise).items():
            tolerance = 1e-12 if np.asarray(value).dtype == np.float64 else 1e-6
            assert_same(there.pop(f"{key}|{synchronise}"), np.asarray(value), tolerance)
    assert not there  # what one process does not have: of unused and frozen parameters


@pytest.mark.parametrize("ranks", [2, 3])
def test_a_run_has_the_losses_and_weights_of_one_process(ranks: int, tmp_path: Path) -> None:
    there = found("run", tmp_path, ranks)
    for kind in jobs.RUNS:
        for key, value in alone(kind).items():
            assert_same(there.pop(f"{key}|{kind}"), value, 1e-11)
    assert not there


def test_a_killed_rank_ends_the_job_and_the_run_is_resumed_to_the_same_bits(
    tmp_path: Path,
) -> None:
    start = time.monotonic()
    done = job("killed", tmp_path, 2)
    assert done.returncode != 0
    assert time.monotonic() - start < LIMIT / 2
    assert not (tmp_path / "killed-2.npz").exists()
    resumed = found("killed", tmp_path, 2)
    (tmp_path / "other").mkdir()
    whole = found("run", tmp_path, 2)
    for key, value in resumed.items():
        assert value.tobytes() == whole[f"{key}|eager"].tobytes(), key


def test_an_exception_on_one_rank_ends_the_job(tmp_path: Path) -> None:
    done = job("raising", tmp_path, 2)
    assert done.returncode != 0
    assert "on this rank alone" in done.stderr


def test_ranks_that_do_not_fit_together_are_refused_on_each(tmp_path: Path) -> None:
    model, seed = found("different", tmp_path, 2)["problems"]
    assert "the model is not the same on all 2 ranks: 1 differ" in model
    assert "the seed of the data is not the same" in seed
