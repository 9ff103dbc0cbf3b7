"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..typing import Array
from .optimizer import Group, Optimizer, Params, State

__all__ = ["SGD"]


class SGD(Optimizer):
    """Gradient descent, with momentum and Nesterov's look-ahead on request.

    With ``g`` the gradient plus ``weight_decay * w``::

        v = momentum * v + (1 - dampening) * g          (v = g in the first step)
        w = w - lr * v                                  (Nesterov: g + momentum * v for v)

    Args:
        params: Tensors or parameter groups.
        lr: learning rate.
        momentum: what remains of the velocity from step to step.
        dampening: how much of a gradient does not enter the velocity.
        weight_decay: weight of the L2 penalty ``weight_decay / 2 * sum(w * w)``.
        nesterov: take the gradient ahead of the step; needs momentum and no dampening.
        maximize: ascend.

    Raises:
        ArgumentError, DtypeError, GraphError: as for ``Optimizer``.

    Sources: B. Polyak (1964); I. Sutskever et al., On the importance of initialization and
    momentum in deep learning (2013).

    >>> import tinygrad_cnn as tc
    >>> w = tc.tensor([1.0, 2.0], requires_grad=True)
    >>> w.grad = tc.tensor([1.0, -1.0])
    >>> tc.optim.SGD([w], lr=0.5).step()
    >>> w
    tensor([0.5, 2.5], requires_grad=True)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _checked(self, group: Mapping[str, Any]) -> Group:
        options = super()._checked(group)
        if options["nesterov"] and (not options["momentum"] or options["dampening"]):
            raise ArgumentError(
                f"{self._name}: nesterov needs momentum > 0 and dampening = 0, got"
                f" momentum={options['momentum']} and dampening={options['dampening']}"
            )
        return options

    def _slots(self, group: Group) -> dict[str, float]:
        return {"momentum_buffer": 0.0} if group["momentum"] else {}

    def _update(self, array: Array, grad: Array, state: State, group: Group, spare: Array) -> None:
        momentum = group["momentum"]
        if momentum:
            velocity = state["momentum_buffer"]
            velocity *= momentum
            if group["dampening"] and state["step"] > 1:
                velocity += np.multiply(grad, 1 - group["dampening"], out=spare)
            else:
                velocity += grad
            if group["nesterov"]:
                np.multiply(velocity, momentum, out=spare)
                grad = np.add(spare, grad, out=spare)
            else:
                grad = velocity
        array -= np.multiply(grad, group["lr"], out=spare)
