"""The Parameter: a Tensor that a module owns and an optimiser changes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.node import Leaf
from .._core.symbol import refuse_trace
from .._core.tensor import Tensor
from ..errors import GraphError
from ..typing import TensorLike

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A variable that a module finds among its attributes.

    ``requires_grad = False`` freezes it: it stays a parameter, keeps its name and is saved, but
    no gradient reaches it. A module that receives an unnamed parameter names it after its
    path, such as ``conv1.weight``.

    Args:
        data: floating-point numbers; an array is shared, not copied.
        requires_grad: whether ``backward`` shall collect a gradient here.
        name: what error messages, pictures and derivations call it.

    Raises:
        DtypeError: the data are not real floating point.

    >>> import tinygrad_cnn as tc
    >>> weight = tc.nn.Parameter([1.0, 2.0])
    >>> weight.requires_grad
    True
    """

    __slots__ = ("_leaf",)

    _leaf: Leaf

    def __init__(
        self, data: TensorLike, requires_grad: bool = True, *, name: str | None = None
    ) -> None:
        super().__init__(data, requires_grad=True, name=name)
        self._leaf = self.node  # type: ignore[assignment]
        self._leaf.is_parameter = True
        self.requires_grad = requires_grad

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow here; setting it drops the gradient."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value != self.requires_grad:
            self._leaf.grad = None
            self.node = self._leaf if value else None

    @property
    def name(self) -> str | None:
        """The path under which the model holds it, also while it is frozen."""
        return self._leaf.name

    @name.setter
    def name(self, value: str | None) -> None:
        self._leaf.name = value


def assign(target: Tensor, values: Any) -> None:
    """Overwrite the values of a leaf; its dtype, its memory and its order stay.

    Raises:
        GraphError: ``target`` is the result of an operation.
    """
    if not target.is_leaf:
        raise GraphError(
            f"can't overwrite a Tensor of shape {target.shape} that is the result of an"
            " operation: pass the leaf that it was computed from"
        )
    refuse_trace("values of a Tensor are replaced")
    if isinstance(target.data, np.ndarray):
        target.data[...] = values
        target.mark_changed()
    else:
        target.data = target.dtype.type(values)  # NumPy scalars are constant
