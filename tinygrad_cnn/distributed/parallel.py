"""One model on all ranks, each with its share of the data."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .. import nn
from .._core.tensor import Tensor
from ..errors import ArgumentError, DtypeError
from ..random import default_generator
from ..train._archive import Packed, parsed
from ..train._run import Run
from ..train.evaluation import Totals
from ..typing import Array
from .batch_norm import synchronise_batch_norm
from .communicator import Communicator, Single

__all__ = ["DataParallel"]


class DataParallel:
    """Trains one model on all ranks: after ``reduce`` every rank has the gradients of all data.

    The weights and buffers of rank 0 are copied to the others when this is made. Each rank then
    differentiates the mean loss of its own examples, ``reduce`` makes of the gradients those of
    the mean over the examples of all ranks, and equal optimisers make equal updates.
    ``train.fit(..., distributed=parallel)`` does all of that.

    Args:
        model: the same architecture on every rank; changed in place.
        communicator: the ranks; None: this process alone.
        synchronise: whether batch norm shall take its statistics over the batches of all ranks,
            as one process with the whole batch does, instead of over that of each rank. Such a
            model is not compiled.

    Raises:
        ArgumentError: the ranks have different models, on every rank alike.
        DtypeError: one of the arguments is something else.

    >>> import numpy as np, tinygrad_cnn as tc
    >>> model = tc.nn.Linear(2, 3, generator=np.random.default_rng(0))
    >>> parallel = tc.distributed.DataParallel(model)
    >>> x, labels = tc.ones(4, 2), np.array([0, 1, 2, 0])
    >>> loss = tc.functional.cross_entropy(model(x), labels)
    >>> loss.backward()
    >>> parallel.reduce(len(labels), loss.item()) == loss.item()
    True
    """

    def __init__(
        self,
        model: nn.Module,
        communicator: Communicator | None = None,
        *,
        synchronise: bool = False,
    ) -> None:
        communicator = Single() if communicator is None else communicator
        for name, value, kind in (
            ("model", model, nn.Module), ("communicator", communicator, Communicator)
        ):  # fmt: skip
            if not isinstance(value, kind):
                raise DtypeError(f"DataParallel: {name}={value!r:.60}, expected a {kind.__name__}")
        self.model, self.communicator, self.synchronise = model, communicator, synchronise
        self.agree(
            "the model",
            [(name, t.shape, str(t.dtype)) for name, t in _tensors(model)],
        )
        if synchronise:
            synchronise_batch_norm(model, communicator)
        self._spread([tensor for _, tensor in _tensors(model)])

    @property
    def rank(self) -> int:
        """The number of this process."""
        return self.communicator.rank

    @property
    def share(self) -> tuple[int, int]:
        """Rank and size, as a ``DataLoader`` takes them for its part of every batch."""
        return self.communicator.rank, self.communicator.size

    def reduce(self, examples: int, loss: float = 0.0) -> float:
        """Make the gradients those of the examples of all ranks, and return their mean loss.

        A parameter without a gradient on every rank stays without one.

        Args:
            examples: over how many the loss of this rank is the mean; 0: it had no data, and
                its gradients don't count.
            loss: the mean.

        Raises:
            ArgumentError: no rank has any example.
        """
        return self.joined(examples, loss, None)[1]

    def joined(
        self, images: int, loss: float, hits: Array | None
    ) -> tuple[int, float, Array | None]:
        """``reduce``, for ``fit``: the images of all ranks, their mean loss, and hits.

        Args:
            images: in the batch of this rank.
            loss: the mean over its labels, or images where it has no labels.
            hits: of each label whether it was hit; in the result they are put in order.
        """
        examples = images if hits is None else hits.size
        right = 0 if hits is None else int(np.count_nonzero(hits))
        total, loss, images_of_all, right_of_all, with_labels = self.sums(
            examples, loss * examples if examples else 0.0, images, right, hits is not None
        )
        if not total:
            raise ArgumentError("DataParallel: no rank has any example")
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        for dtype in dict.fromkeys(parameter.dtype for parameter in trainable):
            members = [p for p in trainable if p.dtype == dtype]
            self._reduce(members, examples, total)
        ordered = np.arange(int(total)) < right_of_all if with_labels else None
        return int(images_of_all), loss / total, ordered

    def _reduce(self, members: list[nn.Parameter], examples: int, total: float) -> None:
        """One message: the gradients of one dtype, weighted, and who has one."""
        ends = np.cumsum([parameter.size for parameter in members])
        flat = np.empty(ends[-1] + len(members), members[0].dtype)
        *parts, present = np.split(flat, ends)
        for index, (part, parameter) in enumerate(zip(parts, members, strict=True)):
            grad = parameter.grad if examples else None
            present[index] = grad is not None
            if grad is None:
                part.fill(0)
            else:
                np.multiply(grad.data, examples, out=part.reshape(parameter.shape))
        self.communicator.allreduce(flat)
        flat[: ends[-1]] /= total
        for index, (part, parameter) in enumerate(zip(parts, members, strict=True)):
            parameter.grad = Tensor(part.reshape(parameter.shape)) if present[index] else None

    def in_step(self, data: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        """The batches of this rank; empty ones while other ranks still have some.

        So that every rank makes the same number of steps, however the data is shared.

        Raises:
            ArgumentError: this rank has no batch at all, but another has.
        """
        batches = iter(data)
        last: tuple[Any, Any] | None = None
        while True:
            batch = next(batches, None)
            [running] = self.sums(batch is not None)
            if not running:
                return
            if batch is None:
                if last is None:
                    raise ArgumentError(
                        f"rank {self.rank} has no batch: share the data among fewer ranks"
                    )
                batch = last[0][:0], last[1][:0]
            last = batch
            yield batch

    def without_data(self, inputs: Any) -> None:
        """Take part in the statistics of a step with an empty batch."""
        if self.synchronise:
            self.model(inputs).sum().backward()

    def begin(self, run: Run, data: Any) -> None:
        """Give every rank the state of rank 0, which may have resumed a run.

        Raises:
            ArgumentError: the data has not the same seed everywhere.
        """
        if run.step.model is not self.model:
            raise ArgumentError("fit: distributed= is of another model: DataParallel(model, …)")
        content = io.BytesIO()
        if run.resumed and not self.rank:
            Packed(run.state()).write(content)
        received = self._spread_bytes(content.getvalue())
        if received and self.rank:
            run._load(parsed(received, "the state of rank 0"))  # which has compared the settings
        seed = getattr(data, "seed", None), getattr(data, "epoch", None), run.batch
        self.agree("the seed of the data", seed)
        source = default_generator().bit_generator  # dropout shall not be alike on all ranks
        if self.rank and isinstance(source, np.random.PCG64):
            source.state = source.jumped(self.rank).state

    def joined_totals(self, totals: Totals) -> Totals:
        """The totals of all ranks together."""
        known = totals.hits is not None
        found = self.sums(totals.images, totals.hits or 0, totals._counted, totals._loss, known)
        hits = int(found[1]) if found[4] else None
        return Totals(int(found[0]), hits, int(found[2]), found[3])

    def sums(self, *numbers: float) -> tuple[float, ...]:
        """The sum of each number over all ranks."""
        array = np.array(numbers, np.float64)
        self.communicator.allreduce(array)
        return tuple(array.tolist())

    def agree(self, what: str, value: object) -> None:
        """Make sure that a value is the same on every rank, by its ``repr``.

        Raises:
            ArgumentError: it is not, on every rank alike.
        """
        digest = np.frombuffer(hashlib.sha256(repr(value).encode()).digest(), np.uint8)
        first = digest.copy()
        self.communicator.broadcast(first)
        [others] = self.sums(not np.array_equal(first, digest))
        if others:
            raise ArgumentError(
                f"{what} is not the same on all {self.communicator.size} ranks: {others:.0f}"
                " differ from rank 0; make it from the same seed and settings everywhere"
            )

    def spread_buffers(self) -> None:
        """Give every rank the buffers of rank 0, such as the running statistics of batch norm."""
        self._spread(list(self.model.buffers()))

    def _spread_bytes(self, content: bytes) -> bytes:
        """The bytes that rank 0 has."""
        size = np.array([len(content)])
        self.communicator.broadcast(size)
        array = (
            np.zeros(size[0], np.uint8) if self.rank else np.frombuffer(content, np.uint8).copy()
        )
        self.communicator.broadcast(array)
        return array.tobytes()

    def _spread(self, tensors: list[Tensor]) -> None:
        """Broadcast the values of Tensors from rank 0."""
        for tensor in tensors:
            array: Array = np.array(tensor.data, order="C")
            self.communicator.broadcast(array)
            if self.rank:
                if isinstance(tensor.data, np.ndarray) and tensor.requires_grad:
                    tensor.data[...] = array  # in place: optimisers and others may hold it
                    tensor.mark_changed()
                else:
                    tensor.data = array[()]


def _tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [*model.named_parameters(), *model.named_buffers()]
