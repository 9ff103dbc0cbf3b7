"""What each primitive does to the axes of the image and to what their units see.

It is told by the settings of the primitive and by shapes alone, so that compositions need no case
of their own: the textbook's ``X_col`` is an array whose columns run over rows, columns and batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from ..._kernels.windows import Window
from ...typing import Array, Shape
from ._tracked import Tracked, no_space

__all__ = ["ELEMENTWISE", "step"]

# Each element of the result is made of the elements at its place.
ELEMENTWISE = {
    "abs", "add", "astype", "broadcast_to", "clip", "cos", "divide", "erf", "exp", "floor",
    "floor_divide", "log", "maximum", "minimum", "multiply", "negative", "power", "round",
    "sigmoid", "sign", "sin", "sqrt", "subtract", "tanh", "where",
}  # fmt: skip

Operands: TypeAlias = Sequence[Tracked | None]
Shapes: TypeAlias = Sequence[Shape]
Params: TypeAlias = Mapping[str, Any]


def step(name: str, operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    """The result of a primitive.

    Every element may see the whole image behind a primitive that is not known here.

    Args:
        name: the primitive.
        operands: its array arguments, one at least computed from the image; None for others.
        shapes: of all of them.
        out: the shape of the result.
        params: its settings.
    """
    return _RULES.get(name, _lost)(operands, shapes, out, params)


def _known(operands: Operands) -> list[Tracked]:
    return [x for x in operands if x is not None]


def _lost(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    return Tracked.lost(out, _known(operands)[0].image)


def _elementwise(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    return reduce(Tracked.union, (x.broadcast(out) for x in _known(operands)))


# -- axes ----------------------------------------------------------------------------------


def _reshape(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    return _known(operands)[0].reshaped(out)


def _transpose(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    [x] = _known(operands)
    return x.with_axes(x.axes[i] for i in params["axes"])


def _reduction(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    [x], axis = _known(operands), params["axis"]
    numbers = range(len(x.axes)) if axis is None else np.ravel(axis)
    return x.reduced((int(i) % len(x.axes) for i in numbers), params["keepdims"])


def _sum_to(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    [x] = _known(operands)
    new = len(x.axes) - len(out)
    summed = [new + i for i, n in enumerate(out) if n != x.shape[new + i]]
    return x.reduced(summed, keep=True).reduced(range(new))


def _cumsum(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    """Every element may see all that its line sees."""
    [x], number = _known(operands), params["axis"] % len(out)
    return x.reduced([number], keep=True).with_axis(number, no_space(out[number]))


def _concatenate(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    """Side by side, each element may see what any part sees, unless most is one part: a picture.

    What is joined to that is taken for a border that repeats inner units.
    """
    number = params["axis"] % len(out)
    lengths = [shape[number] for shape in shapes]
    most = lengths.index(max(lengths))
    picture, first = operands[most], sum(lengths[:most])
    spread = [x.reduced([number], keep=True) for x in _known(operands)]
    joined = _elementwise(spread, shapes, out, params).with_axis(number, no_space(out[number]))
    if picture is None or 2 * lengths[most] <= out[number]:
        return joined
    picture = picture.along(number, out[number], lambda law: law.moved(-first))
    [part] = picture.axes[number]
    if part.image_axis is None:
        return joined
    law = picture.laws[part.image_axis]
    return joined.with_axis(number, (part,)).with_law(part.image_axis, law)


def _stack(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    number = params["axis"] % len(out)
    parts = [x.with_axes((*x.axes[:number], (), *x.axes[number:])) for x in _known(operands)]
    return _elementwise(parts, shapes, out, params)


# -- products ------------------------------------------------------------------------------


def _einsum(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    """An index that is summed over is gone; the others keep what they run over."""
    parts = []
    for x, index in zip(operands, params["inputs"], strict=True):
        if x is None:
            continue
        if len(set(index)) < len(index):  # a diagonal
            return _lost(operands, shapes, out, params)
        x = x.reduced(i for i, letter in enumerate(index) if letter not in params["output"])
        kept = [letter for letter in index if letter in params["output"]]
        axes = dict(zip(kept, x.axes, strict=True))
        parts.append(x.with_axes(axes.get(letter, ()) for letter in params["output"]))
    return _elementwise(parts, shapes, out, params)


def _matmul(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    n, m = map(len, shapes)
    batch = "abcdefghijklmnop"[: max(n, m, 2) - 2]
    left = batch[len(batch) - n + 2 :] + "ru" if n > 1 else "u"
    right = batch[len(batch) - m + 2 :] + "uv" if m > 1 else "u"
    output = batch + "r" * (n > 1) + "v" * (m > 1)
    return _einsum(operands, shapes, out, {"inputs": (left, right), "output": output})


# -- along the axes of the image -----------------------------------------------------------


def _windows(x: Tracked, window: Window, sizes: Sequence[int], change: str) -> Tracked:
    """Windows over the axes in space, which are all from number 2 on, or back from them."""
    axes = zip(sizes, window.kernel, window.stride, window.dilation, strict=True)
    for number, (length, *geometry) in enumerate(axes, 2):
        if geometry[:2] != [1, 1]:  # else it may be several axes in one
            x = x.along(number, length, lambda law, g=geometry: getattr(law, change)(*g))  # type: ignore[misc]
    return x


def _im2col(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    [x], window = _known(operands), params["window"]
    x = _windows(x, window, window.output_size(x.shape[2:]), "window")
    batch, channels, *space = x.axes
    columns = tuple(part for axis in (*space, batch) for part in axis)
    return x.with_axes(((*channels, *no_space(window.places)), columns))


def _col2im(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    [x], window, (n, c, *size) = _known(operands), params["window"], out
    windows = window.output_size(tuple(size))
    x = x.reshaped((c, window.places, *windows, n)).reduced([1])
    channels, *space, batch = x.axes
    return _windows(x.with_axes((batch, channels, *space)), window, size, "transposed")


def _gather_windows(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    return _windows(_known(operands)[0], params["window"], out[2:], "window")


def _scatter_windows(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    return _windows(_known(operands)[0], params["window"], out[2:], "transposed")


def _pad(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    return _shifted(operands, out, [-before for before, _ in params["widths"]])


def _crop(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    return _shifted(operands, out, [before for before, _ in params["widths"]])


def _shifted(operands: Operands, out: Shape, firsts: Sequence[int]) -> Tracked:
    [x] = _known(operands)
    for number, (length, first) in enumerate(zip(out, firsts, strict=True)):
        if first or length != x.shape[number]:
            x = x.along(number, length, lambda law, n=first: law.moved(n))  # type: ignore[misc]
    return x


def _flip(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    [x] = _known(operands)
    for number in params["axis"]:
        length = x.shape[number]
        x = x.along(number, length, lambda law, n=length: law.moved(n - 1, -1))  # type: ignore[misc]
    return x


def _getitem(operands: Operands, shapes: Shapes, out: Shape, params: Params) -> Tracked:
    """Slices, integers and new axes, or one array of places such as a mirrored border's."""
    [x], index = _known(operands), params["index"]
    index = list(index) if isinstance(index, tuple) else [index]
    arrays = [part for part in index if isinstance(part, np.ndarray)]
    others = [part for part in index if not isinstance(part, np.ndarray)]
    integers = any(isinstance(part, (int, np.integer)) for part in others)
    if arrays and (integers or len(arrays) > 1 or arrays[0].ndim != 1 or arrays[0].dtype == bool):
        return _lost(operands, shapes, out, params)
    if not any(part is ... for part in others):
        index.append(...)
    place = next(i for i, part in enumerate(index) if part is ...)
    taken = sum(part is not None and part is not ... for part in index)
    index[place : place + 1] = [slice(None)] * (len(x.axes) - taken)
    gone = []
    for number, part in enumerate(index):
        if part is None:
            x = x.with_axes((*x.axes[:number], (), *x.axes[number:]))
        elif isinstance(part, slice):
            start, stop, stride = part.indices(x.shape[number])
            length = len(range(start, stop, stride))
            if (start, length, stride) != (0, x.shape[number], 1):
                x = x.along(number, length, lambda law, s=start, d=stride: law.moved(s, d))  # type: ignore[misc]
        elif isinstance(part, np.ndarray):
            x = _chosen(x, number, part % x.shape[number])
        else:
            x = x.as_one_axis(number)
            x = x.seen_together(x.axes[number], [int(part) % x.shape[number]])
            x = x.with_axis(number, ())
            gone.append(number)
    return x.with_axes(axis for i, axis in enumerate(x.axes) if i not in gone)


