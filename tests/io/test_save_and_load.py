"""Arrays and models to files and back, in both formats of our own."""

from __future__ import annotations

import builtins
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tc
from tinygrad_cnn import models, nn
from tinygrad_cnn.errors import (
    ArgumentError,
    CheckpointError,
    DataError,
    DtypeError,
    MissingExtraError,
)


@pytest.fixture(params=[".npz", ".safetensors"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == ".safetensors":
        pytest.importorskip("safetensors")
    return tmp_path / f"file{request.param}"


def odd_arrays() -> dict[str, Any]:
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    read_only = base.copy()
    read_only.flags.writeable = False
    return {
        "plain": base,
        "transposed": base.transpose(2, 0, 1),
        "strided": base[:, ::2, 1::2],
        "reversed": base[::-1, :, ::-1],
        "broadcast": np.broadcast_to(base[0, 0], (5, 4)),
        "fortran": np.asfortranarray(base),
        "read-only": read_only,
        "big-endian": base.astype(">f4"),
        "big-endian, strided": base.astype(">i8")[:, 1],
        "0-d": np.array(3.5),
        "scalar": np.float32(2.5),
        "number": 7,
        "empty": np.zeros((3, 0, 2), np.int16),
        "bool": base > 7,
        "bool, strided": (base > 7)[:, ::2],
        "half": base.astype(np.float16).T,
        "complex": (base * 1j).astype(np.complex64),
        "nan": np.array([np.nan, -np.inf, -0.0]),
        "tensor": tc.tensor(base[0]),
        "file": base[1],  # what NumPy calls an argument of its own
        "allow_pickle": base[1],
        "größe/x\\y .npy": base[0],
        "metadata.json": base[0],
        "": base[0, 0],
    }


def test_arrays_that_are_not_plain(path: Path) -> None:
    arrays = odd_arrays()
    before = {name: np.array(value) for name, value in arrays.items() if name != "tensor"}
    tc.io.save(path, arrays)
    found = tc.io.load(path)
    assert list(found) == list(arrays) or path.suffix == ".safetensors"
    assert set(found) == set(arrays)
    for name, value in arrays.items():
        expected = value.numpy() if name == "tensor" else np.asarray(value)
        assert found[name].dtype == expected.dtype.newbyteorder("="), name
        assert found[name].shape == expected.shape, name
        assert found[name].flags.c_contiguous, name
        assert found[name].flags.writeable, name
        np.testing.assert_array_equal(found[name], expected, name)
    for name, value in before.items():  # nothing was done to what was given
        np.testing.assert_array_equal(value, np.asarray(arrays[name]), name)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20).filter(
            lambda name: name != "__metadata__"
        ),
        hnp.arrays(
            st.sampled_from(["?", "u1", "<i2", ">i4", "<f2", ">f8", "<f4", "<u8", "<c8"]),
            hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
        ),
        max_size=4,
    ),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none()),
)
def test_whatever_is_saved_is_loaded(
    path: Path, arrays: dict[str, Any], metadata: dict[str, Any]
) -> None:
    tc.io.save(path, arrays, metadata=metadata)
    found = tc.io.load(path)
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype.newbyteorder("=")
    assert {"version": tc.__version__} | metadata == found.metadata


def test_the_same_arrays_make_the_same_file(path: Path) -> None:
    contents = []
    for _ in range(2):
        tc.io.save(path, {"a": np.ones(3), "b": np.zeros(2)}, metadata={"x": 1})
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


def test_metadata_goes_along(path: Path) -> None:
    given = {"classes": ("cat", "dog"), "mean": np.array([0.5, 0.25]), "std": np.float32(2)}
    expected = {"classes": ["cat", "dog"], "mean": [0.5, 0.25], "std": 2.0}
    tc.io.save(path, {"w": np.ones(2)}, metadata=given)
    state = tc.io.load(path)
    assert state.metadata == expected | {"version": tc.__version__}
    tc.io.save(path, state, metadata={"std": 1.0})
    assert tc.io.load(path).metadata == state.metadata | {"std": 1.0}


