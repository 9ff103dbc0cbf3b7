"""What the page shows of a learner, part by part."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .. import models
from ..errors import ArgumentError, TinygradCnnError
from ..typing import Array
from . import _looks
from ._board import Board
from ._drawing import placed
from ._learner import Learner
from ._networks import Network

_SHOWN = 20  # examples
_DRAWN = 0.75  # of the edge of the pad: as large as people draw


class View:
    """Posts a learner to a board, and keeps what is looked at.

    Attributes:
        drawing: what was drawn, as raw image (1, H, W); None without.
    """

    def __init__(self, board: Board, learner: Learner, network: Network) -> None:
        self._board, self._learner, self._network = board, learner, network
        self._source = learner.source
        self._seed = 0
        self._examples = self._source.examples(_SHOWN, self._seed)
        self._chosen: int | None = 0  # of the examples; None for the drawing
        self.drawing: Array | None = None
        self._timed = time.monotonic(), 0  # when, how many steps there were
        self._rate = 0.0

    # -- what is looked at -------------------------------------------------------------------

    def others(self) -> None:
        """Take other examples."""
        self._seed += 1
        self._examples = self._source.examples(_SHOWN, self._seed)
        self._chosen = 0

    def choose(self, index: Any) -> None:
        """Show the activations for an example, or for the drawing (None).

        Raises:
            ArgumentError: there is none.
        """
        count = len(self._examples.seen)
        known = self.drawing is not None if index is None else type(index) is int
        if not known or (index is not None and not 0 <= index < count):
            raise ArgumentError(f"no image {index!r:.40}: there are 0 to {count - 1}")
        self._chosen = index

    def draw(self, ink: Array) -> None:
        """Look at a drawing (h, w) of ink from 0 to 1.

        Raises:
            ArgumentError: nobody draws images such as these.
        """
        if self._source.frame is None:
            raise ArgumentError("drawings are for grey images")
        self.drawing, self._chosen = placed(ink, self._source.frame), None

    def clear(self) -> None:
        """Look at no drawing any more."""
        self.drawing = None
        self._chosen = 0 if self._chosen is None else self._chosen

    # -- the parts ---------------------------------------------------------------------------

    def model(self, choice: dict[str, Any]) -> None:
        """What was built, for what choice on the page."""
        model, source, frame = self._learner.model, self._source, self._source.frame
        code = self._network.code
        try:
            rows = models.summary(model, self._examples.inputs[:1]).rows
        except TinygradCnnError:  # a summary knows layers that return one array
            rows = ()
        self._board.post("model", {
            "choice": choice,
            "title": self._network.title,
            "data": source.title,
            "code": code and f"tc.manual_seed({choice['seed']})\n{code}",
            "notes": self._network.notes,
            "parameters": sum(p.size for p in model.parameters()),
            "rows": [(row.name, row.type, row.output_shape[1:], row.parameters) for row in rows],
            "shape": source.shape,
            "classes": source.classes,
            "pen": frame and min(max(_DRAWN * frame.stroke / frame.extent, 0.03), 0.2),
        })  # fmt: skip

    def state(self, running: bool, error: dict[str, str] | None) -> None:
        """The figures of the moment and the settings."""
        learner = self._learner
        loss, accuracy = learner.recent
        judged = learner.evaluation
        self._board.post("state", {
            "running": running,
            "error": error,
            "steps": learner.steps,
            "epoch": learner.epoch,
            "rate": self._speed(running),
            "loss": loss,
            "accuracy": accuracy,
            "judged_by": learner.judged_by,
            "validation": judged and {"loss": judged.loss, "accuracy": judged.accuracy},
            "settings": learner.settings,
        })  # fmt: skip

    def curve(self) -> None:
        """The course of the run."""
        learner = self._learner
        self._board.post(
            "curve", {"training": learner.curve.points, "validation": learner.judged.points}
        )

    def examples(self) -> None:
        """The examples themselves."""
        found = self._examples
        self._board.post("examples", {
            "tiles": _looks.thumbnails(found.seen),
            "count": len(found.seen),
            "labels": self._labels(found.targets),
        })  # fmt: skip

    def looks(self) -> None:
        """What the network makes of the examples and of the drawing, and what it has learned."""
        self._board.post("looks", self.seen())

    def seen(self) -> dict[str, Any]:
        """What ``looks`` posts; it shows whether the network runs at all."""
        model, source = self._learner.model, self._source
        drawn = None
        if self.drawing is not None:
            inputs = source.transformed(self.drawing[np.newaxis])
            best = _looks.predictions(model, inputs, source.classes, best=12)
            drawn = {"tiles": _looks.thumbnails(self.drawing[np.newaxis]), "best": best and best[0]}
        examined = self._examples.inputs if self._chosen is not None else inputs
        image = examined[self._chosen or 0]
        return {
            "filters": _looks.filters(model, source.shape),
            "columns": _looks.columns(model, image) if image.ndim == 3 else [],
            "chosen": self._chosen,
            "predictions": _looks.predictions(model, self._examples.inputs, source.classes),
            "layers": self._learner.layers,
            "drawing": drawn,
        }

    def _labels(self, targets: Array) -> list[str]:
        names = self._source.classes
        if targets.dtype.kind not in "iu" or targets.ndim != 1:
            return []
        return [names[t] if 0 <= t < len(names) else str(t) for t in targets]

    def _speed(self, running: bool) -> float:
        """Steps in a second since the last look, while it trains."""
        (before, counted), now = self._timed, time.monotonic()
        steps = self._learner.steps - counted
        if running and steps > 0 and now > before:
            self._rate = steps / (now - before)
        self._timed = now, self._learner.steps
        return self._rate if running else 0.0
