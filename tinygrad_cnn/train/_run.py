"""All that a run is made of between two batches: what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from itertools import islice
from numbers import Real
from typing import Any, TypeVar

import numpy as np

from ..errors import CheckpointError
from ..nn._state import check_state
from ..nn.parameter import assign
from ._draws import Draws
from ._files import BestModel
from ._settings import data_settings, described, differences, model_settings, optimizer_settings
from ._step import Step
from .callbacks import Callback
from .evaluation import Batches, Totals
from .history import Epoch, History

Row = TypeVar("Row", Epoch, Totals)


class Run:
    """A run of ``fit``, and where it is.

    Attributes:
        history: the finished epochs.
        batch: batches of the present epoch that are done.
        totals, seconds: of those batches.
        stopped: whether a callback has ended the run.
        resumed: whether it goes on from a checkpoint.
    """

    def __init__(
        self,
        step: Step,
        data: Batches,
        validation: Batches | None,
        callbacks: Sequence[Callback],
        best: BestModel,
    ) -> None:
        self.step, self.data, self.validation = step, data, validation
        self.callbacks, self.best = callbacks, best
        self.history = History()
        self.stopped = self.resumed = False
        owners = *step.model.modules(), data, validation, step.loss, *callbacks
        self._draws = Draws(owners)
        self.next_epoch()

    def next_epoch(self) -> None:
        """Stand before the first batch of an epoch."""
        self.batch, self.totals, self.seconds = 0, Totals(), 0.0
        self._start: dict[str, Any] = {}  # of what the order of the batches follows from

    def batches(self) -> Iterator[Any]:
        """The batches of this epoch that are left."""
        if not self.batch:
            self._start = self._order()
            return iter(self.data)
        if hasattr(self.data, "iterate_from"):
            return iter(self.data.iterate_from(self.batch))
        now = self._draws.state()
        self._draws.load_state(self._start["draws"])
        rest = iter(self.data)
        for _ in islice(rest, self.batch):
            pass  # they draw once more what they drew
        self._draws.load_state(now)
        return rest

    def settings(self) -> dict[str, str]:
        """What the bits follow from, beside the values of the state."""
        step = self.step
        others = {
            "loss": step.loss,
            "schedule_every": step.schedule_every,
            "clip_norm": step.clip_norm,
            "compile": step.compiled,
            "best weights kept": self.best.in_memory,
            "callbacks with a state": [type(callback) for callback in self._stateful()],
        }
        return {
            **model_settings(step.model),
            **optimizer_settings(step.optimizer, step.schedule),
            **data_settings("data", self.data),
            **data_settings("validation", self.validation),
            **{name: described(value) for name, value in others.items()},
        }

    def state(self) -> dict[str, Any]:
        """Copies of all that changes."""
        step = self.step
        return {
            "settings": self.settings(),
            "history": [asdict(row) for row in self.history],
            "stopped": self.stopped,
            "batch": self.batch,
            "totals": asdict(self.totals),
            "seconds": self.seconds,
            "learning_rate": step.learning_rate,
            "model": step.model.state_dict(),
            "buffers": {k: np.array(v.data) for k, v in step.model.named_buffers()},
            "trained": [k for k, v in step.model.named_parameters() if v.requires_grad],
            "optimizer": step.optimizer.state_dict(),
            "schedule": None if step.schedule is None else step.schedule.state_dict(),
            "draws": self._draws.state(),
            "start": self._start if self.batch else self._order(),
            "validation": _state(self.validation),
            "callbacks": [_state(callback) for callback in self._stateful()],
            "best": self.best.state,
        }

    def load_state(self, state: Any) -> None:
        """Go on from a ``state()``.

        Raises:
            CheckpointError: it is of another run, whose differences the message lists, or holds
                something else; nothing is changed.
        """
        if not isinstance(state, Mapping) or not isinstance(state.get("settings"), Mapping):
            raise CheckpointError("it holds no run of fit")
        differing = differences(state["settings"], self.settings())
        if differing:
            raise CheckpointError(
                f"this run differs from the one that the checkpoint is of:{differing}\n"
                "Resume with what the run was started with, or start another in a new folder"
            )
        before = self.state()
        try:
            self._load(state)
        except Exception as error:  # whatever the parts, and the user's callbacks, say
            self._load(before)
            raise CheckpointError(f"its state can't be loaded: {error!r:.300}") from error
        self.resumed = True

    def _load(self, state: Mapping[str, Any]) -> None:
        step = self.step
        lists = [state["history"], state["trained"], state["callbacks"]]
        if not all(isinstance(value, list) for value in lists):
            raise CheckpointError(f"expected three lists, got {lists!r:.60}")
        rows = [_record(Epoch, row) for row in state["history"]]
        totals = _record(Totals, state["totals"])
        batch, seconds, rate = state["batch"], state["seconds"], state["learning_rate"]
        if not isinstance(batch, int) or batch < 0 or not _are_numbers(seconds, rate):
            raise CheckpointError(f"batch {batch!r} after {seconds!r} seconds, rate {rate!r}")
        step.model.load_state_dict(state["model"])
        buffers = dict(step.model.named_buffers())
        values, _ = check_state("buffers", buffers, state["buffers"], True)
        for key, value in values.items():
            assign(buffers[key], value)
        for name, parameter in step.model.named_parameters():
            parameter.requires_grad = name in state["trained"]
        step.optimizer.load_state_dict(state["optimizer"])
        if step.schedule is not None:
            step.schedule.load_state_dict(state["schedule"])
        _load(self.validation, state["validation"])
        _load(self.data, state["start"]["data"])
        for callback, kept in zip(self._stateful(), state["callbacks"], strict=True):
            _load(callback, kept)
        self._draws.load_state(state["start"]["draws"])  # both are looked at now
        self._draws.load_state(state["draws"])
        self.best.load_state(state["best"])
        self.history.epochs, self.stopped = rows, bool(state["stopped"])
        self.batch, self.totals, self.seconds = batch, totals, seconds
        step.learning_rate, self._start = rate, state["start"]

    def _order(self) -> dict[str, Any]:
        return {"data": _state(self.data), "draws": self._draws.state()}

    def _stateful(self) -> list[Callback]:
        return [callback for callback in self.callbacks if _is_stateful(callback)]


def _is_stateful(part: Any) -> bool:
    return hasattr(part, "state_dict") and hasattr(part, "load_state_dict")


def _state(part: Any) -> Any:
    return part.state_dict() if _is_stateful(part) else None


def _load(part: Any, state: Any) -> None:
    if _is_stateful(part):
        part.load_state_dict(state)


def _are_numbers(*values: Any) -> bool:
    return all(isinstance(value, Real) for value in values)


def _record(kind: type[Row], given: Mapping[str, Any]) -> Row:
    """An epoch or totals, if all of it are numbers, or missing where they may be."""
    names = [field.name for field in fields(kind)]
    if not isinstance(given, Mapping) or sorted(given) != sorted(names):
        raise CheckpointError(f"{given!r:.60}, expected {', '.join(names)}")
    optional = {field.name for field in fields(kind) if "None" in str(field.type)}
    for name, value in given.items():
        if not _are_numbers(value) and not (value is None and name in optional):
            raise CheckpointError(f"{kind.__name__}: {name}={value!r:.60}, expected a number")
    return kind(**given)
