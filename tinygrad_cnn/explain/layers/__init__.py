"""Derivations of whole functions, as a person would write them, by the function's name.

A function of ``functional`` is here only where its derivation reads better than its operations.
"""

from __future__ import annotations

from ._layer import Call, Layer
from .activation import Gelu, LeakyRelu, LogSoftmax, Relu, Softmax
from .conv import Conv2d, Linear
from .dropout import Dropout
from .loss import CrossEntropy, HingeLoss, MseLoss, NllLoss
from .norm import BatchNorm, SubtractMean
from .pool import AvgPool2d, MaxPool2d
from .reduction import LogSumExp, Mean, Norm, Std, Var

__all__ = [
    "LAYERS",
    "AvgPool2d",
    "BatchNorm",
    "Call",
    "Conv2d",
    "CrossEntropy",
    "Dropout",
    "Gelu",
    "HingeLoss",
    "Layer",
    "LeakyRelu",
    "Linear",
    "LogSoftmax",
    "LogSumExp",
    "MaxPool2d",
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
    "avg_pool2d": AvgPool2d(),
    "batch_norm": BatchNorm(),
    "conv2d": Conv2d(),
    "cross_entropy": CrossEntropy(),
    "dropout": Dropout(),
    "gelu": Gelu(),
    "hinge_loss": HingeLoss(),
    "leaky_relu": LeakyRelu(),
    "linear": Linear(),
    "log_softmax": LogSoftmax(),
    "logsumexp": LogSumExp(),
    "max_pool2d": MaxPool2d(),
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
