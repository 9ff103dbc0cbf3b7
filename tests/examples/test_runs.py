"""The training runs: what their kept logs reached, and that the scripts run."""

from __future__ import annotations

import re
from pathlib import Path

import cifar10_convnetjs
import fashion_mnist
import mnist_convnetjs
import pytest

LOGS = Path(__file__).parents[2] / "docs" / "runs"


def _percentages(log: str, line: str) -> list[float]:
    """The numbers in the last line of a log that starts so."""
    lines = (LOGS / log).read_text("utf-8").splitlines()
    found = [text for text in lines if text.startswith(line)][-1]
    return [float(number) for number in re.findall(r"\d+\.\d+", found)]


def test_mnist_reached_99_percent() -> None:
    for window in ("test accuracy, window in the middle", "test accuracy, average of 5 windows"):
        assert _percentages("mnist_convnetjs.txt", window)[-1] >= 99.0


def test_fashion_mnist_reached_the_figure_of_its_table() -> None:
    assert _percentages("fashion_mnist.txt", "test accuracy:")[-1] >= 91.6


def test_cifar10_is_as_good_as_pytorch_within_a_point() -> None:
    *ours, mean = _percentages("cifar10_convnetjs.txt", "tinygrad_cnn: test accuracy")
    *theirs, their_mean = _percentages("cifar10_convnetjs.txt", "PyTorch: test accuracy")
    assert len(ours) == len(theirs) >= 3
    assert mean == pytest.approx(sum(ours) / len(ours), abs=0.01)
    assert their_mean == pytest.approx(sum(theirs) / len(theirs), abs=0.01)
    assert mean >= their_mean - 1


@pytest.mark.parametrize("script", [mnist_convnetjs, fashion_mnist])
def test_the_scripts_run(script, shared, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    arguments = ["--root", str(shared / "data"), "--images", "200", "--epochs", "2"]
    script.main([*arguments, "--figures", str(tmp_path)])
    printed = capsys.readouterr().out
    assert printed.count("test accuracy") == 2
    assert sorted(path.name.rpartition("-")[2] for path in tmp_path.iterdir()) == [
        "activations.png",
        "filters.png",
    ]


def test_pytorch_starts_alike_and_sees_the_same_batches(shared, capsys):
    pytest.importorskip("torch")
    arguments = ["--root", str(shared / "data"), "--images", "320", "--epochs", "2"]
    cifar10_convnetjs.main([*arguments, "--compare-torch", "--seeds", "3"])
    rows = re.findall(r"^ +\d +(\d\.\d{4}) ", capsys.readouterr().out, re.MULTILINE)
    ours, theirs = rows[:2], rows[2:]
    assert [float(loss) for loss in ours] == pytest.approx(
        [float(loss) for loss in theirs], abs=2e-4
    )
