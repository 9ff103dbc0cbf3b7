"""The file of a checkpoint: whole or refused, whatever happened to it, and never carried out."""

from __future__ import annotations

import errno
import hashlib
import io
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.resumable import arguments, trained
from tinygrad_cnn.errors import CheckpointError
from tinygrad_cnn.train import _archive, fit, read_checkpoint
from tinygrad_cnn.train._archive import Packed, read

TREE = {
    "a": np.arange(6.0).reshape(2, 3).T,
    "b": [1, 2**100, -0.5, None, True, "ü\0"],
    1: (np.float32(0.1), np.ones((0, 3), np.int8)),
    "$array": {"c": np.array(3 + 1j)},
}


def _content(tree: Any) -> bytes:
    file = io.BytesIO()
    Packed(tree).write(file)
    return file.getvalue()


def _sealed(body: bytes) -> bytes:
    """A file with the right hash: what somebody who means harm would make."""
    return body + b"sha256:" + hashlib.sha256(body).hexdigest().encode()


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and all(map(_same, one, other)) and len(one) == len(other)
    return bool(one == other) or one != one


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(_content(TREE))
    found = read(path)
    assert _same(found, TREE)
    found["a"][0, 0] = 7.0  # arrays are the reader's
    with np.load(path) as arrays:  # NumPy opens it, too
        np.testing.assert_array_equal(arrays["0"], TREE["a"])


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
arrays = st.sampled_from([np.ones(3), np.zeros((2, 0)), np.array(1, ">i2"), np.array([True])])
keys = st.text() | st.integers() | st.sampled_from(["$array", "$tuple", "$items", "$"])
trees = st.recursive(
    leaves | arrays,
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner, inner),
)


@settings(max_examples=100, deadline=None)
@given(trees)
def test_any_tree(tmp_path_factory: pytest.TempPathFactory, tree: Any) -> None:
    path = tmp_path_factory.getbasetemp() / "tree.ckpt"
    path.write_bytes(_content(tree))
    assert _same(read(path), tree)


def _looped() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    ("tree", "match"),
    [
        ({"a": [1, object()]}, r"the state\['a'\]\[1\] is a object"),
        ({"a": np.array(["x"])}, r"the state\['a'\] is a ndarray"),
        ({"a": np.array([object()])}, r"the state\['a'\] is a ndarray"),
        ({"a": {1}}, r"the state\['a'\] is a set"),
        (_looped(), "can't be saved: maximum recursion depth"),
    ],
)
def test_what_no_file_holds(tree: Any, match: str) -> None:
    with pytest.raises(CheckpointError, match=match):
        Packed(tree)


def _refused(path: Path, content: bytes, match: str) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=match) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_cut_at_every_byte(tmp_path: Path) -> None:
    content = _content(TREE)
    for length in range(len(content)):
        _refused(tmp_path / "a.ckpt", content[:length], f"the hash .* of its {length} bytes")


def test_every_byte_flipped(tmp_path: Path) -> None:
    content, rng = _content(TREE), np.random.default_rng(0)
    for place, bit in enumerate(rng.integers(0, 8, len(content))):
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        _refused(tmp_path / "a.ckpt", bytes(flipped), "damaged")


def test_a_real_checkpoint_cut_or_flipped(tmp_path: Path) -> None:
    trained(tmp_path, epochs=1)
    path = tmp_path / "00001-000000.ckpt"
    content, rng = path.read_bytes(), np.random.default_rng(0)
    assert read_checkpoint(path)["batch"] == 0
    for place in rng.integers(0, len(content), 200):
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.integers(0, 8)
        _refused(path, bytes(flipped), "damaged")
        _refused(path, content[:place], "damaged")