def test_other_programs_read_what_we_write(tmp_path: Path) -> None:
    w = np.arange(6.0).reshape(2, 3)
    tc.io.save(tmp_path / "a.npz", {"w": w.T}, metadata={"x": 1})
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["w"], w.T)
        assert json.loads(archive["metadata.json"])["x"] == 1
    library = pytest.importorskip("safetensors.numpy")
    tc.io.save(tmp_path / "a.safetensors", {"w": w.T})
    np.testing.assert_array_equal(library.load_file(tmp_path / "a.safetensors")["w"], w.T)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_we_read_what_numpy_writes(tmp_path: Path, write: Any) -> None:
    arrays = {"a": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "b": np.zeros(10**5, ">i2")}
    write(tmp_path / "a.npz", **arrays)
    found = tc.io.load(tmp_path / "a.npz")
    assert found.metadata == {}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype.isnative


def test_models(path: Path) -> None:
    for model in (
        models.build("cifar_resnet20", classes=7, shortcut="B"),
        models.CifarResNet(20).double(),
        models.build("lenet5", in_channels=3, image_size=32),
        models.DigitsNet(),
    ):
        tc.io.save(path, model, metadata={"classes": list("abc")})
        state = tc.io.load(path)
        assert state.metadata["module"] == f"{type(model).__module__}.{type(model).__name__}"
        assert state.metadata["layers"] == repr(model)
        before = tc.random.default_generator().bit_generator.state
        built = tc.io.load_model(path)
        assert tc.random.default_generator().bit_generator.state == before
        assert type(built) is type(model)
        assert repr(built) == repr(model)
        expected = model.state_dict()
        for name, value in built.state_dict().items():
            assert value.dtype == expected[name].dtype
            np.testing.assert_array_equal(value, expected[name])


