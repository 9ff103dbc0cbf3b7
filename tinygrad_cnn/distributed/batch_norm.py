"""Batch norm over the batches of all ranks."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .. import nn
from .._core.primitive import Primitive, apply
from .._core.symbol import refuse_trace
from .._core.tensor import Tensor, as_tensor
from ..errors import ArgumentError
from ..functional.norm import _affine, _track
from ..nn.normalization import _BatchNorm
from ..ops import sqrt, sum
from ..typing import Array, TensorLike
from .communicator import Communicator

__all__ = ["SyncBatchNorm"]


def _sum_of_ranks(x: Array, *, communicator: Communicator, examples: int) -> Array:
    total = np.array(x, order="C")
    communicator.allreduce(total)
    return total


def _gradient_of_sum(g: Any, ans: Any, x: Any, **params: Any) -> Any:
    """What all ranks need of the sum, each by its weight in the mean over the examples.

    ``DataParallel.reduce`` weights the gradients of each rank by its number of examples
    afterwards; what comes from other ranks must have been weighted by theirs.
    """
    examples = params["examples"]
    return apply(_sum_p, g * examples, **params) / max(examples, 1)


# Not in the registry: that holds what one process can compute and check.
_sum_p = Primitive("sum_of_ranks", _sum_of_ranks, (_gradient_of_sum,))


class SyncBatchNorm(_BatchNorm):
    """A batch norm that takes its statistics over the batches of all ranks.

    Mean and variance are two messages each way; the variance is that of the centred values, which
    loses no digits. A rank without data takes part with an empty batch.

    Args:
        layer: whose settings, parameters and statistics it takes over, not as copies.
        communicator: the ranks.
    """

    _accepted: ClassVar[dict[int, str]] = {
        2: "(N, C)", 3: "(N, C, L)", 4: "(N, C, H, W)", 5: "(N, C, D, H, W)"
    }  # fmt: skip

    def __init__(self, layer: _BatchNorm, communicator: Communicator) -> None:
        affine, tracked = layer.weight is not None, layer.running_mean is not None
        super().__init__(layer.num_features, layer.eps, layer.momentum, affine, tracked)
        self.weight, self.bias = layer.weight, layer.bias
        for name in layer._buffers:
            setattr(self, name, getattr(layer, name))
        self.training = layer.training
        self._communicator = communicator

    def _normalised(self, x: TensorLike, momentum: float) -> Tensor:
        if not (self.training or self.running_mean is None):
            return super()._normalised(x, momentum)
        refuse_trace("batch norm exchanges its statistics with other processes")
        x = as_tensor(x)
        axes = (0, *range(2, x.ndim))
        count = np.array([x.size / x.shape[1]])
        self._communicator.allreduce(count)
        center = self._sum(x, axes) / count.item()
        spread = self._sum((x - center) ** 2, axes) / count.item()
        if count < 2:
            raise ArgumentError("SyncBatchNorm: all ranks together have one value for each channel")
        _track(self.running_mean, center, momentum)
        _track(self.running_var, spread, momentum, count.item() / (count.item() - 1))
        normal = (x - center) / sqrt(spread + self.eps)
        return _affine(normal, self.weight, self.bias, center.shape)

    def _sum(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """The sum over some axes of the batches of all ranks."""
        own, examples = sum(x, axes, keepdims=True), x.shape[0]
        return apply(_sum_p, own, communicator=self._communicator, examples=examples)


def synchronise_batch_norm(model: nn.Module, communicator: Communicator) -> None:
    """Put a ``SyncBatchNorm`` in the place of every batch norm inside a model.

    Raises:
        ArgumentError: the model itself is one, so that there is no place for another.
    """
    if isinstance(model, _BatchNorm):
        raise ArgumentError("a batch norm alone can't be replaced: put it in an nn.Sequential")
    made: dict[nn.Module, nn.Module] = {}
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm):
                if child not in made:
                    made[child] = SyncBatchNorm(child, communicator)
                setattr(parent, name, made[child])
