"""Which classes a model takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .._core.tensor import raw
from ..errors import ArgumentError, DtypeError, ShapeError
from ..train import confusion_matrix as count
from ..typing import Array, TensorLike
from ._figure import class_names, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["confusion_matrix"]

_MOST_WITH_TEXT = 20  # classes whose counts can still be read
_COLOURS = "Blues"  # one hue, from white, so that the rare mistakes of an empty field stand out
_DARK = 0.51  # the share from which on white text contrasts more than black


def confusion_matrix(
    scores_or_matrix: TensorLike,
    labels: TensorLike | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> Figure:
    """How often each class (row) was taken for each class (column).

    Each field has its count and its share of the row; the colour grows with the square root of
    the share, so that rare mistakes show. More than 20 classes are shown by colour alone.

    Args:
        scores_or_matrix: scores (N, C) or (N, C, …) with labels, or counts (C, C) without.
        labels: class indices, (N,) or (N, …); those below 0 count for nothing.
        classes: the names of the classes, by default their numbers.

    Raises:
        ShapeError: scores and labels do not fit together, or the matrix is not square.
        DtypeError: a matrix of something else than counts.
        ArgumentError: ``classes`` of another length, a label without a score, a negative count
            or no example at all.
        MissingExtraError: matplotlib is not installed.

    >>> import tinygrad_cnn as tc
    >>> figure = tc.draw.confusion_matrix([[8, 2], [0, 5]], classes=["cat", "dog"])
    >>> figure.axes[0].get_title()
    '86.7 % of 15 right'
    """
    counts = _counts(scores_or_matrix, labels)
    n = len(counts)
    names = class_names("confusion_matrix", classes, n)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.ma.masked_invalid(counts / np.where(totals == 0, np.nan, totals))
    side = max(0.52 * n, 2.2) if n <= _MOST_WITH_TEXT else 8.0
    figure = new_figure(side + 2.0, side + 0.8)
    axes = figure.subplots()
    _show(axes, shares)
    _label(axes, names)
    if n <= _MOST_WITH_TEXT:
        _write(axes, counts, shares)
    right = counts.trace() / counts.sum()
    axes.set_title(f"{100 * right:.1f} % of {int(counts.sum()):,} right", fontsize=10)
    return figure


def _counts(scores_or_matrix: TensorLike, labels: TensorLike | None) -> Array:
    if labels is not None:
        counts = count(scores_or_matrix, labels)
    else:
        counts = np.asarray(raw(scores_or_matrix))
        if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
            raise ShapeError(
                f"confusion_matrix: shape {counts.shape}, expected counts (C, C), or scores (N, C)"
                " with labels (N,)"
            )
        if counts.dtype.kind not in "iu":
            raise DtypeError(
                f"confusion_matrix: counts of {counts.dtype}, expected integers; scores need labels"
            )
        if counts.min(initial=0) < 0:
            raise ArgumentError(f"confusion_matrix: a count of {counts.min()}")
    if not counts.any():
        raise ArgumentError("confusion_matrix: nothing was counted")
    return counts


def _show(axes: Axes, shares: Array) -> None:
    from matplotlib.colors import PowerNorm

    axes.set_facecolor("#e4e4e4")  # a class without examples
    scale = PowerNorm(0.5, vmin=0, vmax=1)
    shown = axes.imshow(shares, cmap=_COLOURS, norm=scale, interpolation="none")
    bar = axes.figure.colorbar(shown, ax=axes, shrink=0.75, label="share of the true class")
    ticks = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 1)
    bar.set_ticks(ticks, labels=[f"{100 * tick:g} %" for tick in ticks])


def _label(axes: Axes, names: list[str]) -> None:
    step = -(-len(names) // 50)  # every name up to 50, then some
    places = range(0, len(names), step)
    shown = [names[place] for place in places]
    turned = 90 if len(names) > _MOST_WITH_TEXT or max(map(len, shown)) > 7 else 0
    size = 8 if len(names) <= _MOST_WITH_TEXT else 6
    axes.set_xticks(places, shown, rotation=turned, fontsize=size)
    axes.set_yticks(places, shown, fontsize=size)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")


def _write(axes: Axes, counts: Array, shares: Array) -> None:
    """The counts that are not zero, with their shares in per cent."""
    for row, column in np.argwhere(counts):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{counts[row, column]}\n{100 * share:.1f} %",
            ha="center",
            va="center",
            fontsize=7,
            color="white" if share > _DARK else "black",
        )
