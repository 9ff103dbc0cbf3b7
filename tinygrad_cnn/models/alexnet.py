"""AlexNet, as it won in 2012 and as it is commonly built, and ZFNet, which won a year later."""

from __future__ import annotations

import numpy as np

from .. import nn
from ..typing import DTypeLike
from ._base import UNDRAWN, ImageModel, he_normal, normal_, small_normal

__all__ = ["AlexNet", "AlexNet2012", "ZFNet"]

Generator = np.random.Generator


class AlexNet(ImageModel, nn.Sequential):
    """AlexNet in one tower (Krizhevsky 2014, "One weird trick"), as in torchvision.

    61,100,840 parameters. No groups and no response normalisation. Filters start as He et al.
    (2015) advise, linear layers from the normal distribution with standard deviation 0.01.
    State-dict keys are torchvision's.

    Args:
        in_channels: colours of the images, which are 224x224. Others from 63x63 up work too: the
            last volume is averaged to 6x6.
        classes: how many scores come out.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: a number below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.AlexNet(classes=10).eval()(tc.zeros(2, 3, 63, 63)).shape
    (2, 10)
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 1000,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        drawn = {"dtype": dtype, "generator": UNDRAWN}
        features = nn.Sequential(
            nn.Conv2d(in_channels, 64, 11, stride=4, padding=2, **drawn),  # (N, 64, 55, 55)
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),  # (N, 64, 27, 27)
            nn.Conv2d(64, 192, 5, padding=2, **drawn),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),  # (N, 192, 13, 13)
            nn.Conv2d(192, 384, 3, padding=1, **drawn),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1, **drawn),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1, **drawn),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),  # (N, 256, 6, 6)
        )
        classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(256 * 6 * 6, 4096, **drawn), nn.ReLU(),
            nn.Dropout(), nn.Linear(4096, 4096, **drawn), nn.ReLU(),
            nn.Linear(4096, classes, **drawn),
        )  # fmt: skip
        super().__init__(
            {
                "features": features,
                "avgpool": nn.AdaptiveAvgPool2d(6),
                "flatten": nn.Flatten(),
                "classifier": classifier,
            }
        )
        self.input_shape = (in_channels, 224, 224)
        he_normal(features, generator, "fan_in")
        small_normal(classifier, generator)


class AlexNet2012(ImageModel, nn.Sequential):
    """The network that won ILSVRC 2012 (Krizhevsky, Sutskever and Hinton 2012).

    60,965,224 parameters. Two groups, which were two graphics cards, meet in the third
    convolution only; windows of the pools overlap. The paper's images are 224x224, which its sizes
    do not fit: (224 - 11) / 4 is no integer. 227x227 gives its volume of 55x55.

    Weights start from the normal distribution with standard deviation 0.01, the biases of the
    second, fourth and fifth convolution and of the hidden linear layers at 1, as in the paper:
    this is meant for pixels from 0 to 255 less their mean.

    Args:
        in_channels: colours of the images, which are 227x227.
        classes: how many scores come out.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: a number below 1.

    >>> import tinygrad_cnn as tc
    >>> model = tc.models.AlexNet2012()
    >>> model.conv2.weight.shape
    (256, 48, 5, 5)
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 1000,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        drawn = {"dtype": dtype, "generator": UNDRAWN}
        super().__init__(
            {
                "conv1": nn.Conv2d(in_channels, 96, 11, stride=4, **drawn),  # (N, 96, 55, 55)
                "relu1": nn.ReLU(),
                "norm1": _response_norm(),
                "pool1": nn.MaxPool2d(3, stride=2),  # (N, 96, 27, 27)
                "conv2": nn.Conv2d(96, 256, 5, padding=2, groups=2, **drawn),
                "relu2": nn.ReLU(),
                "norm2": _response_norm(),
                "pool2": nn.MaxPool2d(3, stride=2),  # (N, 256, 13, 13)
                "conv3": nn.Conv2d(256, 384, 3, padding=1, **drawn),
                "relu3": nn.ReLU(),
                "conv4": nn.Conv2d(384, 384, 3, padding=1, groups=2, **drawn),
                "relu4": nn.ReLU(),
                "conv5": nn.Conv2d(384, 256, 3, padding=1, groups=2, **drawn),
                "relu5": nn.ReLU(),
                "pool5": nn.MaxPool2d(3, stride=2),  # (N, 256, 6, 6)
                **_head(classes, dtype),
            }
        )
        self.input_shape = (in_channels, 227, 227)
        _draw(self, generator, biases_of_one=("conv2", "conv4", "conv5", "fc6", "fc7"))


