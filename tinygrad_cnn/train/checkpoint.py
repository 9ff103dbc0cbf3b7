"""Checkpoints of a run: when they are written, which are kept, and the newest whole one.

A checkpoint appears under its name when it is whole and on disk. It holds the run between two
batches: model, optimiser, schedule, the order of the data, all random generators, the history, the
best weights and the states of callbacks. ``fit(resume=True)`` goes on from there to the same bits.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import IO, Any, TypeAlias

from .._arguments import is_real, whole
from .._files import replacing
from ..errors import ArgumentError, CheckpointError
from ._archive import Packed, read
from ._run import Run

__all__ = ["Checkpoints", "read_checkpoint"]

_NAME = re.compile(r"(\d{5,})-(\d{6,})\.ckpt")  # epochs done, batches done of the next one
_LEFT_OVER = re.compile(rf"\.{_NAME.pattern}\.\d+\.\d+")  # by a run that was killed as it wrote


@dataclass(frozen=True)
class Checkpoints:
    """Where ``fit`` writes checkpoints, how often, and how many it keeps.

    One is written after every epoch, and more often on request. The last ``keep`` stay, and the
    one after the best epoch.

    Args:
        folder: of this run alone; it is made where there is none.
        every: also after so many batches of an epoch.
        seconds: also when the last one is so long ago.
        keep: how many of the last to keep.

    Raises:
        ArgumentError: one of them is outside its domain.

    >>> import tinygrad_cnn as tc
    >>> tc.train.Checkpoints("runs/digits", every=100)
    Checkpoints(folder='runs/digits', every=100, seconds=None, keep=3)
    """

    folder: str | os.PathLike[str]
    every: int | None = None
    seconds: float | None = None
    keep: int = 3

    def __post_init__(self) -> None:
        if not isinstance(self.folder, (str, os.PathLike)) or not os.fspath(self.folder):
            raise ArgumentError(f"Checkpoints: folder={self.folder!r:.60}, expected a path")
        if self.every is not None:
            whole("Checkpoints", "every", self.every)
        if self.seconds is not None and not is_real(self.seconds, 0):
            raise ArgumentError(f"Checkpoints: seconds={self.seconds!r}, expected 0 or more")
        whole("Checkpoints", "keep", self.keep)


CheckpointsLike: TypeAlias = str | os.PathLike[str] | Checkpoints


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a checkpoint holds, once its checksum is right; nothing in it is carried out.

    Under ``"model"`` stand the weights, for ``model.load_state_dict``: to start another run with.

    Raises:
        CheckpointError: there is no such file, it is damaged, or none that ``fit`` wrote.

    >>> import tempfile, numpy as np, tinygrad_cnn as tc
    >>> batch = np.eye(2, dtype=np.float32), np.array([0, 1])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     history = tc.train.fit(tc.nn.Linear(2, 2), [batch], epochs=3, checkpoints=folder)
    ...     state = tc.train.read_checkpoint(folder + "/00003-000000.ckpt")
    >>> {key: array.shape for key, array in state["model"].items()}
    {'weight': (2, 2), 'bias': (2,)}
    """
    state = read(path)
    if not isinstance(state, dict) or "model" not in state:
        raise CheckpointError(f"{os.fspath(path)}: no checkpoint of a run")
    return state


