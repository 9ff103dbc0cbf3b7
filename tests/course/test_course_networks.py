"""The numbers that the course prints about whole networks, where no other test has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from architectures import unweighted

from tinygrad_cnn import models, nn
from tinygrad_cnn.models import from_pattern, summary
from tinygrad_cnn.models.pattern import plan

VGG16 = """
    INPUT -> [CONV3-64 -> RELU]*2 -> POOL2 -> [CONV3-128 -> RELU]*2 -> POOL2
    -> [CONV3-256 -> RELU]*3 -> POOL2 -> [[CONV3-512 -> RELU]*3 -> POOL2]*2 ->
"""
HEAD = "[FC-4096 -> RELU]*2 -> FC-1000"
CONVERTED = "CONV7-4096-p0 -> RELU -> CONV1-4096 -> RELU -> CONV1-1000"


def volumes(pattern: str, **options: Any) -> dict[str, Any]:
    return {step.name: step.after for step in plan(pattern, **options).steps}


# -- the simple network of the introduction -------------------------------------------------


def test_input_conv_relu_pool_fc() -> None:
    model = from_pattern("[INPUT - CONV3-12 - RELU - POOL - FC]", (3, 32, 32), classes=10)
    rows = summary(model, (1, 3, 32, 32)).rows
    shapes = [row.output_shape[1:] for row in rows]
    assert shapes == [(12, 32, 32), (12, 32, 32), (12, 16, 16), (3072,), (10,)]
    learn = {type(m).__name__: any(True for _ in m.parameters()) for m in model.children()}
    assert learn == {
        "Conv2d": True, "ReLU": False, "MaxPool2d": False, "Flatten": False, "Linear": True
    }  # fmt: skip


def test_the_tiny_vgg_of_the_first_figure() -> None:
    """The slides of CS 4670 end with it: ten 3x3 filters, stride 1, pad 1; pools of 2x2."""
    found = volumes("INPUT -> [[CONV3-10 -> RELU]*2 -> POOL]*3 -> FC", input=(3, 32, 32))
    assert [found[f"pool{i}"] for i in (1, 2, 3)] == [(10, 16, 16), (10, 8, 8), (10, 4, 4)]
    assert found["fc1"] == (10,)


# -- FC to CONV -----------------------------------------------------------------------------


@pytest.mark.parametrize(("image", "body", "places"), [(224, 7, 1), (384, 12, 6)])
def test_the_converted_head(image: int, body: int, places: int) -> None:
    found = volumes(VGG16 + CONVERTED, input=(3, image, image))
    assert found["pool5"] == (512, body, body)
    assert found["conv14"] == found["conv15"] == (4096, places, places)
    assert found["conv16"] == (1000, places, places)


def test_the_conversion_keeps_all_weights() -> None:
    dense, converted = (plan(VGG16 + head, (3, 224, 224)) for head in (HEAD, CONVERTED))
    assert dense.parameters == converted.parameters == 138_357_544
    by_name = {step.name: step.parameters for step in converted.steps}
    assert by_name["conv14"] == 102_760_448 + 4096


# -- sizing and memory ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [32, 64, 96, 224, 384, 512])
def test_the_usual_inputs_halve_five_times(size: int) -> None:
    planned = plan("INPUT -> [CONV -> RELU -> POOL]*5 -> FC", (3, size, size))
    assert planned.notes == ()
    assert planned.steps[-3].after[1:] == (size // 32, size // 32)


def test_three_convolutions_at_full_size() -> None:
    """ "About 10 million activations, or 72MB", gradients included; it is 73.5."""
    steps = plan("INPUT -> [CONV3-64]*3 -> GAP", (3, 224, 224)).steps[:3]
    assert {step.after for step in steps} == {(64, 224, 224)}
    activations = 3 * 64 * 224 * 224
    assert activations == 9_633_792
    assert 2 * 4 * activations / 1024 / 1024 == 73.5
    for compromise in ("CONV7-64-s2-p3", "CONV11-64-s4-p2"):  # ZF Net's, AlexNet's
        [first, *_] = plan(f"INPUT -> {compromise} -> GAP", (3, 224, 224)).steps
        assert np.prod(first.after) <= activations / 3 / 4


def test_the_memory_column_of_the_table() -> None:
    printed = [
        3.2e6, 3.2e6, 800e3, 1.6e6, 1.6e6, 400e3, 800e3, 800e3, 800e3, 200e3,
        400e3, 400e3, 400e3, 100e3, 100e3, 100e3, 100e3, 25e3, 4096, 4096, 1000,
    ]  # fmt: skip
    steps = plan(VGG16 + HEAD, (3, 224, 224)).steps
    found = [np.prod(s.after) for s in steps if s.layer.word in ("CONV", "POOL", "FC")]
    np.testing.assert_allclose(found, printed, rtol=0.005)
    assert 3 * 224 * 224 == 150_528  # "150K"


def test_where_the_memory_and_the_parameters_of_vgg_are() -> None:
    """Memory and time go to the early convolutions, parameters to the first FC: 100M of 140M."""
    steps = plan(VGG16 + HEAD, (3, 224, 224)).steps
    listed = [s for s in steps if s.layer.word in ("CONV", "POOL", "FC")]
    held = np.array([np.prod(step.after) for step in listed])
    assert held[:5].sum() > 2 / 3 * held.sum()
    learned = {step.name: step.parameters for step in steps}
    assert max(learned, key=lambda name: learned[name]) == "fc1"
    assert 0.7 < learned["fc1"] / sum(learned.values()) < 0.75


def test_a_smaller_batch_takes_less() -> None:
    model = from_pattern("INPUT -> [[CONV3-10 -> RELU]*2 -> POOL]*3 -> FC", (3, 32, 32))
    result = summary(model, (1, 3, 32, 32))
    recipes = [result.memory("momentum", batch=n).notes for n in (64, 128)]
    parameters = 3 * 4 * result.parameters
    image = 3 * 32 * 32
    assert recipes == [4 * n * (2 * result.volumes + image) + parameters for n in (64, 128)]


# -- case studies ---------------------------------------------------------------------------


def kernels(model: nn.Module, kind: Any) -> set[tuple[Any, ...]]:
    found = [m for m in model.modules() if isinstance(m, kind)]
    return {(m.kernel_size, m.stride, m.padding) for m in found}


def test_vgg_has_16_layers_of_one_kind() -> None:
    model = unweighted("vgg16")
    assert sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in model.modules()) == 16
    assert kernels(model, nn.Conv2d) == {((3, 3), (1, 1), (1, 1))}
    assert kernels(model, nn.MaxPool2d) == {((2, 2), (2, 2), (0, 0))}


@pytest.mark.parametrize(
    ("name", "linear"), [("vgg16", 3), ("alexnet2012", 3), ("googlenet", 1), ("resnet18", 1)]
)
def test_later_networks_have_no_hidden_fully_connected_layer(name: str, linear: int) -> None:
    model = unweighted(name)
    assert sum(isinstance(m, nn.Linear) for m in model.modules()) == linear


@pytest.mark.parametrize("model", [models.LeNet5(), models.ConvNetJS(), models.DigitsNet()])
def test_volumes_get_smaller_and_deeper(model: Any) -> None:
    rows = summary(model, (1, *model.input_shape)).rows
    shapes = [row.output_shape[1:] for row in rows if len(row.output_shape) == 4]
    depths, sizes = [shape[0] for shape in shapes], [shape[1] for shape in shapes]
    assert depths == sorted(depths)
    assert sizes == sorted(sizes, reverse=True)
    assert depths[-1] > depths[0]
    assert sizes[-1] < sizes[0]