class ZFNet(ImageModel, nn.Sequential):
    """ZFNet (Zeiler and Fergus 2013, figure 3), an AlexNet that looks closer at first.

    The first filters are 7x7 at stride 2, and there are no groups. 62,357,608 parameters. To get
    the volumes of the figure, the image is padded by 1, and pools round up. Contrast is
    normalised as in AlexNet. Weights start from the normal distribution with standard deviation
    0.01, for pixels from 0 to 255 less their mean.

    Args:
        in_channels: colours of the images, which are 224x224.
        classes: how many scores come out.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: a number below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.ZFNet(classes=10).eval()(tc.zeros(1, 3, 224, 224)).shape
    (1, 10)
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 1000,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        drawn = {"dtype": dtype, "generator": UNDRAWN}
        super().__init__(
            {
                "conv1": nn.Conv2d(in_channels, 96, 7, stride=2, padding=1, **drawn),
                "relu1": nn.ReLU(),  # (N, 96, 110, 110)
                "pool1": nn.MaxPool2d(3, stride=2, ceil_mode=True),  # (N, 96, 55, 55)
                "norm1": _response_norm(),
                "conv2": nn.Conv2d(96, 256, 5, stride=2, **drawn),  # (N, 256, 26, 26)
                "relu2": nn.ReLU(),
                "pool2": nn.MaxPool2d(3, stride=2, ceil_mode=True),  # (N, 256, 13, 13)
                "norm2": _response_norm(),
                "conv3": nn.Conv2d(256, 384, 3, padding=1, **drawn),
                "relu3": nn.ReLU(),
                "conv4": nn.Conv2d(384, 384, 3, padding=1, **drawn),
                "relu4": nn.ReLU(),
                "conv5": nn.Conv2d(384, 256, 3, padding=1, **drawn),
                "relu5": nn.ReLU(),
                "pool5": nn.MaxPool2d(3, stride=2, ceil_mode=True),  # (N, 256, 6, 6)
                **_head(classes, dtype),
            }
        )
        self.input_shape = (in_channels, 224, 224)
        _draw(self, generator)


def _response_norm() -> nn.LocalResponseNorm:
    """The paper's n = 5, alpha = 1e-4, beta = 0.75, k = 2: it multiplies alpha with the sum."""
    return nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)


def _head(classes: int, dtype: DTypeLike) -> dict[str, nn.Module]:
    drawn = {"dtype": dtype, "generator": UNDRAWN}
    return {
        "flatten": nn.Flatten(),
        "fc6": nn.Linear(256 * 6 * 6, 4096, **drawn),
        "relu6": nn.ReLU(),
        "drop6": nn.Dropout(),
        "fc7": nn.Linear(4096, 4096, **drawn),
        "relu7": nn.ReLU(),
        "drop7": nn.Dropout(),
        "fc8": nn.Linear(4096, classes, **drawn),
    }


def _draw(
    model: nn.Module, generator: Generator | None, biases_of_one: tuple[str, ...] = ()
) -> None:
    for name, layer in model.named_children():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            normal_(layer.weight, 0.01, generator)
            if name in biases_of_one and layer.bias is not None:
                nn.init.ones_(layer.bias)
