"""The files of a run, whole at every moment."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np

from .. import nn
from .._files import file_path, replacing
from ..nn._state import check_state
from ..typing import Array
from ._step import Step
from .evaluation import Batches, Loss
from .history import History

PathLike: TypeAlias = str | os.PathLike[str]


class EpochLog:
    """A callback that appends JSON lines: one with the settings, one for each epoch.

    Every line has a ``"kind"``: ``"settings"`` or ``"epoch"``.
    """

    def __init__(self, path: PathLike, step: Step, history: History, **settings: Any) -> None:
        self.path = path
        self._append({"kind": "settings", **settings, **step.settings()})
        for row in history:  # of a run that is resumed: what follows the settings is all of it
            self._append({"kind": "epoch", **asdict(row)})

    def __call__(self, history: History, model: nn.Module) -> None:
        self._append({"kind": "epoch", **asdict(history[-1])})

    def _append(self, record: Mapping[str, Any]) -> None:
        import json

        line = json.dumps(record, default=str) + "\n"
        with open(self.path, "ab", buffering=0) as file:  # one write: nobody reads half a line
            file.write(line.encode())


class BestModel:
    """Keeps the state of a model, in memory and in a file.

    Args:
        model: whose state.
        path: the .npz file, if there shall be one.
        in_memory: whether ``restore`` shall bring the state back.

    Attributes:
        state: the best, where it is kept in memory.
    """

    def __init__(self, model: nn.Module, path: PathLike | None, in_memory: bool) -> None:
        self.model, self.path, self.in_memory = model, path, in_memory
        self.state: dict[str, Array] | None = None

    def save(self) -> None:
        """Take the present state as the best."""
        if self.path is None and not self.in_memory:
            return
        state = self.model.state_dict()
        if self.path is not None:
            save_arrays(self.path, state)
        if self.in_memory:
            self.state = state

    def write(self) -> None:
        """Write the state that is kept in memory, if any, to the file, if there shall be one."""
        if self.path is not None and self.state is not None:
            save_arrays(self.path, self.state)

    def load_state(self, state: Any) -> None:
        """Take this as the best.

        Raises:
            CheckpointError: it does not fit the model.
        """
        if state is not None:
            check_state("the best weights", self.model._state(), state, True)
        self.state = state

    def restore(self) -> None:
        """Load the state that is kept in memory, if any."""
        if self.state is not None:
            self.model.load_state_dict(self.state)


class RunReport:
    """The page about a run that is about to start, if there shall be one.

    Args:
        path: the HTML file, or None.
        model, data, validation, loss: of the run.

    Raises:
        ArgumentError: ``path`` is none of a page that may be written.
        MissingExtraError: a page is wanted and matplotlib is not installed.
    """

    def __init__(
        self,
        path: PathLike | None,
        model: nn.Module,
        data: Batches,
        validation: Batches | None,
        loss: Loss,
    ) -> None:
        self.path, self._report = path, None
        if path is not None:
            file_path(path, ".html")  # before a run of hours
            from ..draw.report import TrainingReport

            self._report = TrainingReport(model, data, validation=validation, loss=loss)

    def write(self, history: History, step: Step) -> None:
        """Write the page. A run of hours is not lost to an error in what tells of it."""
        if self.path is None or self._report is None:
            return
        try:
            self._report.write(self.path, history, step.settings())
        except Exception as error:
            warnings.warn(
                f"fit: the run is complete, but its report could not be written: {error!r}",
                RuntimeWarning,
                stacklevel=4,
            )


def save_arrays(path: PathLike, arrays: Mapping[str, Array]) -> None:
    """Write an .npz file that takes the place of an earlier one when it is whole and on disk."""
    with replacing(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
