"""ResNet for CIFAR-10."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from .. import nn
from .._arguments import whole
from .._core.tensor import Tensor, as_tensor
from ..errors import ShapeError
from ..nn._checks import one_of, positive
from ..ops import pad
from ..typing import DTypeLike, TensorLike
from ._base import UNDRAWN, ImageModel, he_normal, stage_length

__all__ = ["CifarBlock", "CifarResNet", "PadShortcut"]

Generator = np.random.Generator


class PadShortcut(nn.Module):
    """Every ``stride``-th pixel, and as many channels of zeros before and behind as are wanted.

    The shortcut without parameters, option A of He et al. (2015). The paper leaves open where the
    zeros go; an odd one goes behind.

    Args:
        in_channels, out_channels: C and K.
        stride: how many pixels on.

    Raises:
        ArgumentError: a number below 1, or fewer channels out than in.
        ShapeError: the input has other axes.

    >>> import tinygrad_cnn as tc
    >>> tc.models.PadShortcut(16, 32, stride=2)(tc.zeros(2, 16, 8, 8)).shape
    (2, 32, 4, 4)
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        positive("PadShortcut", in_channels=in_channels, stride=stride)
        whole("PadShortcut", "out_channels", out_channels, least=in_channels)
        before = (out_channels - in_channels) // 2
        self.stride, self.channels = stride, (before, out_channels - in_channels - before)

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, H, W) to (N, K, H / stride, W / stride)."""
        x = as_tensor(x)
        if x.ndim != 4:
            raise ShapeError(f"PadShortcut: expected images (N, C, H, W), got {x.shape}")
        sampled = x[:, :, :: self.stride, :: self.stride]
        return pad(sampled, ((0, 0), self.channels, (0, 0), (0, 0)))

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"stride={self.stride}, channels={self.channels}"


class CifarBlock(nn.Module):
    """Two 3x3 convolutions around which the input passes by: relu(f(x) + x).

    ``BasicBlock`` with the choice of what x passes through where the shape changes.

    Args:
        in_channels: C.
        channels: K, of both convolutions.
        stride: of the first one.
        shortcut: "A" pads with channels of zeros, "B" is a 1x1 convolution.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: another shortcut, or a number below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.CifarBlock(16, 32, stride=2)(tc.zeros(2, 16, 8, 8)).shape
    (2, 32, 4, 4)
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        *,
        shortcut: str = "A",
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        one_of("CifarBlock", "shortcut", shortcut, ("A", "B"))
        drawn = {"bias": False, "dtype": dtype, "generator": generator}
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, **drawn)
        self.bn1 = nn.BatchNorm2d(channels, dtype=dtype)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, **drawn)
        self.bn2 = nn.BatchNorm2d(channels, dtype=dtype)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or in_channels != channels:
            self.shortcut = (
                PadShortcut(in_channels, channels, stride)
                if shortcut == "A"
                else nn.Sequential(
                    nn.Conv2d(in_channels, channels, 1, stride, **drawn),
                    nn.BatchNorm2d(channels, dtype=dtype),
                )
            )

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, H, W) to (N, K, H / stride, W / stride)."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class CifarResNet(ImageModel):
    """ResNet-20, 32, 44, 56, … for CIFAR-10 (He, Zhang, Ren and Sun 2015, section 4.2).

    A convolution, three stages of (depth - 2) / 6 blocks with 16, 32 and 64 channels, the mean of
    each channel, a linear layer. With shortcuts of option A, which the paper uses: 269,722,
    464,154, 658,586 and 853,018 parameters at 20, 32, 44 and 56 layers (the paper's 0.27, 0.46,
    0.66 and 0.85 million), of option B 2,752 more. State-dict keys are those of the PyTorch
    networks of Idelbayev (pytorch_resnet_cifar10).

    Args:
        depth: 8, 14, 20, … layers with weights.
        in_channels: colours of the images, which are 32x32; other sizes work too.
        classes: how many scores come out.
        shortcut: "A" or "B", see ``CifarBlock``.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: another depth or shortcut, or a number below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.CifarResNet(20)(tc.zeros(2, 3, 32, 32)).shape
    (2, 10)
    """

    def __init__(
        self,
        depth: int = 20,
        in_channels: int = 3,
        classes: int = 10,
        *,
        shortcut: str = "A",
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        count = stage_length("CifarResNet", depth, 2)
        drawn = {"dtype": dtype, "generator": UNDRAWN}

        def stage(in_channels: int, channels: int, stride: int) -> nn.Sequential:
            first = CifarBlock(in_channels, channels, stride, shortcut=shortcut, **drawn)
            rest = (CifarBlock(channels, channels, **drawn) for _ in range(count - 1))
            return nn.Sequential(first, *rest)

        self.input_shape = (in_channels, 32, 32)
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False, **drawn)
        self.bn1 = nn.BatchNorm2d(16, dtype=dtype)
        self.layer1 = stage(16, 16, stride=1)
        self.layer2 = stage(16, 32, stride=2)
        self.layer3 = stage(32, 64, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64, classes, dtype=dtype, generator=generator)
        he_normal(self, generator)

    def forward(self, x: TensorLike) -> Tensor:
        """Images (N, C, H, W) to scores (N, classes)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer1(x)  # (N, 16, 32, 32)
        x = self.layer2(x)  # (N, 32, 16, 16)
        x = self.layer3(x)  # (N, 64, 8, 8)
        x = F.flatten(self.avgpool(x), 1)  # (N, 64)
        scores: Tensor = self.linear(x)
        return scores
