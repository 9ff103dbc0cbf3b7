"""Functions composed of primitives. Nothing here has a gradient rule of its own.

Each call is recorded as a scope, which the tools fold and unfold.
"""

from __future__ import annotations

from ..ops import flatten
from .activation import gelu, leaky_relu, log_softmax, relu, sigmoid, softmax, tanh
from .conv import conv2d, linear
from .dropout import dropout
from .loss import cross_entropy, hinge_loss, mse_loss, nll_loss
from .norm import batch_norm, subtract_mean
from .pool import avg_pool2d, max_pool2d
from .reduction import logsumexp, mean, norm, std, var

__all__ = [
    "avg_pool2d",
    "batch_norm",
    "conv2d",
    "cross_entropy",
    "dropout",
    "flatten",
    "gelu",
    "hinge_loss",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsumexp",
    "max_pool2d",
    "mean",
    "mse_loss",
    "nll_loss",
    "norm",
    "relu",
    "sigmoid",
    "softmax",
    "std",
    "subtract_mean",
    "tanh",
    "var",
]
