"""ResNet: layers that learn what to add to their input."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .. import nn
from .._core.tensor import Tensor
from ..typing import DTypeLike, TensorLike
from ._base import UNDRAWN, ImageModel, check_depth, he_normal

__all__ = ["BasicBlock", "Bottleneck", "ResNet"]

Generator = np.random.Generator


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input passes by: relu(x + f(x)).

    Where the shape changes, a 1x1 convolution takes x along (He et al. 2015, option B).

    Args:
        in_channels: C.
        channels: K, of both convolutions.
        stride: of the first one.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: a number below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.BasicBlock(16, 32, stride=2)(tc.zeros(2, 16, 8, 8)).shape
    (2, 32, 4, 4)
    """

    expansion = 1  # what comes out has so many times ``channels``

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        drawn = {"bias": False, "dtype": dtype, "generator": generator}  # batch norm shifts
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, **drawn)
        self.bn1 = nn.BatchNorm2d(channels, dtype=dtype)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, **drawn)
        self.bn2 = nn.BatchNorm2d(channels, dtype=dtype)
        self.downsample = _projection(in_channels, channels, stride, dtype, generator)

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, H, W) to (N, K, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around which the input passes by: relu(x + f(x)).

    The stride is that of the 3x3 convolution, as in torchvision; in the paper it is that of the
    first 1x1. Arguments as ``BasicBlock``; 4 * ``channels`` come out.

    >>> import tinygrad_cnn as tc
    >>> tc.models.Bottleneck(64, 32, stride=2)(tc.zeros(2, 64, 8, 8)).shape
    (2, 128, 4, 4)
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        drawn = {"bias": False, "dtype": dtype, "generator": generator}
        out_channels = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, **drawn)
        self.bn1 = nn.BatchNorm2d(channels, dtype=dtype)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, **drawn)
        self.bn2 = nn.BatchNorm2d(channels, dtype=dtype)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, **drawn)
        self.bn3 = nn.BatchNorm2d(out_channels, dtype=dtype)
        self.downsample = _projection(in_channels, out_channels, stride, dtype, generator)

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, H, W) to (N, 4 * channels, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return F.relu(out + shortcut)


def _projection(
    in_channels: int, out_channels: int, stride: int, dtype: DTypeLike, generator: Generator | None
) -> nn.Sequential | None:
    """What gives x the shape of the output; None where it has that shape."""
    if stride == 1 and in_channels == out_channels:
        return None
    drawn = {"bias": False, "dtype": dtype, "generator": generator}
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, **drawn),
        nn.BatchNorm2d(out_channels, dtype=dtype),
    )


_BLOCKS: dict[int, tuple[type[BasicBlock | Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


class ResNet(ImageModel):
    """ResNet-18, 34, 50, 101 or 152 for ImageNet (He, Zhang, Ren and Sun 2015, table 1).

    11,689,512, 21,797,672, 25,557,032, 44,549,160 and 60,192,808 parameters. State-dict keys are
    torchvision's.

    Args:
        depth: 18, 34, 50, 101 or 152 layers with weights.
        in_channels: colours of the images, which are 224x224; other sizes work too.
        classes: how many scores come out.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: another depth, or a number below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.ResNet(18, classes=10).eval()(tc.zeros(2, 3, 64, 64)).shape
    (2, 10)
    """

    def __init__(
        self,
        depth: int = 18,
        in_channels: int = 3,
        classes: int = 1000,
        *,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        check_depth("ResNet", depth, _BLOCKS)
        block, counts = _BLOCKS[depth]
        drawn = {"dtype": dtype, "generator": UNDRAWN}

        def stage(in_channels: int, channels: int, count: int, stride: int = 2) -> nn.Sequential:
            first = block(in_channels, channels, stride, **drawn)
            out_channels = channels * block.expansion
            rest = (block(out_channels, channels, **drawn) for _ in range(count - 1))
            return nn.Sequential(first, *rest)

        self.input_shape = (in_channels, 224, 224)
        wide = block.expansion
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False, **drawn)
        self.bn1 = nn.BatchNorm2d(64, dtype=dtype)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = stage(64, 64, counts[0], stride=1)
        self.layer2 = stage(64 * wide, 128, counts[1])
        self.layer3 = stage(128 * wide, 256, counts[2])
        self.layer4 = stage(256 * wide, 512, counts[3])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512 * wide, classes, dtype=dtype, generator=generator)
        he_normal(self, generator)

    def forward(self, x: TensorLike) -> Tensor:
        """Images (N, C, H, W) to scores (N, classes)."""
        x = F.relu(self.bn1(self.conv1(x)))  # (N, 64, H/2, W/2)
        x = self.layer1(
            self.maxpool(x)
        )  # (N, 64, H/4, W/4), four times the channels in bottlenecks
        x = self.layer2(x)  # (N, 128, H/8, W/8)
        x = self.layer3(x)  # (N, 256, H/16, W/16)
        x = self.layer4(x)  # (N, 512, H/32, W/32)
        x = F.flatten(self.avgpool(x), 1)  # (N, 512)
        scores: Tensor = self.fc(x)
        return scores
