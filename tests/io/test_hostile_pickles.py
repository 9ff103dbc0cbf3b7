"""Files that look like those of torch.save and lie, and every damage of a small one."""

from __future__ import annotations

import io
import pickle
import random
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tc
from tinygrad_cnn.errors import DataError

FRUGAL = 8 << 20  # bytes that reading a few hundred may take


class Name:
    """A global name in a pickle."""

    def __init__(self, name: str) -> None:
        self.module, _, self.name = name.rpartition(".")


class Call:
    """A call in a pickle."""

    def __init__(self, name: str, *arguments: Any) -> None:
        self.parts = Name(name), arguments


class Persistent:
    """An identifier of something outside of a pickle."""

    def __init__(self, *identifier: Any) -> None:
        self.identifier = identifier


def pickled(value: Any) -> bytes:
    """A pickle of protocol 2, of plain data and of the above."""
    out = [b"\x80\x02"]

    def put(value: Any) -> None:
        if isinstance(value, Name):
            out.append(f"c{value.module}\n{value.name}\n".encode())
        elif isinstance(value, Call):
            for part in value.parts:
                put(part)
            out.append(b"R")
        elif isinstance(value, Persistent):
            put(value.identifier)
            out.append(b"Q")
        elif isinstance(value, (tuple, list)):
            out.append(b"(")
            for one in value:
                put(one)
            out.append(b"t" if isinstance(value, tuple) else b"l")
        elif isinstance(value, dict):
            out.append(b"}(")
            for pair in value.items():
                put(pair[0])
                put(pair[1])
            out.append(b"u")
        else:
            out.append(pickle.dumps(value, 2)[2:-1])

    put(value)
    return b"".join([*out, b"."])


def storage(count: Any = 4, key: Any = "0", kind: str = "FloatStorage", *rest: Any) -> Persistent:
    return Persistent("storage", Name(f"torch.{kind}"), key, "cpu", count, *rest)


def tensor(size: Any, stride: Any, offset: Any = 0, kept: Any = None) -> Call:
    kept = storage() if kept is None else kept
    return Call("torch._utils._rebuild_tensor_v2", kept, offset, size, stride, False, {})


def zipped(content: bytes, data: bytes = bytes(16)) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as entries:
        entries.writestr("a/data.pkl", content)
        entries.writestr("a/data/0", data)
    return file.getvalue()


def legacy(content: bytes, data: bytes = bytes(16), count: int = 4) -> bytes:
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    parts = [pickle.dumps(one, 2) for one in head] + [content, pickle.dumps(["0"], 2)]
    return b"".join([*parts, struct.pack("<q", count), data])


def refused(path: Path, content: bytes) -> str:
    """The message, after little memory was taken and in the words of this package."""
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            tc.io.read_torch(path)
        assert tracemalloc.get_traced_memory()[1] < FRUGAL
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    return str(caught.value)


container = pytest.mark.parametrize("container", [zipped, legacy])


@container
def test_an_honest_one_is_read(tmp_path: Path, container: Any) -> None:
    numbers = np.arange(4, dtype="<f4")
    path = tmp_path / "a.pt"
    path.write_bytes(container(pickled({"w": tensor((2, 2), (1, 2))}), numbers.tobytes()))
    np.testing.assert_array_equal(tc.io.load(path)["w"], [[0, 2], [1, 3]])


LIES = {
    "beyond the storage": tensor((5,), (1,)),
    "beyond, by the stride": tensor((2, 2), (1, 3)),
    "beyond, by the offset": tensor((2, 2), (2, 1), 1),
    "negative size": tensor((-1, 2), (2, 1)),
    "negative stride": tensor((2,), (-1,), 3),
    "negative offset": tensor((2,), (1,), -1),
    "no numbers": tensor((2.0,), ("x",)),
    "bools as numbers": tensor((True,), (1,)),
    "sizes without strides": tensor((2, 2), (1,)),
    "sizes in a list": tensor([2, 2], [2, 1]),
    "a stride of nothing, a million million times": tensor((10**6, 10**6), (0, 0)),
    "empty, but larger than any array": tensor((0, 10**18, 10**18), (1, 1, 1)),
    "too many axes": tensor((1,) * 100, (1,) * 100),
    "a thousand views of all": [tensor((4, 10_000), (1, 0)) for _ in range(1_000)],
    "a storage that is not there": tensor((4,), (1,), kept=storage(4, "1")),
    "a huge storage": tensor((4,), (1,), kept=storage(1 << 40)),
    "a storage without end": tensor((4,), (1,), kept=storage(1 << 200)),
    "a storage of another length": tensor((2,), (1,), kept=storage(2)),
    "a storage of two types": [
        tensor((4,), (1,)), tensor((2,), (1,), kept=storage(2, "0", "LongStorage"))
    ],
    "a negative storage": tensor((0,), (1,), kept=storage(-4)),
    "a storage whose key is a number": tensor((4,), (1,), kept=storage(4, 0)),
    "a storage out of the folder": tensor((4,), (1,), kept=storage(4, "../data.pkl")),
    "an unknown storage": tensor((4,), (1,), kept=storage(4, "0", "QInt8Storage")),
    "no storage": tensor((4,), (1,), kept=3),
    "a part of a storage, beyond it": tensor(
        (4,), (1,), kept=storage(4, "0", "FloatStorage", ("v", 2, 4))
    ),
    "a whole module": Persistent("module", 1, 2),
    "too few arguments": Call("torch._utils._rebuild_tensor_v2", storage()),
    "a parameter of text": Call("torch._utils._rebuild_parameter", "x", True, {}),
    "a dtype that is none": Call(
        "torch._utils._rebuild_tensor_v3", storage(16, "0", "ByteStorage"), 0, (1,), (1,), 0, 0, 0
    ),
    "eval": Call("builtins.eval", "1/0"),
    "an attribute of a name": Call("torch._utils._rebuild_tensor_v2.__class__", 1),
    "a name as data": [Name("torch.FloatStorage")],
    "a call of text": {"a": Call("collections.OrderedDict", "ab")},
    "tuples as keys": {(1, 2): 3},
    "keys that collide": {k * ((1 << 61) - 1): 0 for k in range(1, 100)},
}  # fmt: skip


