"""Derivations of whole functions, as a person would write them, by the function's name.

A function of ``functional`` is here only where its derivation reads better than its operations.
"""

from __future__ import annotations

from ._layer import Call, Layer
from .activation import Gelu, LeakyRelu, LogSoftmax, Relu, Softmax
from .conv import Convolution, Linear
from .dropout import Dropout
from .elementwise import ELEMENTWISE, Elementwise
from .loss import CrossEntropy, HingeLoss, MseLoss, NllLoss
from .norm import BatchNorm, InstanceNorm, LayerNorm, LocalResponseNorm, SubtractMean
from .pool import AvgPool, MaxPool
from .reduction import LogSumExp, Mean, Norm, Std, Var

__all__ = [
    "ELEMENTWISE",
    "LAYERS",
    "AvgPool",
    "BatchNorm",
    "Call",
    "Convolution",
    "CrossEntropy",
    "Dropout",
    "Elementwise",
    "Gelu",
    "HingeLoss",
    "InstanceNorm",
    "Layer",
    "LayerNorm",
    "LeakyRelu",
    "Linear",
    "LocalResponseNorm",
    "LogSoftmax",
    "LogSumExp",
    "MaxPool",
    "Mean",
    "MseLoss",
    "NllLoss",
    "Norm",
    "Relu",
    "Softmax",
    "Std",
    "SubtractMean",
    "Var",
]

LAYERS: dict[str, Layer] = {
    "avg_pool1d": AvgPool(),
    "avg_pool2d": AvgPool(),
    "avg_pool3d": AvgPool(),
    "batch_norm": BatchNorm(),
    "conv1d": Convolution(),
    "conv2d": Convolution(),
    "conv3d": Convolution(),
    "cross_entropy": CrossEntropy(),
    "dropout": Dropout(),
    "dropout1d": Dropout(),
    "dropout2d": Dropout(),
    "dropout3d": Dropout(),
    **ELEMENTWISE,
    "gelu": Gelu(),
    "hinge_loss": HingeLoss(),
    "instance_norm": InstanceNorm(),
    "layer_norm": LayerNorm(),
    "leaky_relu": LeakyRelu(),
    "linear": Linear(),
    "local_response_norm": LocalResponseNorm(),
    "log_softmax": LogSoftmax(),
    "logsumexp": LogSumExp(),
    "max_pool1d": MaxPool(),
    "max_pool2d": MaxPool(),
    "max_pool3d": MaxPool(),
    "mean": Mean(),
    "mse_loss": MseLoss(),
    "nll_loss": NllLoss(),
    "norm": Norm(),
    "relu": Relu(),
    "softmax": Softmax(),
    "std": Std(),
    "subtract_mean": SubtractMean(),
    "var": Var(),
}
