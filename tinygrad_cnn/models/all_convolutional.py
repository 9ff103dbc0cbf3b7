"""The All-Convolutional net: no pools but the last, and no linear layer."""

from __future__ import annotations

import numpy as np

from .. import nn
from ..typing import DTypeLike
from ._base import UNDRAWN, ImageModel, he_normal

__all__ = ["AllConvolutional"]


class AllConvolutional(ImageModel, nn.Sequential):
    """All-CNN-C for CIFAR-10 (Springenberg, Dosovitskiy, Brox and Riedmiller 2014, table 2).

    Nothing but convolutions and ReLU, until the mean of each of the last channels becomes the
    score of a class. 1,369,738 parameters (the paper: 1.4 million). The paper has a ReLU after the
    last convolution too. It is left out: a class whose scores are all below 0 would get no
    gradient, and from filters that start as He et al. (2015) advise most classes soon do.

    Args:
        in_channels: colours of the images, which are 32x32; others from 9x9 up work too.
        classes: how many scores come out.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: a number below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.AllConvolutional().eval()(tc.zeros(2, 3, 32, 32)).shape
    (2, 10)
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        *,
        dtype: DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        def convolution(
            channels: int, filters: int, size: int = 3, stride: int = 1, padding: int = 1
        ) -> nn.Conv2d:
            return nn.Conv2d(
                channels, filters, size, stride, padding, dtype=dtype, generator=UNDRAWN
            )

        super().__init__(
            {
                "drop0": nn.Dropout(0.2),
                "conv1": convolution(in_channels, 96), "relu1": nn.ReLU(),
                "conv2": convolution(96, 96), "relu2": nn.ReLU(),
                "conv3": convolution(96, 96, stride=2), "relu3": nn.ReLU(),  # (N, 96, 16, 16)
                "drop3": nn.Dropout(),
                "conv4": convolution(96, 192), "relu4": nn.ReLU(),
                "conv5": convolution(192, 192), "relu5": nn.ReLU(),
                "conv6": convolution(192, 192, stride=2), "relu6": nn.ReLU(),  # (N, 192, 8, 8)
                "drop6": nn.Dropout(),
                "conv7": convolution(192, 192, padding=0), "relu7": nn.ReLU(),  # (N, 192, 6, 6)
                "conv8": convolution(192, 192, size=1, padding=0), "relu8": nn.ReLU(),
                "conv9": convolution(192, classes, size=1, padding=0),
                "pool": nn.AdaptiveAvgPool2d(1),
                "flatten": nn.Flatten(),
            }
        )  # fmt: skip
        self.input_shape = (in_channels, 32, 32)
        he_normal(self, generator, "fan_in")
