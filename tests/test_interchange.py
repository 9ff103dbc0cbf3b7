"""Arrays that other libraries see: NumPy's array protocol, DLPack, and no gradient made wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn._core.tensor import Tensor
from tinygrad_cnn.errors import ArgumentError, DtypeError, SharingError

VALUES = np.arange(1.0, 7.0).reshape(2, 3)
DTYPES = ["float64", "float32", "float16", "int64", "uint8", "bool", "complex64"]


def square() -> tuple[Tensor, Tensor, Tensor]:
    """A variable x, a result y = x * x that the graph saves, and z = sum(y * y)."""
    x = tc.tensor(VALUES, requires_grad=True)
    y = x * x
    return x, y, (y * y).sum()


def gradient_is_right(x: Tensor, z: Tensor) -> bool:
    z.backward()
    return np.array_equal(x.grad.numpy(), 4 * VALUES**3)


# -- the array protocol ----------------------------------------------------------------------


@pytest.mark.parametrize("which", [0, 1])
def test_an_array_of_a_recorded_tensor_shares_memory_and_is_read_only(which: int) -> None:
    x, y, z = square()
    tensor = (x, y)[which]
    for array in (np.asarray(tensor), np.array(tensor, copy=False), np.asarray(tensor, np.float64)):
        assert np.shares_memory(array, tensor.data)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    assert tensor.data.flags.writeable
    assert gradient_is_right(x, z)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("copied", [np.array, lambda t: np.asarray(t, np.float32)])
def test_a_copy_can_be_written_to(which: int, copied: Callable[[Tensor], Any]) -> None:
    x, y, z = square()
    array = copied((x, y)[which])
    array[...] = 0.0
    assert gradient_is_right(x, z)


def test_an_array_of_a_constant_shares_its_memory() -> None:
    x = tc.tensor(VALUES)
    np.asarray(x)[0, 0] = 9.0
    assert x[0, 0].item() == 9.0


def test_copy_false_where_a_copy_is_needed() -> None:
    for tensor, dtype in ((tc.tensor(VALUES), np.float32), (tc.tensor(1.0), None)):
        with pytest.raises(ValueError, match="copy"):
            np.array(tensor, dtype=dtype, copy=False)


# -- DLPack ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_takes_and_gives_every_dtype(dtype: str) -> None:
    for given in (VALUES.astype(dtype), np.asfortranarray(VALUES.astype(dtype))[:, ::2]):
        x = tc.from_dlpack(given)
        np.testing.assert_array_equal(x.numpy(), given, strict=True)
        np.testing.assert_array_equal(np.from_dlpack(x), given, strict=True)
        assert x.__dlpack_device__() == (1, 0)


@pytest.mark.parametrize("value", [2.5, np.zeros((0, 3)), np.broadcast_to(1.0, (2, 2))])
def test_scalars_empty_arrays_and_broadcast_ones(value: Any) -> None:
    np.testing.assert_array_equal(np.from_dlpack(tc.as_tensor(value)), value)
    assert tc.from_dlpack(np.asarray(value)).shape == np.shape(value)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("copy", [None, True])
def test_what_dlpack_gives_of_a_recorded_tensor_is_a_copy(which: int, copy: bool | None) -> None:
    x, y, z = square()
    array = np.from_dlpack((x, y)[which], copy=copy)
    array[...] = 0.0
    assert gradient_is_right(x, z)


def test_the_memory_of_a_recorded_tensor_is_not_given() -> None:
    x, y, _ = square()
    for tensor in (x, y):
        with pytest.raises(SharingError, match=r"requires a gradient .* Leave copy=False away"):
            np.from_dlpack(tensor, copy=False)


def test_constants_are_shared_on_request() -> None:
    x = tc.tensor(VALUES)
    np.from_dlpack(x, copy=False)[0, 0] = 9.0
    tc.from_dlpack(x, copy=False).data[0, 1] = 8.0
    array = VALUES.copy()
    array_shared = tc.from_dlpack(array, copy=False)
    array[0, 0] = 7.0
    assert (x[0, 0].item(), x[0, 1].item(), array_shared[0, 0].item()) == (9.0, 8.0, 7.0)


def test_a_capsule_of_the_protocols_first_version() -> None:
    class OldConsumer:
        """Hands on what NumPy 1 would be given: no version asked for."""

        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor

        def __dlpack__(self, **_: Any) -> Any:
            return self.tensor.__dlpack__()

        def __dlpack_device__(self) -> tuple[int, int]:
            return self.tensor.__dlpack_device__()

    assert 'capsule object "dltensor" ' in repr(tc.tensor(VALUES).__dlpack__())
    np.testing.assert_array_equal(np.from_dlpack(OldConsumer(tc.tensor(VALUES))), VALUES)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tc.ones(2).__dlpack__(stream=1), SharingError, "CPU's memory"),
        (lambda: tc.ones(2).__dlpack__(dl_device=(2, 0)), SharingError, r"dl_device=\(2, 0\)"),
        (lambda: np.from_dlpack(tc.tensor(1.0), copy=False), SharingError, "plain number"),
        (
            lambda: np.from_dlpack(tc.as_tensor(np.broadcast_to(1.0, 3)), copy=False),
            SharingError,
            "is read-only has no memory",
        ),
        (lambda: tc.as_tensor(np.ones(2, ">f8")).__dlpack__(), SharingError, "can't carry"),
        (lambda: tc.from_dlpack([1.0]), ArgumentError, "a list has no __dlpack__"),
        (lambda: tc.from_dlpack(np.ones(2), device="cuda"), ArgumentError, "expected 'cpu'"),
    ],
)
def test_mistakes(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_compiled_function_runs_as_written_where_it_hands_a_tensor_out() -> None:
    def step(x: Tensor) -> Tensor:
        return x * np.from_dlpack(x * 2.0).sum()

    with pytest.warns(tc.compiler.CompileWarning, match="another library"):
        assert tc.compile(step)(tc.tensor(VALUES)).tolist() == (VALUES * 42.0).tolist()


# -- PyTorch ---------------------------------------------------------------------------------


def test_pytorch_takes_copies_of_recorded_tensors() -> None:
    torch = pytest.importorskip("torch")
    for take in (torch.from_dlpack, torch.asarray):
        for which in (0, 1):
            x, y, z = square()
            theirs = take((x, y)[which])
            theirs.zero_()
            assert gradient_is_right(x, z)
            with pytest.raises(SharingError):
                torch.from_dlpack((x, y)[which], copy=False)


def test_a_pytorch_tensor_that_is_written_to_changes_no_gradient_here() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.tensor(VALUES)
    x = tc.tensor(VALUES, requires_grad=True)
    z = (x * tc.from_dlpack(theirs)).sum()
    theirs.zero_()
    z.backward()
    np.testing.assert_array_equal(x.grad.numpy(), VALUES)


def test_pytorch_shares_constants_on_request() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.tensor(VALUES)
    ours = tc.from_dlpack(theirs, copy=False)
    torch.from_dlpack(ours, copy=False)[0, 0] = 9.0
    theirs[0, 1] = 8.0
    assert ours[0].tolist() == [9.0, 8.0, 3.0]


def test_pytorch_tensors_that_are_not_given() -> None:
    torch = pytest.importorskip("torch")
    for theirs in (
        torch.ones(2, requires_grad=True),
        torch.ones(2, dtype=torch.bfloat16),
        torch.ones(2, device="meta"),
        torch.eye(2).to_sparse(),
    ):
        with pytest.raises(SharingError, match="from_dlpack: this Tensor is not given"):
            tc.from_dlpack(theirs)
    assert issubclass(SharingError, BufferError)
    assert not issubclass(DtypeError, BufferError)
