"""What a run needs of the other processes that train the same model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from ..typing import Array

if TYPE_CHECKING:
    from ._run import Run
    from .evaluation import Totals


class Parallel(Protocol):
    """What ``distributed.DataParallel`` offers to ``fit`` and ``evaluate``."""

    @property
    def rank(self) -> int:
        """The number of this process; 0 writes files and shows progress."""
        ...

    def begin(self, run: Run, data: Any) -> None:
        """Start from the state of rank 0."""
        ...

    def in_step(self, data: Iterator[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        """As many batches as every other rank has, at the end perhaps empty ones."""
        ...

    def without_data(self, inputs: Any) -> None:
        """Take part in a step with an empty batch."""
        ...

    def joined(
        self, images: int, loss: float, hits: Array | None
    ) -> tuple[int, float, Array | None]:
        """Make gradients, loss and hits those of the batches of all ranks together."""
        ...

    def spread_buffers(self) -> None:
        """Take over the buffers of rank 0."""
        ...

    def joined_totals(self, totals: Totals) -> Totals:
        """The totals of all ranks together."""
        ...
