"""LeNet-5, the convolutional network that read bank cheques."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .. import nn
from .._core.tensor import Tensor
from ..errors import ArgumentError
from ..typing import DTypeLike, TensorLike
from ._base import ImageModel

__all__ = ["LeNet5"]


class LeNet5(ImageModel):
    """LeNet-5 (LeCun, Bottou, Bengio and Haffner 1998) as commonly built today.

    The sizes are those of the paper. ReLU takes the place of tanh, max-pooling of trainable
    averages, full connections of the paper's table between the feature maps, and a linear layer
    of its Gaussian outputs. 61,706 parameters with one channel and ten classes.

    Args:
        in_channels: colours of the images.
        classes: how many scores come out.
        image_size: 28, which the first convolution pads, or the paper's 32.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: another image size, or a number below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.LeNet5()(tc.zeros(2, 1, 28, 28)).shape
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
        super().__init__()
        if image_size not in (28, 32):
            raise ArgumentError(f"LeNet5: image_size={image_size}, expected 28 or 32")
        self.input_shape = (in_channels, image_size, image_size)
        drawn = {"dtype": dtype, "generator": generator}
        padding = (32 - image_size) // 2
        self.conv1 = nn.Conv2d(in_channels, 6, kernel_size=5, padding=padding, **drawn)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5, **drawn)
        self.pool2 = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(16 * 5 * 5, 120, **drawn)
        self.fc2 = nn.Linear(120, 84, **drawn)
        self.fc3 = nn.Linear(84, classes, **drawn)

    def forward(self, x: TensorLike) -> Tensor:
        """Images (N, C, H, W) to scores (N, classes)."""
        x = self.pool1(F.relu(self.conv1(x)))  # (N, 6, 14, 14)
        x = self.pool2(F.relu(self.conv2(x)))  # (N, 16, 5, 5)
        x = F.flatten(x, 1)  # (N, 400)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        scores: Tensor = self.fc3(x)
        return scores
