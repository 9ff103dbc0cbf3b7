"""How a window comes to lie over images: padding by number or by name, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import numpy as np

from .._arguments import is_whole
from .._core.tensor import Tensor
from ..errors import ArgumentError, ShapeError
from ..ops import crop, pad
from ..ops.windows import per_axis
from ..typing import IntTuple, Shape

Fit: TypeAlias = Literal["floor", "exact", "pad", "crop"]
PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]
Padding: TypeAlias = str | IntTuple | tuple[tuple[int, int], ...]
Widths: TypeAlias = tuple[tuple[int, int], ...]

# What a named padding adds in total, for n elements, a window that reaches over f, and stride s.
_NAMED: dict[str, Callable[[int, int, int], int]] = {
    "valid": lambda n, f, s: 0,
    "same": lambda n, f, s: max((-(-n // s) - 1) * s + f - n, 0),
    "same_lower": lambda n, f, s: max((-(-n // s) - 1) * s + f - n, 0),
    "full": lambda n, f, s: 2 * (f - 1),
}


def widths(size: Shape, extent: Shape, stride: Shape, padding: Padding, name: str) -> Widths:
    """What a padding adds (before, after) along each axis in space.

    Args:
        size: of the images, without batch and channels.
        extent: how far the window reaches, gaps included.
        stride: of the window.
        padding: a number; one for each axis; a pair (before, after) for each axis; or by name.
            "valid" adds nothing; "same" makes ceil(size / stride) windows and puts an odd
            element at the end, "same_lower" at the beginning; "full" lets every element meet
            every place of the window: n + f - 1 windows at stride 1.
        name: of the function, for errors.

    Raises:
        ArgumentError: a name that is none of these.
        ShapeError: not one number or pair for each axis, or one below 0.
    """
    if isinstance(padding, str):
        if padding not in _NAMED:
            raise ArgumentError(
                f"{name}: padding={padding!r}, expected a number or one of {', '.join(_NAMED)}"
            )
        axes = zip(size, extent, stride, strict=True)
        totals = (_NAMED[padding](*axis) for axis in axes)
        halves = ((total // 2, -(-total // 2)) for total in totals)
        return tuple((b, a) if padding == "same_lower" else (a, b) for a, b in halves)
    if isinstance(padding, (tuple, list)) and any(isinstance(p, (tuple, list)) for p in padding):
        return _pairs(padding, len(size), name)
    each = per_axis(padding, f"{name}: padding", len(size), least=0)  # type: ignore[arg-type]
    return tuple((p, p) for p in each)


def _pairs(padding: tuple[object, ...] | list[object], axes: int, name: str) -> Widths:
    pairs = [p for p in padding if isinstance(p, (tuple, list)) and len(p) == 2]
    if (
        len(pairs) != axes
        or len(padding) != axes
        or not all(is_whole(v, 0) for p in pairs for v in p)
    ):
        raise ShapeError(
            f"{name}: padding={padding!r}: expected a pair (before, after) of integers >= 0 for"
            f" each of the {axes} axes in space"
        )
    return tuple((int(a), int(b)) for a, b in pairs)


def fitted(
    size: Shape, extent: Shape, stride: Shape, padding: Widths, fit: Fit, name: str
) -> Widths:
    """The padding under a rule for strides that do not divide what the windows pass over.

    "floor" leaves the rest at the end unseen, "crop" cuts it off (a width below 0), "pad" adds
    what the last window lacks at the end, "exact" raises.

    Raises:
        ArgumentError: ``fit`` is none of these.
        ShapeError: ``fit`` is "exact", and the windows do not fit.
    """
    if fit not in get_args(Fit):
        raise ArgumentError(f"{name}: fit={fit!r}, expected one of {', '.join(get_args(Fit))}")
    if fit == "floor":
        return padding
    found = []
    for axis, (n, f, s, (before, after)) in enumerate(
        zip(size, extent, stride, padding, strict=True), 2
    ):
        rest = (n + before + after - f) % s
        if rest and fit == "exact":
            raise ShapeError(f"{name}: axis {axis}: {_why_not(n, f, s, before, after)}")
        found.append((before, after - rest if fit == "crop" else after + -rest % s))
    return tuple(found)


def _why_not(n: int, f: int, s: int, before: int, after: int) -> str:
    """The formula of the course with its numbers, and what would fit."""
    total = before + after
    two_p = f"2*{before}" if before == after else f"({before} + {after})"
    windows = (n - f + total) / s + 1
    lacking = -(n - f + total) % s
    text = (
        f"(W - F + 2P)/S + 1 = ({n} - {f} + {two_p})/{s} + 1 = {windows:.6g}: the windows do not"
        f" fit. {lacking} more of padding in total (W + 2P = {n + total + lacking}) would give"
        f" {int(np.ceil(windows))}"
    )
    symmetric = -(-(total + lacking) // 2)
    if 2 * symmetric - total - lacking < s:
        text += f", as would padding {symmetric} with fit='floor'"
    return text + "; fit='pad' adds it, fit='crop' and fit='floor' leave the rest out"


def padded(x: Tensor, padding: Widths, mode: PaddingMode, name: str, value: float = 0.0) -> Tensor:
    """Images with a border, or without the elements that a width below 0 cuts off.

    Args:
        x: (N, C, H, W), or other axes in space.
        padding: (before, after) along each axis in space.
        mode: "zeros" (or rather ``value``); "reflect" mirrors at the outermost element,
            "replicate" repeats it, "circular" goes on at the other side.
        name: of the function, for errors.
        value: what "zeros" adds.

    Raises:
        ArgumentError: another mode.
        ShapeError: a border wider than the images have elements for.
    """
    if mode not in get_args(PaddingMode):
        modes = ", ".join(get_args(PaddingMode))
        raise ArgumentError(f"{name}: padding_mode={mode!r}, expected one of {modes}")
    cut = tuple((max(-a, 0), max(-b, 0)) for a, b in padding)
    added = tuple((max(a, 0), max(b, 0)) for a, b in padding)
    if any(map(any, cut)):
        x = crop(x, ((0, 0), (0, 0), *cut))
    if not any(map(any, added)):
        return x
    if mode == "zeros":
        return pad(x, ((0, 0), (0, 0), *added), value)
    for axis, (before, after) in enumerate(added, 2):
        n = x.shape[axis]
        most = n - 1 if mode == "reflect" else n if mode == "circular" else np.inf
        if max(before, after) > most or not n:
            raise ShapeError(
                f"{name}: padding_mode={mode!r} has {max(most, 0)} elements to add along axis"
                f" {axis} of images of shape {x.shape}, padding asks for {max(before, after)}"
            )
        source = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
        places = np.pad(np.arange(n), (before, after), mode=source)  # type: ignore[call-overload]
        x = x[(slice(None),) * axis + (places,)]
    return x
