"""What can be trained here: the user's own model and data, and those that a page may ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import functional as F
from .. import models, nn
from ..data._files import Path
from ..errors import ArgumentError
from ..optim import Optimizer
from ..train.evaluation import Loss
from . import _networks, _sources
from ._learner import OPTIMIZERS, RANGES, Learner
from ._networks import Network
from ._sources import Source

OWN = "own"
PATTERN = "pattern"


class Choices:
    """Networks and data by name.

    Args:
        model, data, validation, optimizer, loss, classes: as for ``play``.
        root: where published data sets lie.

    Raises:
        ArgumentError, DtypeError, ShapeError: one of them is something else.
    """

    def __init__(
        self,
        model: nn.Module | None,
        data: Any,
        validation: Any,
        optimizer: Optimizer | None,
        loss: Loss = F.cross_entropy,
        classes: Sequence[str] | None = None,
        root: Path | None = None,
    ) -> None:
        _check(model, data, validation, optimizer, loss)
        self._model, self._optimizer, self._loss, self._root = model, optimizer, loss, root
        self._first_weights = None if model is None else model.state_dict()
        self._own = None if data is None else _sources.own(data, validation, classes)
        self._loaded: tuple[str, Source] | None = None
        self.data = _sources.available(root)
        self.networks = {PATTERN: "layer pattern"} | {name: name for name in models.model_names()}
        if self._own is not None:
            self.data = {OWN: self._own.title} | self.data
        if model is not None:
            self.networks = {OWN: f"your model ({type(model).__name__})"} | self.networks

    def setup(self) -> dict[str, Any]:
        """What a page needs to know of all this."""
        return {
            "data": self.data,
            "networks": self.networks,
            "optimizers": [*OPTIMIZERS, *["yours"] * (self._optimizer is not None)],
            "ranges": RANGES,
        }

    def learner(self, data: str, network: str, pattern: str) -> tuple[Learner, Network]:
        """A network for some data, not yet trained.

        Raises:
            ArgumentError: there is no such choice, or the two do not fit together.
        """
        for what, name, known in (("data", data, self.data), ("network", network, self.networks)):
            if not isinstance(name, str) or name not in known:
                raise ArgumentError(f"no {what} {name!r:.40}: there are {', '.join(known)}")
        source = self._source(data)
        made = self._network(network, pattern, source)
        optimizer = self._optimizer if network == OWN else None
        initial = self._first_weights if network == OWN else None
        return Learner(made.model, source, self._loss, optimizer, made.cost, initial), made

    def _source(self, name: str) -> Source:
        if name == OWN and self._own is not None:
            return self._own
        if self._loaded is None or self._loaded[0] != name:  # the last one, not all
            self._loaded = name, _sources.load(name, self._root)
        return self._loaded[1]

    def _network(self, name: str, pattern: str, source: Source) -> Network:
        if name == OWN and self._model is not None:
            return Network(self._model, self.networks[OWN], "")
        if len(source.shape) != 3 or not source.classes:
            raise ArgumentError(
                f"inputs of shape {source.shape} in {len(source.classes)} classes: networks other"
                " than your own need images (C, H, W) and the names of classes: play(…, classes=…)"
            )
        size = source.shape, len(source.classes), source.batch_size or _sources.BATCH
        if name == PATTERN:
            return _networks.from_text(pattern, *size)
        return _networks.architecture(name, *size)


def _check(model: Any, data: Any, validation: Any, optimizer: Any, loss: Any) -> None:
    """Refuse what can't be played with.

    Raises:
        ArgumentError: one argument is something else, or belongs to another that is missing.
    """
    if model is not None and not isinstance(model, nn.Module):
        raise ArgumentError(f"play: model={model!r:.60}, expected a model (nn.Module)")
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise ArgumentError(f"play: optimizer={optimizer!r:.60}, expected one of tc.optim")
    if optimizer is not None and model is None:
        raise ArgumentError("play: an optimizer without the model whose parameters it updates")
    if validation is not None and data is None:
        raise ArgumentError("play: validation data without data to train on")
    if not callable(loss):
        raise ArgumentError(f"play: loss={loss!r:.60}, expected a function such as F.cross_entropy")
    if model is not None and optimizer is not None:
        updated = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if not any(id(p) in updated for p in model.parameters()):
            raise ArgumentError(
                f"play: {type(optimizer).__name__} updates no parameter of"
                f" {type(model).__name__}: make it with model.parameters()"
            )
