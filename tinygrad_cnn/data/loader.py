"""Batches for training: shuffled, transformed, with the batch innermost in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._arguments import is_whole, whole
from .._core.tensor import Tensor
from ..errors import ArgumentError, CheckpointError, DtypeError
from ..random import default_generator
from ..typing import Array
from .dataset import ArrayDataset, Dataset
from .transforms import Transform

__all__ = ["DataLoader"]

# Images that are copied at a time while the batch moves innermost: writing whole cache lines
# of the result, yet reading from few enough places, it takes a third of the time at 32x32.
_COPY_BLOCK = 8


class Epochs:
    """Batches that follow from a seed and the number of an epoch, for one rank of several.

    Attributes:
        seed: of every draw; by default drawn from the thread's generator.
        share: rank and size.
        epoch: the number of the next pass.
    """

    def __init__(self, seed: int | None, share: tuple[int, int]) -> None:
        owner = type(self).__name__
        drawn = default_generator().integers(2**32) if seed is None else seed
        self.seed = whole(owner, "seed", drawn, least=0)
        self.share = checked_share(owner, share)
        self.epoch = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Array]]:
        return self.iterate_from(0)

    def iterate_from(self, batch: int) -> Iterator[tuple[Tensor, Array]]:
        """The batches of an epoch as iterating gives them, without the first ``batch`` ones."""
        epoch = self.epoch
        self.epoch += 1
        return self._batches(epoch, batch)

    def state_dict(self) -> dict[str, int]:
        """What the batches of the next epoch follow from."""
        return {"seed": self.seed, "epoch": self.epoch}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from the ``state_dict()`` of such batches.

        Raises:
            CheckpointError: it holds something else; nothing is changed.
        """
        names = ("seed", "epoch")
        if not isinstance(state_dict, Mapping) or not all(
            is_whole(state_dict.get(name), 0) for name in names
        ):
            owner = type(self).__name__
            raise CheckpointError(f"{owner}: {state_dict!r:.60}, expected a seed and an epoch")
        self.seed, self.epoch = (int(state_dict[name]) for name in names)

    def _batches(self, epoch: int, first: int) -> Iterator[tuple[Tensor, Array]]:
        """The batches of an epoch from the ``first`` on."""
        raise NotImplementedError


class DataLoader(Epochs):
    """The batches of a data set, epoch after epoch: pairs of a Tensor and an array of labels.

    Images come as float32 (N, C, H, W) with the batch innermost in memory, labels as int64.

    ``seed`` and ``epoch`` determine the order and whatever the transform draws, so they are all
    that it takes to repeat or resume a run: iterating counts ``epoch`` up, and setting it makes
    the next iteration the epoch of that number. ``state_dict()`` holds the two.

    Args:
        dataset: a ``Dataset``, or a pair of arrays ``(images, labels)`` for an ``ArrayDataset``.
        batch_size: the number of examples in a batch.
        shuffle: whether each epoch has a new random order.
        drop_last: whether to leave out a last batch that is smaller than the others.
        transform: applied to the float32 images of each batch.
        seed: by default drawn from the default generator, which ``tc.manual_seed`` sets.
        share: rank and size, where several processes share the data: of every batch the part of
            this rank, which may be empty. With one seed the parts make the batch of one process;
            ``transform`` draws for each by itself.

    Raises:
        ArgumentError: a batch size below 1, a seed below 0, or a rank outside of its job.
        DtypeError: ``dataset`` is neither a ``Dataset`` nor a pair of arrays.

    >>> from tinygrad_cnn.data import DataLoader, Digits
    >>> loader = DataLoader(Digits("train"), batch_size=64, shuffle=True, seed=0)
    >>> len(loader)
    23
    >>> x, y = next(iter(loader))
    >>> x.shape, x.dtype, y.shape, y.dtype
    ((64, 1, 8, 8), dtype('float32'), (64,), dtype('int64'))
    """

    def __init__(
        self,
        dataset: Dataset | tuple[Any, Any],
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        transform: Transform | None = None,
        seed: int | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        if isinstance(dataset, tuple) and len(dataset) == 2:
            dataset = ArrayDataset(*dataset)
        if not isinstance(dataset, Dataset):
            raise DtypeError(
                "DataLoader: expected a data set with __len__ and batch(), or a pair (images,"
                f" labels), got {type(dataset).__name__}"
            )
        self.dataset = dataset
        self.batch_size = whole("DataLoader", "batch_size", batch_size)
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.transform = transform
        super().__init__(seed, share)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def _batches(self, epoch: int, first: int) -> Iterator[tuple[Tensor, Array]]:
        order = np.arange(len(self.dataset))
        if self.shuffle:
            order = self._generator(epoch).permutation(order)
        for index in range(first, len(self)):
            start = index * self.batch_size
            chosen = order[start : start + self.batch_size]
            rank, size = self.share
            low, high = (len(chosen) * edge // size for edge in (rank, rank + 1))
            images, labels = self.dataset.batch(chosen[low:high])
            if self.transform is not None and len(images):
                key = (index, rank) if rank else (index,)
                images = self.transform(images, self._generator(epoch, *key))
            yield Tensor(batch_innermost(images)), labels

    def _generator(self, *key: int) -> np.random.Generator:
        """The generator of an epoch's order, or of one batch's transform."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def checked_share(owner: str, share: tuple[int, int]) -> tuple[int, int]:
    """Rank and size.

    Raises:
        ArgumentError: they are none.
    """
    if (
        not isinstance(share, tuple)
        or len(share) != 2
        or not (is_whole(share[0], 0) and is_whole(share[1]) and share[0] < share[1])
    ):
        raise ArgumentError(f"{owner}: share={share!r}, expected (rank, size) with rank below size")
    return int(share[0]), int(share[1])


def batch_innermost(images: Array) -> Array:
    """The float32 images as (N, C, H, W) view of a contiguous array (C, H, W, N)."""
    n = len(images)
    result = np.moveaxis(np.empty((*images.shape[1:], n), np.float32), -1, 0)
    for start in range(0, n, _COPY_BLOCK):
        result[start : start + _COPY_BLOCK] = images[start : start + _COPY_BLOCK]
    return result
