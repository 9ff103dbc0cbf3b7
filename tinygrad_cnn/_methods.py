"""Operators and methods of Tensor: functions of ``ops`` and ``functional`` under other names.

The engine defines the class and knows no operation; ``import tinygrad_cnn`` attaches these.
Their signatures, for readers and type checkers, are in ``_core/methods.pyi``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import functional, ops
from ._core import backprop
from ._core.context import per_thread
from ._core.primitive import binary_operator
from ._core.tensor import Tensor, raw
from .errors import DtypeError, ShapeError
from .ops.arithmetic import add_p, divide_p, multiply_p, subtract_p


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: function(other, self)


def _comparison(ufunc: np.ufunc) -> Callable[..., Any]:
    """A comparison of data; its result is an array of booleans, through which nothing flows."""

    def compare(self: Tensor, other: Any) -> Any:
        try:
            return ufunc(raw(self), raw(other))
        except DtypeError:  # no numbers: Python then says False to x == None
            return NotImplemented
        except ValueError as error:
            raise ShapeError(f"{ufunc.__name__}: {error}") from None  # names the shapes

    return compare


def _in_place(operator: str, function: Callable[..., Any], ufunc: np.ufunc) -> Callable[..., Any]:
    """``x += y``: writes to a leaf under ``no_grad``; elsewhere it means ``x = x + y``.

    Nothing recorded is ever overwritten, so that both readings give the same numbers. A
    variable is not silently replaced by a result while recording.
    """

    def augmented(self: Tensor, other: Any) -> Tensor:
        if self.is_leaf and (self.requires_grad or not per_thread.context.recording):
            self._check_writable(f"x {operator}= y", f"x = x {operator} y")
            tracer = per_thread.context.tracer
            if tracer is not None:
                tracer.assign(self, raw(function(self, other)), in_place=True)
                return self
            buffer = np.asarray(self.data)  # a copy if there are no axes
            given = raw(other)
            try:
                ufunc(buffer, given, out=buffer, casting="same_kind")
            except ValueError as error:
                if "broadcast" not in str(error):
                    raise
                raise ShapeError(
                    f"x {operator}= y: y of shape {np.shape(given)} does not broadcast to x of"
                    f" shape {buffer.shape}"
                ) from None
            if not buffer.shape:
                self.data = buffer[()]
            self.mark_changed()
            return self
        return function(self, other)  # type: ignore[no-any-return]

    return augmented


def _clone(self: Tensor) -> Tensor:
    """A copy that gradients flow through."""
    return ops.astype(self, self.dtype)


def _float(self: Tensor) -> Tensor:
    """The numbers as float32."""
    return ops.astype(self, np.float32)


def _double(self: Tensor) -> Tensor:
    """The numbers as float64."""
    return ops.astype(self, np.float64)


OPERATORS: dict[str, Callable[..., Any]] = {
    "__abs__": ops.abs,
    "__add__": binary_operator(add_p),
    "__eq__": _comparison(np.equal),
    "__floordiv__": ops.floor_divide,
    "__ge__": _comparison(np.greater_equal),
    "__getitem__": ops.getitem,
    "__gt__": _comparison(np.greater),
    "__iadd__": _in_place("+", ops.add, np.add),
    "__imul__": _in_place("*", ops.multiply, np.multiply),
    "__isub__": _in_place("-", ops.subtract, np.subtract),
    "__itruediv__": _in_place("/", ops.divide, np.true_divide),
    "__le__": _comparison(np.less_equal),
    "__lt__": _comparison(np.less),
    "__matmul__": ops.matmul,
    "__mod__": ops.remainder,
    "__mul__": binary_operator(multiply_p),
    "__ne__": _comparison(np.not_equal),
    "__neg__": ops.negative,
    "__pos__": lambda self: self,
    "__pow__": ops.power,
    "__radd__": _reflected(binary_operator(add_p)),
    "__rfloordiv__": _reflected(ops.floor_divide),
    "__rmatmul__": _reflected(ops.matmul),
    "__rmod__": _reflected(ops.remainder),
    "__rmul__": _reflected(binary_operator(multiply_p)),
    "__rpow__": _reflected(ops.power),
    "__rsub__": _reflected(binary_operator(subtract_p)),
    "__rtruediv__": _reflected(binary_operator(divide_p)),
    "__sub__": binary_operator(subtract_p),
    "__truediv__": binary_operator(divide_p),
    # Comparing makes an array; hashing goes by identity, so that Tensors can be dictionary keys.
    "__hash__": object.__hash__,
}

METHODS: dict[str, Callable[..., Any]] = {
    "backward": backprop.backward,
    "clone": _clone,
    "copy": _clone,
    "double": _double,
    "float": _float,
    "view": ops.reshape,
    **{
        name: getattr(ops, name)
        for name in (
            "abs", "all", "any", "argmax", "argmin", "argsort", "astype", "broadcast_to", "clip",
            "cos", "cumsum", "diagonal", "dot", "erf", "exp", "flatten", "flip", "floor", "log",
            "matmul", "max", "min", "moveaxis", "permute", "prod", "ravel", "repeat", "reshape",
            "round", "sigmoid", "sin", "sort", "sqrt", "squeeze", "sum", "swapaxes", "take", "tanh",
            "trace", "transpose",
        )
    },
    **{
        name: getattr(functional, name)
        for name in ("log_softmax", "logsumexp", "mean", "norm", "relu", "softmax", "std", "var")
    },
}  # fmt: skip

PROPERTIES = {
    "T": property(lambda self: ops.transpose(self), doc="The axes in reversed order."),
    "mT": property(lambda self: ops.swapaxes(self, -1, -2), doc="The last two axes exchanged."),
}


def attach() -> None:
    """Give Tensor its operators, methods and properties."""
    for name, function in {**OPERATORS, **METHODS}.items():
        setattr(Tensor, name, function)
    for name, attribute in PROPERTIES.items():
        setattr(Tensor, name, attribute)
