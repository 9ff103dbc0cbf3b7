"""Primitives as operators of ONNX (opset 17)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...compiler._symbols import Symbol
from ._graph import Graph, UnsupportedError, element_type
from ._recording import Dims, Pair

__all__ = ["write"]

_END = 2**63 - 1

_UNARY = {
    "abs": "Abs", "ceil": "Ceil", "cos": "Cos", "erf": "Erf", "exp": "Exp", "floor": "Floor",
    "invert": "Not", "isinf": "IsInf", "isnan": "IsNaN", "log": "Log", "logical_not": "Not",
    "negative": "Neg", "reciprocal": "Reciprocal", "sigmoid": "Sigmoid", "sign": "Sign",
    "sin": "Sin", "sqrt": "Sqrt", "tanh": "Tanh",
}  # fmt: skip
_BINARY = {
    "add": "Add", "divide": "Div", "matmul": "MatMul", "maximum": "Max", "minimum": "Min",
    "multiply": "Mul", "power": "Pow", "subtract": "Sub", "where": "Where",
    "bitwise_and": "And", "bitwise_or": "Or", "bitwise_xor": "Xor",
    "logical_and": "And", "logical_or": "Or",
}  # fmt: skip
_COMPARISONS = {
    "equal": "Equal", "greater": "Greater", "greater_equal": "GreaterOrEqual", "less": "Less",
    "less_equal": "LessOrEqual", "not_equal": "Equal",
}  # fmt: skip
_REDUCTIONS = {"max": "ReduceMax", "min": "ReduceMin", "prod": "ReduceProd", "sum": "ReduceSum"}


def write(graph: Graph, pair: Pair) -> None:
    """Add the operators for one operation.

    Raises:
        UnsupportedError: there are none.
    """
    operation = pair.first
    graph.begin(operation)
    name = operation.name
    if name.startswith("onnx "):
        _layer(graph, pair, name.removeprefix("onnx "))
    elif name in _UNARY:
        graph.node(_UNARY[name], [graph.value(_args(pair)[0])], last=True)
    elif name in _BINARY or name in _COMPARISONS:
        _elementwise(graph, pair, name)
    elif name in _REDUCTIONS:
        _reduce(graph, pair, _REDUCTIONS[name])
    elif name in _OTHERS:
        _OTHERS[name](graph, pair)
    else:
        raise UnsupportedError("")


def _args(pair: Pair) -> list[Dims]:
    return [Dims(*ab) for ab in zip(pair.first.args, pair.second.args, strict=True)]


def _fixed(pair: Pair, setting: str) -> Any:
    found = pair.setting(setting)
    if not found.is_fixed:
        raise UnsupportedError(f"with {setting}={_shown(found.first)}, which depends on the batch")
    return found.first


def _shown(value: Any) -> str:
    return " ".join(repr(value).split())[:60]


def _layer(graph: Graph, pair: Pair, op: str) -> None:
    settings = {key: _fixed(pair, key) for key in pair.first.params if key != "output_shape"}
    graph.node(op, [graph.value(arg) for arg in _args(pair)], last=True, **settings)


def _elementwise(graph: Graph, pair: Pair, name: str) -> None:
    """Operands in one dtype, which NumPy would find by itself."""
    args, operation = _args(pair), pair.first
    dtype: Any = operation.result.dtype
    if name in _COMPARISONS:
        dtype = np.result_type(*(getattr(a, "dtype", a) for a in operation.args))
    if name == "where":
        condition, *args = args
        names = [graph.value(condition, np.bool_), *(graph.value(arg, dtype) for arg in args)]
    else:
        names = [graph.value(arg, dtype) for arg in args]
    if name.startswith("bitwise") and dtype != np.bool_:
        raise UnsupportedError("of integers")
    if name == "not_equal":
        graph.node("Not", [graph.node("Equal", names)], last=True)
    else:
        graph.node((_BINARY | _COMPARISONS)[name], names, last=True)


def _reduce(graph: Graph, pair: Pair, op: str) -> None:
    axes, [x] = _fixed(pair, "axis"), _args(pair)
    axes = axes if isinstance(axes, tuple) else (axes,)
    keepdims = int(_fixed(pair, "keepdims"))
    name = graph.value(x, pair.first.result.dtype)
    if op == "ReduceSum":  # the others take them as operands from opset 18 on
        graph.node(op, [name, graph.integers(axes)], last=True, keepdims=keepdims)
    else:
        graph.node(op, [name], last=True, axes=list(axes), keepdims=keepdims)


def _reshape(graph: Graph, pair: Pair) -> None:
    """0 keeps the length of the axis, -1 is what remains: no batch is written down."""
    [x] = _args(pair)
    before, after = Dims(x.first.shape, x.second.shape), pair.setting("shape")
    free = [i for i, (a, b) in enumerate(zip(*after, strict=True)) if a != b]
    target = list(after.first)
    if len(free) == 1:
        target[free[0]] = -1
    elif free:
        known = range(len(before.first))
        kept = [i for i in free if i in known and _length(before, i) == _length(after, i)]
        for i in kept:
            target[i] = 0
        left = [i for i in free if i not in kept]
        if len(left) > 1:
            raise UnsupportedError(f"to {after.first}: several lengths depend on the batch")
        for i in left:
            target[i] = -1
    graph.node("Reshape", [graph.value(x), graph.integers(target)], last=True)


def _length(shape: Dims, axis: int) -> tuple[int, int]:
    return shape.first[axis], shape.second[axis]


def _transpose(graph: Graph, pair: Pair) -> None:
    [x] = _args(pair)
    graph.node("Transpose", [graph.value(x)], last=True, perm=list(_fixed(pair, "axes")))


def _broadcast_to(graph: Graph, pair: Pair) -> None:
    [x] = _args(pair)
    target = graph.dims(pair.setting("shape"))
    shape = x.first.shape if isinstance(x.first, Symbol) else np.shape(x.first)
    for i, n in enumerate(shape, len(target) - len(shape)):
        if target[i] is None and n != 1:
            target[i] = 1  # the operand has the batch: 1 leaves it as it is
    graph.node("Expand", [graph.value(x), graph.lengths(target)], last=True)


def _full(graph: Graph, pair: Pair) -> None:
    shape = graph.lengths(graph.dims(pair.setting("shape")))
    value = graph.constant(_fixed(pair, "value"), pair.first.result.dtype)
    graph.node("Expand", [value, shape], last=True)


def _join(graph: Graph, pair: Pair) -> None:
    dtype, axis = pair.first.result.dtype, _fixed(pair, "axis")
    graph.node("Concat", [graph.value(x, dtype) for x in _args(pair)], last=True, axis=axis)


def _stack(graph: Graph, pair: Pair) -> None:
    dtype, axis = pair.first.result.dtype, _fixed(pair, "axis")
    axes = graph.integers([axis])
    parts = [graph.node("Unsqueeze", [graph.value(x, dtype), axes]) for x in _args(pair)]
    graph.node("Concat", parts, last=True, axis=axis)


def _flip(graph: Graph, pair: Pair) -> None:
    axes, [x] = _fixed(pair, "axis"), _args(pair)
    axes = axes if isinstance(axes, tuple) else (axes,)
    _slice(graph, graph.value(x), [(-1, -_END, i, -1) for i in axes], last=True)


def _slice(graph: Graph, x: str, parts: list[Any], last: bool) -> str:
    """``parts``: first element, end, axis and step of each slice."""
    return graph.node("Slice", [x, *map(graph.integers, zip(*parts, strict=True))], last=last)


def _pad(graph: Graph, pair: Pair) -> None:
    widths, [x] = _fixed(pair, "widths"), _args(pair)
    ends = [a for a, _ in widths] + [b for _, b in widths]
    value = graph.constant(_fixed(pair, "value"), x.first.dtype)
    graph.node("Pad", [graph.value(x), graph.integers(ends), value], last=True, mode="constant")


def _crop(graph: Graph, pair: Pair) -> None:
    widths, [x] = _fixed(pair, "widths"), _args(pair)
    parts = [(a, -b if b else _END, i, 1) for i, (a, b) in enumerate(widths) if a or b]
    _slice(graph, graph.value(x), parts, last=True)


def _getitem(graph: Graph, pair: Pair) -> None:
    """Slices first, then places, then new axes."""
    [x], index = _args(pair), _fixed(pair, "index")
    slices, places, added = _parts_of(index, x.first.ndim)
    arrays = [i for _, i in places if isinstance(i, Symbol) or np.ndim(i)]
    if len(arrays) > 1 or (added and arrays):
        raise UnsupportedError("by several arrays")
    steps: list[Callable[[str, bool], str]] = []
    if slices:
        steps.append(lambda n, last: _slice(graph, n, slices, last))
    for axis, i in reversed(places):
        steps.append(partial(_gather, graph, axis, i))
    if added:
        axes = graph.integers(added)
        steps.append(lambda n, last: graph.node("Unsqueeze", [n, axes], last=last))
    steps = steps or [lambda n, last: graph.node("Identity", [n], last=last)]
    name = graph.value(x)
    for number, step in enumerate(steps, 1):
        name = step(name, number == len(steps))


def _gather(graph: Graph, axis: int, i: Any, x: str, last: bool) -> str:
    if isinstance(i, Symbol):
        chosen = graph.cast(graph.names[i], i.dtype, np.int64)
    else:
        chosen = graph.constant(i, np.int64)
    return graph.node("Gather", [x, chosen], last=last, axis=axis)


def _parts_of(index: Any, ndim: int) -> tuple[list[Any], list[tuple[int, Any]], list[int]]:
    """Of an index the slices, the places with their axes, and where new axes come in."""
    index = index if isinstance(index, tuple) else (index,)
    used = sum(i is not None and i is not Ellipsis for i in index)
    at = next((n for n, i in enumerate(index) if i is Ellipsis), len(index))
    slices, places, added, axis, out = [], [], [], 0, 0
    for i in (*index[:at], *(slice(None),) * (ndim - used), *index[at + 1 :]):
        if i is None:
            added.append(out)
        elif isinstance(i, slice):
            if (i.start, i.stop, i.step) != (None, None, None):
                slices.append(_ends(i, axis))
        elif (i if isinstance(i, Symbol) else np.asarray(i)).dtype.kind not in "iu":
            raise UnsupportedError(f"by {i!r:.60}")
        else:
            places.append((axis, i))
        axis += i is not None
        out += i is None or isinstance(i, slice)
    return slices, places, added


def _ends(i: slice, axis: int) -> tuple[int, int, int, int]:
    step = 1 if i.step is None else int(i.step)
    start = i.start if i.start is not None else (0 if step > 0 else -1)
    stop = i.stop if i.stop is not None else (_END if step > 0 else -_END)
    return int(start), int(stop), axis, step


def _cast(graph: Graph, pair: Pair) -> None:
    [x], dtype = _args(pair), _fixed(pair, "dtype")
    graph.node("Cast", [graph.value(x)], last=True, to=element_type(dtype))


def _cumsum(graph: Graph, pair: Pair) -> None:
    [x] = _args(pair)
    axis = graph.constant(_fixed(pair, "axis"), np.int64)
    graph.node("CumSum", [graph.value(x), axis], last=True)


def _einsum(graph: Graph, pair: Pair) -> None:
    equation = f"{','.join(_fixed(pair, 'inputs'))}->{_fixed(pair, 'output')}"
    dtype = pair.first.result.dtype
    names = [graph.value(x, dtype) for x in _args(pair)]
    graph.node("Einsum", names, last=True, equation=equation)


def _clip(graph: Graph, pair: Pair) -> None:
    x, low, high = (graph.value(arg, pair.first.result.dtype) for arg in _args(pair))
    graph.node("Min", [graph.node("Max", [x, low]), high], last=True)


def _round(graph: Graph, pair: Pair) -> None:
    if pair.first.params.get("decimals"):
        raise UnsupportedError("to decimals")
    graph.node("Round", [graph.value(_args(pair)[0])], last=True)


def _square(graph: Graph, pair: Pair) -> None:
    name = graph.value(_args(pair)[0])
    graph.node("Mul", [name, name], last=True)


_OTHERS: dict[str, Callable[[Graph, Pair], None]] = {
    "astype": _cast,
    "broadcast_to": _broadcast_to,
    "clip": _clip,
    "concatenate": _join,
    "crop": _crop,
    "cumsum": _cumsum,
    "einsum": _einsum,
    "flip": _flip,
    "full": _full,
    "getitem": _getitem,
    "pad": _pad,
    "reshape": _reshape,
    "round": _round,
    "square": _square,
    "stack": _stack,
    "transpose": _transpose,
}
