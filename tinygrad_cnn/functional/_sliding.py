"""How a window comes to lie over images: padding by number or by name, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, inf
from typing import Literal, TypeAlias, get_args

from .._arguments import is_whole
from .._core.tensor import Tensor
from .._kernels.windows import Window
from ..errors import ArgumentError, ShapeError
from ..ops import broadcast_to, concatenate, crop, flip, pad
from ..ops.windows import check_fits, geometry
from ..typing import IntTuple, Shape

Fit: TypeAlias = Literal["floor", "exact", "pad", "crop"]
PaddingMode: TypeAlias = Literal["zeros", "reflect", "replicate", "circular"]
Padding: TypeAlias = str | IntTuple | tuple[tuple[int, int], ...]
Widths: TypeAlias = tuple[tuple[int, int], ...]

# What a named padding adds in total, for n elements, a window that reaches over f, and stride s.
NAMED: dict[str, Callable[[int, int, int], int]] = {
    "valid": lambda n, f, s: 0,
    "same": lambda n, f, s: max((-(-n // s) - 1) * s + f - n, 0),
    "same_lower": lambda n, f, s: max((-(-n // s) - 1) * s + f - n, 0),
    "full": lambda n, f, s: 2 * (f - 1),
}
_NAMES = ", ".join(map(repr, NAMED))


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
    if isinstance(padding, str) and padding in NAMED:
        axes = zip(size, extent, stride, strict=True)
        totals = (NAMED[padding](*axis) for axis in axes)
        halves = ((total // 2, -(-total // 2)) for total in totals)
        return tuple((b, a) if padding == "same_lower" else (a, b) for a, b in halves)
    return borders(padding, len(size), name)


def borders(padding: Padding, axes: int, name: str) -> Widths:
    """A padding by numbers as (before, after) along each axis in space.

    Raises:
        ArgumentError: a name, which needs to know the images.
        ShapeError: not one number or pair for each axis, or one below 0.
    """
    if isinstance(padding, str):
        raise ArgumentError(f"{name}: padding={padding!r}: expected numbers, or one of {_NAMES}")
    each = padding if isinstance(padding, (tuple, list)) else (padding,) * axes
    pairs = [tuple(p) if isinstance(p, (tuple, list)) else (p, p) for p in each]
    if len(pairs) != axes or not all(len(p) == 2 and all(is_whole(v, 0) for v in p) for p in pairs):
        raise ShapeError(
            f"{name}: padding={padding!r}: expected an integer >= 0, a tuple of {axes} of them or"
            f" of pairs (before, after), or one of {_NAMES}"
        )
    return tuple((int(a), int(b)) for a, b in pairs)


def numbers(padding: Widths) -> Shape | Widths:
    """The same as a number for each axis, where no sides differ."""
    return tuple(a for a, _ in padding) if all(a == b for a, b in padding) else padding


def fitted(
    size: Shape, extent: Shape, stride: Shape, padding: Widths, fit: Fit, name: str
) -> Widths:
    """The padding under a rule for strides that do not divide what the windows pass over.

    "floor" leaves the rest at the end unseen, "crop" cuts it off (a width below 0), "pad" adds
    what the last window lacks at the end, "exact" raises. Images smaller than the window stay
    as they are: no rule lets them fit.

    Raises:
        ArgumentError: ``fit`` is none of these.
        ShapeError: ``fit`` is "exact", and the windows do not fit.
    """
    if fit not in get_args(Fit):
        raise ArgumentError(f"{name}: fit={fit!r}, expected one of {', '.join(get_args(Fit))}")
    if fit == "floor":
        return padding
    found = []
    axes = zip(size, extent, stride, padding, strict=True)
    for axis, (n, f, s, (before, after)) in enumerate(axes, 2):
        span = n + before + after - f  # what the window passes over
        if span > 0 and span % s and fit == "exact":
            raise ShapeError(f"{name}: axis {axis}: {_why_not(n, f, s, before, after)}")
        change = -(span % s) if fit == "crop" else -span % s
        found.append((before, after + change if span > 0 else after))
    return tuple(found)


def _why_not(n: int, f: int, s: int, before: int, after: int) -> str:
    """The formula of the course with its numbers, and what would fit."""
    total = before + after
    lacking = -(n + total - f) % s
    windows = (n + total - f) / s + 1
    two_p = f"2*{before}" if before == after else f"({before} + {after})"
    each = -(-(total + lacking) // 2)
    floor = "" if 2 * each == total + lacking else " with fit='floor'"
    return (
        f"(W - F + 2P)/S + 1 = ({n} - {f} + {two_p})/{s} + 1 = {windows:g}: the windows do not fit."
        f" {lacking} more of padding in total ({n + total + lacking}) would give {ceil(windows)},"
        f" as would padding {each}{floor}; fit='pad' adds what lacks at the end, fit='crop' cuts"
        " off what is left over, fit='floor' does not look at it"
    )


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
    if mode != "zeros":
        for axis, (before, after) in enumerate(added, 2):
            if before or after:
                x = _extended(x, axis, before, after, mode, name)
    elif any(map(any, added)):
        x = pad(x, ((0, 0), (0, 0), *added), value)
    return crop(x, ((0, 0), (0, 0), *cut)) if any(map(any, cut)) else x


def _extended(
    x: Tensor, axis: int, before: int, after: int, mode: PaddingMode, name: str
) -> Tensor:
    """More elements at both ends of an axis, joined: slices keep the memory order of ``x``."""
    n = x.shape[axis]
    most = n - 1 if mode == "reflect" else n if mode == "circular" or not n else inf
    if max(before, after) > most:
        raise ShapeError(
            f"{name}: padding_mode={mode!r} has {most} elements to add along axis {axis} of"
            f" images of shape {x.shape}, padding asks for {max(before, after)}"
        )

    def part(start: int, stop: int) -> Tensor:
        return x[(slice(None),) * axis + (slice(start, stop),)]

    def repeated(place: int, count: int) -> Tensor:
        return broadcast_to(part(place, place + 1), (*x.shape[:axis], count, *x.shape[axis + 1 :]))

    if mode == "reflect":
        first, last = flip(part(1, before + 1), axis), flip(part(n - 1 - after, n - 1), axis)
    elif mode == "replicate":
        first, last = repeated(0, before), repeated(n - 1, after)
    else:
        first, last = part(n - before, n), part(0, after)
    return concatenate([p for p in (first, x, last) if p.shape[axis]], axis)


def slide(
    x: Tensor,
    kernel: Shape,
    stride: IntTuple,
    padding: Padding,
    dilation: IntTuple,
    name: str,
    mode: PaddingMode = "zeros",
    fit: Fit = "floor",
) -> tuple[Tensor, Window]:
    """Images with their padding, and the window that slides over them.

    Args:
        x: (N, C, H, W), or other axes in space: as many as ``kernel`` has.
        kernel, stride, padding, dilation: of the window, see ``widths``.
        name: of the function, for errors.
        mode: what the padding consists of, see ``padded``.
        fit: what happens where the stride does not fit, see ``fitted``.

    Raises:
        ArgumentError: another mode or fit.
        ShapeError: a setting is too small, or the window does not fit.
    """
    window, size = geometry(kernel, stride, dilation, len(kernel), name), x.shape[2:]
    extent = window.extent
    around = widths(size, extent, window.stride, padding, name)
    x = padded(x, fitted(size, extent, window.stride, around, fit, name), mode, name)
    check_fits(window, x.shape[2:], name)
    return x, window
