"""Operators on each element, along axes, and products."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from ... import functional as F
from ... import ops
from ..._core.tensor import Tensor, as_tensor
from ...errors import ShapeError
from ...typing import Shape
from ._operators import Static, operator, refuses


def _unary(function: Callable[[Any], Any]) -> Callable[[Tensor], Tensor]:
    def apply(x: Tensor) -> Tensor:
        return as_tensor(function(x))

    return apply


for _name, _function in {
    "Abs": ops.abs, "Ceil": lambda x: -ops.floor(-x), "Cos": ops.cos, "Erf": ops.erf,
    "Exp": ops.exp, "Floor": ops.floor, "HardSwish": F.hardswish, "Identity": lambda x: x,
    "IsNaN": lambda x: x != x, "Log": ops.log, "Mish": F.mish, "Neg": ops.negative,
    "Not": lambda x: x.data == False, "Reciprocal": lambda x: 1.0 / x, "Relu": F.relu,  # noqa: E712
    "Round": ops.round, "Sigmoid": ops.sigmoid, "Sign": ops.sign, "Sin": ops.sin,
    "Softplus": F.softplus, "Softsign": lambda x: x / (1.0 + ops.abs(x)), "Sqrt": ops.sqrt,
    "Tanh": ops.tanh,
}.items():  # fmt: skip
    operator(_name)(_unary(_function))


def _binary(function: Callable[[Any, Any], Any]) -> Callable[..., Tensor]:
    def apply(x: Tensor, y: Tensor, *, broadcast: int = 0) -> Tensor:  # opset 6 asked for it
        return as_tensor(function(x, y))

    return apply


def _quotient(x: Tensor, y: Tensor) -> Any:
    """Of integers rounded towards zero."""
    if x.dtype.kind in "iu" and y.dtype.kind in "iu":
        return np.trunc(x.data / y.data).astype(x.dtype)
    return x / y


def _power(x: Tensor, y: Tensor) -> Tensor:
    """In the dtype of the base."""
    return ops.power(x, y.astype(x.dtype) if x.dtype.kind == "f" else y).astype(x.dtype)


for _name, _two in {
    "Add": ops.add, "And": lambda x, y: np.logical_and(x.data, y.data), "Div": _quotient,
    "Equal": lambda x, y: x == y, "Greater": lambda x, y: x > y,
    "GreaterOrEqual": lambda x, y: x >= y, "Less": lambda x, y: x < y,
    "LessOrEqual": lambda x, y: x <= y, "MatMul": ops.matmul, "Mul": ops.multiply,
    "Or": lambda x, y: np.logical_or(x.data, y.data), "Pow": _power, "Sub": ops.subtract,
    "Xor": lambda x, y: np.logical_xor(x.data, y.data),
}.items():  # fmt: skip
    operator(_name)(_binary(_two))


def _variadic(function: Callable[[Any, Any], Any]) -> Callable[..., Tensor]:
    def apply(*xs: Tensor) -> Tensor:
        return reduce(function, xs)

    return apply


for _name, _two in {"Max": ops.maximum, "Min": ops.minimum, "Sum": ops.add}.items():
    operator(_name)(_variadic(_two))


@operator("Mean")
def _mean_of(*xs: Tensor) -> Tensor:
    return reduce(ops.add, xs) / len(xs)


@operator("Where")
def _where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return ops.where(condition, x, y)


@operator("PRelu")
def _prelu(x: Tensor, slope: Tensor, *, opset: int) -> Tensor:
    if opset < 7:  # one slope, or one for each channel
        return F.prelu(x, slope)
    return ops.where(x > 0, x, slope * x)


@operator("LeakyRelu")
def _leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    return F.leaky_relu(x, alpha)


@operator("Elu")
def _elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return F.elu(x, alpha)


@operator("Selu")
def _selu(
    x: Tensor, *, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805
) -> Tensor:
    return gamma * F.elu(x, alpha)


@operator("Gelu")
def _gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    return F.gelu(x, approximate)


@operator("HardSigmoid")
def _hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    return ops.clip(alpha * x + beta, 0.0, 1.0)


@operator("ThresholdedRelu")
def _thresholded_relu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return ops.where(x > alpha, x, 0.0)


@operator("Clip")
def _clip(x: Tensor, min: Static | None = None, max: Static | None = None) -> Tensor:
    if min is not None:  # where the limits cross, the upper one holds
        x = ops.maximum(x, min.astype(x.dtype)[()])
    return x if max is None else ops.minimum(x, max.astype(x.dtype)[()])


@operator("Dropout")
def _dropout(
    x: Tensor,
    ratio: Static | None = None,
    training_mode: Static | None = None,
    *,
    seed: int = 0,
    is_test: int = 1,
    training: bool = False,
) -> Tensor:
    return F.dropout(x, 0.5 if ratio is None else float(ratio), training)


# -- along axes --------------------------------------------------------------------------------


def _softmax(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def apply(x: Tensor, *, axis: int | None = None, opset: int) -> Tensor:
        if opset >= 13:
            return function(x, -1 if axis is None else axis)
        first = (1 if axis is None else axis) % x.ndim  # all axes from here on are one
        return ops.reshape(function(ops.flatten(x, first), first), x.shape)

    return apply


operator("Softmax")(_softmax(F.softmax))
operator("LogSoftmax")(_softmax(F.log_softmax))


def _reduction(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def apply(
        x: Tensor, axes: Static | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Tensor:
        chosen: Shape | None = None if axes is None or not axes.size else tuple(axes.tolist())
        if chosen is None and noop_with_empty_axes:
            return x
        return function(x, chosen, bool(keepdims))

    return apply


def _mean(x: Tensor, axis: Shape | None, keepdims: bool) -> Tensor:
    return ops.sum(x, axis, keepdims) / max(_count(x.shape, axis), 1)


def _count(shape: Shape, axis: Shape | None) -> int:
    return int(np.prod([shape[i] for i in (range(len(shape)) if axis is None else axis)]))


def _norm(x: Tensor, axis: Shape | None, keepdims: bool) -> Tensor:
    return ops.sqrt(ops.sum(x * x, axis, keepdims))


for _name, _along in {
    "ReduceL1": lambda x, a, k: ops.sum(ops.abs(x), a, k), "ReduceL2": _norm,
    "ReduceMax": ops.max, "ReduceMean": _mean, "ReduceMin": ops.min, "ReduceProd": ops.prod,
    "ReduceSum": ops.sum, "ReduceSumSquare": lambda x, a, k: ops.sum(x * x, a, k),
}.items():  # fmt: skip
    operator(_name)(_reduction(_along))


@operator("ArgMax")
def _argmax(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    found = as_tensor(ops.argmax(x, axis))
    return ops.expand_dims(found, axis % x.ndim) if keepdims else found


@refuses("ArgMax")
def _argmax_refused(attributes: dict[str, Any]) -> str:
    return "with select_last_index=1" if attributes.get("select_last_index") else ""


@operator("CumSum")
def _cumsum(x: Tensor, axis: Static, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    return ops.cumsum(x, int(axis.item())).astype(x.dtype)


@refuses("CumSum")
def _cumsum_refused(attributes: dict[str, Any]) -> str:
    return ", ".join(f"with {n}=1" for n in ("exclusive", "reverse") if attributes.get(n))


# -- products ----------------------------------------------------------------------------------


@operator("Gemm")
def _gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    broadcast: int = 0,
) -> Tensor:
    if a.ndim != 2 or b.ndim != 2:
        raise ShapeError(f"Gemm: operands of shape {a.shape} and {b.shape}, expected matrices")
    plain = alpha == 1.0 and not transA and transB and (c is None or (beta == 1.0 and c.ndim == 1))
    if plain and (c is None or c.shape == b.shape[:1]):
        return F.linear(a, b, c)
    product = ops.matmul(a.T if transA else a, b.T if transB else b)
    product = product if alpha == 1.0 else product * alpha
    if c is None:
        return product
    return product + (c if beta == 1.0 else c * beta)


@operator("Einsum")
def _einsum(*xs: Tensor, equation: str) -> Tensor:
    return ops.einsum(equation.replace(" ", ""), *xs)
