"""What cannot be exported: all of it is said at once, and no file is written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_runs import Function, agree, evaluated, images, run

import tinygrad_cnn as tc

pytest.importorskip("onnx", reason="the extra onnx is not installed")
ArgumentError = tc.errors.ArgumentError


def test_all_operations_without_a_form_are_listed(tmp_path: Path) -> None:
    def function(x: Any) -> Any:
        y = tc.sort(x, 1) + tc.im2col(x, 2)[0, 0] + tc.im2col(x, 1)[0, 0]
        return y + tc.remainder(x, 2.0)

    with pytest.raises(ArgumentError) as caught:
        tc.io.export_onnx(Function(function), tmp_path / "m.onnx", (1, 2, 3, 3))
    lines = str(caught.value).splitlines()
    assert "no form in ONNX" in lines[0]
    assert any(line.strip().startswith("im2col, 2x, first in Function") for line in lines)
    assert any(line.strip().startswith("floor_divide, 1x") for line in lines)
    assert all("test_onnx_refusals.py" in line for line in lines[1:])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.sum() * x, "loop|batch|NaN|form|^$"),
        (lambda x: x / x.shape[0], "depends on the batch"),
        (lambda x: x.mean(axis=0), "depends on the batch"),
        (lambda x: x * float(x.shape[0]), "depends on the batch"),
        (lambda x: x[: x.shape[0] - 1], "depends on the batch"),
        (lambda x: x if x.shape[0] == 2 else x * 2.0, "different things"),
        (lambda x: x + np.ones(x.shape, np.float32), "another one"),
    ],
)  # fmt: skip
def test_what_depends_on_the_number_of_images(function: Any, message: str, tmp_path: Path) -> None:
    """It is refused, or the graph computes it anew; never is a number of the example kept."""
    model, path = Function(function), tmp_path / "m.onnx"
    if "^$" in message:
        tc.io.export_onnx(model, path, (1, 3))
        for n in (1, 4):
            agree(run(path, images(n, 3)), evaluated(model, images(n, 3)))
        return
    with pytest.raises(ArgumentError, match=message):
        tc.io.export_onnx(model, path, (1, 3))
    tc.io.export_onnx(model, path, (4, 3), free_batch=False)
    agree(run(path, images(4, 3)), evaluated(model, images(4, 3)))


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    model = Function(lambda a, b: (a + b, a, a * 1.5))
    path = tmp_path / "m.onnx"
    tc.io.export_onnx(model, path, [(2, 3), images(2, 3)], output_names=["sum", "a", "more"])
    x, y = images(5, 3), images(5, 3, seed=1)
    agree(run(path, x, y), [x + y, x, x * np.float32(1.5)])
    again = tc.io.import_onnx(path)
    assert again.output_names == ("sum", "a", "more")
    assert [one.name for one in again.inputs] == ["input_0", "input_1"]
    agree([t.data for t in again(x, y)], [x + y, x, x * np.float32(1.5)])
    named = Function(lambda x: {"scores": x * 2.0, "twice": x * 2.0})
    tc.io.export_onnx(named, path, (1, 3))
    assert tc.io.import_onnx(path).output_names == ("scores", "twice")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": 3}, TypeError, "expected a Module"),
        ({"example": "image"}, ArgumentError, "expected an array, a shape"),
        ({"example": (1, 0, 8, 8)}, tc.errors.ShapeError, "at least 1"),
        ({"example": []}, ArgumentError, "expected an array"),
        ({"example": (1, 3, 8, 8)}, tc.errors.ShapeError, "1 channel|channels"),
        ({"example": (2**20,) * 4}, tc.errors.ShapeError, "."),
        ({"path": "m.txt"}, ArgumentError, "onnx"),
        ({"input_names": ["a", "b"]}, ArgumentError, "expected 1 different names"),
        ({"output_names": [""]}, ArgumentError, "expected 1 different names"),
    ],
)
def test_mistakes(change: dict[str, Any], error: type, message: str, tmp_path: Path) -> None:
    settings = {"model": tc.models.build("digits"), "example": (1, 1, 8, 8), "path": "m.onnx"}
    settings |= change
    model, example = settings.pop("model"), settings.pop("example")
    path = tmp_path / settings.pop("path")
    with pytest.raises(error, match=message):
        tc.io.export_onnx(model, path, example, **settings)
    assert not list(tmp_path.iterdir())


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    for call in (
        lambda: tc.io.export_onnx(tc.models.build("digits"), tmp_path / "m.onnx", (1, 1, 8, 8)),
        lambda: tc.io.import_onnx(tmp_path / "m.onnx"),
    ):
        with pytest.raises(tc.errors.MissingExtraError, match=r"tinygrad-cnn\[onnx\]"):
            call()
