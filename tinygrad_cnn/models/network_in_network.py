"""Network in Network: 1x1 convolutions between the others, and no linear layer at the end."""

from __future__ import annotations

import numpy as np

from .. import nn
from ..typing import DTypeLike
from ._base import UNDRAWN, ImageModel, he_normal

__all__ = ["NetworkInNetwork"]


class NetworkInNetwork(ImageModel, nn.Sequential):
    """Network in Network for CIFAR-10 (Lin, Chen and Yan 2013), in the authors' sizes for Caffe.

    Each convolution is followed by two of 1x1: a small network for every pixel. The mean of each
    of the last channels is the score of a class. 966,986 parameters. Pools round up; filters
    start as He et al. (2015) advise. The authors have a ReLU on the scores too, which is left out:
    a class whose scores are all below 0 would get no gradient.

    Args:
        in_channels: colours of the images, which are 32x32; other sizes work too.
        classes: how many scores come out.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: a number below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.NetworkInNetwork().eval()(tc.zeros(2, 3, 32, 32)).shape
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
        def convolution(channels: int, filters: int, size: int) -> nn.Conv2d:
            return nn.Conv2d(
                channels, filters, size, padding=size // 2, dtype=dtype, generator=UNDRAWN
            )

        super().__init__(
            {
                "conv1": convolution(in_channels, 192, 5), "relu1": nn.ReLU(),
                "cccp1": convolution(192, 160, 1), "relu_cccp1": nn.ReLU(),
                "cccp2": convolution(160, 96, 1), "relu_cccp2": nn.ReLU(),
                "pool1": nn.MaxPool2d(3, stride=2, ceil_mode=True),  # (N, 96, 16, 16)
                "drop1": nn.Dropout(),
                "conv2": convolution(96, 192, 5), "relu2": nn.ReLU(),
                "cccp3": convolution(192, 192, 1), "relu_cccp3": nn.ReLU(),
                "cccp4": convolution(192, 192, 1), "relu_cccp4": nn.ReLU(),
                "pool2": nn.AvgPool2d(3, stride=2, ceil_mode=True),  # (N, 192, 8, 8)
                "drop2": nn.Dropout(),
                "conv3": convolution(192, 192, 3), "relu3": nn.ReLU(),
                "cccp5": convolution(192, 192, 1), "relu_cccp5": nn.ReLU(),
                "cccp6": convolution(192, classes, 1),
                "pool3": nn.AdaptiveAvgPool2d(1),
                "flatten": nn.Flatten(),
            }
        )  # fmt: skip
        self.input_shape = (in_channels, 32, 32)
        he_normal(self, generator, "fan_in")
