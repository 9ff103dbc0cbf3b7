"""What the tests of the architectures share: published counts, and models without weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn import models, nn

# Published by torchvision where it has the model; else by the sizes of the paper.
PARAMETERS = {
    "alexnet": 61_100_840,
    "alexnet2012": 60_965_224,
    "all_convolutional": 1_369_738,
    "cifar10_quick": 145_578,
    "cifar_resnet20": 269_722,
    "cifar_resnet32": 464_154,
    "cifar_resnet44": 658_586,
    "cifar_resnet56": 853_018,
    "cifar_resnet110": 1_727_962,
    "convnetjs": 5_994,
    "convnetjs_cifar10": 22_466,
    "digits": 13_706,
    "googlenet": 6_998_552,
    "googlenet_bn": 6_624_904,
    "lenet5": 61_706,
    "network_in_network": 966_986,
    "preact_resnet110": 1_730_522,
    "preact_resnet164": 1_703_258,
    "preact_resnet20": 272_282,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
    "zfnet": 62_357_608,
}


class Zeros(np.random.Generator):
    """A generator that draws nothing: models of 100 million parameters are made at once."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def uniform(self, *args: Any, **kwargs: Any) -> Any:
        return 0.0

    def standard_normal(self, *args: Any, **kwargs: Any) -> Any:
        return None


def unweighted(name: str, **options: Any) -> Any:
    return models.build(name, generator=Zeros(), **options)


def count(model: nn.Module) -> int:
    return sum(parameter.size for parameter in model.parameters())


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
