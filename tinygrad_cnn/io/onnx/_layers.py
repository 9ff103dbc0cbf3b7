"""Compositions that are one operator of ONNX, as operations of a recorded program.

Each function here stands for a composition of ``functional`` while a model is recorded. It makes
an operation that has the name, the operands and the attributes of the operator, or gives
NotImplemented, and the composition is recorded by its primitives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..._core.context import per_thread
from ..._core.primitive import Primitive, apply
from ..._core.symbol import Symbol, fixed
from ..._core.tensor import Tensor, as_tensor
from ..._kernels.windows import Window
from ...compiler._infer import register_shape
from ...functional import conv_transpose1d, conv_transpose2d, conv_transpose3d
from ...functional._pooling import Layout, divisors, layout, lowest_of
from ...functional._sliding import fitted, padded, widths
from ...functional.adaptive_pool import _binned
from ...functional.exponential import _SELU_ALPHA, _SELU_SCALE
from ...ops import flip, reshape
from ...ops.windows import geometry
from ...typing import Array, Shape

__all__ = ["OPERATORS", "SWAPS"]

Widths = tuple[tuple[int, int], ...]


def _never(*arrays: Any, **attributes: Any) -> Any:
    raise AssertionError("an operator of ONNX is recorded, not carried out")


def _operator(name: str, shape: Callable[..., Any]) -> Primitive:
    register_shape(f"onnx {name}", shape)
    return Primitive(f"onnx {name}", _never, ())


def _unchanged(x: Any, *operands: Any, **attributes: Any) -> Shape:
    return x.shape  # type: ignore[no-any-return]


def _slid(x: Any, channels: int, window: Window, pads: Shape) -> Shape:
    axes = len(window.kernel)
    ends = zip(x.shape[2:], pads[:axes], pads[axes:], strict=True)
    return x.shape[0], channels, *window.output_size(tuple(n + a + b for n, a, b in ends))


def _conv_shape(
    x: Any, w: Any, *bias: Any, kernel_shape: Any, strides: Any, dilations: Any, pads: Any, **_: Any
) -> Shape:
    return _slid(x, w.shape[0], Window(kernel_shape, strides, dilations), pads)


def _pool_shape(
    x: Any, *, kernel_shape: Any, strides: Any, pads: Any, dilations: Any = None, **_: Any
) -> Shape:
    ones = (1,) * len(kernel_shape)
    return _slid(x, x.shape[1], Window(kernel_shape, strides, dilations or ones), pads)


_SHAPES: dict[str, Callable[..., Any]] = {
    "AveragePool": _pool_shape,
    "BatchNormalization": _unchanged,
    "Conv": _conv_shape,
    "ConvTranspose": lambda x, w, *bias, output_shape, **_: (x.shape[0], *output_shape),
    "Elu": _unchanged,
    "Gemm": lambda x, w, *bias, **_: (x.shape[0], w.shape[0]),
    "GlobalAveragePool": lambda x: (*x.shape[:2], *(1,) * (len(x.shape) - 2)),
    "LRN": _unchanged,
    "LeakyRelu": _unchanged,
    "LogSoftmax": _unchanged,
    "MaxPool": _pool_shape,
    "PRelu": _unchanged,
    "Relu": _unchanged,
    "Selu": _unchanged,
    "Softmax": _unchanged,
}
OPERATORS = {name: _operator(name, shape) for name, shape in _SHAPES.items()}


def _record(name: str, *operands: Any, **attributes: Any) -> Any:
    return apply(OPERATORS[name], *(o for o in operands if o is not None), **attributes)


def _unknown(x: Any) -> bool:
    """Whether ``x`` is known only when the model runs: else it is a constant, to be computed."""
    tensor = as_tensor(x)
    tracer = per_thread.context.tracer
    found = tensor.data if tracer is None else tracer.read(tensor)
    return isinstance(found, Symbol) and tensor.dtype.kind == "f"


def _whole(swap: Callable[..., Any]) -> Callable[..., Any]:
    """A swap that leaves constants and integers to the composition."""

    def swapped(x: Any, *args: Any, **kwargs: Any) -> Any:
        return swap(as_tensor(x), *args, **kwargs) if _unknown(x) else NotImplemented

    return swapped


# -- windows -----------------------------------------------------------------------------------


def _split(x: Tensor, total: Widths, kernel: Shape, value: float, name: str) -> tuple[Tensor, Any]:
    """``x`` and the ``pads`` of an operator: what runtimes refuse there is done to ``x`` before.

    They take no width below 0, which crops, and of pools none that is as wide as the window.
    """
    if any(p < 0 or p >= most for pair, most in zip(total, kernel, strict=True) for p in pair):
        x = padded(x, total, "zeros", name, value)
        total = ((0, 0),) * len(total)
    return x, tuple(a for a, _ in total) + tuple(b for _, b in total)


def _convolution(axes: int) -> Callable[..., Any]:
    name = f"conv{axes}d"

    def swap(
        x: Tensor, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1, *, padding_mode: Any = "zeros", turned: bool = False,
        fit: Any = "floor",
    ) -> Any:  # fmt: skip
        weight = as_tensor(weight)
        if x.ndim != axes + 2 or weight.ndim != axes + 2 or x.dtype != weight.dtype:
            return NotImplemented
        if x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
            return NotImplemented  # the composition says what is wrong
        window = geometry(weight.shape[2:], stride, dilation, axes, name)
        extent, size = window.extent, x.shape[2:]
        total = widths(size, extent, window.stride, padding, name)
        total = fitted(size, extent, window.stride, total, fit, name)
        if padding_mode != "zeros":
            x, total = padded(x, total, padding_mode, name), ((0, 0),) * axes
        x, pads = _split(x, total, (2**31,) * axes, 0.0, name)
        if turned:
            weight = flip(weight, tuple(range(2, axes + 2)))
        return _record(
            "Conv", x, weight, bias, kernel_shape=window.kernel, strides=window.stride,
            dilations=window.dilation, pads=pads, group=groups,
        )  # fmt: skip

    def with_flip(*args: Any, flip: bool = False, **kwargs: Any) -> Any:
        return swap(*args, turned=flip, **kwargs)

    return with_flip


def _conv_transpose(axes: int) -> Callable[..., Any]:
    function = {1: conv_transpose1d, 2: conv_transpose2d, 3: conv_transpose3d}[axes]
    name = function.__name__

    def swap(
        x: Tensor, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
        output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
    ) -> Any:  # fmt: skip
        weight = as_tensor(weight)
        if x.ndim != axes + 2 or weight.ndim != axes + 2 or x.dtype != weight.dtype:
            return NotImplemented
        if x.shape[1] != weight.shape[0] or x.shape[1] % groups:
            return NotImplemented

        def each(value: Any) -> Shape:
            return tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes

        window = geometry(weight.shape[2:], stride, dilation, axes, name)
        cut, extra = each(padding), each(output_padding)
        sizes = zip(x.shape[2:], window.stride, window.extent, cut, extra, strict=True)
        size = tuple((n - 1) * s + f - 2 * p + e for n, s, f, p, e in sizes)
        channels = weight.shape[1] * groups
        return _record(
            "ConvTranspose", x, weight, bias, kernel_shape=window.kernel, strides=window.stride,
            dilations=window.dilation, pads=cut * 2, output_padding=extra, group=groups,
            output_shape=(channels, *size),
        )  # fmt: skip

    return swap


def _max_pool(axes: int) -> Callable[..., Any]:
    def swap(
        x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False, *, fit: Any = None,
    ) -> Any:  # fmt: skip
        if return_indices or x.ndim != axes + 2:
            return NotImplemented
        name = f"max_pool{axes}d"
        placed = layout(x, kernel_size, stride, padding, dilation, ceil_mode, fit, name=name)
        return _largest(x, placed, name)

    return swap


def _largest(x: Tensor, placed: Layout, name: str) -> Any:
    window = placed.window
    x, pads = _split(x, placed.padding, window.kernel, lowest_of(x), name)
    return _record(
        "MaxPool", x, kernel_shape=window.kernel, strides=window.stride,
        dilations=window.dilation, pads=pads,
    )  # fmt: skip


def _avg_pool(axes: int) -> Callable[..., Any]:
    def swap(
        x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: Any = None, *, fit: Any = None,
    ) -> Any:  # fmt: skip
        if x.ndim != axes + 2:
            return NotImplemented
        name = f"avg_pool{axes}d"
        placed = layout(x, kernel_size, stride, padding, 1, ceil_mode, fit, name=name)
        counts = divisors(placed, count_include_pad)
        return _mean(x, placed, counts if divisor_override is None else divisor_override, name)

    return swap


def _mean(x: Tensor, placed: Layout, counts: int | Array, name: str) -> Any:
    """The sums of windows by ``counts``: one for all windows, or for each place one."""
    window = placed.window
    seen = divisors(placed, False)
    x, pads = _split(x, placed.padding, window.kernel, 0.0, name)
    included = any(pads) and not np.array_equal(counts, seen)
    made = _record(
        "AveragePool", x, kernel_shape=window.kernel, strides=window.stride, pads=pads,
        count_include_pad=int(included),
    )  # fmt: skip
    if np.array_equal(counts, window.places) or (any(pads) and not included):
        return made
    return made * fixed(np.asarray(window.places / np.asarray(counts), x.dtype))


def _adaptive(axes: int, largest: bool) -> Callable[..., Any]:
    name = f"adaptive_{'max' if largest else 'avg'}_pool{axes}d"

    def swap(x: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        if x.ndim != axes + 2 or return_indices:
            return NotImplemented
        filling = lowest_of(x) if largest else 0.0
        images, placed, _, lengths = _binned(x, output_size, filling, name)
        if largest:
            return _largest(images, placed, name)
        if placed.window.kernel == x.shape[2:]:
            return _record("GlobalAveragePool", images)
        counts: Array = math.prod(np.ix_(*lengths))  # type: ignore[assignment]
        places = placed.window.places
        return _mean(images, placed, places if np.all(counts == places) else counts, name)

    return swap


def _global_mean(axes: int) -> Callable[..., Any]:
    def swap(x: Tensor, keepdims: bool = False) -> Any:
        if x.ndim != axes + 2 or 0 in x.shape:
            return NotImplemented
        mean = _record("GlobalAveragePool", x)
        return mean if keepdims else reshape(mean, x.shape[:2])

    return swap


# -- the others --------------------------------------------------------------------------------


def _linear(x: Tensor, weight: Any, bias: Any = None) -> Any:
    weight = as_tensor(weight)
    if x.ndim != 2 or weight.ndim != 2 or x.shape[1] != weight.shape[1] or x.dtype != weight.dtype:
        return NotImplemented
    return _record("Gemm", x, weight, bias, transB=1)


def _batch_norm(
    x: Tensor, running_mean: Any = None, running_var: Any = None, weight: Any = None,
    bias: Any = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    if training or running_mean is None or running_var is None or x.ndim < 2:
        return NotImplemented
    c = x.shape[1]
    if any(p is not None and p.shape != (c,) for p in (running_mean, running_var, weight, bias)):
        return NotImplemented
    scale = fixed(np.ones(c, x.dtype)) if weight is None else weight
    shift = fixed(np.zeros(c, x.dtype)) if bias is None else bias
    return _record(
        "BatchNormalization", x, scale, shift, running_mean, running_var, epsilon=float(eps)
    )


def _local_response_norm(
    x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    if x.ndim < 3 or not size % 2:  # runtimes have the operator for odd sizes alone
        return NotImplemented
    return _record("LRN", x, size=size, alpha=float(alpha), beta=float(beta), bias=float(k))


def _along_axis(name: str) -> Callable[..., Any]:
    def swap(x: Tensor, axis: int = -1) -> Any:
        return _record(name, x, axis=axis % x.ndim) if x.ndim else NotImplemented

    return swap


def _prelu(x: Tensor, weight: Any) -> Any:
    if x.ndim < 2:
        return NotImplemented
    return _record("PRelu", x, reshape(as_tensor(weight), (-1,) + (1,) * (x.ndim - 2)))


def _by_axes(make: Callable[[int], Any], name: str) -> dict[str, Any]:
    return {name.format(axes): make(axes) for axes in (1, 2, 3)}


SWAPS: dict[str, Callable[..., Any]] = {
    name: _whole(swap)
    for name, swap in {
        **_by_axes(_convolution, "conv{}d"),
        **_by_axes(_conv_transpose, "conv_transpose{}d"),
        **_by_axes(_max_pool, "max_pool{}d"),
        **_by_axes(_avg_pool, "avg_pool{}d"),
        **_by_axes(_global_mean, "global_avg_pool{}d"),
        **_by_axes(lambda axes: _adaptive(axes, False), "adaptive_avg_pool{}d"),
        **_by_axes(lambda axes: _adaptive(axes, True), "adaptive_max_pool{}d"),
        "batch_norm": _batch_norm,
        "elu": lambda x, alpha=1.0: _record("Elu", x, alpha=float(alpha)),
        "leaky_relu": lambda x, negative_slope=0.01: _record(
            "LeakyRelu", x, alpha=float(negative_slope)
        ),
        "linear": _linear,
        "local_response_norm": _local_response_norm,
        "log_softmax": _along_axis("LogSoftmax"),
        "prelu": _prelu,
        "relu": lambda x: _record("Relu", x),
        "selu": lambda x: _record("Selu", x, alpha=_SELU_ALPHA, gamma=_SELU_SCALE),
        "softmax": _along_axis("Softmax"),
    }.items()
}  # fmt: skip
