"""Ray Train: a killed worker is started again, and the run goes on from its checkpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import distributed
from tinygrad_cnn.errors import MissingExtraError

ROOT = Path(__file__).parents[2]


@pytest.mark.ray
def test_a_killed_worker_is_started_again_and_the_run_completes(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"}
    script = str(ROOT / "examples" / "distributed_ray.py")
    done = subprocess.run(
        [sys.executable, script, str(tmp_path)], env=environment, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "killed").exists()
    assert "'epochs': 6" in done.stdout
    names = sorted(path.name for path in tmp_path.glob("*.ckpt"))
    assert names[-1] == "00006-000000.ckpt"
    alone = tmp_path / "alone"
    sys.path.insert(0, str(ROOT / "examples"))
    from distributed_digits import train_digits

    history = train_digits(distributed.Single(), str(alone), 6)
    state = tc.train.read_checkpoint(tmp_path / names[-1])
    there = [row["validation_accuracy"] for row in state["history"]]
    assert there == pytest.approx([row.validation_accuracy for row in history], abs=0.02)


@pytest.mark.parametrize(("package", "make"), [("ray", "Ray"), ("mpi4py", "MPI")])
def test_the_extra_is_named_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, package: str, make: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=package):
        getattr(distributed, make)()
