"""ResNet with normalisation and activation before each convolution, so that shortcuts are clear."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import functional as F
from .. import nn
from .._core.tensor import Tensor
from ..typing import DTypeLike, TensorLike
from ._base import UNDRAWN, ImageModel, he_normal, stage_length

__all__ = ["PreActBlock", "PreActBottleneck", "PreActResNet"]

Generator = np.random.Generator


class PreActBlock(nn.Module):
    """x + f(x), where f is twice batch norm, ReLU and a 3x3 convolution.

    Where the shape changes, a 1x1 convolution takes along what the first activation gave.

    Args:
        in_channels: C.
        channels: K, of both convolutions.
        stride: of the first one.
        first: whether the first activation stands before both paths even if the shape stays, as
            in the first block after another kind of layer.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: a number below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.PreActBlock(16, 32, stride=2)(tc.zeros(2, 16, 8, 8)).shape
    (2, 32, 4, 4)
    """

    expansion = 1  # what comes out has so many times ``channels``

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        first: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        drawn = {"bias": False, "dtype": dtype, "generator": generator}
        self.bn1 = nn.BatchNorm2d(in_channels, dtype=dtype)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, **drawn)
        self.bn2 = nn.BatchNorm2d(channels, dtype=dtype)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, **drawn)
        self.downsample = _after_activation(in_channels, channels, stride, first, drawn)

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, H, W) to (N, K, H / stride, W / stride)."""
        active = F.relu(self.bn1(x))
        shortcut = x if self.downsample is None else self.downsample(active)
        out: Tensor = self.conv1(active)
        out = self.conv2(F.relu(self.bn2(out)))
        return out + shortcut


class PreActBottleneck(nn.Module):
    """x + f(x), where f is batch norm, ReLU and a convolution, of 1x1, of 3x3 and of 1x1.

    Arguments as ``PreActBlock``; 4 * ``channels`` come out.

    >>> import tinygrad_cnn as tc
    >>> tc.models.PreActBottleneck(64, 32, stride=2)(tc.zeros(2, 64, 8, 8)).shape
    (2, 128, 4, 4)
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        first: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        drawn = {"bias": False, "dtype": dtype, "generator": generator}
        out_channels = channels * self.expansion
        self.bn1 = nn.BatchNorm2d(in_channels, dtype=dtype)
        self.conv1 = nn.Conv2d(in_channels, channels, 1, **drawn)
        self.bn2 = nn.BatchNorm2d(channels, dtype=dtype)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, **drawn)
        self.bn3 = nn.BatchNorm2d(channels, dtype=dtype)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, **drawn)
        self.downsample = _after_activation(in_channels, out_channels, stride, first, drawn)

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, H, W) to (N, 4 * channels, H / stride, W / stride)."""
        active = F.relu(self.bn1(x))
        shortcut = x if self.downsample is None else self.downsample(active)
        out: Tensor = self.conv1(active)
        out = self.conv2(F.relu(self.bn2(out)))
        out = self.conv3(F.relu(self.bn3(out)))
        return out + shortcut


def _after_activation(
    in_channels: int, out_channels: int, stride: int, first: bool, drawn: dict[str, Any]
) -> nn.Module | None:
    """What the shortcut makes of the first activation; None where it takes x itself."""
    if stride > 1 or in_channels != out_channels:
        return nn.Conv2d(in_channels, out_channels, 1, stride, **drawn)
    return nn.Identity() if first else None


class PreActResNet(ImageModel):
    """The pre-activation ResNet for CIFAR-10 (He, Zhang, Ren and Sun 2016).

    The network of ``CifarResNet`` with batch norm and ReLU before each convolution and once more
    at the end. The paper's are of 110 layers, or 164 and 1001 in bottlenecks: 1,730,522, 1,703,258
    and 10,327,706 parameters here; the paper prints 1.7, 1.7 and 10.2 million.

    Args:
        depth: layers with weights: 6n + 2, of bottlenecks 9n + 2.
        in_channels: colours of the images, which are 32x32; other sizes work too.
        classes: how many scores come out.
        bottleneck: make it of ``PreActBottleneck`` in place of ``PreActBlock``.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: another depth, or a number below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.PreActResNet(20)(tc.zeros(2, 3, 32, 32)).shape
    (2, 10)
    """

    def __init__(
        self,
        depth: int = 110,
        in_channels: int = 3,
        classes: int = 10,
        *,
        bottleneck: bool = False,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        block = PreActBottleneck if bottleneck else PreActBlock
        count = stage_length("PreActResNet", depth, 3 if bottleneck else 2)
        wide = block.expansion
        drawn = {"dtype": dtype, "generator": UNDRAWN}

        def stage(in_channels: int, channels: int, stride: int = 2) -> nn.Sequential:
            first = block(in_channels, channels, stride, first=True, **drawn)
            rest = (block(channels * wide, channels, **drawn) for _ in range(count - 1))
            return nn.Sequential(first, *rest)

        self.input_shape = (in_channels, 32, 32)
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False, **drawn)
        self.layer1 = stage(16, 16, stride=1)
        self.layer2 = stage(16 * wide, 32)
        self.layer3 = stage(32 * wide, 64)
        self.bn = nn.BatchNorm2d(64 * wide, dtype=dtype)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64 * wide, classes, dtype=dtype, generator=generator)
        he_normal(self, generator)

    def forward(self, x: TensorLike) -> Tensor:
        """Images (N, C, H, W) to scores (N, classes)."""
        x = self.layer1(self.conv1(x))  # (N, 16, 32, 32), four times the channels in bottlenecks
        x = self.layer2(x)  # (N, 32, 16, 16)
        x = self.layer3(x)  # (N, 64, 8, 8)
        x = self.avgpool(F.relu(self.bn(x)))
        scores: Tensor = self.linear(F.flatten(x, 1))
        return scores
