"""Limits on the size of gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._arguments import is_real, listed
from .._core.symbol import deferrable
from .._core.tensor import Tensor
from ..errors import ArgumentError, DtypeError, NonFiniteError

__all__ = ["clip_grad_norm_", "clip_grad_value_"]


# In both functions a clipped gradient is a new array: the old one may also be the gradient of
# another Tensor, or a read-only view.


@deferrable
@np.errstate(over="ignore", invalid="ignore")  # an infinite norm is an answer, not an accident
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients together so that their common norm is at most ``max_norm``.

    Args:
        parameters: the Tensors whose gradients count; those without one are skipped.
        max_norm: the largest norm allowed; ``inf`` only measures.
        norm_type: the p of the norm, ``inf`` for the largest absolute value.
        error_if_nonfinite: raise where the norm is NaN or infinite.

    Returns:
        The norm of all gradients as one vector, before clipping.

    Raises:
        ArgumentError: ``max_norm`` is negative or not a number.
        NonFiniteError: the norm is not finite, if asked for; nothing is changed.

    Source: R. Pascanu, T. Mikolov, Y. Bengio, On the difficulty of training recurrent neural
    networks (2013).

    >>> import tinygrad_cnn as tc
    >>> w = tc.tensor([1.0, 2.0], requires_grad=True)
    >>> w.grad = tc.tensor([3.0, 4.0])
    >>> tc.optim.clip_grad_norm_([w], max_norm=1.0)
    5.0
    >>> print(w.grad.numpy().round(4))
    [0.6 0.8]
    """
    if not is_real(max_norm, 0.0):
        raise ArgumentError(f"clip_grad_norm_: max_norm={max_norm!r}, expected at least 0")
    with_grad = _with_grad(parameters)
    norms = [float(np.linalg.norm(grad.data.ravel("K"), norm_type)) for _, grad in with_grad]
    total = float(np.linalg.norm(norms, norm_type)) if norms else 0.0
    if error_if_nonfinite and not math.isfinite(total):
        raise NonFiniteError(
            f"clip_grad_norm_: the norm of the gradients of {len(norms)} parameters is {total},"
            " so they can't be scaled to a norm"
        )
    scale = max_norm / (total + 1e-6)
    if not scale >= 1:  # also where it is NaN: the gradients shall show it
        for param, grad in with_grad:
            param.grad = Tensor(grad.data * scale)
    return total


@deferrable
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of the gradients to [-clip_value, clip_value].

    Args:
        parameters: the Tensors whose gradients count; those without one are skipped.
        clip_value: the largest absolute value allowed.

    Raises:
        ArgumentError: ``clip_value`` is negative or not a number.

    >>> import tinygrad_cnn as tc
    >>> w = tc.tensor([1.0, 2.0], requires_grad=True)
    >>> w.grad = tc.tensor([3.0, -0.5])
    >>> tc.optim.clip_grad_value_([w], clip_value=1.0)
    >>> w.grad
    tensor([ 1. , -0.5])
    """
    if not is_real(clip_value, 0.0):
        raise ArgumentError(f"clip_grad_value_: clip_value={clip_value!r}, expected at least 0")
    for param, grad in _with_grad(parameters):
        param.grad = Tensor(np.clip(grad.data, -clip_value, clip_value))


def _with_grad(parameters: Tensor | Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    given: Any = [parameters] if isinstance(parameters, Tensor) else parameters
    params: list[Any] = listed("clip_grad", "parameters", given)
    wrong = [type(param).__name__ for param in params if not isinstance(param, Tensor)]
    if wrong:
        raise DtypeError(f"expected Tensors to clip the gradients of, got {wrong[0]}")
    return [(param, param.grad) for param in params if param.grad is not None]
