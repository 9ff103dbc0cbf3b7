"""The files of a run, whole at every moment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from .. import nn
from ..typing import Array
from ._step import Step
from .history import History

PathLike: TypeAlias = str | os.PathLike[str]


class EpochLog:
    """A callback that appends JSON lines: one with the settings, one for each epoch.

    Every line has a ``"kind"``: ``"settings"`` or ``"epoch"``.
    """

    def __init__(self, path: PathLike, step: Step, **settings: Any) -> None:
        self.path = path
        self._append({"kind": "settings", **settings, **step.settings()})

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
    """

    def __init__(self, model: nn.Module, path: PathLike | None, in_memory: bool) -> None:
        self.model, self.path, self.in_memory = model, path, in_memory
        self._state: dict[str, Array] | None = None

    def save(self) -> None:
        """Take the present state as the best."""
        if self.path is None and not self.in_memory:
            return
        state = self.model.state_dict()
        if self.path is not None:
            save_arrays(self.path, state)
        if self.in_memory:
            self._state = state

    def restore(self) -> None:
        """Load the state that is kept in memory, if any."""
        if self._state is not None:
            self.model.load_state_dict(self._state)


def save_arrays(path: PathLike, arrays: Mapping[str, Array]) -> None:
    """Write an .npz file that takes the place of an earlier one when it is whole and on disk."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
