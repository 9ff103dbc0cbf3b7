"""The progress bar of an epoch."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from .evaluation import Batches, Evaluation, Totals

# The bar itself gives way to the numbers: without validation they fit into 80 columns.
_FORMAT = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


class ProgressBar:
    """A line that shows batches, loss, accuracy, images per second and the time left.

    Args:
        title: what it starts with.
        data: what is counted.
        progress: whether it is shown; None: on a terminal.
        done: batches that were counted before the run was resumed.
    """

    def __init__(self, title: str, data: Batches, progress: bool | None, done: int = 0) -> None:
        from tqdm import tqdm

        self._bar: Any = tqdm(
            desc=title,
            total=len(data) if isinstance(data, Sized) else None,
            initial=done,
            disable=None if progress is None else not progress,
            bar_format=_FORMAT,
        )

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._bar.close()

    def advance(self, totals: Totals) -> None:
        """Count one more batch."""
        if not self._bar.disable:
            self._show(totals)
            self._bar.update()

    def finish(self, totals: Totals, validation: Evaluation | None) -> None:
        """Add what validation found."""
        if validation is not None and not self._bar.disable:
            self._show(totals, f", val. {_pair(validation)}")

    def _show(self, totals: Totals, more: str = "") -> None:
        rate = totals.images / max(self._bar.format_dict["elapsed"], 1e-9)
        text = f"{_pair(totals)}, {rate:,.0f} images/s{more}"
        self._bar.set_postfix_str(text, refresh=bool(more))


def _pair(means: Totals | Evaluation) -> str:
    hits = "" if means.accuracy is None else f", acc. {100 * means.accuracy:.1f}%"
    return f"loss {means.loss:.4f}{hits}"
