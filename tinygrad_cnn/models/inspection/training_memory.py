"""How much memory a training step takes, before it is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import nn
from ..._arguments import is_whole
from ..._core.tensor import Tensor
from ...errors import ArgumentError, GraphError
from ...typing import Array, Shape
from ._calls import batch, run
from ._step import Plan, largest_moment
from ._table import Cells, as_html, as_text, bytes_text

__all__ = ["TrainingMemory", "training_memory"]

# How many arrays of the size of a parameter an optimiser keeps.
_STATES = {
    "sgd": 0, "momentum": 1, "adagrad": 1, "rmsprop": 1, "adam": 2, "adamw": 2, "adadelta": 2,
}  # fmt: skip
_FEW = 2  # images: what each one more takes follows from a run with these and one with 3


@dataclass(frozen=True)
class TrainingMemory:
    """The bytes of a training step at the moment when it takes most; ``print`` shows a table.

    Attributes:
        model: the class of the model.
        input_shape: the batch.
        optimizer: the kind of optimiser.
        moment: when that is.
        inputs: the batch itself.
        activations: the outputs of layers that are kept for the backward pass.
        workspace: what else is kept for it: the columns of convolutions, padded copies, switches.
        gradients: of activations and workspace, as far as they are needed at the same time.
        parameters: the parameters and buffers of the model.
        parameter_gradients: those found so far, some of them in two copies.
        optimizer_state: what the optimiser keeps from step to step.
        scratch: its buffers for intermediate results, two for each shape of a parameter.
        notes: the recipe of the CS231n notes beside it: the volumes of the network with the input,
            and their gradients; the parameters, their gradients and a step cache; and the batch
            once more. It knows nothing of columns, masks and copies.
    """

    model: str
    input_shape: Shape
    optimizer: str
    moment: str
    inputs: int
    activations: int
    workspace: int
    gradients: int
    parameters: int
    parameter_gradients: int
    optimizer_state: int
    scratch: int
    notes: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(size for _, size in self._sizes())

    def _sizes(self) -> list[tuple[str, int]]:
        names = (
            "inputs", "activations", "workspace", "gradients", "parameters",
            "parameter_gradients", "optimizer_state", "scratch",
        )  # fmt: skip
        return [(name.replace("_", " "), getattr(self, name)) for name in names]

    def _cells(self) -> list[Cells]:
        rows = [(name, bytes_text(size)) for name, size in self._sizes()]
        return [("memory", "at the peak"), *rows, ("total", bytes_text(self.total))]

    def _note(self) -> str:
        return (
            f"{self.model}, {self.optimizer}, batch {self.input_shape}\nthe peak: {self.moment}\n"
            f"the recipe of the CS231n notes: {bytes_text(self.notes)}"
        )

    def __str__(self) -> str:
        return as_text(self._cells(), 1, self._note())

    def _repr_html_(self) -> str:
        """The table as notebooks show it."""
        return as_html(self._cells(), self._note())


def training_memory(
    model: nn.Module, inputs: Shape | Array | Tensor, optimizer: str = "sgd"
) -> TrainingMemory:
    """How much memory a training step will take at its peak, and for what.

    A step is followed from what the engine records: forward, where all that backward needs
    piles up; backward, which lets go of it layer by layer while gradients come and go; the
    update. Memory that arrays share counts once. The loss is not part of it: what it takes is of
    the size of the scores. A large batch is not computed: two runs with 2 and 3 images tell what
    each one more takes. The model is left as it was.

    Args:
        model: any module that takes one array.
        inputs: a batch, or its shape, such as (128, 3, 32, 32).
        optimizer: "sgd", "momentum", "adagrad", "rmsprop", "adam", "adamw" or "adadelta".

    Raises:
        ArgumentError: ``inputs`` is neither an array nor a shape, there is no such optimiser, or
            the model has nothing to train.
        ShapeError: the input does not fit the model.
        GraphError: a large batch is not treated as a small one.

    >>> import tinygrad_cnn as tc
    >>> net = tc.nn.Sequential(tc.nn.Conv2d(3, 8, 5), tc.nn.ReLU(), tc.nn.MaxPool2d(2))
    >>> memory = tc.models.training_memory(net, (256, 3, 32, 32), optimizer="adam")
    >>> memory.optimizer_state == 2 * 4 * 608  # 608 parameters of 4 bytes
    True
    """
    owner = "training_memory"
    if optimizer not in _STATES:
        raise ArgumentError(
            f"{owner}: optimizer={optimizer!r:.60}, expected one of {', '.join(_STATES)}"
        )
    x = batch(_first(inputs, _FEW), model, owner)
    trained = [parameter.data for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        raise ArgumentError(f"{owner}: {type(model).__name__} has no parameter to train")
    images = (inputs if isinstance(inputs, (tuple, list)) else inputs.shape)[0]
    plan, volumes = _plan(model, x, inputs, images)
    batch_bytes = x.data.nbytes // len(x) * images
    weights = sum(array.nbytes for array in trained)
    held = [tensor.data.nbytes for tensor in (*model.parameters(), *model.buffers())]
    shapes = {(array.shape, array.dtype): array.nbytes for array in trained}
    return TrainingMemory(
        type(model).__name__,
        (images, *x.shape[1:]),
        optimizer,
        inputs=batch_bytes,
        parameters=sum(held),
        optimizer_state=_STATES[optimizer] * weights,
        scratch=2 * sum(shapes.values()),
        notes=2 * (batch_bytes + volumes * trained[0].itemsize) + 3 * weights + batch_bytes,
        **largest_moment(plan)._asdict(),
    )


def _plan(model: nn.Module, few: Tensor, inputs: Any, images: int) -> tuple[Plan, int]:
    """The plan of a step with all images, and how many numbers its volumes have."""
    owner = "training_memory"
    ran = run(model, few, owner, training=True)
    plan, more = Plan.of(ran), images - len(few)
    if more:
        x = batch(_first(inputs, len(few) + 1), model, owner)
        one_more = Plan.of(run(model, x, owner, training=True))
        if plan != one_more:
            raise GraphError(f"{owner}: the model does other things with one image more")
        plan = plan.extended(one_more, more)
    return plan, sum(call.volume for call in ran.calls) // len(few) * images


def _first(inputs: Any, images: int) -> Any:
    """The first images, or a shape with no more than so many; anything else as it is."""
    if isinstance(inputs, (np.ndarray, Tensor)) and inputs.ndim:
        return inputs[:images]
    if isinstance(inputs, (tuple, list)) and inputs and is_whole(inputs[0]):
        return (min(inputs[0], images), *inputs[1:])
    return inputs
