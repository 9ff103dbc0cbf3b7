# ruff: noqa: E501  (one line for each operation)
"""One line for each operation: a name, a function of arrays or Tensors, its inputs, and where
there is one an independent NumPy expression.

Inputs are float64, read-only and away from kinks, so that central differences hold; ``apart``
makes numbers that differ by a tenth at least, from each other and from zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn._core.primitive import registry

Array = np.ndarray
# Taken at import, before any doctest or test registers an operation of its own.
REGISTERED = dict(registry)


class Case(NamedTuple):
    """A function, inputs to try it at, and what it should compute."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[Array, ...]
    reference: Callable[..., Any] | None = None


def _read_only(array: Any) -> Array:
    array = np.array(array, np.float64)
    array.flags.writeable = False
    return array


def _rng(shape: tuple[int, ...], salt: int) -> np.random.Generator:
    return np.random.default_rng([salt, *shape])


def normal(*shape: int, salt: int = 0) -> Array:
    """Any numbers."""
    return _read_only(_rng(shape, salt).standard_normal(shape))


def positive(*shape: int, salt: int = 0) -> Array:
    """Numbers between 0.5 and 2."""
    return _read_only(_rng(shape, salt).uniform(0.5, 2.0, shape))


def apart(*shape: int, salt: int = 0) -> Array:
    """Numbers that differ by at least 0.1 from each other and by 0.05 from 0."""
    size = math.prod(shape)
    numbers = (np.arange(size) - size // 2) * 0.1 + 0.05
    return _read_only(_rng(shape, salt).permutation(numbers).reshape(shape))


def given(values: Any) -> Array:
    """These numbers."""
    return _read_only(values)


def _erf(x: Array) -> Array:
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def _softmax(x: Array, axis: int = -1) -> Array:
    return np.exp(x) / np.exp(x).sum(axis, keepdims=True)


def _scattered(x: Array, index: Any, shape: tuple[int, ...]) -> Array:
    out = np.zeros(shape, x.dtype)
    np.add.at(out, index, x)
    return out


def _unary(name: str, f: Callable[..., Any], ref: Callable[..., Any], make: Any) -> list[Case]:
    return [Case(f"{name} {s}", f, (make(*s),), ref) for s in ((), (3,), (2, 3))]


def _binary(name: str, f: Callable[..., Any], ref: Callable[..., Any], make: Any) -> list[Case]:
    """Every kind of broadcasting."""
    shapes = [((), ()), ((3,), ()), ((), (2, 2)), ((2, 3), (3,)), ((2, 1), (1, 3)),
              ((1, 1), (2, 3)), ((2, 1, 2), (3, 1)), ((2, 3), (2, 3))]  # fmt: skip
    return [Case(f"{name} {a} {b}", f, (make(*a), make(*b, salt=1)), ref) for a, b in shapes]


ARITHMETIC = [
    *_binary("add", tc.add, np.add, normal),
    *_binary("subtract", tc.subtract, np.subtract, normal),
    *_binary("multiply", tc.multiply, np.multiply, normal),
    *_binary("divide", tc.divide, np.divide, positive),
    *_binary("power", tc.power, np.power, positive),
    *_binary("maximum", tc.maximum, np.maximum, lambda *s, salt=0: apart(*s, salt=salt) + 0.03 * salt),
    *_binary("minimum", tc.minimum, np.minimum, lambda *s, salt=0: apart(*s, salt=salt) + 0.03 * salt),
    *_unary("negative", tc.negative, np.negative, normal),
    *_unary("abs", tc.abs, np.abs, apart),
    *_unary("sign", tc.sign, np.sign, apart),
    *_unary("floor", tc.floor, np.floor, apart),
    *_unary("round", tc.round, np.round, apart),
    Case("round decimals", lambda x: tc.round(x, 1), (given([0.13, -2.47]),), lambda x: np.round(x, 1)),
    Case("floor_divide", tc.floor_divide, (given([[-7.3], [5.9]]), given([2.0, -3.1])), np.floor_divide),
    Case("remainder", tc.remainder, (given([[-7.3], [5.9]]), given([2.0, -3.1])), np.remainder),
    Case("number - x", lambda x: 2.0 - x, (normal(3),), lambda x: 2.0 - x),
    Case("number / x", lambda x: 2.0 / x, (positive(3),), lambda x: 2.0 / x),
    Case("number ** x", lambda x: 2.0**x, (normal(3),), np.exp2),
    Case("x ** 2", lambda x: x**2, (normal(3),), np.square),
    Case("x ** 3, x negative", lambda x: x**3, (given([-1.5, -0.5]),), lambda x: x * x * x),
    Case("x ** -1.5", lambda x: x**-1.5, (positive(3),), lambda x: 1 / (x * np.sqrt(x))),
    Case("x ** 0", lambda x: x**0, (given([0.0, 2.0]),), np.ones_like),
    Case("x ** 1 at 0", lambda x: x**1, (given(0.0),), lambda x: x),
    Case("x ** 2 at 0", lambda x: x**2, (given([0.0, -0.5]),), np.square),
    Case("x ** [0 1 2 3] at 0", lambda x: x ** np.arange(4, dtype=np.int8), (given([0.0] * 4),)),
    Case("0 ** y", lambda y: 0.0**y, (positive(3),), np.zeros_like),
    Case("x ** y, y = 0", tc.power, (positive(3), given([0.0, 1.0, 2.0])), np.power),
    Case("x * x", lambda x: x * x, (normal(3),), np.square),
    Case("clip", lambda x: tc.clip(x, -0.5, 0.6), (apart(20) * 0.93,), lambda x: np.clip(x, -0.5, 0.6)),
    Case("clip above", lambda x: tc.clip(x, max=0.12), (apart(6),), lambda x: np.minimum(x, 0.12)),
    Case("clip below", lambda x: tc.clip(x, 0.12), (apart(6),), lambda x: np.maximum(x, 0.12)),
    Case("clip by Tensors", tc.clip, (apart(3, 6), given([[-0.52], [-0.21], [0.33]]), given(0.44))),
    Case("where", lambda x, y: tc.where(np.array([True, False, True]), x, y), (normal(3), normal(2, 3))),
    Case("where scalar", lambda x: tc.where(tc.as_tensor(x) > 0, x, 0.1 * x), (apart(5),), lambda x: np.where(x > 0, x, 0.1 * x)),
]  # fmt: skip

TRANSCENDENTAL = [
    *_unary("exp", tc.exp, np.exp, normal),
    *_unary("log", tc.log, np.log, positive),
    *_unary("sqrt", tc.sqrt, np.sqrt, positive),
    *_unary("tanh", tc.tanh, np.tanh, normal),
    *_unary("sigmoid", tc.sigmoid, lambda x: 1 / (1 + np.exp(-x)), normal),
    *_unary("erf", tc.erf, _erf, normal),
    *_unary("sin", tc.sin, np.sin, normal),
    *_unary("cos", tc.cos, np.cos, normal),
]

_AXES: list[tuple[Any, bool]] = [
    (None, False), (None, True), (0, False), (-1, True), ((0, 2), False), ((-1, 0), True), ((), False)
]  # fmt: skip


def _reduction(name: str, f: Any, ref: Any, make: Any) -> list[Case]:
    return [
        Case(f"{name} 0-d", f, (make(),), ref),
        *(
            Case(
                f"{name} {axis} {keep}",
                lambda x, a=axis, k=keep: f(x, axis=a, keepdims=k),
                (make(2, 3, 2),),
                lambda x, a=axis, k=keep: ref(x, axis=a, keepdims=k),
            )
            for axis, keep in _AXES
        ),
    ]


def _lse(x: Array, **options: Any) -> Array:
    return np.log(np.sum(np.exp(x), **options))


def _norm(x: Array, **options: Any) -> Array:
    return np.sqrt(np.sum(x * x, **options))


REDUCTIONS = [
    *_reduction("sum", tc.sum, np.sum, normal),
    *_reduction("max", tc.max, np.max, apart),
    *_reduction("min", tc.min, np.min, apart),
    *_reduction("prod", tc.prod, np.prod, positive),
    *_reduction("mean", tc.mean, np.mean, normal),
    *_reduction("logsumexp", tc.logsumexp, _lse, normal),
    *_reduction("norm", tc.norm, _norm, apart),
    *_reduction("var", tc.var, np.var, normal),
    *_reduction("std", tc.std, np.std, normal)[1:-1],  # of one number the root has no derivative
    Case("prod, one zero", tc.prod, (given([2.0, 0.0, 3.0]),), np.prod),
    Case("prod, two zeros", tc.prod, (given([0.0, 2.0, 0.0]),), np.prod),
    Case("prod, three zeros", tc.prod, (given([0.0, 2.0, 0.0, 0.0]),), np.prod),
    Case("prod rows, zeros", lambda x: tc.prod(x, 1), (given([[0.0, 2.0], [1.5, 3.0], [0.0, 0.0]]),), lambda x: np.prod(x, 1)),
    Case("prod (0, 2), zeros", lambda x: tc.prod(x, (2, 0), keepdims=True), (given([[[0.0, 2.0], [1.5, 3.0]], [[0.5, 2.0], [1.5, 0.0]]]),)),
    Case("prod at 0", tc.prod, (given(0.0),), np.prod),
    Case("cumsum", lambda x: tc.cumsum(x, 0), (normal(3, 2),), lambda x: np.cumsum(x, 0)),
    Case("cumsum -1", lambda x: tc.cumsum(x, -1), (normal(2, 3),), lambda x: np.cumsum(x, -1)),
    Case("var ddof", lambda x: tc.var(x, 1, ddof=1), (normal(2, 3),), lambda x: np.var(x, 1, ddof=1)),
    Case("std ddof", lambda x: tc.std(x, (0, 1), ddof=2), (normal(2, 3),), lambda x: np.std(x, ddof=2)),
    Case("norm 1", lambda x: tc.norm(x, 1, ord=1), (apart(2, 3),), lambda x: np.abs(x).sum(1)),
    Case("norm 3", lambda x: tc.norm(x, -1, ord=3), (apart(2, 3),), lambda x: (np.abs(x) ** 3).sum(1) ** (1 / 3)),
    Case("norm inf", lambda x: tc.norm(x, 0, ord=math.inf), (given([[1.0, -2.0], [-3.0, 0.5]]),), lambda x: np.abs(x).max(0)),
]  # fmt: skip

SHAPES = [
    Case("reshape", lambda x: tc.reshape(x, 3, -1), (normal(2, 3),), lambda x: x.reshape(3, 2)),
    Case("reshape to 0-d", lambda x: tc.reshape(x, ()), (normal(1, 1),), lambda x: x[0, 0]),
    Case("transpose", tc.transpose, (normal(2, 3, 2),), np.transpose),
    Case("transpose axes", lambda x: tc.transpose(x, (2, 0, 1)), (normal(2, 3, 4),), lambda x: x.transpose(2, 0, 1)),
    Case("permute", lambda x: tc.permute(x, -1, 0, 1), (normal(2, 3, 4),), lambda x: x.transpose(2, 0, 1)),
    Case("swapaxes", lambda x: tc.swapaxes(x, 0, -1), (normal(2, 3, 4),), lambda x: x.swapaxes(0, -1)),
    Case("moveaxis", lambda x: tc.moveaxis(x, -1, 0), (normal(2, 3, 4),), lambda x: np.moveaxis(x, -1, 0)),
    Case("moveaxis back", lambda x: tc.moveaxis(x, 0, -2), (normal(2, 3, 4),), lambda x: np.moveaxis(x, 0, -2)),
    Case("expand_dims", lambda x: tc.expand_dims(x, (0, -1)), (normal(2),), lambda x: x[None, :, None]),
    Case("squeeze", tc.squeeze, (normal(1, 2, 1),), np.squeeze),
    Case("squeeze -1", lambda x: tc.squeeze(x, -1), (normal(1, 2, 1),), lambda x: x[..., 0]),
    Case("flatten", lambda x: tc.flatten(x, 1), (normal(2, 3, 2),), lambda x: x.reshape(2, 6)),
    Case("flatten 0-d", tc.flatten, (normal(),), np.ravel),
    Case("broadcast_to", lambda x: tc.broadcast_to(x, (2, 3, 2)), (normal(3, 1),), lambda x: np.broadcast_to(x, (2, 3, 2))),
    Case("broadcast_to 0-d", lambda x: tc.broadcast_to(x, (2, 2)), (normal(),), lambda x: np.full((2, 2), x)),
    Case("sum_to", lambda x: tc.sum_to(x, (3, 1)), (normal(2, 3, 2),), lambda x: x.sum((0, 2))[:, None]),
    Case("concatenate", lambda *xs: tc.concatenate(xs, axis=-1), (normal(2, 1), normal(2, 3), normal(2, 0)), lambda *xs: np.concatenate(xs, -1)),
    Case("stack", lambda *xs: tc.stack(xs, axis=-1), (normal(2, 3), normal(2, 3, salt=1)), lambda *xs: np.stack(xs, -1)),
    Case("stack twice the same", lambda x: tc.stack([x, x]), (normal(2),), lambda x: np.stack([x, x])),
    Case("flip", tc.flip, (normal(2, 3),), np.flip),
    Case("flip -1", lambda x: tc.flip(x, -1), (normal(2, 3),), lambda x: np.flip(x, -1)),
    Case("pad", lambda x: tc.pad(x, [(1, 0), (0, 2)]), (normal(2, 3),), lambda x: np.pad(x, [(1, 0), (0, 2)])),
    Case("pad with 7", lambda x: tc.pad(x, [(1, 1)], 7.0), (normal(2),), lambda x: np.pad(x, 1, constant_values=7)),
    Case("crop", lambda x: tc.crop(x, [(1, 0), (0, 2)]), (normal(2, 3),), lambda x: x[1:, :-2]),
    Case("ravel", tc.ravel, (normal(2, 3),), np.ravel),
    Case("take", lambda x: tc.take(x, [[1, 1], [-1, 0]], 1), (normal(2, 3),), lambda x: np.take(x, [[1, 1], [-1, 0]], 1)),
    Case("take of all", lambda x: tc.take(x, 4), (normal(2, 3),), lambda x: np.take(x, 4)),
    Case("repeat", lambda x: tc.repeat(x, [2, 0, 1], -1), (normal(2, 3),), lambda x: np.repeat(x, [2, 0, 1], -1)),
    Case("repeat all", lambda x: tc.repeat(x, 2), (normal(2, 2),), lambda x: np.repeat(x, 2)),
    Case("diagonal", tc.diagonal, (normal(3, 2),), np.diagonal),
    Case("diagonal above", lambda x: tc.diagonal(x, 1, -1, 0), (normal(2, 3, 4),), lambda x: np.diagonal(x, 1, -1, 0)),
    Case("diagonal outside", lambda x: tc.diagonal(x, -3), (normal(2, 2),), lambda x: np.diagonal(x, -3)),
    Case("trace", lambda x: tc.trace(x, -1, 0, 2), (normal(3, 2, 3),), lambda x: np.trace(x, -1, 0, 2)),
    Case("sort", lambda x: tc.sort(x, 0), (apart(3, 2),), lambda x: np.sort(x, 0)),
    Case("sort all", lambda x: tc.sort(x, None), (apart(3, 2),), lambda x: np.sort(x, None)),
    Case("astype", lambda x: tc.astype(x, x.dtype), (normal(2, 3),), lambda x: x),
]  # fmt: skip

_ROWS = np.array([2, 0, 2, -1])
_INDICES: dict[str, Any] = {
    "1": 1, "-1": -1, "1:": slice(1, None), "::-1": slice(None, None, -1), "::2": slice(None, None, 2),
    "...": ..., "()": (), "None": None, "..., 0": (..., 0), "1, None, ..., -1": (1, None, ..., -1),
    "empty slice": slice(2, 2), "[2 0]": [2, 0], "[]": [], "repeated": _ROWS, "2-d": _ROWS.reshape(2, 2),
    "repeated, :, repeated": (_ROWS, slice(None), np.array([1, 1, 0, 1])), ":, repeated": (slice(None), _ROWS),
    "rows and columns": (_ROWS[:, None], np.array([0, 2])), "boolean": np.array([True, False, True]),
    "boolean 2-d": np.eye(3, dtype=bool), ":, boolean": (slice(None), np.array([True, False, True])),
    "all False": np.zeros(3, bool), "array, None": (_ROWS, None), "0-d array": np.array(1),
    "integer and array": (0, ..., [1, 1]), "np.int64": (np.int64(2), slice(0, 2)), "True": True,
}  # fmt: skip
_CUBE = normal(3, 3, 2)

INDEXING = [
    *(
        Case(f"getitem {name}", lambda x, i=index: tc.getitem(x, i), (_CUBE,), lambda x, i=index: x[i])
        for name, index in _INDICES.items()
    ),
    *(
        Case(
            f"scatter_add {name}",
            lambda x, i=index: tc.scatter_add(x, i, (3, 3, 2)),
            (normal(*_CUBE[index].shape),),
            lambda x, i=index: _scattered(x, i, (3, 3, 2)),
        )
        for name, index in _INDICES.items()
    ),
    Case("getitem of 0-d", lambda x: x[...], (normal(),), lambda x: x),
    Case("take_along_axis", lambda x: tc.take_along_axis(x, [[1, 1], [0, 2]], 1), (normal(2, 3),), lambda x: np.take_along_axis(x, np.array([[1, 1], [0, 2]]), 1)),
    Case("take_along_axis 0", lambda x: tc.take_along_axis(x, [[1, 0, 1]], 0), (normal(2, 3),), lambda x: np.take_along_axis(x, np.array([[1, 0, 1]]), 0)),
    Case("take_along_axis -2", lambda x: tc.take_along_axis(x, [[0, 0, 1]], -2), (normal(2, 3),), lambda x: np.take_along_axis(x, np.array([[0, 0, 1]]), 0)),
]  # fmt: skip

_MATMULS = [((2, 3), (3, 2)), ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 2, 3), (3, 2)),
            ((2, 3), (2, 3, 2)), ((2, 1, 2, 3), (3, 3, 1)), ((3,), (2, 3, 2)), ((2, 2, 3), (3,)),
            ((1, 2, 3), (2, 3, 1)), ((1, 1), (1, 1))]  # fmt: skip
