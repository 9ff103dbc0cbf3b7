"""Small networks in a row of layers: for 8x8 digits, of ConvNetJS and of Caffe."""

from __future__ import annotations

import numpy as np

from .. import nn
from .._arguments import whole
from ..typing import DTypeLike
from ._base import ImageModel

__all__ = ["CifarQuick", "ConvNetJS", "ConvNetJSCifar", "DigitsNet"]


class DigitsNet(ImageModel, nn.Sequential):
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


class ConvNetJS(ImageModel, nn.Sequential):
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
        # A pool of 2 and one of 3, both rounding down, leave
        side = whole("ConvNetJS", "image_size", image_size, least=6) // 2 // 3
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


class ConvNetJSCifar(ImageModel, nn.Sequential):
    """The network of ConvNetJS's CIFAR-10 demonstration (Karpathy 2014); 22,466 parameters.

    Its softmax is part of the loss here: what comes out are scores.

    Args:
        in_channels: colours of the images.
        classes: how many scores come out.
        image_size: height and width, at least 8.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: the images are too small, or a number is below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.ConvNetJSCifar()(tc.zeros(2, 3, 32, 32)).shape
    (2, 10)
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        image_size: int = 32,
        *,
        dtype: DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        side = whole("ConvNetJSCifar", "image_size", image_size, least=8) // 8
        drawn = {"dtype": dtype, "generator": generator}
        super().__init__(
            {
                "conv1": nn.Conv2d(in_channels, 16, kernel_size=5, padding=2, **drawn),
                "relu1": nn.ReLU(),
                "pool1": nn.MaxPool2d(2),
                "conv2": nn.Conv2d(16, 20, kernel_size=5, padding=2, **drawn),
                "relu2": nn.ReLU(),
                "pool2": nn.MaxPool2d(2),
                "conv3": nn.Conv2d(20, 20, kernel_size=5, padding=2, **drawn),
                "relu3": nn.ReLU(),
                "pool3": nn.MaxPool2d(2),
                "flatten": nn.Flatten(),
                "fc": nn.Linear(20 * side * side, classes, **drawn),
            }
        )
        self.input_shape = (in_channels, image_size, image_size)


class CifarQuick(ImageModel, nn.Sequential):
    """Caffe's cifar10_quick (Jia et al. 2014), after a network of Krizhevsky; 145,578 parameters.

    Pools overlap and round up, so that 32 becomes 16, 8 and 4. There is no ReLU between the two
    linear layers. Caffe draws the first filters with a standard deviation of 0.0001, for pixels
    up to 255; here they start as every layer's do, for images of unit variance.

    Args:
        in_channels: colours of the images.
        classes: how many scores come out.
        image_size: height and width, at least 12.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: the images are too small, or a number is below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.CifarQuick()(tc.zeros(2, 3, 32, 32)).shape
    (2, 10)
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        image_size: int = 32,
        *,
        dtype: DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        side = whole("CifarQuick", "image_size", image_size, least=12) // 8
        drawn = {"dtype": dtype, "generator": generator}
        super().__init__(
            {
                "conv1": nn.Conv2d(in_channels, 32, kernel_size=5, padding=2, **drawn),
                "pool1": nn.MaxPool2d(3, stride=2, ceil_mode=True),
                "relu1": nn.ReLU(),
                "conv2": nn.Conv2d(32, 32, kernel_size=5, padding=2, **drawn),
                "relu2": nn.ReLU(),
                "pool2": nn.AvgPool2d(3, stride=2, ceil_mode=True),
                "conv3": nn.Conv2d(32, 64, kernel_size=5, padding=2, **drawn),
                "relu3": nn.ReLU(),
                "pool3": nn.AvgPool2d(3, stride=2, ceil_mode=True),
                "flatten": nn.Flatten(),
                "ip1": nn.Linear(64 * side * side, 64, **drawn),
                "ip2": nn.Linear(64, classes, **drawn),
            }
        )
        self.input_shape = (in_channels, image_size, image_size)
