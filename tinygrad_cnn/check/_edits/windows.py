"""Mistakes at windows that slide over images: convolution, pooling and padding.

The gradient of what the windows read has parts (C, FH, FW, OH, OW, N): for each place in a
window, what each window passes on. The rule adds every part where it was read. Windows over
signals and volumes are left to the mistakes that any operation can have.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from ..._core.node import Node
from ..._kernels.windows import Window, im2col
from ...typing import Array
from .edit import (
    Change,
    Graph,
    Kind,
    Mistake,
    Place,
    WideKind,
    WideMistake,
    edges,
    is_operation,
    parent,
    said,
    values,
)

_OVERLAP = "overlapping windows (a stride below the window)"
_NOT_SQUARE = "images that are not square, nor their results"
_UNEQUAL_STRIDES = "unequal strides for rows and columns"
_NOT_SYMMETRIC = "filters that are not symmetric"
_BATCH = "several images (N > 1)"

# How parts may be written over each other.
_ORDERS = {
    "windows": "window after window",
    "places": "place after place",
    "winners": "the winners alone",
}


def windows(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """im2col and max-pool: the gradient goes back where the windows lay."""
    window, shape = node.params["window"], values(node)[0].shape
    if len(shape) != 4:
        return

    def change(positions: tuple[Array, Array], how: str = "add") -> Change:
        return lambda right, g: _put_back(_parts(node, g), positions, shape, how)

    right = _positions(window, shape)
    pooling = is_operation(node, "gather_windows")
    if max(window.kernel) > 1:
        for how in ("windows", "winners" if pooling else "places"):
            clause = f"= where += belongs: what was written last stays, {_ORDERS[how]}"
            yield Mistake("overwritten", clause, change(right, how), _OVERLAP)
    clause = "the bounds of rows and columns are exchanged"
    exchanged = _exchanged_bounds(right)
    yield Mistake("rows_columns_swapped", clause, change(exchanged), _NOT_SQUARE)
    if max(window.stride) > 1:
        stepless = _positions(window._replace(stride=(1, 1)), shape, window)
        clause = "the windows are put back with stride 1"
        yield Mistake("stride_ignored", clause, change(stepless), "a stride above 1")
        mirrored = _positions(window._replace(stride=window.stride[::-1]), shape, window)
        clause = "the strides of rows and columns are exchanged"
        yield Mistake("rows_columns_swapped", clause, change(mirrored), _UNEQUAL_STRIDES)
    if window.kernel[0] == window.kernel[1] > 1 and (pooling or _is_convolved(node, graph)):
        clause = "rows and columns of the window are exchanged"
        swapped = _with_parts(node, shape, right, lambda parts: parts.swapaxes(1, 2))
        yield Mistake("rows_columns_swapped", clause, swapped, "windows that are not symmetric")
    if len({positions.shape for positions in right}) == 1 and right[0].shape[1] > 1:
        clause = "window (i, j) is put back where (j, i) lay"
        crossed = _with_parts(node, shape, right, lambda parts: parts.swapaxes(3, 4))
        yield Mistake("rows_columns_swapped", clause, crossed, _NOT_SQUARE)
    if shape[2] == shape[3] > 1:
        clause = "rows and columns of the image are exchanged"
        yield Mistake(
            "rows_columns_swapped", clause, lambda right, g: right.swapaxes(2, 3), _NOT_SQUARE
        )


def _is_convolved(node: Node, graph: Graph) -> bool:
    """Whether windows meet filters: their mean has no rows and columns to exchange."""
    use = graph.only_consumer(node)
    while use is not None and is_operation(use[0], "reshape"):
        use = graph.only_consumer(use[0])
    return use is not None and is_operation(use[0], "matmul")


def routing(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """Max-pool: the gradient goes to the winner of each window."""
    [x], window = values(node), node.params["window"]
    count = window.places
    if count == 1 or x.ndim != 4:
        return
    positions = _positions(window, x.shape)

    def everywhere(parts: Array) -> Array:
        return np.broadcast_to(parts.sum((1, 2), keepdims=True), parts.shape)

    def beside(parts: Array) -> Array:
        flat = parts.reshape(parts.shape[0], count, *parts.shape[3:])
        return np.roll(flat, 1, axis=1).reshape(parts.shape)

    def change(what: Any) -> Change:
        return _with_parts(node, x.shape, positions, what)

    remedy = "windows whose elements differ"
    clause = "every element of a window gets the gradient, not the winner alone"
    yield Mistake("missing_mask", clause, change(everywhere), remedy)
    clause = "the gradient goes to the place beside the winner"
    yield Mistake("wrong_mask", clause, change(beside), remedy)
    tied = _columns(im2col(x, window=window), window, x.shape)
    best = tied.max((1, 2), keepdims=True)
    if (tied == best).sum() > best.size:
        clause = "every winner of a tie gets the whole gradient"
        tie = change(lambda parts: everywhere(parts) * (tied == best))
        yield Mistake("tie_convention", clause, tie, "tied values")


def cropping(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """Padding: its gradient is cut off again."""
    [x], widths = values(node), node.params["widths"]
    for name, factor in (("at its beginning", 0), ("twice as far in", 2)):
        starts = [min(factor * before, before + after) for before, after in widths]
        if starts == [before for before, _ in widths]:
            continue
        inner = tuple(slice(s, s + n) for s, n in zip(starts, x.shape, strict=True))
        clause = f"the padded gradient is cut {name}"
        yield Mistake("padding_offset", clause, _part(inner), "a padding above 0")


def _part(inner: tuple[slice, ...]) -> Change:
    return lambda right, g: g[inner]


def convolution(node: Node, index: int, graph: Graph) -> Iterator[Mistake]:
    """A matrix product with the windows of images: W_row @ X_col."""
    columns = _reading(node, 1)
    if columns is None:
        return
    window, images = columns.params["window"], values(columns)[0]
    places = window.places
    w_row, x_col = values(node)

    def flipped(rows: Array) -> Array:
        return rows.reshape(*rows.shape[:-1], -1, places)[..., ::-1].reshape(rows.shape)

    if places > 1 and index:
        yield Mistake(
            "unflipped_kernel",
            "the filters are turned by 180 degrees",
            lambda right, g: np.swapaxes(flipped(w_row), -1, -2) @ g,
            _NOT_SYMMETRIC,
        )
    elif places > 1:
        clause = "the gradient of the filters is turned by 180 degrees"
        yield Mistake("unflipped_kernel", clause, lambda right, g: flipped(right), _NOT_SYMMETRIC)
    if not index:
        yield from _batch(images.shape[0], x_col)
        yield from _weight_strides(window, images, x_col)


def filter_after_filter(graph: Graph) -> Iterator[WideMistake]:
    """Convolution in loops over windows and filters, of which the last to write stays."""
    for node in graph.nodes:
        columns = _reading(node, 1) if is_operation(node, "matmul") else None
        if columns is None or 1 not in edges(node) or 0 not in edges(columns):
            continue
        clause = "= where += belongs: what the last filter wrote stays, window after window"
        window, shape = columns.params["window"], values(columns)[0].shape
        if len(shape) != 4:
            continue
        places = (Place(node, 1, _last_filter(node)), _written_over(columns, window, shape))
        yield WideMistake("overwritten", said(node), clause, places, "several filters")


def _last_filter(node: Node) -> Change:
    last = values(node)[0][..., -1:, :]
    return lambda right, g: np.swapaxes(last, -1, -2) @ g[..., -1:, :]


def _written_over(columns: Node, window: Window, shape: tuple[int, ...]) -> Place:
    positions = _positions(window, shape)
    return Place(
        columns,
        0,
        lambda right, g: _put_back(_parts(columns, g), positions, shape, "windows"),
    )


def _batch(count: int, x_col: Array) -> Iterator[Mistake]:
    """The gradient of the filters is a sum over the batch, the innermost axis of a column."""
    clause = f"averaged over the batch where to sum ({count} images)"
    yield Mistake("mean_for_sum", clause, lambda right, g: right / count, _BATCH)

    def last_image(right: Any, g: Any) -> Any:
        last = slice(count - 1, None, count)
        return g[..., last] @ np.swapaxes(x_col[..., last], -1, -2)

    yield Mistake("overwritten", "only the last image counts", last_image, _BATCH)


def _weight_strides(window: Window, images: Array, x_col: Array) -> Iterator[Mistake]:
    """The gradient of the filters reads the images at the strides of the convolution."""
    if max(window.stride) == 1 or images.ndim != 4:
        return

    def reading(positions: tuple[Array, Array]) -> Change:
        rows, cols = (
            np.minimum(p, n - 1) for p, n in zip(positions, images.shape[2:], strict=True)
        )
        # (N, C, FH, OH, FW, OW) -> (C, FH, FW, OH, OW, N)
        parts = images[:, :, rows[:, :, None, None], cols].transpose(1, 2, 4, 3, 5, 0)
        read = parts.reshape(x_col.shape)
        return lambda right, g: g @ np.swapaxes(read, -1, -2)

    stepless = _positions(window._replace(stride=(1, 1)), images.shape, window)
    clause = "the images are read with stride 1"
    yield Mistake("stride_ignored", clause, reading(stepless), "a stride above 1")
    mirrored = _positions(window._replace(stride=window.stride[::-1]), images.shape, window)
    clause = "the images are read with the strides of rows and columns exchanged"
    yield Mistake("rows_columns_swapped", clause, reading(mirrored), _UNEQUAL_STRIDES)


def _reading(node: Node, index: int) -> Node | None:
    """The im2col whose result an argument is, reshaped perhaps."""
    found = node.parents[index]
    while is_operation(found, "reshape"):
        found = parent(found, 0)  # type: ignore[arg-type]
    return found if is_operation(found, "im2col") else None


# -- geometry ----------------------------------------------------------------------------------


def _positions(
    window: Window, shape: tuple[int, ...], counted_by: Window | None = None
) -> tuple[Array, Array]:
    """The image rows (FH, OH) and columns (FW, OW) that each place of each window reads.

    There are as many windows as ``counted_by`` has.
    """
    out = (counted_by or window).output_size((shape[2], shape[3]))
    rows, columns = (
        np.arange(f)[:, None] * d + np.arange(n) * s
        for f, d, s, n in zip(window.kernel, window.dilation, window.stride, out, strict=True)
    )
    return rows, columns


def _exchanged_bounds(positions: tuple[Array, Array]) -> tuple[Array, Array]:
    """Positions for as many rows of windows as there are columns, and vice versa.

    Windows beyond are none: the same for a square result.
    """
    rows, cols = positions
    oh, ow = rows.shape[1], cols.shape[1]
    outside = np.iinfo(np.intp).max
    return (
        np.where(np.arange(oh) < ow, rows, outside),
        np.where(np.arange(ow) < oh, cols, outside),
    )


def _columns(columns: Array, window: Window, shape: tuple[int, ...]) -> Array:
    """(C*FH*FW, OH*OW*N) -> (C, FH, FW, OH, OW, N)."""
    return columns.reshape(
        shape[1], *window.kernel, *window.output_size((shape[2], shape[3])), shape[0]
    )


def _parts(node: Node, g: Any) -> Array:
    """What each place of each window passes on, (C, FH, FW, OH, OW, N)."""
    window, shape = node.params["window"], values(node)[0].shape
    if is_operation(node, "im2col"):
        return _columns(g, window, shape)
    chosen = node.params["switches"].transpose(1, 2, 3, 0)  # (C, OH, OW, N)
    places = np.arange(window.places).reshape(*window.kernel, 1, 1, 1)
    parts: Array = (chosen[:, None, None] == places) * g.transpose(1, 2, 3, 0)[:, None, None]
    return parts


def _with_parts(
    node: Node, shape: tuple[int, ...], positions: tuple[Array, Array], what: Any
) -> Change:
    return lambda right, g: _put_back(what(_parts(node, g)), positions, shape)


def _put_back(
    parts: Array, positions: tuple[Array, Array], shape: tuple[int, ...], how: str = "add"
) -> Array:
    """Parts written to images (N, C, H, W) at their positions; what lies outside is lost.

    ``how``: add, or write over what is there, in one of ``_ORDERS``.
    """
    n, c, h, w = shape
    images = np.zeros((c, h, w, n))
    rows, cols = positions
    places = list(product(range(len(rows)), range(len(cols))))
    # Of all windows over a pixel the last reads it with its first place.
    for a, b in places if how == "places" else reversed(places):
        i, j = np.flatnonzero(rows[a] < h), np.flatnonzero(cols[b] < w)
        target = (slice(None), rows[a, i][:, None], cols[b, j])
        source = parts[:, a, b][:, i[:, None], j]
        if how == "add":
            images[target] += source
        elif how == "winners":
            images[target] = np.where(source, source, images[target])
        else:
            images[target] = source
    return images.transpose(3, 0, 1, 2)


KINDS: dict[str, tuple[Kind, ...]] = {
    "gather_windows": (routing, windows),
    "im2col": (windows,),
    "matmul": (convolution,),
    "pad": (cropping,),
}
WIDE: tuple[WideKind, ...] = (filter_after_filter,)
