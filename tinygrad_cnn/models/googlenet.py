"""GoogLeNet: modules that look at their input through windows of several sizes at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .. import functional as F
from .. import nn
from .._core.tensor import Tensor
from ..ops import concatenate
from ..typing import DTypeLike, TensorLike
from ._base import UNDRAWN, ImageModel, he_normal, small_normal

__all__ = ["GoogLeNet", "GoogLeNetOutputs", "Inception", "auxiliary_loss"]

Generator = np.random.Generator


class _Convolution(nn.Module):
    """Convolution, batch norm if it is asked for, ReLU. A window of odd size keeps the shape."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        batch_norm: bool,
        dtype: DTypeLike,
        generator: Generator | None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2,
            bias=not batch_norm, dtype=dtype, generator=generator,
        )  # fmt: skip
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001, dtype=dtype) if batch_norm else None

    def forward(self, x: TensorLike) -> Tensor:
        x = self.conv(x)
        return F.relu(x if self.bn is None else self.bn(x))


class Inception(nn.Module):
    """Convolutions of 1x1, 3x3 and 5x5 and a pool side by side, joined along the channels.

    1x1 convolutions make the volume thin before the costly windows (Szegedy et al. 2014).
    Arguments are named as in torchvision.

    Args:
        in_channels: C.
        ch1x1: filters of the first branch, 1x1.
        ch3x3red, ch3x3: filters of the second branch, 1x1 and then 3x3.
        ch5x5red, ch5x5: filters of the third branch, 1x1 and then 5x5.
        pool_proj: filters of the fourth branch, max-pool 3x3 and then 1x1.
        batch_norm: the module of torchvision: no biases but batch norm, and windows of 3x3 in the
            third branch too.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: a number below 1.

    >>> import tinygrad_cnn as tc
    >>> tc.models.Inception(192, 64, 96, 128, 16, 32, 32)(tc.zeros(1, 192, 28, 28)).shape
    (1, 256, 28, 28)
    """

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
        *,
        batch_norm: bool = False,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        made = {"batch_norm": batch_norm, "dtype": dtype, "generator": generator}
        self.branch1 = _Convolution(in_channels, ch1x1, 1, **made)
        self.branch2 = nn.Sequential(
            _Convolution(in_channels, ch3x3red, 1, **made),
            _Convolution(ch3x3red, ch3x3, 3, **made),
        )
        self.branch3 = nn.Sequential(
            _Convolution(in_channels, ch5x5red, 1, **made),
            _Convolution(ch5x5red, ch5x5, 3 if batch_norm else 5, **made),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1),
            _Convolution(in_channels, pool_proj, 1, **made),
        )

    def forward(self, x: TensorLike) -> Tensor:
        """(N, C, H, W) to (N, ch1x1 + ch3x3 + ch5x5 + pool_proj, H, W)."""
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return concatenate([branch(x) for branch in branches], axis=1)


class _Auxiliary(nn.Module):
    """A classifier on a volume halfway, which brings gradients there in training."""

    def __init__(
        self,
        in_channels: int,
        classes: int,
        *,
        batch_norm: bool,
        dtype: DTypeLike,
        generator: Generator | None,
    ) -> None:
        super().__init__()
        drawn = {"dtype": dtype, "generator": generator}
        self.avgpool = nn.AdaptiveAvgPool2d(4)
        self.conv = _Convolution(in_channels, 128, 1, batch_norm=batch_norm, **drawn)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024, **drawn)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, classes, **drawn)

    def forward(self, x: TensorLike) -> Tensor:
        x = F.flatten(self.conv(self.avgpool(x)), 1)  # (N, 2048)
        x = self.dropout(F.relu(self.fc1(x)))
        scores: Tensor = self.fc2(x)
        return scores


class GoogLeNetOutputs(NamedTuple):
    """What a GoogLeNet with auxiliary classifiers returns in training, named as in torchvision."""

    logits: Tensor
    aux_logits2: Tensor
    aux_logits1: Tensor


def auxiliary_loss(outputs: GoogLeNetOutputs | Tensor, labels: TensorLike) -> Tensor:
    """Cross-entropy, to which each auxiliary classifier adds 0.3 of its own (Szegedy et al. 2014).

    ``train.fit(model, …, loss=models.auxiliary_loss)`` trains a GoogLeNet with auxiliary
    classifiers; of plain scores it is the cross-entropy.

    Args:
        outputs: what the model returned: in training three scores, in use one, (N, C).
        labels: class indices, (N,).

    >>> import tinygrad_cnn as tc
    >>> scores = tc.zeros(1, 2)
    >>> outputs = tc.models.GoogLeNetOutputs(scores, scores, scores)
    >>> loss = tc.models.auxiliary_loss(outputs, [0])
    >>> round(loss.item() / tc.functional.cross_entropy(scores, [0]).item(), 6)
    1.6
    """
    if not isinstance(outputs, GoogLeNetOutputs):
        return F.cross_entropy(outputs, labels)
    own, *auxiliary = (F.cross_entropy(scores, labels) for scores in outputs)
    return own + 0.3 * sum(auxiliary)