@container
@pytest.mark.parametrize("lie", LIES)
def test_lies_are_refused_before_memory_is_taken(tmp_path: Path, container: Any, lie: str) -> None:
    refused(tmp_path / "a.pt", container(pickled(LIES[lie])))


PROGRAMS = {
    "a memo of 4 billion": b"\x80\x02]r\xff\xff\xff\xff)R.",
    "a text of 2 GB": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "a text of 2**60": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"abc.",
    "an integer of 2 GB": b"\x80\x02\x8b\xff\xff\xff\x7f\x01.",
    "an empty stack": b"\x80\x020.",
    "nothing": b"\x80\x02.",
    "below the mark": b"\x80\x02}(u(s.",
    "no mark": b"\x80\x02}u.",
    "half an item": b"\x80\x02}(K\x01u.",
    "an unknown memo": b"\x80\x02h\x05.",
    "an unknown instruction": b"\x80\x02\xff.",
    "an object": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
    "an instance": b"(S'x'\nios\nsystem\n.",
    "attributes of a dict": b"\x80\x02}}b.",
    "attributes of a function": b"\x80\x02ccollections\nOrderedDict\n}b.",
    "an extension": b"\x80\x02\x82\x01.",
    "a list of itself as a key": b"\x80\x02]q\0}q\1h\0K\1s.",
    "a deal of copies": (
        b"\x80\x02](ccollections\nOrderedDict\nq\0)R]q\1("
        + b"".join(b"(M" + struct.pack("<H", i) + b"K\0l" for i in range(1_000))
        + b"eh\0h\1\x85q\2R"
        + b"h\0h\2R" * 1_000
        + b"e."
    ),
    "an odd escape": b"S'\\X'\n.",
    "deep": b"\x80\x02" + b"(" * 5_000 + b"t" * 5_000 + b"R.",
    "not even a pickle": b"hello",
    "": b"",
}


@container
@pytest.mark.parametrize("program", PROGRAMS)
def test_odd_programs_are_refused(tmp_path: Path, container: Any, program: str) -> None:
    message = refused(tmp_path / "a.pt", container(PROGRAMS[program]))
    assert "again and again" in message or program != "a deal of copies"


def test_bytes_that_are_no_bools_are_refused(tmp_path: Path) -> None:
    content = pickled({"a": tensor((4,), (1,), kept=storage(4, "0", "BoolStorage"))})
    assert "bools" in refused(tmp_path / "a.pt", zipped(content, b"\0\1\2\3"))


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    for content in (b"", b"\0", b"PK", b"PK\x03\x04", bytes(1000), pickle.dumps({"a": 1}), b"text"):
        refused(path, content)
    with pytest.raises(DataError, match="no such file"):
        tc.io.load(tmp_path / "none.pth")
    folder = tmp_path / "folder.pth"
    folder.mkdir()
    with pytest.raises(DataError, match="no ordinary file"):
        tc.io.load(folder)


SMALL = pickled({"w": tensor((2, 2), (2, 1)), "n": [1, 2.5, "x", None, True]})


def read_or_refused(path: Path, content: bytes) -> bool:
    """Whether damage was found; anything but a value or a DataError is a failure."""
    path.write_bytes(content)
    try:
        tc.io.read_torch(path)
    except DataError:
        return True
    return False


def test_every_truncation_is_found(tmp_path: Path) -> None:
    for whole in (zipped(SMALL), legacy(SMALL)):
        for length in range(len(whole)):
            assert read_or_refused(tmp_path / "a.pt", whole[:length]), length


def test_every_flipped_bit_is_found_or_harmless(tmp_path: Path) -> None:
    data = np.arange(1, 5, dtype="<f4").tobytes()
    archive, older = zipped(SMALL, data), legacy(SMALL, data)
    for position in range(len(archive)):
        inside = any(0 <= position - archive.index(part) < len(part) for part in (SMALL, data))
        for bit in {position % 8, (position * 5 + 3) % 8}:
            found = read_or_refused(tmp_path / "a.pt", flipped(archive, position, bit))
            assert found or not inside, position  # an archive has checksums
    for position in range(len(older)):
        read_or_refused(tmp_path / "a.pt", flipped(older, position, position % 8))


def flipped(content: bytes, position: int, bit: int) -> bytes:
    damaged = bytearray(content)
    damaged[position] ^= 1 << bit
    return bytes(damaged)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200), st.integers(0, 2**32))
def test_any_bytes_and_any_mixture(tmp_path: Path, content: bytes, seed: int) -> None:
    path, drawn = tmp_path / "a.pt", random.Random(seed)
    read_or_refused(path, zipped(b"\x80\x02" + content))
    mixed = bytearray(SMALL)
    for _ in range(drawn.randint(1, 10)):
        start, end = sorted(drawn.choices(range(len(mixed)), k=2))
        place = drawn.randrange(len(mixed))
        mixed[place : place + drawn.randint(0, 3)] = mixed[start : min(end, start + 30)]
    for container in (zipped, legacy):
        read_or_refused(path, container(bytes(mixed)))
