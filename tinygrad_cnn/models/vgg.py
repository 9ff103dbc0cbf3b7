"""VGG: nothing but 3x3 convolutions and 2x2 pooling, ever deeper."""

from __future__ import annotations

import numpy as np

from .. import nn
from ..typing import DTypeLike
from ._base import UNDRAWN, ImageModel, check_depth, he_normal, small_normal

__all__ = ["VGG"]

# How many convolutions stand before each of the five pools.
_CONVOLUTIONS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_FILTERS = (64, 128, 256, 512, 512)


class VGG(ImageModel, nn.Sequential):
    """VGG-11, 13, 16 or 19 (Simonyan and Zisserman 2014, configurations A, B, D and E).

    VGG-16 has 138,357,544 parameters: 14.7 million in its convolutions, 102.8 million in the
    first linear layer alone. The filters start as He et al. (2015) advise, the linear layers from
    the normal distribution with standard deviation 0.01. State-dict keys are torchvision's.

    Args:
        depth: 11, 13, 16 or 19 layers with weights.
        in_channels: colours of the images, which are 224x224. Others from 32x32 up work too: the
            last volume is averaged to 7x7.
        classes: how many scores come out.
        batch_norm: normalise after each convolution, which the paper does not.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: another depth, or a number below 1.

    >>> import tinygrad_cnn as tc
    >>> model = tc.models.VGG(11, classes=10)
    >>> model.features[:3]
    Sequential(
      (0): Conv2d(3, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))
      (1): ReLU()
      (2): MaxPool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))
    )
    """

    def __init__(
        self,
        depth: int = 16,
        in_channels: int = 3,
        classes: int = 1000,
        *,
        batch_norm: bool = False,
        dtype: DTypeLike = np.float32,
        generator: np.random.Generator | None = None,
    ) -> None:
        check_depth("VGG", depth, _CONVOLUTIONS)
        drawn = {"dtype": dtype, "generator": UNDRAWN}
        features = nn.Sequential()
        channels = in_channels
        for count, filters in zip(_CONVOLUTIONS[depth], _FILTERS, strict=True):
            for _ in range(count):
                features.append(nn.Conv2d(channels, filters, 3, padding=1, **drawn))
                if batch_norm:
                    features.append(nn.BatchNorm2d(filters, dtype=dtype))
                features.append(nn.ReLU())
                channels = filters
            features.append(nn.MaxPool2d(2))
        classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096, **drawn), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, 4096, **drawn), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, classes, **drawn),
        )  # fmt: skip
        super().__init__(
            {
                "features": features,  # (N, 512, H/32, W/32)
                "avgpool": nn.AdaptiveAvgPool2d(7),
                "flatten": nn.Flatten(),
                "classifier": classifier,
            }
        )
        self.input_shape = (in_channels, 224, 224)
        he_normal(features, generator)
        small_normal(classifier, generator)
