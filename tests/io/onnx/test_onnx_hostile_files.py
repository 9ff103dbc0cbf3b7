"""Files that are damaged, or made to do harm: an error of ours, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tc

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
DataError = tc.errors.DataError


class _Net(tc.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        nn = tc.nn
        self.net = nn.Sequential(
            nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(3),
            nn.Flatten(), nn.Linear(8, 3),
        )  # fmt: skip

    def forward(self, x: tc.Tensor) -> tc.Tensor:
        return self.net(tc.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])[:, :, 1:-1]).reshape(-1, 3, 1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    return tc.io.export_onnx(_Net(), path, (1, 1, 6, 6)).read_bytes()


def _try(data: bytes, folder: Path) -> None:
    """Import and run; an error of this package is fine, another one is not."""
    file = folder / "t.onnx"
    file.write_bytes(data)
    try:
        model = tc.io.import_onnx(file)
        with tc.no_grad(), np.errstate(all="ignore"):
            model(np.ones((1, 1, 6, 6), np.float32))
    except tc.errors.TinygradCnnError:
        pass


def test_every_truncation(whole: bytes, tmp_path: Path) -> None:
    file = tmp_path / "t.onnx"
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"t\.onnx"):
            tc.io.import_onnx(file)


@settings(max_examples=150, deadline=None)
@given(places=st.lists(st.integers(0, 2**20), min_size=1, max_size=3))
def test_bits_turned(places: list[int], whole: bytes, tmp_path_factory: Any) -> None:
    data = bytearray(whole)
    for place in places:
        data[place // 8 % len(data)] ^= 1 << place % 8
    _try(bytes(data), tmp_path_factory.getbasetemp())


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=200))
def test_bytes_of_any_kind(data: bytes, tmp_path_factory: Any) -> None:
    _try(data, tmp_path_factory.getbasetemp())


def _model(*nodes: Any, arrays: list[Any] | None = None, output: str = "y") -> Any:
    helper = onnx.helper
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        list(nodes), "t",
        [helper.make_tensor_value_info("x", kind, (1, 4))],
        [helper.make_tensor_value_info(output, kind, None)],
        arrays or [],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def _relu(source: str = "x", result: str = "y") -> Any:
    return onnx.helper.make_node("Relu", [source], [result])


def _tensor(**fields: Any) -> Any:
    made = onnx.TensorProto(name="w", data_type=1)
    for name, value in fields.items():
        if isinstance(value, (list, tuple)):
            getattr(made, name).extend(value)
        else:
            setattr(made, name, value)
    return made


def _with(tensor: Any) -> Any:
    return _model(onnx.helper.make_node("Add", ["x", "w"], ["y"]), arrays=[tensor])


def _changed(change: Callable[[Any], Any]) -> Any:
    model = _model(_relu())
    change(model)
    return model


BAD: dict[str, tuple[Any, str]] = {
    "a cycle": (
        lambda: _model(_relu("b", "a"), _relu("a", "b"), _relu("b")), "nothing makes before",
    ),
    "a value twice": (lambda: _model(_relu(), _relu()), "makes a value that there is"),
    "an output of nothing": (lambda: _model(_relu(), output="z"), "nothing makes the output"),
    "no graph": (lambda: onnx.ModelProto(), "no ONNX model"),
    "no opset": (lambda: _changed(lambda m: m.ClearField("opset_import")), "which version"),
    "an opset to come": (
        lambda: _changed(lambda m: setattr(m.opset_import[0], "version", 99)), "opset 99",
    ),
    "elements without end": (lambda: _with(_tensor(dims=[2**40, 2**20])), "0 elements for shape"),
    "a length below 0": (lambda: _with(_tensor(dims=[-1], raw_data=b"1234")), "shape"),
    "too few bytes": (lambda: _with(_tensor(dims=[4], raw_data=b"1234")), "4 bytes for shape"),
    "texts": (lambda: _with(_tensor(dims=[1], data_type=8, string_data=[b"a"])), "type 8"),
    "too large a number": (
        lambda: _with(_tensor(dims=[1], data_type=2, int32_data=[1000])), "can't hold",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said(name: str, tmp_path: Path) -> None:
    make, message = BAD[name]
    file = tmp_path / "t.onnx"
    file.write_bytes(make().SerializeToString())
    with pytest.raises(DataError, match=message) as caught:
        tc.io.import_onnx(file)
    assert str(file) in str(caught.value)


def _external(file: Path, **entries: str) -> None:
    tensor = _tensor(dims=[4], data_location=1)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    file.write_bytes(_with(tensor).SerializeToString())


def test_arrays_outside_of_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "below").mkdir(parents=True)
    data = np.arange(6, dtype=np.float32).tobytes()
    (folder / "below" / "w.bin").write_bytes(data)
    (tmp_path / "secret.bin").write_bytes(data)
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    file = folder / "t.onnx"
    _external(file, location="below/w.bin", offset="4", length="16")
    zeros = np.zeros((1, 4), np.float32)
    np.testing.assert_array_equal(tc.io.import_onnx(file)(zeros).data, [[1, 2, 3, 4]])
    outside, missing, amiss = "outside of the folder", "there is no file", "expected 16"
    for entries, message in [
        ({"location": "../secret.bin"}, outside),
        ({"location": "below/../../secret.bin"}, outside),
        ({"location": str(tmp_path / "secret.bin")}, outside),
        ({"location": "link.bin"}, outside),
        ({}, outside),
        ({"location": "below"}, missing),
        ({"location": "none.bin"}, missing),
        ({"location": "below/w.bin", "offset": "12"}, amiss),
        ({"location": "below/w.bin", "offset": "-4"}, amiss),
        ({"location": "below/w.bin", "length": "8"}, amiss),
        ({"location": "below/w.bin", "length": "many"}, "damaged place"),
        ({"location": "a\0b"}, "damaged place"),
    ]:
        _external(file, **entries)
        with pytest.raises(DataError, match=message):
            tc.io.import_onnx(file)


@pytest.mark.parametrize(
    ("given", "message"),
    [(3, "expected the path"), ("/no/such.onnx", "there is no file"), ("/", "there is no file")],
)
def test_no_file(given: Any, message: str) -> None:
    with pytest.raises(tc.errors.ArgumentError, match=message):
        tc.io.import_onnx(given)


def test_a_shape_that_takes_all_memory_is_refused(tmp_path: Path) -> None:
    shape = onnx.numpy_helper.from_array(np.array([2**20, 2**20]), "s")
    node = onnx.helper.make_node
    file = tmp_path / "t.onnx"
    for op in ("Expand", "ConstantOfShape", "Tile"):
        made = node(op, ["s"] if op == "ConstantOfShape" else ["x", "s"], ["y"])
        file.write_bytes(_model(made, arrays=[shape]).SerializeToString())
        with pytest.raises(tc.errors.ShapeError, match=op):
            tc.io.import_onnx(file)(np.ones((1, 4), np.float32))
