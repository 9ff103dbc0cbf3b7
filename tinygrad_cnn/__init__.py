"""tinygrad_cnn: differentiate, explain and verify convolutional networks, on NumPy.

>>> import tinygrad_cnn as tc
>>> x = tc.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> loss = (x * x).sum()
>>> loss.backward()
>>> x.grad
tensor([2., 4., 6.])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import _methods, errors, functional, ops
from ._core import allocator as _allocator
from ._core.backprop import gradients
from ._core.context import detect_anomaly, enable_grad, is_grad_enabled, no_grad, scope
from ._core.primitive import every, primitive
from ._core.tensor import Tensor, as_tensor, tensor
from .checkpointing import checkpoint
from .creation import (
    arange,
    eye,
    from_dlpack,
    full,
    linspace,
    ones,
    ones_like,
    rand,
    randn,
    zeros,
    zeros_like,
)
from .functional import logsumexp, mean, norm, std, var
from .ops import (
    Conventions,
    abs,
    add,
    all,
    any,
    argmax,
    argmin,
    argsort,
    astype,
    broadcast_to,
    clip,
    col2im,
    concatenate,
    conventions,
    cos,
    crop,
    cumsum,
    current_conventions,
    diagonal,
    divide,
    dot,
    einsum,
    erf,
    exp,
    expand_dims,
    flatten,
    flip,
    floor,
    floor_divide,
    gather_windows,
    getitem,
    im2col,
    log,
    matmul,
    max,
    maximum,
    min,
    minimum,
    moveaxis,
    multiply,
    negative,
    pad,
    permute,
    pool_switches,
    power,
    prod,
    ravel,
    remainder,
    repeat,
    reshape,
    round,
    scatter_add,
    scatter_windows,
    sigmoid,
    sign,
    sin,
    sort,
    sqrt,
    squeeze,
    stack,
    subtract,
    sum,
    sum_to,
    swapaxes,
    take,
    take_along_axis,
    tanh,
    trace,
    transpose,
    where,
)
from .random import default_generator, manual_seed
from .transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

_methods.attach()
_allocator.keep_freed_memory()

__version__ = "0.1.0"

# Loaded when first used, so that the engine alone imports as fast as NumPy.
_LAZY = (
    "check", "compiler", "data", "distributed", "draw", "explain", "filters", "io", "models", "nn",
    "optim", "sklearn", "train",
)  # fmt: skip

if TYPE_CHECKING:
    from . import (
        check,
        compiler,
        data,
        distributed,
        draw,
        explain,
        filters,
        io,
        models,
        nn,
        optim,
        sklearn,
        train,
    )  # fmt: skip
    from .compiler import compile
    from .playground import play


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f".{name}", __name__)
    if name == "play":
        from .playground import play

        return play
    if name == "compile":
        from .compiler import compile

        return compile
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Conventions",
    "Tensor",
    "__version__",
    "abs",
    "add",
    "all",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "as_tensor",
    "astype",
    "broadcast_to",
    "check",
    "checkpoint",
    "clip",
    "col2im",
    "compile",
    "compiler",
    "concatenate",
    "conventions",
    "cos",
    "crop",
    "cumsum",
    "current_conventions",
    "data",
    "default_generator",
    "detect_anomaly",
    "diagonal",
    "distributed",
    "divide",
    "dot",
    "draw",
    "einsum",
    "enable_grad",
    "erf",
    "errors",
    "every",
    "exp",
    "expand_dims",
    "explain",
    "eye",
    "filters",
    "flatten",
    "flip",
    "floor",
    "floor_divide",
    "from_dlpack",
    "full",
    "functional",
    "gather_windows",
    "getitem",
    "grad",
    "gradients",
    "hessian",
    "hvp",
    "im2col",
    "io",
    "is_grad_enabled",
    "jacobian",
    "jvp",
    "linspace",
    "log",
    "logsumexp",
    "manual_seed",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "models",
    "moveaxis",
    "multiply",
    "negative",
    "nn",
    "no_grad",
    "norm",
    "ones",
    "ones_like",
    "ops",
    "optim",
    "pad",
    "permute",
    "play",
    "pool_switches",
    "power",
    "primitive",
    "prod",
    "rand",
    "randn",
    "ravel",
    "remainder",
    "repeat",
    "reshape",
    "round",
    "scatter_add",
    "scatter_windows",
    "scope",
    "sigmoid",
    "sign",
    "sin",
    "sklearn",
    "sort",
    "sqrt",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "sum_to",
    "swapaxes",
    "take",
    "take_along_axis",
    "tanh",
    "tensor",
    "trace",
    "train",
    "transpose",
    "value_and_grad",
    "var",
    "vjp",
    "where",
    "zeros",
    "zeros_like",
]
