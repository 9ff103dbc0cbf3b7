"""Files that PyTorch writes here, in both formats, read without it."""

from __future__ import annotations

import collections
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn.errors import DataError

torch = pytest.importorskip("torch")

zipped_or_not = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def written(path: Path, what: Any, zipped: bool, **options: Any) -> Path:
    torch.save(what, path, _use_new_zipfile_serialization=zipped, **options)
    return path


def assert_same(ours: Any, theirs: Any) -> None:
    """Structure, dtypes and values."""
    if isinstance(theirs, torch.Tensor):
        if theirs.dtype == torch.bfloat16:
            theirs = theirs.float()
        expected = theirs.detach().numpy()
        assert ours.dtype == expected.dtype
        np.testing.assert_array_equal(ours, expected)
        assert ours.shape == expected.shape
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key, value in theirs.items():
            assert_same(ours[key], value)
    elif isinstance(theirs, (list, tuple)):
        assert type(ours) is type(theirs)
        for mine, other in zip(ours, theirs, strict=True):
            assert_same(mine, other)
    else:
        assert type(ours) is type(theirs)
        assert ours == theirs


DTYPES = [
    "float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "bool",
    "complex64", "complex128",
]  # fmt: skip
LATER = ["uint16", "uint32", "uint64"]


@zipped_or_not
@pytest.mark.parametrize("dtype", DTYPES + LATER)
def test_every_dtype(tmp_path: Path, dtype: str, zipped: bool) -> None:
    numbers = torch.tensor([[0, 1, 2], [3, 100, 7]]).to(getattr(torch, dtype))
    content = {"a": numbers, "scalar": numbers[1, 1], "none": numbers[:0]}
    path = written(tmp_path / "a.pt", content, zipped)
    assert_same(tc.io.read_torch(path), content)
    assert tc.io.load(path)["a"].flags.writeable


def test_bfloat16_keeps_every_value(tmp_path: Path) -> None:
    every = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    path = written(tmp_path / "a.pt", {"a": every}, True)
    expected = every.float().numpy()
    np.testing.assert_array_equal(tc.io.load(path)["a"], expected)


@zipped_or_not
def test_views_of_one_storage(tmp_path: Path, zipped: bool) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    content = {
        "whole": whole,
        "transposed": whole.T,
        "strided": whole[1::2, ::3],
        "tail": whole[3],
        "expanded": whole[:1, :1].expand(5, 4),
        "channels last": torch.arange(24.0)
        .reshape(1, 2, 3, 4)
        .to(memory_format=torch.channels_last),
    }
    found = tc.io.read_torch(written(tmp_path / "a.pt", content, zipped))
    assert_same(found, content)
    found["whole"][3, 0] = -1.0
    assert found["tail"][0] == -1.0
    assert found["transposed"][0, 3] == -1.0


@zipped_or_not
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_nested_checkpoints(tmp_path: Path, zipped: bool, protocol: int) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 1, 4, 4)).sum().backward()
    optimizer.step()
    content = {
        "epoch": 3,
        "best": 91.5,
        "name": "größe",
        "done": False,
        "nothing": None,
        "large": [1 << 40, -(1 << 70), 300, -1],
        "pair": (1, (2.5, "x")),
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "parameters": list(model.parameters()),
        "shared": [[1], [1]],
    }
    path = written(tmp_path / "a.pth", content, zipped, pickle_protocol=protocol)
    assert_same(tc.io.read_torch(path), content)
    state = tc.io.load(path)
    assert list(state) == list(content["state_dict"])
    assert state.metadata == {"epoch": 3, "best": 91.5, "name": "größe", "done": False}


@zipped_or_not
def test_a_state_goes_into_our_model(tmp_path: Path, zipped: bool) -> None:
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    parallel = collections.OrderedDict(
        (f"module.{key}", value) for key, value in theirs.state_dict().items()
    )
    ours = tc.nn.Sequential(tc.nn.Linear(3, 4), tc.nn.ReLU(), tc.nn.Linear(4, 2))
    for state in (theirs.state_dict(), parallel):
        ours.load_state_dict(tc.io.load(written(tmp_path / "a.pth", state, zipped)))
        x = np.ones((5, 3), np.float32)
        expected = theirs(torch.tensor(x)).detach().numpy()
        np.testing.assert_allclose(ours(x).numpy(), expected, rtol=1e-6, atol=1e-7)


class Evil:
    """What runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        import os

        return os.system, (self.command,)


@zipped_or_not
@pytest.mark.parametrize("protocol", [2, 4])
def test_what_would_run_is_refused_by_name(tmp_path: Path, zipped: bool, protocol: int) -> None:
    mark = tmp_path / "mark"
    content = {"a": torch.ones(2), "b": Evil(f"touch {mark}")}
    path = written(tmp_path / "a.pth", content, zipped, pickle_protocol=protocol)
    for read in (tc.io.load, tc.io.read_torch):
        with pytest.raises(DataError, match=r"a\.pth: it wants (posix|nt)\.system"):
            read(path)
    assert not mark.exists()


@zipped_or_not
@pytest.mark.parametrize(
    ("what", "name"),
    [
        (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        ({"a": np.float64(3)}, "numpy._core.multiarray.scalar"),
        ({"a": {1, 2}}, "__builtin__.set"),
        ({"a": collections.defaultdict(int)}, "collections.defaultdict"),
        ({"a": torch.Size([1])}, "torch.Size"),
        ({"a": torch.ones(2).to_sparse()}, "torch._utils._rebuild_sparse_tensor"),
        ({"a": torch.ones(2).to(torch.float8_e5m2)}, "float8_e5m2"),
        ({"a": torch.device("cpu")}, "torch.device"),
        ({"a": b"bytes"}, "_codecs.encode"),
        ({"a": torch.float32}, "torch.float32"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of torch, about its sparse tensors
def test_other_things_are_refused_by_name(
    tmp_path: Path, zipped: bool, what: Any, name: str
) -> None:
    path = written(tmp_path / "a.pt", what, zipped)
    with pytest.raises(DataError, match=name) as caught:
        tc.io.read_torch(path)
    assert str(path) in str(caught.value)


def test_several_states_are_not_guessed_between(tmp_path: Path) -> None:
    state = {"w": torch.ones(2)}
    path = written(tmp_path / "a.pt", {"generator": state, "critic": state}, True)
    with pytest.raises(DataError, match=r"but 2, in a dict with generator, critic.*read_torch"):
        tc.io.load(path)
    for nothing in ([torch.ones(2)], {}, torch.ones(2), 3):
        path = written(tmp_path / "a.pt", nothing, True)
        with pytest.raises(DataError, match="but 0, in a"):
            tc.io.load(path)


def test_a_script_program_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as entries:
        entries.writestr("net/data.pkl", b"\x80\x02}.")
        entries.writestr("net/constants.pkl", b"\x80\x02).")
    path = tmp_path / "a.pt"
    path.write_bytes(content.getvalue())
    with pytest.raises(DataError, match="TorchScript"):
        tc.io.load(path)


def test_a_compressed_archive_and_another_byte_order_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pt", {"a": torch.ones(2)}, True)
    for name, change in (("deflated", False), ("big", True)):
        other = tmp_path / f"{name}.pt"
        kind = zipfile.ZIP_STORED if change else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w", kind) as new:
            for entry in old.namelist():
                is_order = change and entry.endswith("byteorder")
                new.writestr(entry, b"big" if is_order else old.read(entry))
        with pytest.raises(DataError, match=r"compressed|big-endian"):
            tc.io.load(other)
