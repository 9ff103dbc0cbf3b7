"""Saving and loading states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn.errors import CheckpointError


def make() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert list(left) == list(right)
    for key, array in left.items():
        np.testing.assert_array_equal(array, right[key], key)
        assert array.dtype == right[key].dtype


def test_a_state_is_made_of_copies() -> None:
    net = make()
    state = net.state_dict()
    assert all(type(array) is np.ndarray for array in state.values())
    before = net[0].weight.data.copy()
    state["0.weight"][...] = 7.0
    np.testing.assert_array_equal(net[0].weight.data, before)


def test_a_round_trip_restores_every_bit(rng: np.random.Generator) -> None:
    net, other = make(), make()
    for _ in range(3):
        net(rng.normal(size=(5, 3)).astype(np.float32))
    state = net.state_dict()
    assert state["1.num_batches_tracked"] == 3
    weight = other[0].weight
    assert other.load_state_dict(state) == ([], [])
    assert_same(other.state_dict(), state)
    assert other[0].weight is weight  # an optimiser that holds it goes on working
    assert weight.requires_grad
    x = rng.normal(size=(2, 3)).astype(np.float32)
    np.testing.assert_array_equal(other.eval()(x).data, net.eval()(x).data)


def test_loading_keeps_the_dtype_of_the_model() -> None:
    net = make()
    net.load_state_dict(make().double().state_dict())
    assert net[0].weight.dtype == np.float32


def test_one_error_lists_everything_and_changes_nothing() -> None:
    net = make()
    before, state = net.state_dict(), make().state_dict()
    del state["0.bias"]
    state["9.weight"] = np.zeros(1)
    state["3.weight"] = np.zeros((2, 5))
    state["1.weight"] = np.zeros(4, complex)
    state["1.num_batches_tracked"] = np.array(1.5)
    state["3.bias"] = "two words"  # type: ignore[assignment]
    with pytest.raises(CheckpointError) as caught:
        net.load_state_dict(state)
    lines = str(caught.value).splitlines()
    assert lines[0] == "Sequential.load_state_dict: the state does not fit, nothing was loaded:"
    for expected in (
        "0.bias is missing",
        "9.weight is unknown to the model",
        "3.weight has shape (2, 5), the model's has (2, 4)",
        "1.weight has dtype complex128, the model's has float32",
        "1.num_batches_tracked has dtype float64, the model's has int64",
        "3.bias is no array",
    ):
        assert sum(expected in line for line in lines) == 1
    assert len(lines) == 7
    assert_same(net.state_dict(), before)


def test_without_strict_keys_may_differ_but_shapes_may_not() -> None:
    net = make()
    before = net.state_dict()
    weight = np.ones((4, 3), np.float32)
    keys = net.load_state_dict({"0.weight": weight, "other": weight}, strict=False)
    assert keys.unexpected_keys == ["other"]
    assert keys.missing_keys == [key for key in before if key != "0.weight"]
    np.testing.assert_array_equal(net[0].weight.data, weight)
    with pytest.raises(CheckpointError, match=r"0.weight has shape \(4,\)"):
        net.load_state_dict({"0.weight": np.ones(4)}, strict=False)


def test_a_read_only_parameter_is_no_half_loaded_model() -> None:
    net = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    net[1].weight = nn.Parameter(np.broadcast_to(np.float32(1.0), (2, 2)))
    before = net.state_dict()
    with pytest.raises(CheckpointError, match=r"1.weight can't be written to"):
        net.load_state_dict({key: array + 1 for key, array in before.items()})
    assert_same(net.state_dict(), before)


@pytest.mark.parametrize("state", [None, [("0.weight", 1)], "weights.npz"])
def test_a_state_is_a_dict(state: Any) -> None:
    with pytest.raises(CheckpointError, match="expected a dict of arrays"):
        make().load_state_dict(state)


def test_tensors_load_too() -> None:
    net = make()
    state = {key: tc.as_tensor(array) for key, array in make().state_dict().items()}
    net.load_state_dict(state)
    np.testing.assert_array_equal(net[0].weight.data, state["0.weight"].data)