def test_a_model_of_ones_own_keeps_its_state(path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    tc.io.save(path, model)
    other = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    other.load_state_dict(tc.io.load(path))
    np.testing.assert_array_equal(other[0].weight.numpy(), model[0].weight.numpy())
    with pytest.raises(CheckpointError, match=r"does not say which model.*load_state_dict"):
        tc.io.load_model(path)


def test_every_registered_model_is_known() -> None:
    for name in models.model_names():
        if not name.startswith(("vgg", "alexnet", "zfnet")) and name[-3:].strip("resnt") < "110":
            model = models.build(name, classes=3)
            assert models.architecture(model) == (name, {"classes": 3})
    assert models.architecture(models.CifarResNet(26)) is None
    assert models.architecture(models.CifarResNet(depth=20)) == ("cifar_resnet20", {})
    assert models.architecture(nn.Linear(2, 2)) is None


def test_a_model_that_was_changed_is_not_built_as_it_was(path: Path) -> None:
    model = models.LeNet5()
    model.fc3 = nn.Linear(84, 3)
    tc.io.save(path, model)
    with pytest.raises(CheckpointError, match="has other layers than were saved"):
        tc.io.load_model(path)


@pytest.mark.parametrize(
    "architecture",
    [
        {"name": "lenet5", "options": {"image_size": 10**6}},
        {"name": "vgg16", "options": {"classes": 10**9}},
        {"name": "vgg16", "options": {"classes": 5000}},
        {"name": "lenet5", "options": {"classes": -1}},
        {"name": "lenet5", "options": {"classes": "many"}},
        {"name": "lenet5", "options": {"bias": True}},
        {"name": "lenet5", "options": {"dtype": "object"}},
        {"name": "os.system", "options": {}},
        {"name": ["lenet5"], "options": {}},
        {"name": "lenet5"},
        "lenet5",
    ],
)
def test_a_file_can_not_ask_for_any_model(path: Path, architecture: Any) -> None:
    tc.io.save(path, {"w": np.ones(3)}, metadata={"architecture": architecture})
    with pytest.raises(CheckpointError, match="file"):
        tc.io.load_model(path)


@pytest.mark.parametrize(
    ("what", "metadata", "error", "message"),
    [
        (np.ones(3), None, ArgumentError, "a Module or a dict"),
        ([("a", np.ones(3))], None, ArgumentError, "a Module or a dict"),
        ({1: np.ones(3)}, None, ArgumentError, "no text"),
        ({"a": "text"}, None, DtypeError, "expected numbers"),
        ({"a": None}, None, DtypeError, "expected numbers"),
        ({"a": {"b": np.ones(3)}}, None, DtypeError, "expected numbers"),
        ({"a": [[1], [1, 2]]}, None, ArgumentError, "can't be written"),
        ({"a": np.zeros(2, "i4,f4")}, None, DtypeError, "expected numbers"),
        ({"\ud800": np.ones(3)}, None, ArgumentError, "can't be written"),
        ({"a": np.ones(3)}, [1], ArgumentError, "metadata is a dict"),
        ({"a": np.ones(3)}, {1: 2}, ArgumentError, "metadata is a dict"),
        ({"a": np.ones(3)}, {"x": object()}, ArgumentError, "no plain data"),
    ],
)
def test_mistakes_change_nothing(
    path: Path, what: Any, metadata: Any, error: type[Exception], message: str
) -> None:
    path.write_bytes(b"what was there")
    with pytest.raises(error, match=message):
        tc.io.save(path, what, metadata=metadata)
    assert path.read_bytes() == b"what was there"
    assert list(path.parent.iterdir()) == [path]


def test_what_only_one_format_refuses(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="NUL"):
        tc.io.save(tmp_path / "a.npz", {"a\0b": np.ones(3)})
    tc.io.save(tmp_path / "a.npz", {"w": np.ones(2, np.complex128)})
    pytest.importorskip("safetensors")
    with pytest.raises(DtypeError, match=r"'w'.*complex128.*float32"):
        tc.io.save(tmp_path / "a.safetensors", {"w": np.ones(2, np.complex128)})
    with pytest.raises(ArgumentError, match="reserved"):
        tc.io.save(tmp_path / "a.safetensors", {"__metadata__": np.ones(2)})
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_paths(tmp_path: Path) -> None:
    arrays = {"a": np.ones(3)}
    for name in ("weights", "weights.pth", "weights.h5", "weights.npz.gz"):
        with pytest.raises(ArgumentError, match=r"suffix.*\.npz, \.safetensors can be written"):
            tc.io.save(tmp_path / name, arrays)
    with pytest.raises(ArgumentError, match=r"\.th can be read"):
        tc.io.load(tmp_path / "weights.h5")
    with pytest.raises(ArgumentError, match="existing folder"):
        tc.io.save(tmp_path / "no" / "weights.npz", arrays)
    with pytest.raises(ArgumentError, match="path of a file"):
        tc.io.load(3)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no such file"):
        tc.io.load(tmp_path / "weights.npz")
    tc.io.save(str(tmp_path / "UPPER.NPZ"), arrays)
    assert list(tc.io.load(tmp_path / "UPPER.NPZ")) == ["a"]


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("safetensors"):
            raise ImportError(name)
        return there(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    for call in (lambda path: tc.io.save(path, {"a": np.ones(2)}), tc.io.load):
        with pytest.raises(MissingExtraError, match=r"tinygrad-cnn\[io\]"):
            call(tmp_path / "a.safetensors")


def test_a_write_that_fails_leaves_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tc.io.save(path, {"a": np.ones(3)})
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda file: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tc.io.save(path, {"a": np.zeros(3)})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_an_archive_has_no_code_and_no_pickle(tmp_path: Path) -> None:
    tc.io.save(tmp_path / "a.npz", models.DigitsNet())
    with zipfile.ZipFile(tmp_path / "a.npz") as entries:
        assert entries.testzip() is None
        names = entries.namelist()
    assert all(name.endswith((".npy", "metadata.json")) for name in names)