_EINSUMS: list[tuple[str, tuple[tuple[int, ...], ...]]] = [
    ("ij,jk->ik", ((2, 3), (3, 2))), ("ij,jk", ((2, 3), (3, 2))), ("ba", ((2, 3),)), ("ii", ((3, 3),)),
    ("ii->i", ((3, 3),)), ("iij->j", ((2, 2, 3),)), ("iji->ij", ((2, 3, 2),)), ("iii->i", ((2, 2, 2),)),
    ("ij->", ((2, 3),)), ("i->", ((3,),)), ("ij->i", ((2, 3),)), ("i,j->ij", ((2,), (3,))), ("i,i", ((3,), (3,))),
    ("ij,ij->", ((2, 3), (2, 3))), ("ij,k->i", ((2, 3), (2,))), ("i,i,i->i", ((3,), (3,), (3,))),
    ("ij,jk,kl->il", ((2, 3), (3, 2), (2, 2))), ("...ij,...jk->...ik", ((2, 1, 2), (2, 3))),
    ("...ij,...jk", ((2, 2, 3), (1, 3, 2))), ("i...,i...->...", ((2, 3), (2, 3))), ("...", ((2, 3),)),
    ("...i->i...", ((2, 3),)), ("ij,ij->ij", ((2, 1), (2, 3))), ("ij,ij->i", ((2, 1), (2, 3))),
    ("ij,ij->", ((1, 3), (2, 1))), ("ij,jk->ik", ((2, 1), (3, 2))), (",->", ((), ())), (",i->i", ((), (3,))),
    ("aab,b->a", ((2, 2, 3), (3,))), ("bij, bjk -> bik", ((2, 1, 2), (2, 2, 1))), ("ii,jj->ij", ((2, 2), (3, 3))),
]  # fmt: skip