def _chosen(x: Tracked, number: int, places: Array) -> Tracked:
    """Units by their places. A border that repeats inner ones follows their law."""
    count = len(places)
    if count:
        times = int(np.sum(places == places[0]))
        middle = count // 2 if times == 1 else 0
        first = int(places[middle]) - middle
        regular = places == first + np.arange(count) // times  # each one so many times
        if 2 * np.sum(regular) > count:
            return x.along(number, count, lambda law: law.moved(first).repeated(times))
    x = x.as_one_axis(number)
    return x.seen_together(x.axes[number], places.tolist()).with_axis(number, no_space(count))


_Rule: TypeAlias = Callable[[Operands, Shapes, Shape, Params], Tracked]

_RULES: dict[str, _Rule] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(("max", "min", "prod", "sum"), _reduction),
    "col2im": _col2im,
    "concatenate": _concatenate,
    "crop": _crop,
    "cumsum": _cumsum,
    "einsum": _einsum,
    "flip": _flip,
    "gather_windows": _gather_windows,
    "getitem": _getitem,
    "im2col": _im2col,
    "matmul": _matmul,
    "pad": _pad,
    "reshape": _reshape,
    "scatter_windows": _scatter_windows,
    "stack": _stack,
    "sum_to": _sum_to,
    "transpose": _transpose,
}
