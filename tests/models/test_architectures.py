"""The architectures: published parameter counts, volumes and state-dict keys."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from architectures import PARAMETERS, count, unweighted

import tinygrad_cnn as tc
from tinygrad_cnn import models, nn


def volumes(model: nn.Module, x: np.ndarray) -> dict[str, tuple[int, ...]]:
    """The shape of what every module returns, without the batch."""
    found: dict[str, tuple[int, ...]] = {}
    for name, module in model.named_modules():
        module.register_forward_hook(
            lambda module, args, output, name=name: found.update({name: output.shape[1:]})
        )
    with tc.no_grad():
        model.eval()(x)
    return found


# -- counts --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", models.model_names())
def test_parameter_counts(name: str) -> None:
    assert count(unweighted(name)) == PARAMETERS[name]


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("all_convolutional", "1.4"),
        ("alexnet2012", "61"),
        ("cifar_resnet20", "0.27"),
        ("cifar_resnet32", "0.46"),
        ("cifar_resnet44", "0.66"),
        ("cifar_resnet56", "0.85"),
        ("cifar_resnet110", "1.7"),
        ("googlenet", "7.0"),
        ("network_in_network", "0.97"),
        ("preact_resnet110", "1.7"),
        ("preact_resnet164", "1.7"),
    ],
)
def test_counts_round_to_what_is_printed(name: str, millions: str) -> None:
    places = len(millions.partition(".")[2])
    assert f"{PARAMETERS[name] / 1e6:.{places}f}" == millions


def test_shortcuts_of_option_b_are_two_projections() -> None:
    a, b = (unweighted("cifar_resnet20", shortcut=kind) for kind in "AB")
    assert count(b) - count(a) == 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64 == 2_752


def test_googlenet_in_parts() -> None:
    model = unweighted("googlenet", aux_logits=True)
    assert count(model) == 13_378_280
    assert count(model) - count(model.aux1) - count(model.aux2) == 6_998_552
    assert count(model.fc) == 1_025_000
    convolutions = [m for m in unweighted("googlenet").modules() if isinstance(m, nn.Conv2d)]
    assert sum(conv.weight.size for conv in convolutions) == 5_966_272
    assert count(unweighted("googlenet_bn", aux_logits=True)) == 13_004_888


def test_most_of_vgg_is_its_first_linear_layer() -> None:
    model = unweighted("vgg16")
    assert count(model.features) == 14_714_688
    assert model.classifier[0].weight.size == 102_760_448
    assert [m.weight.size for m in model.features if isinstance(m, nn.Conv2d)] == [
        1_728, 36_864, 73_728, 147_456, 294_912, 589_824, 589_824,
        1_179_648, 2_359_296, 2_359_296, 2_359_296, 2_359_296, 2_359_296,
    ]  # fmt: skip  # as the notes of CS231n list them


# -- volumes -------------------------------------------------------------------------------

# At the model's own input size, as the papers draw them.
VOLUMES = {
    "alexnet": {"features.0": (64, 55, 55), "features.5": (192, 13, 13), "features": (256, 6, 6)},
    "alexnet2012": {
        "conv1": (96, 55, 55), "pool1": (96, 27, 27), "conv2": (256, 27, 27),
        "pool2": (256, 13, 13), "conv3": (384, 13, 13), "pool5": (256, 6, 6), "fc6": (4096,),
    },
    "all_convolutional": {
        "conv3": (96, 16, 16), "conv6": (192, 8, 8), "conv7": (192, 6, 6), "conv9": (10, 6, 6),
    },
    "cifar10_quick": {"pool1": (32, 16, 16), "pool2": (32, 8, 8), "pool3": (64, 4, 4)},
    "cifar_resnet20": {"layer1": (16, 32, 32), "layer2": (32, 16, 16), "layer3": (64, 8, 8)},
    "convnetjs_cifar10": {"pool1": (16, 16, 16), "pool2": (20, 8, 8), "pool3": (20, 4, 4)},
    "googlenet": {
        "conv1": (64, 112, 112), "maxpool1": (64, 56, 56), "conv3": (192, 56, 56),
        "maxpool2": (192, 28, 28), "inception3a": (256, 28, 28), "inception3b": (480, 28, 28),
        "maxpool3": (480, 14, 14), "inception4a": (512, 14, 14), "inception4b": (512, 14, 14),
        "inception4c": (512, 14, 14), "inception4d": (528, 14, 14), "inception4e": (832, 14, 14),
        "maxpool4": (832, 7, 7), "inception5a": (832, 7, 7), "inception5b": (1024, 7, 7),
    },
    "googlenet_bn": {"maxpool4": (832, 7, 7), "inception5b": (1024, 7, 7)},
    "network_in_network": {"pool1": (96, 16, 16), "pool2": (192, 8, 8), "cccp6": (10, 8, 8)},
    "preact_resnet20": {"layer1": (16, 32, 32), "layer2": (32, 16, 16), "layer3": (64, 8, 8)},
    "preact_resnet164": {"layer1": (64, 32, 32), "layer2": (128, 16, 16), "layer3": (256, 8, 8)},
    "resnet18": {
        "conv1": (64, 112, 112), "maxpool": (64, 56, 56), "layer1": (64, 56, 56),
        "layer2": (128, 28, 28), "layer3": (256, 14, 14), "layer4": (512, 7, 7),
    },
    "resnet50": {"layer1": (256, 56, 56), "layer4": (2048, 7, 7), "layer4.0.conv1": (512, 14, 14)},
    "vgg16": {
        "features.3": (64, 224, 224), "features.4": (64, 112, 112), "features.9": (128, 56, 56),
        "features.16": (256, 28, 28), "features.23": (512, 14, 14), "features": (512, 7, 7),
        "classifier.0": (4096,),
    },
    "zfnet": {
        "conv1": (96, 110, 110), "pool1": (96, 55, 55), "conv2": (256, 26, 26),
        "pool2": (256, 13, 13), "conv5": (256, 13, 13), "pool5": (256, 6, 6),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_at_the_input_size(name: str) -> None:
    model = unweighted(name)
    found = volumes(model, np.zeros((1, *model.input_shape), np.float32))
    assert {part: found[part] for part in VOLUMES[name]} == VOLUMES[name]
    assert found[""] == ((10,) if model.input_shape[1] == 32 else (1000,))


# -- state-dict keys -----------------------------------------------------------------------

AFFINE = ("weight", "bias")
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def keys(**suffixes: tuple[str, ...]) -> list[str]:
    return [f"{part}.{suffix}" for part, names in suffixes.items() for suffix in names]


def torchvision_resnet(counts: tuple[int, ...], convolutions: int, first_projects: bool) -> Any:
    """The keys of torchvision's ResNets, written from its layout."""
    yield from keys(conv1=("weight",), bn1=NORM)
    for stage, blocks in enumerate(counts, 1):
        for block in range(blocks):
            parts = {}
            for i in range(1, convolutions + 1):
                parts |= {f"conv{i}": ("weight",), f"bn{i}": NORM}
            if block == 0 and (stage > 1 or first_projects):
                parts |= {"downsample.0": ("weight",), "downsample.1": NORM}
            yield from (f"layer{stage}.{block}.{key}" for key in keys(**parts))
    yield from keys(fc=AFFINE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", torchvision_resnet((2, 2, 2, 2), 2, False)),
        ("resnet34", torchvision_resnet((3, 4, 6, 3), 2, False)),
        ("resnet50", torchvision_resnet((3, 4, 6, 3), 3, True)),
    ],
)
def test_keys_of_resnets(name: str, expected: Any) -> None:
    assert list(unweighted(name).state_dict()) == list(expected)


