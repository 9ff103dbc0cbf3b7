"""Primitives with their public functions, a file for each family.

Given a Tensor, each function returns a Tensor and records what it did; given arrays alone, it
computes on arrays. Gradient rules rely on both.
"""

from __future__ import annotations

from .arithmetic import (
    abs,
    add,
    clip,
    divide,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    sign,
    subtract,
    where,
)
from .conventions import Conventions, conventions, current_conventions
from .index import getitem, scatter_add, take_along_axis
from .linalg import einsum, matmul
from .reduce import argmax, argmin, cumsum, max, min, prod, sum
from .shape import (
    astype,
    broadcast_to,
    concatenate,
    crop,
    expand_dims,
    flatten,
    flip,
    moveaxis,
    pad,
    permute,
    reshape,
    squeeze,
    stack,
    sum_to,
    swapaxes,
    transpose,
)
from .transcendental import cos, erf, exp, log, sigmoid, sin, sqrt, tanh
from .windows import col2im, gather_windows, im2col, pool_switches, scatter_windows

__all__ = [
    "Conventions",
    "abs",
    "add",
    "argmax",
    "argmin",
    "astype",
    "broadcast_to",
    "clip",
    "col2im",
    "concatenate",
    "conventions",
    "cos",
    "crop",
    "cumsum",
    "current_conventions",
    "divide",
    "einsum",
    "erf",
    "exp",
    "expand_dims",
    "flatten",
    "flip",
    "gather_windows",
    "getitem",
    "im2col",
    "log",
    "matmul",
    "max",
    "maximum",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "negative",
    "pad",
    "permute",
    "pool_switches",
    "power",
    "prod",
    "reshape",
    "scatter_add",
    "scatter_windows",
    "sigmoid",
    "sign",
    "sin",
    "sqrt",
    "squeeze",
    "stack",
    "subtract",
    "sum",
    "sum_to",
    "swapaxes",
    "take_along_axis",
    "tanh",
    "transpose",
    "where",
]
