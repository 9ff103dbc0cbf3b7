"""Functions composed of primitives. Nothing here has a gradient rule of its own.

Each call is recorded as a scope, which the tools fold and unfold.
"""

from __future__ import annotations

from ..ops import flatten
from .activation import gelu, leaky_relu, log_softmax, relu, sigmoid, softmax, tanh
from .adaptive_pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    global_avg_pool1d,
    global_avg_pool2d,
    global_avg_pool3d,
    global_max_pool1d,
    global_max_pool2d,
    global_max_pool3d,
)
from .binary import binary_cross_entropy_with_logits, sigmoid_focal_loss
from .conv import conv1d, conv2d, conv3d, linear
from .conv_transpose import conv_transpose1d, conv_transpose2d, conv_transpose3d
from .dropout import dropout, dropout1d, dropout2d, dropout3d
from .exponential import elu, log_sigmoid, mish, selu, silu, softplus
from .local_response import local_response_norm
from .locally_connected import locally_connected1d, locally_connected2d
from .loss import cross_entropy, focal_loss, nll_loss
from .margin import hinge_loss, multi_margin_loss
from .norm import batch_norm, group_norm, instance_norm, layer_norm, subtract_mean
from .piecewise import hardsigmoid, hardswish, hardtanh, maxout, prelu, relu6
from .pool import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from .reduction import logsumexp, mean, norm, std, var
from .regression import huber_loss, l1_loss, mse_loss, smooth_l1_loss
from .regularization import l1_regularization, l2_regularization
from .unpool import max_unpool1d, max_unpool2d, max_unpool3d

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "flatten",
    "focal_loss",
    "gelu",
    "global_avg_pool1d",
    "global_avg_pool2d",
    "global_avg_pool3d",
    "global_max_pool1d",
    "global_max_pool2d",
    "global_max_pool3d",
    "group_norm",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_loss",
    "huber_loss",
    "instance_norm",
    "l1_loss",
    "l1_regularization",
    "l2_regularization",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "locally_connected1d",
    "locally_connected2d",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "maxout",
    "mean",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "nll_loss",
    "norm",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "sigmoid_focal_loss",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "std",
    "subtract_mean",
    "tanh",
    "var",
]
