"""Damaged and lying .npz and .safetensors files."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tc
from tinygrad_cnn.errors import DataError

FRUGAL = 8 << 20

ARRAYS = {"w": np.arange(1, 7, dtype=np.float32).reshape(2, 3), "b": np.array([True, False])}


@pytest.fixture(params=[".npz", ".safetensors"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == ".safetensors":
        pytest.importorskip("safetensors")
    return tmp_path / f"file{request.param}"


def entry(header: str | bytes, data: bytes = bytes(24), version: bytes = b"\1\0") -> bytes:
    """An array of an archive."""
    text = header if isinstance(header, bytes) else header.encode()
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text + data


def archive(
    content: bytes, name: str = "w.npy", kind: int = zipfile.ZIP_STORED, repeat: int = 1
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as entries, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names that occur twice
        for _ in range(repeat):
            entries.writestr(name, content)
    return file.getvalue()


def header(descr: str = "'<f4'", order: str = "False", shape: str = "(2, 3)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


def tensors(header: Any, data: bytes = bytes(24)) -> bytes:
    """A .safetensors file."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype: str = "F32", shape: Any = (2, 3), offsets: Any = (0, 24)) -> dict[str, Any]:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            tc.io.load(path)
        assert tracemalloc.get_traced_memory()[1] < FRUGAL
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    return str(caught.value)


ARCHIVES = {
    "more than there is": archive(entry(header(shape="(1000000, 1000000)"))),
    "less than there is": archive(entry(header(shape="(2, 2)"))),
    "a size without end": archive(entry(header(shape="(" + "9" * 3000 + ",)"))),
    "objects": archive(entry(header("'|O'"))),
    "text": archive(entry(header("'<U6'"))),
    "fields": archive(entry(header("[('a', '<f4')]"))),
    "dates": archive(entry(header("'<M8[s]'"))),
    "numbers of no size": archive(entry(header("'<f0'"), b"")),
    "numbers of 3 bytes": archive(entry(header("'<f3'"))),
    "a negative length": archive(entry(header(shape="(-2, -3)"))),
    "more axes than NumPy has": archive(entry(header(shape=f"({'1,' * 100})"), bytes(4))),
    "no shape": archive(entry("{'descr': '<f4', 'fortran_order': False}")),
    "a header that would run": archive(entry(b"__import__('os').system('touch mark')")),
    "a header of brackets": archive(entry(b"(" * 9000)),
    "a header larger than any": archive(entry(b" " * 60_000)),
    "a header larger than the file": archive(b"\x93NUMPY\2\0\xff\xff\xff\xff"),
    "bools that are none": archive(entry(header("'|b1'", shape="(24,)"), b"\2" * 24)),
    "no array": archive(b"hello"),
    "a pickle": archive(b"\x80\x04K\x01.", "w.pkl"),
    "metadata of no sense": archive(b"{", "metadata.json"),
    "metadata that is a list": archive(b"[]", "metadata.json"),
    "metadata of brackets": archive(b"[" * 100_000, "metadata.json"),
    "one name twice": archive(entry(header()), repeat=2),
    "another compression": archive(entry(header()), kind=zipfile.ZIP_BZIP2),
    "a bomb": archive(entry(header(), bytes(1 << 26)), kind=zipfile.ZIP_DEFLATED),
    "no archive": b"hello",
    "nothing": b"",
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_lies(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(tmp_path / "a.npz", ARCHIVES[name])
    assert not (tmp_path / "mark").exists()


def test_entries_that_are_one_place_in_the_file(tmp_path: Path) -> None:
    """The index names one array 1,000 times, under as many names."""
    whole = archive(entry(header(shape="(500, 500)"), bytes(10**6)))
    start = whole.index(b"PK\1\2")
    row = whole[start : whole.index(b"PK\5\6")]
    rows = b"".join(row.replace(b"w.npy", b"%05d" % i) for i in range(1_000))
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1_000, 1_000, len(rows), start, 0)
    assert "overlap" in refused(tmp_path / "a.npz", whole[:start] + rows + end)


TENSORS = {
    "more than there is": tensors(tensor(shape=[10**6, 10**6], offsets=[0, 4 * 10**12])),
    "another shape": tensors(tensor(shape=[2, 2])),
    "a hole": tensors(tensor(offsets=[4, 24])),
    "overflow": tensors(tensor(shape=[1 << 62, 8])),
    "negative": tensors(tensor(shape=[-2, -3])),
    "another dtype": tensors(tensor("F8_E4M3", [24])),
    "unknown dtype": tensors(tensor("F31")),
    "bools that are none": tensors(tensor("BOOL", [24]), b"\2" * 24),
    "metadata of no sense": tensors({"__metadata__": {"tinygrad_cnn": "{"}, **tensor()}),
    "metadata that is a list": tensors({"__metadata__": {"tinygrad_cnn": "[]"}, **tensor()}),
    "metadata that is no text": tensors({"__metadata__": {"a": 1}, **tensor()}),
    "no header": tensors(b"hello"),
    "a header of brackets": tensors(b"[" * 100_000),
    "a header larger than the file": b"\xff\xff\xff\x7f\0\0\0\0{}",
    "nothing": b"",
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_lie(tmp_path: Path, name: str) -> None:
    pytest.importorskip("safetensors")
    refused(tmp_path / "a.safetensors", TENSORS[name])


def test_numbers_that_numpy_does_not_have(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    path = tmp_path / "a.safetensors"
    path.write_bytes(tensors(tensor("BF16", [2, 6]), b"\x80\x3f\x00\xc0" * 6))
    state = tc.io.load(path)
    assert state["w"].dtype == np.float32
    np.testing.assert_array_equal(state["w"], np.tile([1.0, -2.0], (2, 3)))
    path.write_bytes(tensors({"__metadata__": {"format": "pt"}, **tensor()}))
    assert tc.io.load(path).metadata == {"format": "pt"}


def loaded_or_refused(path: Path, content: bytes) -> tc.io.State | None:
    path.write_bytes(content)
    try:
        return tc.io.load(path)
    except DataError:
        return None


def test_every_truncation_is_found(path: Path) -> None:
    tc.io.save(path, ARRAYS, metadata={"x": 1})
    whole = path.read_bytes()
    for length in range(len(whole)):
        assert loaded_or_refused(path, whole[:length]) is None, length


def test_every_flipped_bit_is_found_or_harmless(path: Path) -> None:
    tc.io.save(path, ARRAYS, metadata={"x": 1})
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        state = loaded_or_refused(path, bytes(damaged))
        if state is not None and path.suffix == ".npz":  # which has checksums
            for name, array in zip(state, ARRAYS.values(), strict=False):
                np.testing.assert_array_equal(state[name], array)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=100), st.integers(0, 500), st.integers(0, 30))
def test_any_bytes_in_any_place(path: Path, content: bytes, place: int, length: int) -> None:
    loaded_or_refused(path, content)
    if path.suffix == ".npz":
        whole = archive(entry(header()))
        loaded_or_refused(path, archive(entry(content)))
    else:
        whole = tensors(tensor())
        loaded_or_refused(path, tensors(content))
    place %= len(whole)
    loaded_or_refused(path, whole[:place] + content[:length] + whole[place + length :])