LINEAR_ALGEBRA = [
    *(Case(f"dot {a} {b}", tc.dot, (normal(*a), normal(*b, salt=1)), np.dot) for a, b in (((), (2,)), ((3,), (3,)), ((2, 2, 3), (3, 2)))),
    *(Case(f"matmul {a} @ {b}", tc.matmul, (normal(*a), normal(*b)), np.matmul) for a, b in _MATMULS),
    *(
        Case(
            f"einsum {subscripts} {shapes}",
            lambda *xs, s=subscripts: tc.einsum(s, *xs),
            tuple(normal(*shape, salt=i) for i, shape in enumerate(shapes)),
            lambda *xs, s=subscripts: np.einsum(s, *xs),
        )
        for subscripts, shapes in _EINSUMS
    ),
    Case("einsum of twice the same", lambda x: tc.einsum("ij,kj->ik", x, x), (normal(2, 3),), lambda x: x @ x.T),
]  # fmt: skip

_SWITCHES = np.random.default_rng(0).integers(0, 4, (2, 1, 2, 2))
WINDOWS = [
    Case("im2col", lambda x: tc.im2col(x, 2), (normal(2, 2, 3, 3),)),
    Case("im2col strided", lambda x: tc.im2col(x, (2, 1), (1, 2), (2, 1)), (normal(1, 2, 4, 3),)),
    Case("col2im", lambda x: tc.col2im(x, (2, 1, 3, 3), 2), (normal(4, 8),)),
    Case("col2im strided", lambda x: tc.col2im(x, (1, 2, 4, 3), (2, 1), (1, 2), (2, 1)), (normal(4, 4),)),
    Case("im2col of signals", lambda x: tc.im2col(x, 2, 2), (normal(2, 2, 5),)),
    Case("im2col of volumes", lambda x: tc.im2col(x, (2, 1, 2), 1, (1, 1, 2)), (normal(1, 2, 3, 2, 4),)),
    Case("col2im of signals", lambda x: tc.col2im(x, (2, 1, 5), 2, 1, 2), (normal(2, 6),)),
    Case("gather_windows of signals", lambda x: tc.gather_windows(x, _SWITCHES[..., 0] // 2, 2, 1), (normal(2, 1, 3),)),
    Case("scatter_windows of volumes", lambda x: tc.scatter_windows(x, _SWITCHES[..., None], (2, 1, 3, 3, 2), 2, 1), (normal(2, 1, 2, 2, 1),)),
    Case("gather_windows", lambda x: tc.gather_windows(x, _SWITCHES, 2, 1), (normal(2, 1, 3, 3),)),
    Case("scatter_windows", lambda x: tc.scatter_windows(x, _SWITCHES, (2, 1, 3, 3), 2, 1), (normal(2, 1, 2, 2),)),
]  # fmt: skip

_LABELS = np.array([1, 0, 3])
_MASKED = np.array([1, -100, 3])
_WEIGHTS = np.array([0.5, 1.0, 2.0, 0.25], np.float32)
_LOSS_OPTIONS: dict[str, dict[str, Any]] = {
    "": {}, "sum": {"reduction": "sum"}, "none": {"reduction": "none"}, "weight": {"weight": _WEIGHTS},
    "weight none": {"weight": _WEIGHTS, "reduction": "none"},
}  # fmt: skip


def _picked(logp: Array) -> Array:
    return -logp[np.arange(3), _LABELS].mean()


def _convolved(x: Array, w: Array) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))
    return np.einsum("nchwij,kcij->nkhw", windows, w)


