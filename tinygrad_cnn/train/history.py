"""What a training run leaves behind: one row for each epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Epoch", "History"]


@dataclass(frozen=True)
class Epoch:
    """One pass over the training data.

    Attributes:
        epoch: its number, from 1.
        loss: the mean over the examples, each as it was trained on.
        accuracy: likewise, from 0 to 1; None where the targets are no classes.
        validation_loss: after the epoch; None without validation data.
        validation_accuracy: after the epoch; None without validation data or classes.
        seconds: training time, without validation.
        images_per_second: in training.
        learning_rate: of the first parameter group in the last step.
    """

    epoch: int
    loss: float
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float
    images_per_second: float
    learning_rate: float

    @property
    def rank(self) -> tuple[float, float]:
        """The higher, the better: by validation accuracy, then loss; without, the later."""
        if self.validation_loss is None:
            return self.epoch, 0.0
        return self.validation_accuracy or 0.0, -self.validation_loss


_COLUMNS = (
    "epoch",
    "loss",
    "accuracy",
    "val. loss",
    "val. accuracy",
    "seconds",
    "images/s",
    "learning rate",
)


@dataclass
class History:
    """The finished epochs of a run; ``print`` shows them as a table.

    Attributes:
        epochs: one row each, the first first.
        interrupted: whether Ctrl-C ended the run.
    """

    epochs: list[Epoch] = field(default_factory=list)
    interrupted: bool = False

    @property
    def best(self) -> Epoch | None:
        """The epoch with the highest validation accuracy, of equal ones the lowest loss.

        Without classes that is the one with the lowest validation loss, without validation
        the last one. None as long as no epoch is finished.
        """
        return max(self.epochs, key=lambda epoch: epoch.rank, default=None)

    def __len__(self) -> int:
        return len(self.epochs)

    def __getitem__(self, index: int) -> Epoch:
        return self.epochs[index]

    def __iter__(self) -> Iterator[Epoch]:
        return iter(self.epochs)

    def __repr__(self) -> str:
        best = self.best
        lines = [_COLUMNS, *map(_cells, self.epochs)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = [
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
            for line in lines
        ]
        if best is not None and best.validation_loss is not None:
            table[self.epochs.index(best) + 1] += "  best"
        return "\n".join(table + ["interrupted"] * self.interrupted)


def _cells(row: Epoch) -> tuple[str, ...]:
    return (
        str(row.epoch),
        f"{row.loss:.4f}",
        _percentage(row.accuracy),
        "-" if row.validation_loss is None else f"{row.validation_loss:.4f}",
        _percentage(row.validation_accuracy),
        f"{row.seconds:.1f}",
        f"{row.images_per_second:,.0f}",
        f"{row.learning_rate:.3g}",
    )


def _percentage(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