class Keeper:
    """The open folder of a run."""

    def __init__(self, checkpoints: Checkpoints, folder: Path, run: Run) -> None:
        self._checkpoints, self._folder, self._run = checkpoints, folder, run
        self._last = monotonic()

    def resume(self) -> None:
        """Let the run go on from its newest whole checkpoint, if there is any.

        Raises:
            CheckpointError: none is whole, or the newest whole one is of another run.
        """
        damaged: list[Path] = []
        problems = ""
        for path in reversed(self._paths()):
            try:
                state = read_checkpoint(path)
            except CheckpointError as error:
                damaged.append(path)
                problems += f"\n  {error}"
                continue
            try:
                self._run.load_state(state)
            except CheckpointError as error:
                raise CheckpointError(f"fit: {path}: {error}") from error
            self._run.best.write()
            if damaged:
                self._set_aside(damaged, f"resumed from {path}, as it is the newest:{problems}")
            return
        if damaged:
            raise CheckpointError(
                f"fit: there is nothing to resume from, all checkpoints are unusable; start anew in"
                f" another folder:{problems}"
            )

    def refuse_others(self) -> None:
        """Refuse to mix two runs.

        Raises:
            ArgumentError: the folder has checkpoints already.
        """
        if self._paths():
            raise ArgumentError(
                f"fit: {self._folder} has checkpoints of an earlier run: pass resume=True to go on"
                " with it, or another folder"
            )

    def batch_done(self) -> None:
        """Write a checkpoint if one is due."""
        every, seconds = self._checkpoints.every, self._checkpoints.seconds
        if (every is not None and self._run.batch % every == 0) or (
            seconds is not None and monotonic() - self._last >= seconds
        ):
            self.save()

    def save(self) -> None:
        """Write a checkpoint. A run of hours does not end because a disk is full."""
        packed = Packed(self._run.state())
        path = self._folder / _name(len(self._run.history), self._run.batch)
        try:
            with replacing(path) as file:
                packed.write(file)
            self._prune()
        except (OSError, ArgumentError) as error:
            _warn(f"the checkpoint {path} could not be written, the run goes on without: {error}")
        self._last = monotonic()

    def _set_aside(self, damaged: list[Path], what: str) -> None:
        """Rename what can't be used, out of the way of those that follow."""
        for path in damaged:
            os.replace(path, f"{path}.damaged")
        _warn(what)

    def _prune(self) -> None:
        """Remove all but the last ones and that of the best epoch."""
        best = self._run.history.best
        for path in self._paths()[: -self._checkpoints.keep]:
            if best is None or path.name != _name(best.epoch, 0):
                path.unlink()

    def _paths(self) -> list[Path]:
        """All checkpoints, the newest last."""
        found = [(_NAME.fullmatch(path.name), path) for path in self._folder.iterdir()]
        numbered = [([*map(int, match.groups())], path) for match, path in found if match]
        return [path for _, path in sorted(numbered)]


@contextmanager
def keeping(checkpoints: CheckpointsLike | None, run: Run, resume: bool) -> Iterator[Keeper | None]:
    """The folder of a run that starts inside the block, or goes on from its newest checkpoint.

    Raises:
        ArgumentError: the folder can't be used, another run is using it, or has done so and shall
            not be resumed.
        CheckpointError: the run can't be resumed, or can't be saved.
    """
    if checkpoints is None:
        if resume:
            raise ArgumentError("fit: resume=True needs the run's folder: checkpoints=folder")
        yield None
        return
    if not isinstance(checkpoints, Checkpoints):
        checkpoints = Checkpoints(checkpoints)
    Packed(run.state())  # an error now, not after hours
    with _locked(Path(checkpoints.folder)) as folder:
        for path in folder.iterdir():
            if _LEFT_OVER.fullmatch(path.name):
                path.unlink()
        keeper = Keeper(checkpoints, folder, run)
        if resume:
            keeper.resume()
        else:
            keeper.refuse_others()
        yield keeper


def _warn(what: str) -> None:
    warnings.warn(f"fit: {what}", RuntimeWarning, stacklevel=5)


def _name(epochs: int, batch: int) -> str:
    return f"{epochs:05}-{batch:06}.ckpt"


@contextmanager
def _locked(folder: Path) -> Iterator[Path]:
    """The folder, for one run at a time; the system unlocks it when a process ends, however.

    Raises:
        ArgumentError: it can't be made or written to, or is in use.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "ab")  # noqa: SIM115 (entered below, apart from this error)
    except (OSError, ValueError) as error:
        raise ArgumentError(f"fit: checkpoints can't be written to {folder}: {error}") from None
    with file:
        try:
            _lock(file)
        except OSError as error:
            raise ArgumentError(
                f"fit: {folder} can't be locked, probably because another run is writing its"
                f" checkpoints there: wait for its end, or use another folder ({error})"
            ) from None
        yield folder


def _lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
