"""What a training step changes, kept and put back."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import nn, optim
from ..._core.node import Leaf
from ..._core.tensor import Tensor
from ...nn._volatile import Volatile


class Snapshot:
    """Parameters, gradients, buffers, modes and generators of a model as they are now.

    Optimisers and schedules are met when they step for the first time: ``keep`` adds them, with
    the parameters they change.
    """

    def __init__(self, model: nn.Module | None) -> None:
        owner = model or nn.Module()
        self._modes = [(module, module.training) for module in owner.modules()]
        self._volatile = Volatile(owner)
        self._volatile.save()
        self._tensors: dict[Tensor, tuple[Any, Any]] = {}
        self._gradients: dict[Leaf, tuple[int, Tensor | None, Any, Any]] = {}
        self._steppers: dict[optim.Optimizer | optim.LRScheduler, dict[str, Any]] = {}
        self._keep(owner.parameters())

    def _keep(self, tensors: Any) -> None:
        for tensor in tensors:
            self._tensors.setdefault(tensor, (tensor.data, np.array(tensor.data)))
            if isinstance(tensor.node, Leaf):
                self.keep_gradient(tensor.node)

    def keep_gradient(self, leaf: Leaf) -> None:
        """Keep what a variable has collected so far, unless it is kept already."""
        data = None if leaf.grad is None else leaf.grad.data
        self._gradients.setdefault(leaf, (leaf.written, leaf.grad, data, np.array(data)))

    def keep(self, stepper: optim.Optimizer | optim.LRScheduler) -> None:
        """Keep the state of an optimiser or a schedule, unless it is kept already."""
        if stepper not in self._steppers:
            self._steppers[stepper] = stepper.state_dict()
            if isinstance(stepper, optim.Optimizer):
                self._keep(tensor for group in stepper.param_groups for tensor in group["params"])

    def restore(self) -> None:
        """Put everything back."""
        for stepper, state in self._steppers.items():
            stepper.load_state_dict(state)
        for tensor, (data, copy) in self._tensors.items():
            tensor.data = _filled(data, copy)
        for leaf, (written, grad, data, copy) in self._gradients.items():
            leaf.written, leaf.grad = written, grad
            if grad is not None:
                grad.data = _filled(data, copy)
        for module, training in self._modes:
            module.training = training
        self._volatile.restore()


def _filled(array: Any, values: Any) -> Any:
    """The array with its old values; NumPy scalars are constant."""
    if isinstance(array, np.ndarray):
        array[...] = values
    return array
