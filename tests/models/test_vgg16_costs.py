"""VGG-16 as the CS231n notes take it apart, and how little memory its inference needs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from architectures import unweighted

import tinygrad_cnn as tc
from benchmarks._measure import traced
from tinygrad_cnn import models, nn


@pytest.fixture(scope="module")
def vgg16() -> models.VGG:
    model: models.VGG = unweighted("vgg16").eval()
    return model


@pytest.fixture(scope="module")
def result(vgg16: models.VGG) -> models.Summary:
    return models.summary(vgg16, (1, 3, 224, 224))


def test_every_row_of_the_table(result: models.Summary) -> None:
    """Volume and weights of each listed layer, biases apart, and the totals."""
    listed = [(row.output_shape, row.parameters) for row in result.rows if row.volume]
    assert [(shape, learned) for shape, learned in listed] == [
        ((1, 64, 224, 224), 1_728 + 64),
        ((1, 64, 224, 224), 36_864 + 64),
        ((1, 64, 112, 112), 0),
        ((1, 128, 112, 112), 73_728 + 128),
        ((1, 128, 112, 112), 147_456 + 128),
        ((1, 128, 56, 56), 0),
        ((1, 256, 56, 56), 294_912 + 256),
        ((1, 256, 56, 56), 589_824 + 256),
        ((1, 256, 56, 56), 589_824 + 256),
        ((1, 256, 28, 28), 0),
        ((1, 512, 28, 28), 1_179_648 + 512),
        ((1, 512, 28, 28), 2_359_296 + 512),
        ((1, 512, 28, 28), 2_359_296 + 512),
        ((1, 512, 14, 14), 0),
        ((1, 512, 14, 14), 2_359_296 + 512),
        ((1, 512, 14, 14), 2_359_296 + 512),
        ((1, 512, 14, 14), 2_359_296 + 512),
        ((1, 512, 7, 7), 0),
        ((1, 4096), 102_760_448 + 4096),
        ((1, 4096), 16_777_216 + 4096),
        ((1, 1000), 4_096_000 + 1000),
    ]
    assert result.parameters == 138_357_544  # "138M"
    assert result.volumes == 15_237_608  # "150K + 3.2M + 3.2M + 800K + …", printed as 24M
    relus = sum(row.activations for row in result.rows if row.type == "ReLU")
    assert relus + result.volumes == 28_793_320
    images = [224, 224, 112, 112, 56, 56, 56, 28, 28, 28, 14, 14, 14]
    channels = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512]
    padded = sum(c * (n + 2) ** 2 for n, c in zip(images, channels, strict=True))
    assert padded + result.volumes == 24_853_108  # the nearest to 24M, and not it
    assert [str(row.sees) for row in result.rows if row.type == "MaxPool2d"] == [
        "6x6", "16x16", "44x44", "100x100", "212x212",
    ]  # fmt: skip
    assert max(map(len, str(result).splitlines())) <= 120


def test_training_takes_more_than_the_recipe_of_the_notes(result: models.Summary) -> None:
    """The recipe: 15.2 M volumes twice, 138 M parameters three times, the image; 4 bytes each."""
    found = result.memory("momentum")
    assert found.notes == 4 * (2 * 15_237_608 + 3 * 138_357_544 + 150_528)
    assert found.total > found.notes
    assert found.parameters == found.optimizer_state == 4 * 138_357_544


# -- inference -----------------------------------------------------------------------------


def peak_of_inference(model: nn.Module, x: tc.Tensor, result: models.Summary) -> tuple[int, int]:
    """The largest amount held in a forward pass with parameters and input, and what it must be.

    That is the parameters and the two largest volumes of which one is made from the other.
    """
    volumes = [x.data.nbytes, *(row.activation_bytes for row in result.rows)]
    parameters = sum(parameter.data.nbytes for parameter in model.parameters())
    with traced() as peak, tc.no_grad():
        model(x)
        held = peak()
    return parameters + x.data.nbytes + held, parameters + max(a + b for a, b in pairwise(volumes))


def test_inference_keeps_only_what_the_next_layer_needs(
    vgg16: models.VGG, result: models.Summary
) -> None:
    image = tc.Tensor(np.zeros((1, 3, 224, 224), np.float32))
    held, least = peak_of_inference(vgg16, image, result)
    assert held < 1.3 * least


def test_inference_of_a_deep_network_takes_no_more_than_of_a_shallow_one() -> None:
    def row(depth: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]
        return nn.Sequential(*layers).eval()

    image = tc.Tensor(np.zeros((1, 8, 128, 128), np.float32))
    peaks = []
    for depth in (2, 20):
        model = row(depth)
        held, least = peak_of_inference(model, image, models.summary(model, image))
        parameters = sum(parameter.data.nbytes for parameter in model.parameters())
        peaks.append(held - parameters)
        assert held < 6.1 * least  # images, X_col of 9 times their size, the product: 11 to 2
    assert peaks[1] < 1.01 * peaks[0]


def test_inference_of_residual_blocks_lets_go_of_each() -> None:
    images = tc.Tensor(np.zeros((8, 3, 32, 32), np.float32))
    peaks = []
    for depth in (14, 32):  # 2 and 5 blocks of a size
        model = models.CifarResNet(depth).eval()
        held, _ = peak_of_inference(model, images, models.summary(model, images))
        peaks.append(held - sum(parameter.data.nbytes for parameter in model.parameters()))
    assert peaks[1] < 1.01 * peaks[0]


def test_inference_through_windows_that_do_not_overlap_has_a_smaller_limit() -> None:
    """There X_col is not larger than the images."""
    layers: list[nn.Module] = []
    for channels in (4, 8, 16):
        layers += [nn.Conv2d(channels, 2 * channels, 2, stride=2), nn.ReLU()]
    model = nn.Sequential(*layers).eval()
    images = tc.Tensor(np.zeros((32, 4, 64, 64), np.float32))
    held, least = peak_of_inference(model, images, models.summary(model, images))
    assert held < 1.7 * least  # images, X_col and their product of half the size: 5 to 3
