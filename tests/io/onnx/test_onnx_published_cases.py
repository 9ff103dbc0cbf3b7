"""Operators against the expected values that come with the package ``onnx``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
FOLDERS = sorted(DATA.glob("pytorch-*/*"))
# What was taken out of the standard with opset 7: broadcasting along a named axis.
MISSING = {
    "test_operator_add_broadcast": "Add with the attribute axis",
    "test_operator_add_size1_broadcast": "Add with the attribute axis",
    "test_operator_add_size1_right_broadcast": "Add with the attribute axis",
    "test_operator_add_size1_singleton_broadcast": "Add with the attribute axis",
}
# What the published cases ask and this package does not do.
EXCEPTIONS = {
    "test_training_dropout": "drops in train() alone, by generators of its own",
    "test_training_dropout_default": "drops in train() alone, by generators of its own",
    "test_averagepool_2d_ceil_last_window_starts_on_pad": "expects values of 4 digits",
    "test_reduce_max_empty_set": "a largest of no elements is an error",
    "test_reduce_max_empty_set_bool": "a largest of no elements is an error",
    "test_reduce_min_empty_set": "a largest of no elements is an error",
}


def _array(path: Path) -> np.ndarray:
    return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def _check(model: tc.io.OnnxModel, inputs: list[Any], expected: list[Any]) -> None:
    found = model(*(tc.Tensor(np.asarray(x)) for x in inputs))
    found = found if isinstance(found, tuple) else (found,)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        tolerance = 2e-3 if theirs.dtype == np.float16 else 2e-5
        np.testing.assert_allclose(ours.data, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_models_that_pytorch_wrote(folder: Path) -> None:
    if folder.name in MISSING:
        with pytest.raises(tc.errors.DataError, match=MISSING[folder.name]):
            tc.io.import_onnx(folder / "model.onnx")
        return
    model = tc.io.import_onnx(folder / "model.onnx")
    inputs = sorted(folder.glob("test_data_set_0/input_*.pb"))
    outputs = sorted(folder.glob("test_data_set_0/output_*.pb"))
    with np.errstate(all="ignore"):  # roots of negative numbers are among them
        _check(model, [*map(_array, inputs)], [*map(_array, outputs)])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the package, which computes the expected values
def test_the_cases_of_the_standard(tmp_path: Path) -> None:
    """All that can be imported gives the expected values; the least number guards the list."""
    from onnx.backend.test.case.node import collect_testcases

    checked = 0
    file = tmp_path / "case.onnx"
    for case in collect_testcases(None):
        if case.model is None or case.name in EXCEPTIONS:
            continue
        file.write_bytes(case.model.SerializeToString())
        try:
            model = tc.io.import_onnx(file)
        except tc.errors.DataError:
            continue
        for inputs, outputs in case.data_sets:
            numbers = all(
                isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind in "fiub"
                for x in (*inputs, *outputs)
            )
            if numbers:
                with np.errstate(all="ignore"), warnings.catch_warnings():
                    _check(model, inputs, outputs)
                checked += 1
    assert checked >= 618
