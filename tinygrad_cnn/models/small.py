"""Small networks in a row of layers: one for 8x8 digits, one of ConvNetJS."""

from __future__ import annotations

import numpy as np

from .. import nn
from ..errors import ArgumentError
from ..typing import DTypeLike

__all__ = ["ConvNetJS", "DigitsNet"]


class DigitsNet(nn.Sequential):
    """A LeNet-style network for the bundled 8x8 digits; 13,706 parameters.

    Args:
        in_channels: colours of the images.
        classes: how many scores come out.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: a number below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.DigitsNet()(tc.zeros(2, 1, 8, 8)).shape
    (2, 10)
    """

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 10,
        *,
        dtype: DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        drawn = {"dtype": dtype, "generator": generator}
        super().__init__(
            {
                "conv1": nn.Conv2d(in_channels, 16, kernel_size=3, padding=1, **drawn),
                "relu1": nn.ReLU(),
                "pool1": nn.MaxPool2d(2),  # (N, 16, 4, 4)
                "conv2": nn.Conv2d(16, 32, kernel_size=3, padding=1, **drawn),
                "relu2": nn.ReLU(),
                "pool2": nn.MaxPool2d(2),  # (N, 32, 2, 2)
                "flatten": nn.Flatten(),
                "fc1": nn.Linear(32 * 2 * 2, 64, **drawn),
                "relu3": nn.ReLU(),
                "fc2": nn.Linear(64, classes, **drawn),
            }
        )
        self.input_shape = (in_channels, 8, 8)


class ConvNetJS(nn.Sequential):
    """The network of ConvNetJS's MNIST demonstration (Karpathy 2014).

    Its softmax is part of the loss here: what comes out are scores.

    Args:
        in_channels: colours of the images.
        classes: how many scores come out.
        image_size: height and width, at least 6; the demonstration crops to 24.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: the images are too small, or a number is below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.ConvNetJS()(tc.zeros(2, 1, 28, 28)).shape
    (2, 10)
    """

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 10,
        image_size: int = 28,
        *,
        dtype: DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        side = image_size // 2 // 3  # after a pool of 2 and one of 3, both rounding down
        if side < 1:
            raise ArgumentError(f"ConvNetJS: image_size={image_size}, expected at least 6")
        drawn = {"dtype": dtype, "generator": generator}
        super().__init__(
            {
                "conv1": nn.Conv2d(in_channels, 8, kernel_size=5, padding=2, **drawn),
                "relu1": nn.ReLU(),
                "pool1": nn.MaxPool2d(2),
                "conv2": nn.Conv2d(8, 16, kernel_size=5, padding=2, **drawn),
                "relu2": nn.ReLU(),
                "pool2": nn.MaxPool2d(3),
                "flatten": nn.Flatten(),
                "fc": nn.Linear(16 * side * side, classes, **drawn),
            }
        )
        self.input_shape = (in_channels, image_size, image_size)
