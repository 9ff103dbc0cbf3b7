"""The loss by learning rate, as a range test found it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from .._files import file_path, replacing
from ..errors import ArgumentError
from ..train import LRRange
from ._figure import BLUE, FAINT, INK, VERMILION, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["lr_range"]

_ROOM = 1.3  # times the initial loss: what lies above is left out of the picture


def lr_range(result: LRRange, path: str | os.PathLike[str] | None = None) -> Figure:
    """The loss by learning rate: where it falls, where it is lowest, where it explodes.

    Args:
        result: what ``tc.train.lr_range_test`` returned.
        path: a PNG file to write as well.

    Raises:
        ArgumentError: ``result`` is something else, or ``path`` no file that may be written.
        MissingExtraError: matplotlib is not installed.

    >>> import numpy as np, tinygrad_cnn as tc
    >>> rates = np.geomspace(1e-4, 1, 9)
    >>> losses = np.array([2.3, 2.3, 2.2, 1.8, 1.0, 0.6, 0.5, 1.9, 8.0])
    >>> figure = tc.draw.lr_range(tc.train.LRRange(rates, losses, 2.3, "SGD"))
    >>> figure.axes[0].get_xlabel()
    'learning rate'
    """
    if not isinstance(result, LRRange):
        raise ArgumentError(
            f"lr_range: expected what lr_range_test returned, got {type(result).__name__}"
        )
    target = None if path is None else file_path(path, ".png")
    figure = new_figure(5.6, 3.4)
    axes = figure.subplots()
    rates, smoothed = result.rates, result.smoothed
    axes.plot(rates, np.where(np.isfinite(result.losses), result.losses, np.nan), color=FAINT)
    axes.plot(rates[: len(smoothed)], smoothed, color=BLUE, label="loss, averaged")
    axes.axhline(result.start, color=INK, linewidth=0.8, linestyle=":", label="at the start")
    if result.suggested is not None and result.lowest is not None:
        for rate, style, what in ((result.suggested, "-", "try"), (result.lowest, "--", "lowest")):
            label = f"{what} {rate:.1e}"
            axes.axvline(rate, color=VERMILION, linewidth=1, linestyle=style, label=label)
    if result.limit is not None:
        axes.axvspan(result.limit, rates[-1] * 2, color="#eceef0", zorder=0, label="too large")
    low = min(smoothed.min(initial=result.start), result.start)
    margin = 0.08 * (result.start * _ROOM - low)
    axes.set(
        xscale="log",
        xlabel="learning rate",
        ylabel="loss",
        xlim=(rates[0], rates[-1]),
        ylim=(low - margin, result.start * _ROOM),
        title=f"Learning-rate range test, {result.optimizer}",
    )
    axes.title.set_fontsize(10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    if target is not None:
        with replacing(target) as file:
            figure.savefig(file, format="png")
    return figure