class GoogLeNet(ImageModel):
    """GoogLeNet, which won ILSVRC 2014 (Szegedy et al. 2014, table 1).

    6,998,552 parameters, 13,378,280 with the auxiliary classifiers. Weights of convolutions are
    5,966,272 of them, the linear layer has 1,025,000. The 4 million that course notes give are
    found nowhere: the paper speaks of 12 times fewer than AlexNet has, which are 5 million.

    With ``batch_norm`` it is torchvision's network, with the same state-dict keys: batch norm in
    place of biases and response normalisation, windows of 3x3 where the paper has 5x5, 2x2 in
    the fourth pool, less dropout; 6,624,904 and 13,004,888 parameters. The paper does not tell
    how weights start; filters are drawn here as He et al. (2015) advise, linear layers from the
    normal distribution with standard deviation 0.01.

    Args:
        in_channels: colours of the images, which are 224x224; other sizes work too.
        classes: how many scores come out.
        aux_logits: have auxiliary classifiers, which run in training only. ``forward`` then
            returns ``GoogLeNetOutputs``; ``auxiliary_loss`` takes that. They average their
            volume to 4x4, for which the paper has windows of 5x5 at stride 3.
        batch_norm: torchvision's network.
        dtype: of the parameters.
        generator: what the initial values are drawn from, by default the thread's generator.

    Raises:
        ArgumentError: a number below 1.

    >>> import tinygrad_cnn as tc
    >>> model = tc.models.GoogLeNet(classes=10)
    >>> model(tc.zeros(1, 3, 64, 64)).shape
    (1, 10)
    """

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 1000,
        *,
        aux_logits: bool = False,
        batch_norm: bool = False,
        dtype: DTypeLike = np.float32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        made = {"batch_norm": batch_norm, "dtype": dtype, "generator": UNDRAWN}
        self.input_shape = (in_channels, 224, 224)
        self.conv1 = _Convolution(in_channels, 64, 7, stride=2, **made)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = _Convolution(64, 64, 1, **made)
        self.conv3 = _Convolution(64, 192, 3, **made)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.maxpool4 = nn.MaxPool2d(2 if batch_norm else 3, stride=2, ceil_mode=True)
        self.inception3a = Inception(192, 64, 96, 128, 16, 32, 32, **made)
        self.inception3b = Inception(256, 128, 128, 192, 32, 96, 64, **made)
        self.inception4a = Inception(480, 192, 96, 208, 16, 48, 64, **made)
        self.inception4b = Inception(512, 160, 112, 224, 24, 64, 64, **made)
        self.inception4c = Inception(512, 128, 128, 256, 24, 64, 64, **made)
        self.inception4d = Inception(512, 112, 144, 288, 32, 64, 64, **made)
        self.inception4e = Inception(528, 256, 160, 320, 32, 128, 128, **made)
        self.inception5a = Inception(832, 256, 160, 320, 32, 128, 128, **made)
        self.inception5b = Inception(832, 384, 192, 384, 48, 128, 128, **made)
        self.aux1 = _Auxiliary(512, classes, **made) if aux_logits else None
        self.aux2 = _Auxiliary(528, classes, **made) if aux_logits else None
        self.norm = nn.Identity() if batch_norm else nn.LocalResponseNorm(5)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2 if batch_norm else 0.4)
        self.fc = nn.Linear(1024, classes, dtype=dtype, generator=UNDRAWN)
        he_normal(self, generator, "fan_in")
        small_normal(self, generator)

    def forward(self, x: TensorLike) -> Tensor | GoogLeNetOutputs:
        """Images (N, C, H, W) to scores (N, classes), in training with those of the heads."""
        x = self.norm(self.maxpool1(self.conv1(x)))  # (N, 64, H/4, W/4)
        x = self.maxpool2(self.norm(self.conv3(self.conv2(x))))  # (N, 192, H/8, W/8)
        x = self.inception3b(self.inception3a(x))  # (N, 480, H/8, W/8)
        x = early = self.inception4a(self.maxpool3(x))  # (N, 512, H/16, W/16)
        x = late = self.inception4d(self.inception4c(self.inception4b(x)))  # (N, 528, H/16, W/16)
        x = self.maxpool4(self.inception4e(x))  # (N, 832, H/32, W/32)
        x = self.inception5b(self.inception5a(x))  # (N, 1024, H/32, W/32)
        x = self.dropout(F.flatten(self.avgpool(x), 1))
        scores: Tensor = self.fc(x)
        if self.aux1 is None or self.aux2 is None or not self.training:
            return scores
        return GoogLeNetOutputs(scores, self.aux2(late), self.aux1(early))
