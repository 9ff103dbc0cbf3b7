"""The Module: how it finds, names, calls, freezes and prints its parts."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, DtypeError, GraphError


class Net(nn.Module):
    """A convolution, a normalisation and a head, with a parameter and buffers of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU())
        self.head = nn.Linear(2 * 4 * 4, 3)
        self.scale = nn.Parameter(np.float32(2.0))
        self.register_buffer("offset", tc.Tensor(np.float32(0.5)))
        self.register_buffer("scratch", tc.zeros(2), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.head(tc.flatten(self.body(x), 1)) * self.scale + self.offset


PARAMETERS = [
    "scale",
    "body.0.weight",
    "body.0.bias",
    "body.1.weight",
    "body.1.bias",
    "head.weight",
    "head.bias",
]
RUNNING = [f"body.1.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")]


@pytest.fixture
def images(rng: np.random.Generator) -> Any:
    return rng.random((3, 1, 4, 4), np.float32)


def test_parts_are_found_by_their_paths() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == PARAMETERS
    assert [name for name, _ in net.named_buffers()] == ["offset", "scratch", *RUNNING]
    modules = ["", "body", "body.0", "body.1", "body.2", "head"]
    assert [name for name, _ in net.named_modules()] == modules
    assert [name for name, _ in net.named_children()] == ["body", "head"]
    assert list(net.children()) == [net.body, net.head]
    assert len(list(net.modules())) == 6
    assert [name for name, _ in net.named_parameters("net", recurse=False)] == ["net.scale"]
    assert len(list(net.parameters())) == len(PARAMETERS)
    assert len(list(net.buffers(recurse=False))) == 2


def test_shared_parts_appear_once_but_are_saved_under_every_path() -> None:
    shared = nn.Linear(2, 2)
    net = nn.Sequential(shared, nn.ReLU(), shared)
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias"]
    assert len(list(net.children())) == 2
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert net(tc.zeros(1, 2)).shape == (1, 2)


def test_parameters_carry_the_path_as_name() -> None:
    net = Net()
    assert [parameter.name for parameter in net.parameters()] == PARAMETERS
    outer = nn.ModuleDict({"student": net})
    assert net.head.weight.name == "student.head.weight"
    net.head = nn.Linear(2, 2)  # joins late, still finds its whole path
    assert net.head.bias is not None
    assert net.head.bias.name == "student.head.bias"
    assert outer["student"] is net


def test_taking_a_part_of_a_model_renames_nothing() -> None:
    net = Net()
    head, first = net.head, net.body[:1]
    nn.Sequential(first[0], head)
    assert [parameter.name for parameter in net.parameters()] == PARAMETERS


def test_calls_are_scopes_named_after_attributes(images: Any) -> None:
    net = Net()
    scopes = []
    net.body[0].register_forward_hook(lambda module, args, output: scopes.append(output.node.scope))
    out = net(images)
    assert out.node.scope.path == "Net"
    conv = scopes[0]
    assert conv.path == "Net/body/0/conv2d"
    assert [conv.kind, conv.parent.kind] == ["function", "module"]
    assert conv.parent.params == {"type": "Conv2d"}


def test_a_failing_forward_leaves_no_scope_behind() -> None:
    with pytest.raises(ValueError, match="linear"):
        nn.Linear(2, 2)(tc.zeros(1, 3))
    x = tc.tensor(1.0, requires_grad=True) * 2.0
    assert x.node is not None
    assert x.node.scope is None


def test_hooks_see_and_replace_values_until_removed() -> None:
    layer = nn.Identity()
    before = layer.register_forward_pre_hook(lambda module, args: args[0] + 1)
    pair = layer.register_forward_pre_hook(lambda module, args: (args[0] * 2,))
    after = layer.register_forward_hook(lambda module, args, output: output + args[0])
    silent = layer.register_forward_hook(lambda module, args, output: None)
    assert layer(3.0) == 16.0
    for handle in (before, pair, after, silent):
        handle.remove()
        handle.remove()
    assert layer(3.0) == 3.0


def test_a_hook_may_remove_itself() -> None:
    layer, calls = nn.Identity(), []
    handle = layer.register_forward_hook(lambda *args: (calls.append(1), handle.remove())[1])
    layer(layer(0.0))
    assert calls == [1]


def test_modes_reach_all_modules() -> None:
    net = Net()
    assert net.training
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert all(module.training for module in net.train().modules())


def test_apply_calls_parts_before_the_whole() -> None:
    seen: list[str] = []
    assert isinstance(Net().apply(lambda module: seen.append(type(module).__name__)), Net)
    assert seen == ["Conv2d", "BatchNorm2d", "ReLU", "Sequential", "Linear", "Net"]


def test_freezing_keeps_parameters_and_stops_gradients(images: Any) -> None:
    net = Net()
    net(images).sum().backward()
    assert net.body[0].weight.grad is not None
    net.body.requires_grad_(False)
    assert [name for name, _ in net.named_parameters()] == PARAMETERS
    assert [parameter.name for parameter in net.parameters()] == PARAMETERS
    net.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())
    net(images).sum().backward()
    graded = [parameter.name for parameter in net.parameters() if parameter.grad is not None]
    assert graded == ["scale", "head.weight", "head.bias"]
    net.requires_grad_()
    assert net.body[0].weight.grad is None
    net(images).sum().backward()
    assert net.body[0].weight.grad is not None