@pytest.mark.parametrize(
    ("name", "features", "classifier"),
    [
        ("alexnet", (0, 3, 6, 8, 10), (1, 4, 6)),
        ("vgg11", (0, 3, 6, 8, 11, 13, 16, 18), (0, 3, 6)),
        ("vgg16", (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), (0, 3, 6)),
        ("vgg19", (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34), (0, 3, 6)),
    ],
)
def test_keys_of_features_and_classifier(
    name: str, features: tuple[int, ...], classifier: tuple[int, ...]
) -> None:
    model = unweighted(name, classes=2)
    parts = [f"features.{i}" for i in features] + [f"classifier.{i}" for i in classifier]
    assert list(model._state()) == keys(**dict.fromkeys(parts, AFFINE))


def test_keys_of_vgg_with_batch_norm() -> None:
    found = list(unweighted("vgg13_bn", classes=2)._state())
    assert found[:7] == keys(**{"features.0": AFFINE, "features.1": NORM})
    norms = [key.split(".")[1] for key in found if key.endswith("running_mean")]
    assert norms == ["1", "4", "8", "11", "15", "18", "22", "25", "29", "32"]


def test_keys_of_googlenet() -> None:
    def convolutions(*parts: str) -> list[str]:
        return [
            key
            for part in parts
            for key in keys(**{f"{part}.conv": ("weight",), f"{part}.bn": NORM})
        ]

    inceptions = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    branches = ("branch1", "branch2.0", "branch2.1", "branch3.0", "branch3.1", "branch4.1")
    expected = convolutions("conv1", "conv2", "conv3")
    expected += convolutions(*(f"inception{i}.{branch}" for i in inceptions for branch in branches))
    for head in ("aux1", "aux2"):
        expected += convolutions(f"{head}.conv") + keys(
            **{f"{head}.fc1": AFFINE, f"{head}.fc2": AFFINE}
        )
    expected += keys(fc=AFFINE)
    assert list(unweighted("googlenet_bn", aux_logits=True).state_dict()) == expected
