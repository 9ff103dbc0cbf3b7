"""What is added to a loss to keep weights small."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from .._arguments import is_real, listed
from .._core.context import composition
from .._core.tensor import Tensor
from ..errors import ArgumentError
from ..ops import abs, sum
from ..typing import TensorLike
from ._numbers import in_floats

__all__ = ["l1_regularization", "l2_regularization"]


@composition
def l2_regularization(parameters: TensorLike | Iterable[Tensor], strength: float) -> Tensor:
    """0.5 * strength * sum(W * W) over all parameters, whose gradient is strength * W.

    This is the convention of the assignments of Stanford's CS231n, and that of ``weight_decay``
    in the optimisers. The notes of that course leave the 0.5 out: give twice the strength.
    Biases are usually left out.

    Args:
        parameters: one Tensor, or several.
        strength: lambda, at least 0.

    Raises:
        ArgumentError: there is no parameter, something else than Tensors, or a negative strength.

    >>> import tinygrad_cnn as tc
    >>> W = tc.tensor([3.0, 4.0], requires_grad=True)
    >>> tc.functional.l2_regularization([W], 0.1)
    tensor(1.25, ...)
    """
    weights = _listed("l2_regularization", parameters, strength)
    return 0.5 * strength * reduce(add, [sum(w * w) for w in weights])


@composition
def l1_regularization(parameters: TensorLike | Iterable[Tensor], strength: float) -> Tensor:
    """``strength * sum(|W|)`` over all parameters; it drives many of them to 0 (Tibshirani 1996).

    Args:
        parameters: one Tensor, or several.
        strength: lambda, at least 0.

    Raises:
        ArgumentError: there is no parameter, something else than Tensors, or a negative strength.

    >>> import tinygrad_cnn as tc
    >>> W = tc.tensor([3.0, -4.0], requires_grad=True)
    >>> tc.functional.l1_regularization([W], 0.5)
    tensor(3.5, ...)
    """
    weights = _listed("l1_regularization", parameters, strength)
    return strength * reduce(add, [sum(abs(w)) for w in weights])


def _listed(owner: str, parameters: Any, strength: float) -> list[Tensor]:
    if not is_real(strength, 0.0):
        raise ArgumentError(f"{owner}: strength={strength!r}, expected a number of at least 0")
    if isinstance(parameters, (Tensor, np.ndarray)):
        return [in_floats(parameters)]
    if hasattr(parameters, "parameters"):
        raise ArgumentError(f"{owner}: got a model: give model.parameters(), or some of them")
    found = listed(owner, "parameters", parameters)
    wrong = [type(w).__name__ for w in found if not isinstance(w, (Tensor, np.ndarray))]
    if wrong or not found:
        raise ArgumentError(
            f"{owner}: expected Tensors, got {wrong[0] if wrong else 'none'}: give"
            " model.parameters(), anew at each call, as a generator is used up by the first"
        )
    return [in_floats(w) for w in found]
