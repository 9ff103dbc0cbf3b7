"""What loss modules share."""

from __future__ import annotations

from .._core.tensor import Tensor, as_tensor
from ..errors import ShapeError
from ..typing import TensorLike
from ._checks import one_of
from .module import Module


class Loss(Module):
    """A loss with a reduction."""

    def __init__(self, reduction: str) -> None:
        super().__init__()
        one_of(type(self).__name__, "reduction", reduction, ("mean", "sum", "none"))
        self.reduction = reduction

    def extra_repr(self) -> str:
        """The settings that ``repr`` shows."""
        return f"reduction={self.reduction!r}"


class ClassLoss(Loss):
    """A loss that may weigh classes: one number for each, (C,), held as a buffer."""

    weight: Tensor | None

    def __init__(self, reduction: str, weight: TensorLike | None) -> None:
        super().__init__(reduction)
        values = None if weight is None else as_tensor(weight)
        if values is not None and values.ndim != 1:
            raise ShapeError(
                f"{type(self).__name__}: weight has shape {values.shape}, expected (C,)"
            )
        self.register_buffer("weight", values)