def _conv(name: str, x: Array, w: Array, b: bool = True, **options: Any) -> Case:
    bias = (normal(len(w)),) if b else ()
    return Case(f"conv2d {name}", lambda *xs: F.conv2d(*xs, **options), (x, w, *bias))


_IMAGES = apart(2, 1, 4, 5)
FUNCTIONAL = [
    *_unary("relu", F.relu, lambda x: np.maximum(x, 0), apart),
    *_unary("leaky_relu", F.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x), apart),
    *_unary("gelu", F.gelu, lambda x: x * (1 + _erf(x / np.sqrt(2))) / 2, normal),
    Case("gelu tanh", lambda x: F.gelu(x, "tanh"), (normal(4),), lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))),
    Case("softmax", F.softmax, (normal(2, 3),), _softmax),
    Case("softmax 0", lambda x: F.softmax(x, 0), (normal(2, 3),), lambda x: _softmax(x, 0)),
    Case("log_softmax", F.log_softmax, (normal(2, 3),), lambda x: np.log(_softmax(x))),
    Case("log_softmax 1", lambda x: F.log_softmax(x, 1), (normal(2, 3, 2),), lambda x: np.log(_softmax(x, 1))),
    Case("linear", F.linear, (normal(2, 3), normal(4, 3), normal(4)), lambda x, w, b: x @ w.T + b),
    Case("linear, a vector", F.linear, (normal(3), normal(4, 3)), lambda x, w: w @ x),
    Case("conv2d", F.conv2d, (normal(2, 2, 3, 4), normal(2, 2, 2, 3)), _convolved),
    _conv("padding", normal(1, 2, 3, 3), normal(2, 2, 2, 2), padding=1),
    _conv("stride", normal(2, 1, 5, 4), normal(2, 1, 2, 2), stride=(2, 1), padding=(0, 1)),
    _conv("dilation", normal(1, 1, 5, 5), normal(1, 1, 2, 2), dilation=(2, 3), b=False),
    _conv("groups", normal(1, 4, 3, 3), normal(4, 2, 2, 2), groups=2),
    _conv("depthwise", normal(2, 3, 3, 3), normal(3, 1, 2, 2), groups=3, stride=2, padding=1),
    Case("max_pool2d", lambda x: F.max_pool2d(x, 2), (_IMAGES,)),
    Case("max_pool2d overlapping", lambda x: F.max_pool2d(x, (3, 2), 1, (1, 0)), (_IMAGES,)),
    Case("max_pool2d dilated", lambda x: F.max_pool2d(x, 2, 1, dilation=2), (_IMAGES,)),
    Case("avg_pool2d", lambda x: F.avg_pool2d(x, 2), (_IMAGES,), lambda x: x[:, :, :, :4].reshape(2, 1, 2, 2, 2, 2).mean((3, 5))),
    Case("avg_pool2d padded", lambda x: F.avg_pool2d(x, 3, 2, 1), (_IMAGES,)),
    Case("avg_pool2d without pad", lambda x: F.avg_pool2d(x, (3, 2), 1, 1, count_include_pad=False), (_IMAGES,)),
    Case("batch_norm", lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), (normal(4, 2), normal(2), normal(2, salt=1)), lambda x, w, b: (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * w + b),
    Case("batch_norm images", lambda x: F.batch_norm(x, training=True, eps=0.1), (normal(2, 2, 2, 3),), lambda x: (x - x.mean((0, 2, 3), keepdims=True)) / np.sqrt(x.var((0, 2, 3), keepdims=True) + 0.1)),
    Case("batch_norm eval", F.batch_norm, (normal(3, 2), normal(2), positive(2), normal(2, salt=2), normal(2, salt=3)), lambda x, m, v, w, b: (x - m) / np.sqrt(v + 1e-5) * w + b),
    Case("subtract_mean", F.subtract_mean, (normal(3, 2),), lambda x: x - x.mean(0)),
    Case("subtract_mean 1", lambda x: F.subtract_mean(x, (0, 1)), (normal(3, 2),), lambda x: x - x.mean()),
    Case("dropout", lambda x: F.dropout(x, 0.3, generator=np.random.default_rng(0)), (normal(3, 4),), lambda x: x * (np.random.default_rng(0).random((3, 4), np.float32) >= 0.3) / 0.7),
    Case("dropout in eval", lambda x: F.dropout(x, 0.3, training=False), (normal(3),), lambda x: x),
    *(Case(f"nll_loss {n}", lambda x, o=o: F.nll_loss(x, _LABELS, **o), (normal(3, 4),)) for n, o in _LOSS_OPTIONS.items()),
    *(Case(f"cross_entropy {n}", lambda x, o=o: F.cross_entropy(x, _LABELS, **o), (normal(3, 4),)) for n, o in _LOSS_OPTIONS.items()),
    *(Case(f"cross_entropy smooth {n}", lambda x, o=o: F.cross_entropy(x, _MASKED, label_smoothing=0.1, **o), (normal(3, 4),)) for n, o in _LOSS_OPTIONS.items()),
    *(Case(f"cross_entropy soft {n}", lambda x, y, o=o: F.cross_entropy(x, y, label_smoothing=0.2, **o), (normal(3, 4), positive(3, 4))) for n, o in _LOSS_OPTIONS.items()),
    Case("nll_loss value", lambda x: F.nll_loss(x, _LABELS), (normal(3, 4),), _picked),
    Case("nll_loss ignore", lambda x: F.nll_loss(x, _LABELS, ignore_index=0), (normal(3, 4),), lambda x: -(x[0, 1] + x[2, 3]) / 2),
    Case("cross_entropy value", lambda x: F.cross_entropy(x, _LABELS), (normal(3, 4),), lambda x: _picked(np.log(_softmax(x)))),
    Case("cross_entropy one", lambda x: F.cross_entropy(x, 2), (normal(4),), lambda x: -np.log(_softmax(x))[2]),
    Case("cross_entropy images", lambda x: F.cross_entropy(x, np.array([[0, 1], [2, 1]]), ignore_index=2), (normal(2, 3, 2),)),
    *(Case(f"mse_loss {r}", lambda x, y, r=r: F.mse_loss(x, y, r), (normal(2, 3), normal(2, 3, salt=1)), lambda x, y, f=f: f((x - y) ** 2)) for r, f in (("mean", np.mean), ("sum", np.sum), ("none", np.array))),
    *(Case(f"hinge_loss {r}", lambda x, r=r: F.hinge_loss(x, _LABELS, 1.03, r), (apart(3, 4),)) for r in ("mean", "sum", "none")),
    *(_unary(n, getattr(F, n), r, apart)[2] for n, r in (("elu", lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)), ("silu", lambda x: x / (1 + np.exp(-x))), ("softplus", lambda x: np.log1p(np.exp(x))), ("hardtanh", lambda x: np.clip(x, -1, 1)), ("hardswish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1)))),
    *(_unary(n, getattr(F, n), None, normal)[2] for n in ("selu", "mish", "log_sigmoid", "relu6", "hardsigmoid")),
    Case("prelu", F.prelu, (apart(2, 3), positive(3)), lambda x, w: np.where(x > 0, x, w * x)),
    Case("maxout", lambda x: F.maxout(x, 2), (apart(2, 4, 2),), lambda x: np.maximum(x[:, ::2], x[:, 1::2])),
    Case("local_response_norm", lambda x: F.local_response_norm(x, 3, 0.5), (normal(2, 4, 2),)),
    Case("layer_norm", lambda x, w, b: F.layer_norm(x, (3, 2), w, b), (normal(2, 3, 2), normal(3, 2), normal(3, 2, salt=1))),
    Case("group_norm", lambda x, w, b: F.group_norm(x, 2, w, b), (normal(2, 4, 2), normal(4), normal(4, salt=1))),
    Case("instance_norm", lambda x, w, b: F.instance_norm(x, weight=w, bias=b), (normal(2, 2, 3), normal(2), normal(2, salt=1))),
    Case("focal_loss", lambda x: F.focal_loss(x, _LABELS), (normal(3, 4),)),
    Case("multi_margin_loss", lambda x: F.multi_margin_loss(x, _LABELS, 2), (apart(3, 4),)),
    Case("binary_cross_entropy", F.binary_cross_entropy_with_logits, (normal(2, 3), positive(2, 3) / 2), lambda x, t: np.mean(np.log1p(np.exp(x)) - t * x)),
    Case("sigmoid_focal_loss", F.sigmoid_focal_loss, (normal(2, 3), positive(2, 3) / 2)),
    Case("huber_loss", F.huber_loss, (normal(2, 3), normal(2, 3, salt=1))),
    Case("l1_loss", F.l1_loss, (normal(2, 3), normal(2, 3, salt=1)), lambda x, y: np.mean(np.abs(x - y))),
    Case("l2_regularization", lambda *w: F.l2_regularization(w, 0.3), (normal(2, 3), normal(3)), lambda v, w: 0.15 * ((v**2).sum() + (w**2).sum())),
]  # fmt: skip

CASES = [
    *ARITHMETIC, *TRANSCENDENTAL, *REDUCTIONS, *SHAPES, *INDEXING, *LINEAR_ALGEBRA, *WINDOWS, *FUNCTIONAL
]  # fmt: skip
