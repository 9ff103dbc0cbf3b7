"""Whole layers as operations of a program, for executors that have kernels for them.

Each stands for a composition of ``functional`` and has its arguments; its forward function is
that composition, so that a program means the same whatever runs it.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import functional as F
from .._core.backprop import gradients
from .._core.context import per_thread
from .._core.node import Node
from .._core.primitive import Primitive, apply
from .._core.symbol import fixed
from .._core.tensor import Tensor, as_tensor, raw, wrap
from .._kernels.windows import Window
from ..functional import _loss
from ..functional._pooling import Layout, divisors, largest, layout, windows_of
from ..functional._sliding import fitted, padded, widths
from ..functional.norm import _check_channels, _track, check_eps
from ..ops import exp, log, max, reshape, sqrt, sum, where
from ..ops import flip as mirrored
from ..ops.conventions import current_conventions
from ..ops.windows import check_fits, geometry
from ._infer import register_shape
from ._symbols import Symbol

Widths = tuple[tuple[int, int], ...]


def _by_composition(function: Callable[..., Any], index: int) -> Callable[..., Any]:
    """The gradient of a composition by one operand, by the engine itself."""

    def gradient(g: Any, *operands: Any, **settings: Any) -> Any:
        tensors = [Tensor(np.asarray(o), requires_grad=i == index) for i, o in enumerate(operands)]
        [found] = gradients(function(*tensors, **settings), [tensors[index]], g)
        return found.data  # type: ignore[union-attr]

    return gradient


# -- convolution -----------------------------------------------------------------------------


def _conv(x: Any, w: Any, *, window: Window, padding: Widths, groups: int) -> Any:
    function = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(window.kernel)]
    return function(x, w, None, window.stride, padding, window.dilation, groups)


def _conv_shape(x: Any, w: Any, *, window: Window, padding: Widths, groups: int) -> Any:
    size = tuple(n + a + b for n, (a, b) in zip(x.shape[2:], padding, strict=True))
    return (x.shape[0], w.shape[0], *window.output_size(size))


conv_input_gradient_p = Primitive(
    "conv_input_gradient", _by_composition(_conv, 0), (None, None, None)
)
conv_weight_gradient_p = Primitive(
    "conv_weight_gradient", _by_composition(_conv, 1), (None, None, None)
)
conv_p = Primitive(
    "conv",
    lambda x, w, **settings: _conv(Tensor(x), w, **settings).data,
    (
        lambda g, ans, x, w, **settings: apply(conv_input_gradient_p, g, x, w, **settings),
        lambda g, ans, x, w, **settings: apply(conv_weight_gradient_p, g, x, w, **settings),
    ),
)
register_shape("conv", _conv_shape)
register_shape("conv_input_gradient", lambda g, x, w, **_: x.shape)
register_shape("conv_weight_gradient", lambda g, x, w, **_: w.shape)


def _convolution(axes: int) -> Callable[..., Any]:
    name = f"conv{axes}d"

    def swap(
        x: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1, *, padding_mode: str = "zeros", flip: bool = False,
        fit: Any = "floor",
    ) -> Any:  # fmt: skip
        x, weight = as_tensor(x), as_tensor(weight)
        if x.ndim != axes + 2 or weight.ndim != axes + 2 or x.dtype != weight.dtype:
            return NotImplemented
        window = geometry(weight.shape[2:], stride, dilation, axes, name)
        around = widths(x.shape[2:], window.extent, window.stride, padding, name)
        total = fitted(x.shape[2:], window.extent, window.stride, around, fit, name)
        if padding_mode != "zeros":
            x, total = padded(x, total, padding_mode, name), ((0, 0),) * axes  # type: ignore[arg-type]
        cut = tuple((min(a, 0), min(b, 0)) for a, b in total)
        x = padded(x, cut, "zeros", name)
        total = tuple((builtins.max(a, 0), builtins.max(b, 0)) for a, b in total)
        size = tuple(n + a + b for n, (a, b) in zip(x.shape[2:], total, strict=True))
        if x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
            return NotImplemented  # the composition says what is wrong
        check_fits(window, size, name)
        if flip:
            weight = mirrored(weight, tuple(range(2, axes + 2)))
        k = weight.shape[0]
        if axes == 1:
            x = reshape(x, (*x.shape[:2], 1, x.shape[2]))
            weight = reshape(weight, (*weight.shape[:2], 1, weight.shape[2]))
            window = Window((1, *window.kernel), (1, *window.stride), (1, *window.dilation))
            total = ((0, 0), *total)
        out = apply(conv_p, x, weight, window=window, padding=total, groups=groups)
        if axes == 1:
            out = reshape(out, (*out.shape[:2], out.shape[3]))
        return out if bias is None else out + reshape(as_tensor(bias), (k, *(1,) * axes))

    return swap


# -- products ----------------------------------------------------------------------------------

linear_input_gradient_p = Primitive(
    "linear_input_gradient", lambda g, w: np.matmul(g, w), (None, None)
)
linear_weight_gradient_p = Primitive(
    "linear_weight_gradient", lambda g, x: np.matmul(g.T, x), (None, None)
)
linear_p = Primitive(
    "linear",
    lambda x, w: np.matmul(x, w.T),
    (
        lambda g, ans, x, w: apply(linear_input_gradient_p, g, w),
        lambda g, ans, x, w: apply(linear_weight_gradient_p, g, x),
    ),
)
register_shape("linear", lambda x, w: (x.shape[0], w.shape[0]))
register_shape("linear_input_gradient", lambda g, w: (g.shape[0], w.shape[1]))
register_shape("linear_weight_gradient", lambda g, x: (g.shape[1], x.shape[1]))


def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    x, weight = as_tensor(x), as_tensor(weight)
    if x.ndim != 2 or weight.ndim != 2 or x.shape[1] != weight.shape[1] or x.dtype != weight.dtype:
        return NotImplemented
    out = apply(linear_p, x, weight)
    return out if bias is None else out + as_tensor(bias)


# -- pooling -----------------------------------------------------------------------------------


def _pooled(x: Tensor, *, placed: Layout) -> Tensor:
    found, _ = largest(x, placed, "max_pool2d")
    return found


def _averaged(x: Tensor, *, placed: Layout, divisors: Any) -> Tensor:
    rows, columns = (np.asarray(d, x.dtype) for d in divisors)
    mean: Tensor = sum(windows_of(x, placed, "avg_pool2d"), axis=2) / (rows[:, None] * columns)
    return mean


max_pool_gradient_p = Primitive(
    "max_pool_gradient",
    _by_composition(_pooled, 0),
    (None, None),
)
max_pool_p = Primitive(
    "max_pool",
    lambda x, **settings: _pooled(Tensor(x), **settings).data,
    (lambda g, ans, x, **settings: apply(max_pool_gradient_p, g, x, **settings),),
)
average_pool_gradient_p = Primitive(
    "average_pool_gradient",
    _by_composition(_averaged, 0),
    (None, None),
)
average_pool_p = Primitive(
    "average_pool",
    lambda x, **settings: _averaged(Tensor(x), **settings).data,
    (lambda g, ans, x, **settings: apply(average_pool_gradient_p, g, x, **settings),),
)


def _pool_shape(x: Any, *, placed: Layout, **_: Any) -> Any:
    size = tuple(n + a + b for n, (a, b) in zip(placed.size, placed.padding, strict=True))
    return (*x.shape[:2], *placed.window.output_size(size))


for _name in ("max_pool", "average_pool"):
    register_shape(_name, _pool_shape)
    register_shape(f"{_name}_gradient", lambda g, x, **_: x.shape)


def _max_pool2d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False, *, fit: Any = None,
) -> Any:  # fmt: skip
    x = as_tensor(x)
    if x.ndim != 4 or x.dtype.kind != "f" or return_indices or 0 in x.shape:
        return NotImplemented
    if current_conventions().ties != "first":
        return NotImplemented
    placed = layout(x, kernel_size, stride, padding, dilation, ceil_mode, fit, name="max_pool2d")
    return apply(max_pool_p, x, placed=placed)


def _avg_pool2d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: Any = None, *, fit: Any = None,
) -> Any:  # fmt: skip
    x = as_tensor(x)
    if x.ndim != 4 or x.dtype.kind != "f" or divisor_override is not None or 0 in x.shape:
        return NotImplemented
    placed = layout(x, kernel_size, stride, padding, 1, ceil_mode, fit, name="avg_pool2d")
    counts = divisors(placed, count_include_pad)
    out = placed.window.output_size(
        tuple(n + a + b for n, (a, b) in zip(placed.size, placed.padding, strict=True))
    )
    if out == (1, 1) and placed.window.kernel == placed.size and isinstance(counts, int):
        return sum(x, (2, 3), keepdims=True) / counts  # the mean of the whole plane
    if isinstance(counts, int):
        rows, columns = (float(counts),) * out[0], (1.0,) * out[1]
    else:  # an outer product
        table = np.broadcast_to(counts, out)
        first = table[0] / table[0, 0]
        rows, columns = tuple(map(float, table[:, 0])), tuple(map(float, first))
    return apply(average_pool_p, x, placed=placed, divisors=(rows, columns))


# -- batch normalisation and losses ------------------------------------------------------------


def _vertex(name: str, inputs: tuple[Any, ...], result: Any, rules: tuple[Any, ...]) -> Tensor:
    """A result with rules of its own, in the graph of what it was made from."""
    parents = tuple(x.node if isinstance(x, Tensor) else None for x in inputs)
    context = per_thread.context
    if not context.recording or all(parent is None for parent in parents):
        return wrap(result, None)
    primitive = Primitive(name, lambda *xs: result, rules)
    arrays = tuple(raw(x) for x in inputs)
    return wrap(result, Node(primitive, arrays, {}, result, parents, context.scope, None))


def _batch_norm(
    x: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None,
    bias: Any = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """In training with the gradient of Ioffe and Szegedy (2015), which takes two passes."""
    x = as_tensor(x)
    if not training or x.ndim < 2 or x.dtype.kind != "f":
        return NotImplemented
    _check_channels("batch_norm", x.shape, running_mean, running_var, weight, bias)
    check_eps("batch_norm", eps)
    axes, c = (0, *range(2, x.ndim)), x.shape[1]
    count = x.size // c if c else 0
    running = (running_mean, running_var)
    if count < 2 or any(r is not None and not isinstance(r, Tensor) for r in running):
        return NotImplemented
    by_channel = (1, c) + (1,) * (x.ndim - 2)
    data = raw(x)
    center = sum(data, axes, keepdims=True) / count
    spread = sum((data - center) * (data - center), axes, keepdims=True) / count
    _track(running_mean, wrap(center, None), momentum)
    _track(running_var, wrap(spread, None), momentum, count / (count - 1))
    inverse = 1.0 / sqrt(spread + eps)
    scale = inverse if weight is None else inverse * reshape(raw(weight), by_channel)
    normal = (data - center) * inverse
    result = normal if weight is None else normal * reshape(raw(weight), by_channel)
    result = result if bias is None else result + reshape(raw(bias), by_channel)

    def by_x(g: Any, ans: Any, *args: Any) -> Any:
        total = sum(g, axes, keepdims=True) / count
        along = sum(g * normal, axes, keepdims=True) / count
        return scale * (g - total - normal * along)

    rules = (
        by_x,
        lambda g, ans, *args: reshape(sum(g * normal, axes, keepdims=True), (c,)),
        lambda g, ans, *args: reshape(sum(g, axes, keepdims=True), (c,)),
    )
    given = tuple(0.0 if p is None else p for p in (weight, bias))
    return _vertex("batch_norm", (x, *given), result, rules)


def _hits(labels: Any, classes: int) -> Any:
    """(N, C): whether a class is that of the label."""
    return fixed(np.arange(classes)[None, :]) == reshape(labels, (len(labels), 1))


def _cross_entropy(
    scores: Any, target: Any, weight: Any = None, ignore_index: int = -100,
    reduction: str = "mean", label_smoothing: float = 0.0,
) -> Any:  # fmt: skip
    scores, labels = as_tensor(scores), raw(target)
    plain = weight is None and not label_smoothing and scores.ndim == 2
    if not plain or not isinstance(labels, Symbol) or labels.dtype.kind not in "iu":
        return NotImplemented
    labels = _loss.class_indices("cross_entropy", wrap(labels, None), scores.shape, ignore_index)
    if not (labels != ignore_index).all():
        return NotImplemented
    hits, x = _hits(labels, scores.shape[1]), raw(scores)
    highest = max(x, 1, keepdims=True)
    shift = where(np.isfinite(raw(highest)), highest, 0.0)
    powers = exp(x - shift)
    total = sum(powers, 1, keepdims=True)
    picked = sum(where(hits, x, 0.0), 1, keepdims=True)
    losses = reshape(log(total) + shift - picked, (len(labels),))

    def by_scores(g: Any, ans: Any, *args: Any) -> Any:
        each = reshape(g, (len(labels), 1))
        return powers / total * each - where(hits, each, 0.0)

    return _loss.reduced(_vertex("cross_entropy", (scores,), losses, (by_scores,)), reduction)


def _nll_loss(
    log_probabilities: Any, target: Any, weight: Any = None, ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    x, labels = as_tensor(log_probabilities), raw(target)
    if weight is not None or x.ndim != 2 or not isinstance(labels, Symbol):
        return NotImplemented
    labels = _loss.class_indices("nll_loss", wrap(labels, None), x.shape, ignore_index)
    if not (labels != ignore_index).all():
        return NotImplemented
    return _loss.reduced(-sum(where(_hits(labels, x.shape[1]), x, 0.0), 1), reduction)


SWAPS: dict[str, Callable[..., Any]] = {
    "conv1d": _convolution(1),
    "conv2d": _convolution(2),
    "linear": _linear,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "batch_norm": _batch_norm,
    "cross_entropy": _cross_entropy,
    "nll_loss": _nll_loss,
}
