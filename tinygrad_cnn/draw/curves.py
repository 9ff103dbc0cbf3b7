"""Loss and accuracy, epoch by epoch."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import fields
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError, DataError, DtypeError
from ..train import Epoch, History
from ._figure import BLUE, FAINT, INK, VERMILION, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["learning_curves"]


def learning_curves(
    history: History | Iterable[Epoch | Mapping[str, Any]] | str | os.PathLike[str],
) -> Figure:
    """Loss and accuracy of training and validation by epoch, the best epoch marked.

    The best is meant as in ``History.best`` and needs validation data. Epochs whose value is NaN
    or infinite have no point: dotted lines mark them, and the legend names them.

    Args:
        history: what ``fit`` returned, or its epochs as dicts with the keys of ``Epoch``, of
            which ``epoch`` and ``loss`` are needed; or the path of the log that
            ``fit(…, log=…)`` wrote, of which the last run is shown.

    Raises:
        ArgumentError: no epoch is finished, one has no number or loss, or no such file.
        DataError: the file is no such log.
        DtypeError: a loss or accuracy is no number.
        MissingExtraError: matplotlib is not installed.

    >>> import tinygrad_cnn as tc
    >>> epochs = [{"epoch": 1, "loss": 0.9}, {"epoch": 2, "loss": 0.4}]
    >>> [line.get_label() for line in tc.draw.learning_curves(epochs).axes[0].lines]
    ['training']
    """
    run = History([_epoch(row) for row in _rows(history)])
    if not run.epochs:
        raise ArgumentError("learning_curves: no finished epoch to show")
    measured = any(row.accuracy is not None for row in run) or any(
        row.validation_accuracy is not None for row in run
    )
    figure = new_figure(8.4 if measured else 4.4, 3.3)
    panels = figure.subplots(1, 2 if measured else 1, squeeze=False)[0]
    _curves(panels[0], run, "loss", 1.0)
    if measured:
        _curves(panels[1], run, "accuracy", 100.0)
        panels[1].set_ylabel("accuracy in %")
    return figure


def _rows(history: Any) -> list[Any]:
    """The epochs, wherever they come from."""
    if isinstance(history, (str, os.PathLike)):
        return _logged(Path(history))
    if isinstance(history, Mapping) or not isinstance(history, Iterable):
        raise ArgumentError(
            "learning_curves: expected what fit returned, a list of epochs or the path of a log,"
            f" got {type(history).__name__}"
        )
    return list(history)


def _logged(path: Path) -> list[dict[str, Any]]:
    """The epochs of the last run in a log: each run starts with its settings."""
    if not path.is_file():
        raise ArgumentError(f"learning_curves: there is no log {os.fspath(path)!r}")
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), start=1):
        try:
            record = json.loads(line)
            kind = record["kind"]
        except (ValueError, TypeError, KeyError):
            raise DataError(
                f"{path}, line {number} is none of a log that fit(…, log=…) writes: {line[:60]!r}"
            ) from None
        if kind == "settings":
            rows = []
        elif kind == "epoch":
            rows.append(record)
    return rows


def _epoch(row: Any) -> Epoch:
    if isinstance(row, Epoch):
        return row
    if not isinstance(row, Mapping) or row.get("epoch") is None or row.get("loss") is None:
        raise ArgumentError(f"learning_curves: {row!r:.80} is no epoch with its number and loss")
    known: dict[str, Any] = {field.name: row.get(field.name) for field in fields(Epoch)}
    for name, value in known.items():
        if value is not None and not isinstance(value, Real):
            raise DtypeError(f"learning_curves: {name}={value!r:.60}, expected a number")
    return Epoch(**known)


def _curves(axes: Axes, run: History, key: str, factor: float) -> None:
    """Training, validation and the best epoch of one quantity."""
    from matplotlib.ticker import MaxNLocator

    for prefix, colour, style in (("", BLUE, "o-"), ("validation_", VERMILION, "s--")):
        known = [(row.epoch, getattr(row, prefix + key)) for row in run]
        points = [(epoch, factor * value) for epoch, value in known if value is not None]
        label = "validation" if prefix else "training"
        if points:
            axes.plot(*zip(*points, strict=True), style, color=colour, label=label, markersize=3.5)
        _mark_not_finite(axes, label, points, colour)
    best = _best(run)
    value = None if best is None else getattr(best, f"validation_{key}")
    if best is not None and value is not None:
        axes.axvline(best.epoch, color=FAINT, linewidth=1, zorder=0)
        shown = f"{factor * value:.2f} %" if factor > 1 else f"{value:.4f}"
        axes.plot(
            *(best.epoch, factor * value), "o", color=INK, fillstyle="none", markersize=9,
            label=f"best: epoch {best.epoch}, {shown}",
        )  # fmt: skip
    axes.set(xlabel="epoch", ylabel=key)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#eceef0")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=8)


def _best(run: History) -> Epoch | None:
    """The best of the epochs that have a validation loss, or none."""
    return History([row for row in run if math.isfinite(row.validation_loss or 0.0)]).best


def _mark_not_finite(axes: Axes, label: str, points: list[tuple[int, float]], colour: str) -> None:
    """A dotted line at each epoch without a point."""
    lost = [(epoch, value) for epoch, value in points if not math.isfinite(value)]
    for epoch, _ in lost:
        axes.axvline(epoch, color=colour, linewidth=1, linestyle=":")
    if lost:
        said = "NaN" if any(math.isnan(value) for _, value in lost) else "infinite"
        after = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        axes.plot([], [], ":", color=colour, label=f"{label} {said}: epoch {lost[0][0]}{after}")
