"""A whole ConvNet by hand: the layers' derivatives, chained from the loss to the first filter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .activations import relu_backward, relu_forward
from .affine import affine_backward, affine_forward
from .convolution import conv_im2col_backward, conv_im2col_forward
from .losses import softmax_loss
from .pooling import max_pool_backward, max_pool_forward
from .windows import Array


def digits_net_loss(
    weights: Mapping[str, Array], images: Array, labels: Array
) -> tuple[float, dict[str, Array]]:
    """The softmax loss of conv-relu-pool, conv-relu-pool, affine-relu-affine, and its gradients.

    ``weights`` holds conv1, conv2 (K, C, 3, 3) and fc1, fc2 (outputs, inputs), each as
    ``name.weight`` with ``name.bias``; the gradients have the same names and shapes. Affine
    layers here want (inputs, outputs), the transpose, hence each ``.T``.

    L = f8(f7(… f1(x))) in eight steps, so dL/dx = dL/df8 · df8/df7 · … · df1/dx, multiplied from
    the left: every backward takes the product so far and multiplies its own factor.
    """
    tape: list[tuple[Any, Any, str | None]] = []

    def step(backward: Any, result: tuple[Array, Any], name: str | None = None) -> Array:
        out, cache = result
        tape.append((backward, cache, name))
        return out

    x = images
    for name in ("conv1", "conv2"):
        w, b = weights[f"{name}.weight"], weights[f"{name}.bias"]
        x = step(conv_im2col_backward, conv_im2col_forward(x, w, b, stride=1, pad=1), name)
        x = step(relu_backward, relu_forward(x))
        x = step(max_pool_backward, max_pool_forward(x, 2, 2))
    for name in ("fc1", "fc2"):
        w, b = weights[f"{name}.weight"].T, weights[f"{name}.bias"]
        x = step(affine_backward, affine_forward(x, w, b), name)
        if name == "fc1":
            x = step(relu_backward, relu_forward(x))

    loss, gradient = softmax_loss(x, labels)
    gradients: dict[str, Array] = {}
    for backward, cache, name in reversed(tape):
        if name is None:
            gradient = backward(gradient, cache)
        else:
            gradient, dw, db = backward(gradient, cache)
            gradients[f"{name}.weight"] = dw.T if dw.ndim == 2 else dw
            gradients[f"{name}.bias"] = np.asarray(db)
    return loss, gradients
