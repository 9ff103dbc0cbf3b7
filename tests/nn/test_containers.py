"""Sequential, ModuleList and ModuleDict."""

from __future__ import annotations

from typing import Any

import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, DtypeError, OutOfBoundsError


def names(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_children()]


def test_sequential_runs_in_order() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU())
    assert net(tc.ones(5, 2, 3)).shape == (5, 4)
    assert nn.Sequential()(3.0) == 3.0


def test_sequential_takes_names() -> None:
    net = nn.Sequential({"first": nn.Linear(2, 3), "second": nn.Linear(3, 1)})
    assert names(net) == ["first", "second"]
    assert net.first is net[0]
    assert net(tc.ones(1, 2)).shape == (1, 1)


@pytest.mark.parametrize("kind", [nn.Sequential, lambda *layers: nn.ModuleList(layers)])
def test_numbered_containers_are_sequences(kind: Any) -> None:
    layers = [nn.Linear(1, 1), nn.ReLU(), nn.Tanh(), nn.Identity()]
    held = kind(*layers)
    assert len(held) == 4
    assert list(held) == layers
    assert held[-1] is layers[-1]
    part = held[1:3]
    assert type(part) is type(held)
    assert list(part) == layers[1:3]
    assert names(part) == ["1", "2"]
    for act in (lambda: held[4], lambda: held[-5], lambda: held.__setitem__(4, nn.ReLU())):
        with pytest.raises(OutOfBoundsError, match=r"(Sequential|ModuleList)\[.*\] of 4 modules"):
            act()
    replacement = nn.Sigmoid()
    held[-1] = replacement
    assert list(held) == [*layers[:3], replacement]


def test_a_slice_of_a_subclass_is_runnable() -> None:
    class Block(nn.Sequential):
        def __init__(self, width: int) -> None:
            super().__init__(nn.Linear(width, 2), nn.ReLU())

    assert Block(3)[:1](tc.ones(1, 3)).shape == (1, 2)


def test_append_replaces_nothing() -> None:
    net = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())
    tail = net[1:].append(nn.Identity())
    assert names(tail) == ["1", "2", "3"]
    assert names(nn.ModuleList().append(nn.ReLU()).extend([nn.ReLU()])) == ["0", "1"]


def test_module_list_has_no_forward() -> None:
    with pytest.raises(RuntimeError, match="ModuleList can't be called"):
        nn.ModuleList([nn.ReLU()])(1.0)


def test_module_dict_is_a_mapping() -> None:
    heads = nn.ModuleDict({"digit": nn.Linear(2, 10)})
    heads["parity"] = nn.Linear(2, 2)
    assert list(heads) == list(heads.keys()) == ["digit", "parity"]
    assert list(heads.items()) == list(zip(heads.keys(), heads.values(), strict=True))
    assert "digit" in heads
    assert len(heads) == 2
    del heads["digit"]
    assert "digit" not in heads
    assert list(heads.state_dict()) == ["parity.weight", "parity.bias"]
    with pytest.raises(KeyError):
        heads["digit"]


@pytest.mark.parametrize("make", [nn.Sequential, lambda layer: nn.ModuleList([layer])])
def test_items_are_modules(make: Any) -> None:
    with pytest.raises(DtypeError, match=r"'0' is a function, expected a Module"):
        make(tc.functional.relu)


def test_a_module_dict_name_hides_no_method() -> None:
    with pytest.raises(ArgumentError, match="'keys'"):
        nn.ModuleDict({"keys": nn.ReLU()})