def _archived(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return _sealed(file.getvalue())


def _header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


class _Harmful:
    def __reduce__(self) -> Any:
        return pytest.fail, ("it was carried out",)


def _pickled() -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.array([_Harmful()]), allow_pickle=True)
    return file.getvalue()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "no archive": lambda: _sealed(b"x" * 100),
    "nothing": lambda: _sealed(b""),
    "no tree": lambda: _archived({"a": b""}),
    "no JSON": lambda: _archived({"tree": b"{"}),
    "deep JSON": lambda: _archived({"tree": b"[" * 10**6}),
    "long number": lambda: _archived({"tree": b"1" * 10**5}),
    "unknown array": lambda: _archived({"tree": b'{"$array": "9"}'}),
    "array of no name": lambda: _archived({"tree": b'{"$array": []}'}),
    "list as key": lambda: _archived({"tree": b'{"$items": [[[1], 2]]}'}),
    "bomb": lambda: _archived({"tree": b" " * 10**8 + b"1"}, zipfile.ZIP_DEFLATED),
    "pickle": lambda: _archived({"tree": b"1", "0.npy": _pickled()}),
    "objects": lambda: _archived({"tree": b"1", "0.npy": _header("(1,)", "'|O'") + b"x" * 8}),
    "huge": lambda: _archived({"tree": b"1", "0.npy": _header("(2**62,)") + b"x" * 8}),
    "larger than it is": lambda: _archived({"tree": b"1", "0.npy": _header("(10**11,)")}),
    "too long": lambda: _archived({"tree": b"1", "0.npy": _header("(100000000000,)")}),
    "negative": lambda: _archived({"tree": b"1", "0.npy": _header("(-1,)") + b"x" * 8}),
    "product is small": lambda: _archived(
        {"tree": b"1", "0.npy": _header("(4294967296, 4294967296)") + b"x" * 8}
    ),
    "no header": lambda: _archived({"tree": b"1", "0.npy": b"x" * 30}),
    "deep header": lambda: _archived({"tree": b"1", "0.npy": _header("-" * 9000 + "1")}),
    "texts": lambda: _archived({"tree": b"1", "0.npy": _header("(1,)", "'<U2'") + b"x" * 8}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_files_made_to_harm(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        _refused(tmp_path / "a.ckpt", HOSTILE[name](), "no checkpoint: ")


def test_flips_below_a_right_hash(tmp_path: Path) -> None:
    """Not damage, but malice: it is read or refused, and nothing else."""
    body, rng = _content(TREE)[: -_archive._END], np.random.default_rng(0)
    for place in range(len(body)):
        flipped = bytearray(body)
        flipped[place] = rng.integers(0, 256)
        path = tmp_path / "a.ckpt"
        path.write_bytes(_sealed(bytes(flipped)))
        try:
            read(path)
        except CheckpointError:
            continue


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        read_checkpoint(tmp_path / "none")
    with pytest.raises(CheckpointError, match="Is a directory"):
        read_checkpoint(tmp_path)
    (tmp_path / "pickle").write_bytes(pickle.dumps(_Harmful()))
    with pytest.raises(CheckpointError, match="damaged, or no checkpoint"):
        read_checkpoint(tmp_path / "pickle")
    (tmp_path / "other").write_bytes(_content({"a": 1}))
    with pytest.raises(CheckpointError, match="no checkpoint of a run"):
        read_checkpoint(tmp_path / "other")


# -- disks that are full -------------------------------------------------------------------


def _limited(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Let a file take so many bytes."""
    write = _archive._Hashed.write

    def limited(self: Any, data: bytes) -> int:
        if self._file.tell() + len(data) > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(_archive._Hashed, "write", limited)


@pytest.mark.parametrize("room", [0, 10, 1000, 10_000, 30_000])
def test_a_full_disk_leaves_the_earlier_ones(
    room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, expected = trained()
    trained(tmp_path, stop=8)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.ckpt")}
    with monkeypatch.context() as patch:
        _limited(patch, room)
        with pytest.warns(RuntimeWarning, match="could not be written.*No space left") as caught:
            assert trained(tmp_path)[1] == expected  # the run goes on
    assert len(caught) > 3
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.ckpt")} == before
    assert not list(tmp_path.glob(".*.ckpt*"))
    assert trained(tmp_path)[1] == expected


def test_a_limit_of_the_system(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.warns(RuntimeWarning, match="could not be written, the run goes on"):
            fit(**arguments(), checkpoints=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
