"""A short run of ``fit`` that can be stopped anywhere, and a script that kills it again and again.

``python tests/resumable.py FOLDER KILLS compiled|eager pause`` prints what it saw as JSON: whether
every run that was killed and resumed ended with the bits of one that was left alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_cnn as tc
from tinygrad_cnn.train import Checkpoints, History, _archive

EXAMPLES, BATCH, EPOCHS = 38, 8, 3  # five batches an epoch, the last one a smaller one


class Loader(tc.data.DataLoader):
    """Interrupts the run before the given batch of all."""

    stop: int | None = None

    def _batches(self, epoch: int, first: int) -> Iterator[Any]:
        for number, batch in enumerate(super()._batches(epoch, first), epoch * len(self) + first):
            if number == self.stop:
                raise KeyboardInterrupt
            yield batch


def arrays() -> tuple[np.ndarray, np.ndarray]:
    """Images and labels."""
    rng = np.random.default_rng(0)
    return rng.random((EXAMPLES, 1, 6, 6), np.float32), rng.integers(0, 3, EXAMPLES)


def convnet(channels: int = 4) -> tc.nn.Module:
    """A net with all that has a state: weights, statistics, generators."""
    own = np.random.default_rng(7)
    return tc.nn.Sequential(
        tc.nn.Conv2d(1, channels, 3), tc.nn.BatchNorm2d(channels), tc.nn.ReLU(),
        tc.nn.Dropout(0.3), tc.nn.Flatten(), tc.nn.Dropout(0.1, generator=own),
        tc.nn.Linear(16 * channels, 3),
    )  # fmt: skip


def one_cycle(optimizer: tc.optim.Optimizer) -> tc.optim.LRScheduler:
    """A schedule that moves every batch, and moves momentum, too."""
    return tc.optim.OneCycleLR(optimizer, 0.02, total_steps=100)


def arguments(**changes: Any) -> dict[str, Any]:
    """All of ``fit``, made anew as a program does that is started again."""
    tc.manual_seed(changes.pop("seed", 0))
    model = changes.pop("model", None) or convnet()
    x, y = arrays()
    size = changes.pop("batch_size", BATCH)
    shift = tc.data.RandomShift(changes.pop("shift", 1))
    loader = Loader((x, y), size, shuffle=True, transform=shift)
    loader.stop = changes.pop("stop", None)
    optimizer = changes.pop("optimizer", tc.optim.Adam)(model.parameters(), lr=0.01)
    schedule = changes.pop("schedule", one_cycle)
    return {
        "model": model, "data": loader, "validation": [(x[:16], y[:16])], "epochs": EPOCHS,
        "schedule": schedule(optimizer), "schedule_every": "batch", "progress": False,
        "compile": False, **changes,
    }  # fmt: skip


def trained(folder: Any = None, every: int | None = 2, **changes: Any) -> tuple[History, str]:
    """The history of a run, and a hash of all bits that it ends with."""
    given = arguments(**changes)
    if folder is not None:
        given = {"checkpoints": Checkpoints(folder, every=every), "resume": True, **given}
    history = tc.train.fit(**given)
    return history, bits(history, given["model"], given["schedule"].optimizer)


def bits(history: History, model: tc.nn.Module, optimizer: tc.optim.Optimizer) -> str:
    """A hash of all that is the same wherever a run was interrupted: not of the times."""
    found = hashlib.sha256()
    for row in history:
        found.update(repr((row.epoch, row.loss, row.accuracy, row.learning_rate)).encode())
        found.update(repr((row.validation_loss, row.validation_accuracy)).encode())
    for name, array in model.state_dict().items():
        found.update(name.encode() + array.tobytes())
    for state in optimizer.state_dict()["state"].values():
        for value in state.values():
            found.update(np.asarray(value).tobytes())
    found.update(tc.default_generator().random(3).tobytes())
    return found.hexdigest()


def _forked(folder: Path | None, options: dict[str, Any], result: Path) -> int:
    """Train in a process of its own, which leaves its bits in a file."""
    child = os.fork()
    if not child:
        _, found = trained(folder, **options)
        result.write_text(found)
        os._exit(0)
    return child


def _slow_down(pause: float) -> None:
    """Let one write in twenty take this long."""
    write, calls = _archive._Hashed.write, count()

    def slow(self: Any, data: bytes) -> int:
        if next(calls) % 20 == 0:
            time.sleep(pause)
        return write(self, data)

    _archive._Hashed.write = slow  # type: ignore[method-assign]


def kill_again_and_again(folder: Path, kills: int, compile: bool, pause: float) -> dict[str, int]:
    """Start runs, kill each at random moments until it is through, and compare its bits."""
    result, options = folder / "bits", {"compile": compile, "every": 2, "epochs": 2}
    os.waitpid(_forked(None, options, result), 0)
    expected = result.read_text()
    _slow_down(pause)
    start = time.monotonic()
    os.waitpid(_forked(folder / "timed", options, result), 0)
    duration = time.monotonic() - start
    dice, seen = random.Random(0), {"kills": 0, "runs": 0, "same": 0, "writing": 0}
    while seen["kills"] < kills:
        runs = folder / str(seen["runs"])
        killed = True
        while killed:
            result.unlink(missing_ok=True)
            child = _forked(runs, options, result)
            if seen["kills"] < kills:
                time.sleep(dice.uniform(0, duration))
                os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            killed = os.WIFSIGNALED(status)
            seen["kills"] += killed
            seen["writing"] += killed and any(runs.glob(".*.ckpt.*"))
        seen["runs"] += 1
        seen["same"] += result.read_text() == expected
    return seen


if __name__ == "__main__":
    where, kills, how, pause = sys.argv[1:]
    seen = kill_again_and_again(Path(where), int(kills), how == "compiled", float(pause))
    print(json.dumps(seen))
