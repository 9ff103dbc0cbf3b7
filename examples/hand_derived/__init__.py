"""The backward pass by hand: the layers of a ConvNet derived on paper and written in NumPy.

Every layer is a pair. ``forward(inputs, ...) -> (out, cache)`` computes the layer and keeps what
its derivative needs; ``backward(dout, cache)`` takes the gradient dout of the final loss L with
respect to ``out`` and returns that with respect to each differentiable input, in order, so that
``dx`` stands for dL/dx and has the shape of x. A loss ends the chain and returns ``(loss, ds)``.
The docstring of each backward is its derivation: write out one element of the output, ask which
outputs an input reaches and with which slope, and sum. In formulas [condition] is 1 where it
holds and 0 where it does not. Images are (N, C, H, W), affine weights (inputs, outputs), filters
(K, C, FH, FW). Nothing but NumPy is used, so these pairs can judge any automatic
differentiation: ``compare_hand_derived.py`` beside this folder does that. Start with
``affine.py``, then ``losses.py``, ``convolution.py`` and last ``normalization.py``.

>>> import numpy as np
>>> out, cache = relu_forward(np.array([-1.0, 2.0]))
>>> relu_backward(np.array([5.0, 7.0]), cache)
array([0., 7.])
"""

from .activations import relu_backward, relu_forward
from .affine import affine_backward, affine_forward
from .convolution import (
    conv_im2col_backward,
    conv_im2col_forward,
    conv_loops_backward,
    conv_loops_forward,
)
from .dropout import dropout_backward, dropout_forward, dropout_mask
from .gradient_check import numeric_gradient, relative_error
from .losses import softmax_loss, svm_loss
from .network import digits_net_loss
from .normalization import (
    batchnorm_test_backward,
    batchnorm_test_forward,
    batchnorm_train_backward,
    batchnorm_train_forward,
    mean_subtraction_backward,
    mean_subtraction_forward,
    running_statistics,
)
from .pooling import max_pool_backward, max_pool_forward

__all__ = [
    "affine_backward",
    "affine_forward",
    "batchnorm_test_backward",
    "batchnorm_test_forward",
    "batchnorm_train_backward",
    "batchnorm_train_forward",
    "conv_im2col_backward",
    "conv_im2col_forward",
    "conv_loops_backward",
    "conv_loops_forward",
    "digits_net_loss",
    "dropout_backward",
    "dropout_forward",
    "dropout_mask",
    "max_pool_backward",
    "max_pool_forward",
    "mean_subtraction_backward",
    "mean_subtraction_forward",
    "numeric_gradient",
    "relative_error",
    "relu_backward",
    "relu_forward",
    "running_statistics",
    "softmax_loss",
    "svm_loss",
]
