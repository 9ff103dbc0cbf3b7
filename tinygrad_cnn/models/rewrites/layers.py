"""Rewrites of single layers, wherever a model holds them."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np

from ... import nn
from ..._core.backprop import consumers_first
from ..._core.node import Node
from ..._core.tensor import Tensor
from ...errors import GraphError
from ...typing import Array, Shape
from .._chain import Call, trace
from ._proof import Rewrite, in_float64, proved
from .dense import CONVOLUTIONS

__all__ = ["factor_convolutions", "fold_batch_norm", "pool_to_conv", "remove_dropout"]

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


def remove_dropout(model: nn.Module, input_shape: Shape) -> Rewrite:
    """The model in use: without its dropout layers, which do nothing there.

    Each is replaced by ``nn.Identity``, so that all other layers keep their names.

    Args:
        model: any module that takes one batch.
        input_shape: of images that it takes.

    Raises:
        GraphError: the model has no dropout layer.

    >>> import tinygrad_cnn as tc
    >>> net = tc.nn.Sequential(tc.nn.Linear(4, 3), tc.nn.Dropout(0.5))
    >>> tc.models.rewrites.remove_dropout(net, (1, 4)).model[1]
    Identity()
    """
    what = "remove_dropout"
    new = in_float64(model, what)
    found = [(n, m) for n, m in new.named_modules() if isinstance(m, _DROPOUTS)]
    if not found:
        raise GraphError(f"{what}: {type(model).__name__} has no dropout layer")
    for _, dropout in found:
        new = _replaced(new, dropout, nn.Identity())
    changes = [f"{name or type(module).__name__}: {module!r} left out" for name, module in found]
    return proved(model, new, input_shape, changes, what)


def fold_batch_norm(model: nn.Module, input_shape: Shape) -> Rewrite:
    """The model in use, its batch normalisations merged into the layers before them.

    A layer with weights w and bias b, followed by a normalisation with running mean m, variance
    v, weight s and bias t, becomes w s / sqrt(v + eps) and (b - m) s / sqrt(v + eps) + t.
    Normalisations that follow no convolution or linear layer stay, and the proof says so.

    Args:
        model: any module that takes one batch.
        input_shape: of images that it takes.

    Raises:
        GraphError: no normalisation can be merged; the message says why for each.

    >>> import tinygrad_cnn as tc
    >>> net = tc.nn.Sequential(tc.nn.Conv2d(1, 2, 3, bias=False), tc.nn.BatchNorm2d(2))
    >>> folded = tc.models.rewrites.fold_batch_norm(net, (1, 1, 5, 5))
    >>> folded.model
    Sequential(
      (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))
      (1): Identity()
    )
    """
    what = "fold_batch_norm"
    new = in_float64(model, what)
    _, y, calls = trace(new, input_shape, what)
    changes, kept = [], []
    for call in calls:
        if not isinstance(call.module, _NORMS):
            continue
        made = call.input.node
        before = next((c for c in calls if c.output.node is made and c is not call), None)
        reason = _why_not_merged(call, before, calls, y)
        if before is None or reason:
            kept.append(f"{call.name} stays: {reason}")
            continue
        _merge(before.module, call.module)
        new = _replaced(new, call.module, nn.Identity())
        changes.append(f"{call.name}: {call.module!r} merged into {before.name}")
    if not changes:
        raise GraphError(f"{what}: {'; '.join(kept) or 'there is no batch normalisation'}")
    return proved(model, new, input_shape, changes + kept, what)


def _why_not_merged(norm: Call, before: Call | None, calls: list[Call], y: Tensor) -> str:
    if before is None or not isinstance(before.module, (nn.Linear, *CONVOLUTIONS)):
        return "it follows no convolution or linear layer"
    if not any(name == "running_mean" for name, _ in norm.module.named_buffers()):
        return "it has no running statistics, but takes those of each batch"
    if isinstance(before.module, nn.Linear) and before.output.ndim > 2:
        return f"it normalises axis 1 of {before.output.shape}, not what {before.name} computes"
    for call in (before, norm):
        if sum(other.module is call.module for other in calls) > 1:
            return f"{call.name} is called more than once"
    made = before.output.node
    for node in consumers_first([cast(Node, y.node)]):
        if any(parent is made for parent in node.parents) and not norm.holds(node):
            return f"what {before.name} returns is used elsewhere too"
    return ""


def _merge(layer: Any, norm: Any) -> None:
    """Change the weights of a layer so that it does what the normalisation did after it."""
    deviation = np.sqrt(norm.running_var.numpy() + norm.eps)
    scale = (1.0 if norm.weight is None else norm.weight.numpy()) / deviation  # (K,)
    shift = 0.0 if norm.bias is None else norm.bias.numpy()
    bias = 0.0 if layer.bias is None else layer.bias.numpy()
    weight: Array = layer.weight.numpy()
    learnt = layer.weight.requires_grad
    scaled = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    layer.weight = nn.Parameter(scaled, requires_grad=learnt)
    moved = (bias - norm.running_mean.numpy()) * scale + shift
    layer.bias = nn.Parameter(moved, requires_grad=learnt)


def pool_to_conv(model: nn.Module, input_shape: Shape) -> Rewrite:
    """The model with a strided depthwise convolution in place of each average pool.

    Each channel has one filter, whose F*F weights are all 1/F²; from there they can learn. A
    maximum is not linear in its window, so that no convolution computes it.

    Args:
        model: any module that takes one batch.
        input_shape: of images that it takes.

    Raises:
        GraphError: no pool is linear; the message says why for each.

    >>> import tinygrad_cnn as tc
    >>> net = tc.nn.Sequential(tc.nn.AvgPool2d(2))
    >>> tc.models.rewrites.pool_to_conv(net, (1, 3, 4, 4)).model[0]
    Conv2d(3, 3, kernel_size=(2, 2), stride=(2, 2), groups=3, bias=False)
    """
    what = "pool_to_conv"
    new = in_float64(model, what)
    _, _, calls = trace(new, input_shape, what)
    changes, kept = [], []
    for call in _of_each_module(calls):
        pool: Any = call.module
        if not _is_pool(pool):
            continue
        channels = {each.input.shape[1] for each in calls if each.module is pool}
        reason = _why_not_linear(pool) or _why_not_shared(channels)
        if reason:
            kept.append(f"{call.name} ({type(pool).__name__}) stays: {reason}")
            continue
        [c] = channels
        conv = CONVOLUTIONS[pool.axes - 1](c, c, pool.kernel_size, pool.stride, pool.padding,
            groups=c, bias=False, dtype=np.float64)  # fmt: skip
        divisor = pool.divisor_override or math.prod(pool.kernel_size)
        conv.load_state_dict({"weight": np.full(conv.weight.shape, 1.0 / divisor)})
        new = _replaced(new, pool, conv)
        changes.append(f"{call.name}: {pool!r} -> {conv!r}")
    if not changes:
        raise GraphError(f"{what}: {'; '.join(kept) or 'the model has no pool among its modules'}")
    return proved(model, new, input_shape, changes + kept, what)


def _of_each_module(calls: list[Call]) -> list[Call]:
    """The last call of each module."""
    return list({call.module: call for call in calls}.values())


def _why_not_shared(channels: set[int]) -> str:
    if len(channels) > 1:
        counts = " and ".join(map(str, sorted(channels)))
        return f"it is called with {counts} channels, which no filters can be shared by"
    return ""


def _is_pool(module: nn.Module) -> bool:
    return "Pool" in type(module).__name__


def _why_not_linear(pool: Any) -> str:
    """Why no fixed weights compute a pool; empty where they do."""
    kind = type(pool).__name__
    if "Max" in kind:
        return "the largest element of a window is not linear in its elements"
    if "LP" in kind:
        return "a norm is not linear in the elements of a window"
    if not isinstance(pool, (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)):
        return "its windows depend on the size of the image"
    if pool.ceil_mode or pool.fit not in (None, "floor"):
        return "windows that reach beyond the image have a divisor of their own"
    if np.any(pool.padding) and not pool.count_include_pad and pool.divisor_override is None:
        return "windows at the border have a divisor of their own (count_include_pad=False)"
    return ""


def factor_convolutions(
    model: nn.Module, input_shape: Shape, generator: np.random.Generator | None = None
) -> Rewrite:
    """The model with 3x3 convolutions in a row in place of each larger square one.

    Two 3x3 convolutions see 5x5 pixels, three see 7x7; with a ReLU between them they are more
    expressive, and 3 * 9 C² = 27 C² weights do what took 49 C² (CS231n; Simonyan and Zisserman
    2014). The structure alone is the same: the new layers have new random weights, no outputs
    are equal, and the proof claims none.

    Args:
        model: any module that takes one batch.
        input_shape: of images that it takes.
        generator: what the new weights are drawn from, by default the thread's generator.

    Raises:
        GraphError: no convolution can be factored; the message says why for each.

    >>> import tinygrad_cnn as tc
    >>> net = tc.nn.Sequential(tc.nn.Conv2d(8, 8, 7, padding=3, bias=False))
    >>> factored = tc.models.rewrites.factor_convolutions(net, (1, 8, 9, 9))
    >>> factored.proof.parameters  # 49 * 8², 27 * 8²
    (3136, 1728)
    """
    what = "factor_convolutions"
    new = in_float64(model, what)
    _, _, calls = trace(new, input_shape, what)
    changes, kept = [], []
    for call in _of_each_module(calls):
        if not isinstance(call.module, nn.Conv2d) or max(call.module.kernel_size) <= 3:
            continue
        reason = _why_not_factored(call.module)
        if reason:
            kept.append(f"{call.name} stays: {reason}")
            continue
        row = _small_convolutions(call.module, generator)
        new = _replaced(new, call.module, row)
        count = sum(isinstance(layer, nn.Conv2d) for layer in row)
        changes.append(f"{call.name}: {call.module!r} -> {count} convolutions of 3x3")
    if not changes:
        raise GraphError(f"{what}: {'; '.join(kept) or 'there is no convolution above 3x3'}")
    return proved(model, new, input_shape, changes + kept, what, structure_only=True)


def _why_not_factored(conv: Any) -> str:
    fh, fw = conv.kernel_size
    if fh != fw or fh % 2 == 0:
        return f"its filters are {fh}x{fw}, not square with an odd side"
    if max(conv.dilation) > 1 or conv.groups > 1:
        return "it is dilated or grouped"
    if not isinstance(conv.padding, tuple) or not all(isinstance(p, int) for p in conv.padding):
        return f"its padding is {conv.padding!r}, not a number for each axis"
    if max(conv.padding) > fh // 2 or conv.padding[0] != conv.padding[1]:
        return f"its padding {conv.padding} can't be shared out among {fh // 2} convolutions of 3x3"
    return ""


def _small_convolutions(conv: Any, generator: np.random.Generator | None) -> nn.Sequential:
    count, padding = conv.kernel_size[0] // 2, conv.padding[0]
    layers: list[nn.Module] = []
    for number in range(count):
        layers.append(
            nn.Conv2d(
                conv.out_channels if number else conv.in_channels,
                conv.out_channels,
                3,
                stride=conv.stride if number == count - 1 else 1,
                padding=1 if number < padding else 0,
                bias=conv.bias is not None,
                padding_mode=conv.padding_mode,
                flip=conv.flip,
                fit=conv.fit,
                dtype=np.float64,
                generator=generator,
            )
        )
        layers.append(nn.ReLU())
    return nn.Sequential(*layers[:-1])


def _replaced(model: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """The model with ``new`` in each place where it holds ``old``, and in its mode."""
    new.train(old.training)
    if model is old:
        return new
    for holder in list(model.modules()):
        for name in [name for name, part in vars(holder).items() if part is old]:
            holder.add_module(name, new)
    return model