def test_astype_converts_floating_point_in_place(images: Any) -> None:
    net = Net()
    before = net.state_dict()
    weight = net.head.weight
    net(images).sum().backward()
    assert net.double() is net
    assert net.head.weight is weight
    assert weight.grad is None
    assert {p.dtype for p in net.parameters()} == {np.dtype("float64")}
    assert net.body[1].num_batches_tracked.dtype == np.int64
    net(images.astype(np.float64)).sum().backward()
    assert weight.grad.dtype == np.float64  # type: ignore[attr-defined]
    assert net.float().head.weight.dtype == np.float32
    np.testing.assert_array_equal(net.head.weight.data, before["head.weight"])
    with pytest.raises(DtypeError, match="int64 is not floating"):
        net.astype(np.int64)


def test_repr_shows_nested_parts_and_settings() -> None:
    assert repr(Net()) == (
        "Net(\n"
        "  (body): Sequential(\n"
        "    (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))\n"
        "    (1): BatchNorm2d(2, eps=1e-05, momentum=0.1, affine=True,"
        " track_running_stats=True)\n"
        "    (2): ReLU()\n"
        "  )\n"
        "  (head): Linear(32, 3)\n"
        ")"
    )


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_are_equal_and_independent(duplicate: Any, images: Any) -> None:
    net = Net().eval()
    net.head.requires_grad_(False)
    twin = duplicate(net)
    np.testing.assert_array_equal(twin(images).data, net(images).data)
    assert [parameter.name for parameter in twin.parameters()] == PARAMETERS
    assert not twin.head.weight.requires_grad
    assert not twin.head.training
    twin.head.weight.data[...] = 0
    assert net.head.weight.data.any()


def test_copies_keep_sharing() -> None:
    layer = nn.Linear(2, 2)
    twin = copy.deepcopy(nn.Sequential(layer, layer))
    assert twin[0] is twin[1]


# -- misuse --------------------------------------------------------------------------------


def test_super_init_may_be_left_out() -> None:
    class Careless(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(2, 2)

        def forward(self, x: Any) -> Any:
            return self.layer(x)

    net = Careless().eval()
    assert list(net.state_dict()) == ["layer.weight", "layer.bias"]
    assert net(tc.zeros(1, 2)).shape == (1, 2)


def test_arguments_that_no_constructor_takes_are_refused() -> None:
    with pytest.raises(TypeError):
        nn.ReLU(True)  # type: ignore[call-arg]


def test_a_module_without_forward_says_so() -> None:
    class Silent(nn.Module):
        pass

    with pytest.raises(GraphError, match=r"Silent can't be called: it defines no forward"):
        Silent()(1.0)


@pytest.mark.parametrize("name", ["", "a.b", "forward", "parameters"])
def test_bad_names_are_refused(name: str) -> None:
    net = Net()
    parts = dict(vars(net))
    with pytest.raises(ArgumentError, match="can't hold a Linear as"):
        net.add_module(name, nn.Linear(1, 1))
    with pytest.raises(ArgumentError, match="can't hold a Parameter as"):
        setattr(net, name, nn.Parameter(1.0))
    assert vars(net) == parts


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("scale", tc.ones(1), "Parameter"),
        ("scale", 1.0, "Parameter"),
        ("head", tc.flatten, "Module"),
        ("offset", np.ones(2), "Tensor"),
    ],
)
def test_parts_are_not_lost_to_other_values(name: str, value: Any, kind: str) -> None:
    net = Net()
    held = getattr(net, name)
    with pytest.raises(DtypeError, match=f"Net.{name} is a {kind}, got a"):
        setattr(net, name, value)
    assert getattr(net, name) is held


@pytest.mark.parametrize(
    "value",
    [[nn.Linear(1, 1)], (nn.Parameter(1.0),), {"a": nn.ReLU()}, [1, {"b": [nn.Parameter(1.0)]}]],
)
def test_parts_in_plain_containers_are_refused(value: Any) -> None:
    net = Net()
    with pytest.raises(ArgumentError, match=r"Net\.layers: .*nn\.ModuleList or nn\.ModuleDict"):
        net.layers = value
    assert not hasattr(net, "layers")
    net.sizes = [1, 2]  # type: ignore[assignment]
    assert net.sizes == [1, 2]


def test_parts_can_be_replaced_by_none_and_removed() -> None:
    net = Net()
    net.scale = None  # type: ignore[assignment]
    net.offset = None
    del net.scratch, net.head
    assert [name for name, _ in net.named_parameters()] == PARAMETERS[1:5]
    assert [name for name, _ in net.named_buffers()] == RUNNING


def test_add_module_takes_modules_only() -> None:
    with pytest.raises(DtypeError, match=r"'act' is a function, expected a Module"):
        Net().add_module("act", tc.functional.relu)  # type: ignore[arg-type]


def test_register_buffer_refuses_a_name_in_use() -> None:
    net = Net()
    with pytest.raises(ArgumentError, match="Net has an attribute 'head' already"):
        net.register_buffer("head", tc.zeros(1))
    net.register_buffer("offset", tc.zeros(1))  # registering a buffer anew is fine
    assert net.offset.shape == (1,)


# -- parameters ----------------------------------------------------------------------------


def test_a_parameter_is_a_leaf_that_shares_its_array() -> None:
    array = np.ones(2)
    parameter = nn.Parameter(array)
    assert parameter.data is array
    assert parameter.is_leaf
    assert parameter.requires_grad


def test_a_frozen_parameter_has_a_name_and_no_gradient() -> None:
    parameter = nn.Parameter([1.0], requires_grad=False, name="theta")
    assert parameter.name == "theta"
    assert not parameter.requires_grad
    assert (parameter * 2).node is None


@pytest.mark.parametrize("data", [[1, 2], [True], [1j]])
def test_a_parameter_is_floating_point(data: Any) -> None:
    with pytest.raises(DtypeError, match="can't require a gradient"):
        nn.Parameter(data)
