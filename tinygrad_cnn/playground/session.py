"""A playground without a server: commands in, what there is to see out."""

from __future__ import annotations

import base64
import inspect
import io
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import functional as F
from .. import nn
from .._arguments import is_whole
from ..data._files import Path
from ..errors import ArgumentError, TinygradCnnError
from ..optim import Optimizer
from ..random import manual_seed
from ..train.evaluation import Loss
from ..typing import Array
from ._board import Board
from ._choices import Choices
from ._learner import Learner
from ._networks import DEFAULT_PATTERN
from ._view import View
from ._worker import Worker

__all__ = ["Session"]

_EVERY = 0.2  # seconds between two looks, at least
_DRAWING_SIDE = 112
_SEEDS = 2**32


class Session:
    """One model in training, governed by commands; the page is one way to give them.

    Every command is carried out by the session's own thread, between two batches. ``board`` holds
    what there is to see:

    - ``setup``: the data, networks and optimisers to choose from
    - ``model``: what was built
    - ``state``: whether it trains, figures and settings, what went wrong
    - ``curve``: loss and accuracy, in training and on validation data
    - ``examples``: some images and their classes
    - ``looks``: filters, activations, gradients and predictions of the moment

    Args:
        model, data, validation, optimizer, loss, classes, root: as for ``play``.

    Raises:
        ArgumentError, DtypeError, ShapeError: as for ``play``.

    >>> with Session() as session:
    ...     session.do("build", data="digits", network="lenet5")
    Traceback (most recent call last):
    tinygrad_cnn.errors.ArgumentError: LeNet5: image_size=8, expected 28 or 32
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        data: Any = None,
        *,
        validation: Any = None,
        optimizer: Optimizer | None = None,
        loss: Loss = F.cross_entropy,
        classes: Sequence[str] | None = None,
        root: Path | None = None,
    ) -> None:
        self._choices = Choices(model, data, validation, optimizer, loss, classes, root)
        self.board = Board()
        self.learner: Learner
        self._view: View
        self._running = False
        self._error: dict[str, str] | None = None
        self._look_after = 0.0
        self._seed = 0
        self._commands: dict[str, Callable[..., None]] = {
            "build": self._build,
            "train": self._train,
            "pause": self._pause,
            "step": self._step,
            "reset": self._reset,
            "set": self._set,
            "choose": self._choose,
            "others": self._others,
            "draw": self._draw,
            "clear": self._clear,
        }
        self._worker = Worker(self._work)
        try:
            self._worker.call(self._begin).result()
        except BaseException:
            self.close()
            raise

    def send(self, command: str, /, **arguments: Any) -> Future[None]:
        """Ask for a command; the result comes, or its error is raised, when it was carried out.

        Args:
            command: what to do, below.
            arguments: of the command:

                - ``build(data, network, pattern="", seed=0)``: make a network, by names of
                  ``setup`` on the board
                - ``train()``, ``pause()``, ``step()`` (one batch), ``reset()`` (first weights)
                - ``set(name, value)``: optimizer, batch_size, lr, momentum or weight_decay
                - ``choose(image)``: the example, or None for the drawing, whose activations show
                - ``others()``: other examples
                - ``draw(ink)``: base64 of 112 x 112 bytes, 255 is ink; ``clear()``

        Raises:
            ArgumentError: there is no such command, or it takes other arguments.
            GraphError: the session is closed.
        """
        method = self._commands.get(command) if isinstance(command, str) else None
        if method is None:
            known = ", ".join(self._commands)
            raise ArgumentError(f"no command {command!r:.40}: there are {known}")
        try:
            inspect.signature(method).bind(**arguments)
        except TypeError as error:
            raise ArgumentError(f"{command}: {error}") from None
        return self._worker.call(lambda: method(**arguments))

    def do(self, command: str, /, **arguments: Any) -> None:
        """Carry out a command, and wait for it: see ``send``."""
        self.send(command, **arguments).result()

    def weights(self) -> Future[bytes]:
        """The ``state_dict`` of the model as the content of an .npz file."""
        return self._worker.call(self._weights)

    def close(self) -> None:
        """Stop training and end the thread; the model keeps what it has learned."""
        self._worker.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- all below runs in the session's thread ----------------------------------------------

    def _begin(self) -> None:
        self.board.post("setup", self._choices.setup())
        data, network = next(iter(self._choices.data)), next(iter(self._choices.networks))
        self._build(data, network, DEFAULT_PATTERN)

    def _work(self) -> bool:
        """Train on one batch, if it shall; whether there is more to do."""
        if self._running:
            due = time.monotonic() >= self._look_after
            self._advance(look=due and self.board.readers > 0)
        return self._running

    def _advance(self, look: bool) -> None:
        """One batch."""
        with self._reporting():
            self.learner.step(watch=look)
            self.learner.judge(now=not self._running)
            if look:
                self._show()

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """What goes wrong in the user's model ends the training and nothing else."""
        try:
            yield
        except BaseException as error:
            self._running = False
            self._error = _told(error)
            traceback.print_exception(error)  # all of it, for who sits at the terminal
            self._tell()

    def _tell(self) -> None:
        """Post how it stands."""
        self._view.state(self._running, self._error)

    def _show(self) -> None:
        """Post all that changes while it trains."""
        start = time.monotonic()
        self._view.curve()
        self._view.looks()
        self._tell()
        end = time.monotonic()
        self._look_after = end + max(_EVERY, 2 * (end - start))  # at most a third of the time

    # -- commands ----------------------------------------------------------------------------

    def _build(self, data: str, network: str, pattern: str = "", seed: int = 0) -> None:
        if not is_whole(seed, 0) or seed >= _SEEDS:
            raise ArgumentError(f"seed {seed!r:.40}: expected a whole number from 0 up")
        manual_seed(seed)
        learner, made = self._choices.learner(data, network, pattern)
        view = View(self.board, learner, made)
        view.seen()  # does it run at all?
        self.learner, self._view, self._seed = learner, view, seed
        self._view.model({"data": data, "network": network, "pattern": pattern, "seed": seed})
        self._view.examples()
        self._reset()

    def _train(self) -> None:
        self._running, self._error = True, None
        self._tell()

    def _pause(self) -> None:
        if self._running:
            self._running = False
            self._tell()  # before what may take a second
            self._judge_and_show()

    def _step(self) -> None:
        self._running, self._error = False, None
        self._advance(look=True)

    def _reset(self) -> None:
        self._running, self._error = False, None
        manual_seed(self._seed)  # so that dropout does the same each time
        self.learner.reset()
        self._tell()
        self._judge_and_show()

    def _judge_and_show(self) -> None:
        with self._reporting():
            self.learner.judge(now=True)
        with self._reporting():
            self._show()

    def _set(self, name: str, value: Any) -> None:
        self.learner.set(name, value)
        self._tell()

    def _choose(self, image: int | None) -> None:
        self._view.choose(image)
        self._view.looks()

    def _others(self) -> None:
        self._view.others()
        self._view.examples()
        self._view.looks()

    def _draw(self, ink: str) -> None:
        self._view.draw(_ink(ink))
        self._view.looks()

    def _clear(self) -> None:
        self._view.clear()
        self._view.looks()

    def _weights(self) -> bytes:
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **self.learner.model.state_dict())
        return file.getvalue()


def _ink(text: Any) -> Array:
    """The drawing that a page sends, as shares (112, 112).

    Raises:
        ArgumentError: it is something else.
    """
    try:
        levels = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
        return levels.reshape(_DRAWING_SIDE, _DRAWING_SIDE) / 255.0
    except (TypeError, ValueError):
        size = f"{_DRAWING_SIDE} x {_DRAWING_SIDE}"
        raise ArgumentError(f"draw: ink, expected base64 of {size} bytes") from None


def _told(error: BaseException) -> dict[str, str]:
    """What went wrong, and where in the user's code."""
    if isinstance(error, TinygradCnnError):
        return {"what": str(error), "where": ""}
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    where = f"{last.filename}, line {last.lineno}, in {last.name}" if last else ""
    return {"what": f"{type(error).__name__}: {error}", "where": where}
