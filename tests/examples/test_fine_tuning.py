"""The fine-tuning example: each step raises the accuracy, and it says what it misses."""

from __future__ import annotations

import re
from pathlib import Path

import fine_tuning
import numpy as np
import pytest


def accuracies(printed: str) -> list[float]:
    return [float(number) for number in re.findall(r"(\d+\.\d) % of test images", printed)]


@pytest.mark.slow
def test_each_step_raises_the_accuracy(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = shared / "weights" / "resnet20-12fca82f.th"
    fine_tuning.main([str(weights), "--root", str(shared / "data")])
    before, head, everything = accuracies(capsys.readouterr().out)
    assert before < 30 < head
    assert everything >= 75


@pytest.mark.parametrize("options", [[], ["--keep-statistics"]])
def test_the_script_runs(
    options: list[str], shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = shared / "weights" / "resnet20-12fca82f.th"
    arguments = [str(weights), "--root", str(shared / "data"), "--images", "20", "--epochs", "1"]
    fine_tuning.main([*arguments, *options])
    assert len(accuracies(capsys.readouterr().out)) == 3


def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fine_tuning.main([str(tmp_path / "absent.th")])
    assert "pytorch_resnet_cifar10" in capsys.readouterr().err
    (tmp_path / "a.th").write_bytes(b"")
    with pytest.raises(SystemExit):
        fine_tuning.main([str(tmp_path / "a.th"), "--root", str(tmp_path)])
    assert "train-images-idx3-ubyte.gz" in capsys.readouterr().err


def test_statistics_are_kept_where_that_is_asked_for() -> None:
    model = fine_tuning.KeepStatistics(8).train()
    before = np.array(model.bn1.running_mean.numpy())
    model(np.ones((2, 3, 8, 8), np.float32))
    np.testing.assert_array_equal(model.bn1.running_mean.numpy(), before)
    assert model.training
