"""The bridge to PyTorch: copies both ways, states, and layers made anew with equal outputs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, DtypeError, MissingExtraError
from tinygrad_cnn.io import from_torch, from_torch_module, to_torch

torch = pytest.importorskip("torch")
T = torch.nn

DTYPES = ["float64", "float32", "float16", "int64", "int32", "uint8", "bool", "complex64"]
VALUES = np.arange(6.0).reshape(2, 3)


# -- tensors and states ----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_go_there_and_back(dtype: str) -> None:
    array = VALUES.astype(dtype)
    theirs = to_torch(tc.tensor(array))
    assert str(theirs.dtype) == f"torch.{dtype}"
    np.testing.assert_array_equal(theirs.numpy(), array, strict=True)
    np.testing.assert_array_equal(from_torch(theirs).numpy(), array, strict=True)


@pytest.mark.parametrize(
    "array", [VALUES[:, ::-1], VALUES.T, np.broadcast_to(1.0, (2, 2)), np.zeros((0, 3)), VALUES[1]]
)
def test_any_strides(array: Any) -> None:
    for order in (array, array.astype(array.dtype.newbyteorder())):
        np.testing.assert_array_equal(to_torch(order).numpy(), array)
    there = torch.tensor(np.ascontiguousarray(array))
    back = there.T if there.ndim == 2 else there
    np.testing.assert_array_equal(from_torch(back).numpy(), array.T)


def test_no_memory_is_shared_and_no_gradient_carried() -> None:
    ours = tc.tensor(VALUES, requires_grad=True)
    squares = ours * ours
    there = to_torch(squares)
    there.zero_()
    squares.sum().backward()
    np.testing.assert_array_equal(ours.grad.numpy(), 2 * VALUES)
    theirs = torch.tensor(VALUES, requires_grad=True)
    here = from_torch(theirs)
    assert not here.requires_grad
    assert not np.shares_memory(here.numpy(), theirs.detach().numpy())


def test_dtypes_that_numpy_lacks_are_widened() -> None:
    values = [0.5, -3.0, 1.0, float("inf")]
    for dtype in (torch.bfloat16, torch.float8_e5m2):
        widened = from_torch(torch.tensor(values).to(dtype))
        assert (widened.dtype, widened.tolist()) == (np.float32, values)


def test_views_that_are_computed_late() -> None:
    conjugate = torch.tensor([1 + 2j]).conj()
    assert from_torch(conjugate).tolist() == [1 - 2j]
    assert from_torch(conjugate.imag).tolist() == [-2.0]


def test_states_fit_both_ways() -> None:
    theirs = T.Sequential(T.Conv2d(2, 3, 3), T.BatchNorm2d(3), T.Flatten(), T.Linear(12, 2))
    ours = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))
    images = np.random.default_rng(0).normal(size=(4, 2, 4, 4)).astype("f4")
    theirs(torch.from_numpy(images))  # moves the running statistics
    for state in (theirs, theirs.state_dict()):
        ours.load_state_dict(from_torch(state))
    expected = theirs.eval()(torch.from_numpy(images)).detach().numpy()
    np.testing.assert_allclose(ours.eval()(images).numpy(), expected, rtol=1e-4, atol=1e-6)
    back = T.Sequential(T.Conv2d(2, 3, 3), T.BatchNorm2d(3), T.Flatten(), T.Linear(12, 2))
    for state in (ours, ours.state_dict()):
        back.load_state_dict(to_torch(state))
    np.testing.assert_array_equal(
        back.eval()(torch.from_numpy(images)).detach().numpy(), expected, strict=True
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: from_torch(VALUES), ArgumentError, "expected a tensor, module or state_dict"),
        (lambda: from_torch({"w": 3.0}), ArgumentError, "'w' is a float, expected a tensor"),
        (lambda: from_torch(torch.eye(2).to_sparse()), DtypeError, "a torch.sparse_coo tensor"),
        (lambda: from_torch({"w": torch.ones(2, device="meta")}), DtypeError, "'w': a .* on meta"),
        (lambda: to_torch("weights"), ArgumentError, "expected a Tensor, an array"),
        (lambda: to_torch({"w": [1.0]}), ArgumentError, r"got 'w': \[1.0\]"),
        (lambda: to_torch(np.ones(2, np.longdouble)), DtypeError, "of dtype"),
        (lambda: from_torch_module("net"), ArgumentError, "expected a module of PyTorch"),
    ],
)
def test_mistakes(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for call in (from_torch, to_torch, from_torch_module):
        with pytest.raises(MissingExtraError, match=r"tinygrad-cnn\[torch\]"):
            call(VALUES)


# -- modules ---------------------------------------------------------------------------------

IMAGES = (2, 4, 9, 7)
LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "conv": (lambda: T.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), bias=False), IMAGES),
    "conv same reflect": (
        lambda: T.Conv2d(4, 4, 3, padding="same", dilation=2, padding_mode="reflect", groups=2),
        IMAGES,
    ),
    "conv 1d": (lambda: T.Conv1d(4, 2, 3), (2, 4, 9)),
    "conv 3d": (lambda: T.Conv3d(2, 2, 2), (2, 2, 4, 3, 3)),
    "conv transpose": (
        lambda: T.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2),
        IMAGES,
    ),
    "linear": (lambda: T.Linear(7, 3, dtype=torch.float64), IMAGES),
    "linear bfloat16": (lambda: T.Linear(7, 3, bias=False, dtype=torch.bfloat16).float(), IMAGES),
    "max pool": (lambda: T.MaxPool2d(3, 2, 1, ceil_mode=True), IMAGES),
    "average pool": (lambda: T.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGES),
    "adaptive pool": (lambda: T.AdaptiveAvgPool2d((2, 3)), IMAGES),
    "batch norm": (lambda: T.BatchNorm2d(4, eps=0.1), IMAGES),
    "batch norm, plain": (lambda: T.BatchNorm2d(4, affine=False), IMAGES),
    "batch norm, untracked": (lambda: T.BatchNorm2d(4, track_running_stats=False), IMAGES),
    "layer norm": (lambda: T.LayerNorm((9, 7), bias=False), IMAGES),
    "layer norm, plain": (lambda: T.LayerNorm(7, elementwise_affine=False), IMAGES),
    "group norm": (lambda: T.GroupNorm(2, 4), IMAGES),
    "local response": (lambda: T.LocalResponseNorm(3, alpha=0.1), IMAGES),
    "softmax": (lambda: T.Softmax(dim=1), IMAGES),
    "log softmax": (lambda: T.LogSoftmax(dim=-1), IMAGES),
    "leaky": (lambda: T.LeakyReLU(0.3), IMAGES),
    "prelu": (lambda: T.PReLU(4, init=0.1), IMAGES),
    "gelu": (lambda: T.GELU(approximate="tanh"), IMAGES),
    "hardtanh": (lambda: T.Hardtanh(-0.5, 0.25), IMAGES),
    "elu": (lambda: T.ELU(0.5), IMAGES),
    "softplus": (lambda: T.Softplus(2.0, 3.0), IMAGES),
    "dropout": (lambda: T.Dropout(0.7, inplace=True), IMAGES),
    "flatten": (lambda: T.Flatten(2, 3), IMAGES),
    "unflatten": (lambda: T.Unflatten(1, (2, 2)), IMAGES),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_made_anew_compute_the_same(name: str) -> None:
    make, shape = LAYERS[name]
    torch.manual_seed(0)
    theirs = make().eval()
    for tensor in theirs.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.25, 1.5)
    ours = from_torch_module(theirs)
    images = torch.randn(shape, dtype=getattr(next(theirs.parameters(), None), "dtype", None))
    expected = theirs(images.clone()).detach().numpy()
    outputs = ours(from_torch(images)).numpy()
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5 * abs(expected).max())


def test_a_network_keeps_paths_modes_frozen_parameters_and_what_is_shared() -> None:
    relu, tied = T.ReLU(), T.Conv2d(4, 4, 3, padding=1)
    theirs = T.Sequential()
    theirs.add_module("stem", T.Sequential(tied, relu, tied, relu))
    theirs.add_module("flatten", T.Flatten())
    theirs.add_module("head", T.Linear(4 * 9 * 7, 3))
    theirs.stem.eval()
    tied.weight.requires_grad_(False)
    ours = from_torch_module(theirs)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert ours.stem[0] is ours.stem[2]
    assert (ours.training, ours.stem.training, ours.stem[0].training) == (True, False, False)
    assert [p.requires_grad for p in ours.parameters()] == [False, True, True, True]
    images = torch.randn(IMAGES)
    np.testing.assert_allclose(
        ours(images.numpy()).numpy(), theirs(images).detach().numpy(), rtol=1e-4, atol=1e-5
    )
    theirs.head.weight.data.zero_()
    assert ours.head.weight.numpy().any()  # a copy


def test_unknown_layers_are_listed_all_at_once() -> None:
    class Own(T.Module):
        pass

    theirs = T.Sequential(
        T.LSTM(2, 3), T.Sequential(Own()), T.Linear(2, 2), T.Conv2d(1, 1, 1),
        T.ConvTranspose2d(1, 1, 1), T.CrossEntropyLoss(weight=torch.ones(2)), T.Softmax(),
    )  # fmt: skip
    with pytest.raises(ArgumentError) as caught:
        from_torch_module(theirs)
    message = str(caught.value)
    for problem in ("0: torch.nn.modules.rnn.LSTM", "1.0: ", ".Own", "5: CrossEntropyLoss with"):
        assert problem in message
    assert message.count("\n") == 3
