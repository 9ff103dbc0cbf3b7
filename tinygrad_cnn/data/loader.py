"""Batches for training: shuffled, transformed, with the batch innermost in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._arguments import whole
from .._core.tensor import Tensor
from ..errors import DtypeError
from ..random import default_generator
from ..typing import Array
from .dataset import ArrayDataset, Dataset
from .transforms import Transform

__all__ = ["DataLoader"]

# Images that are copied at a time while the batch moves innermost: writing whole cache lines
# of the result, yet reading from few enough places, it takes a third of the time at 32x32.
_COPY_BLOCK = 8


class DataLoader:
    """The batches of a data set, epoch after epoch: pairs of a Tensor and an array of labels.

    Images come as float32 (N, C, H, W) with the batch innermost in memory, labels as int64.

    ``seed`` and ``epoch`` determine the order and whatever the transform draws, so they are all
    that it takes to repeat or resume a run: iterating counts ``epoch`` up, and setting it makes
    the next iteration the epoch of that number.

    Args:
        dataset: a ``Dataset``, or a pair of arrays ``(images, labels)`` for an ``ArrayDataset``.
        batch_size: the number of examples in a batch.
        shuffle: whether each epoch has a new random order.
        drop_last: whether to leave out a last batch that is smaller than the others.
        transform: applied to the float32 images of each batch.
        seed: by default drawn from the default generator, which ``tc.manual_seed`` sets.

    Raises:
        ArgumentError: a batch size below 1 or a seed below 0.
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
        drawn = default_generator().integers(2**32) if seed is None else seed
        self.seed = whole("DataLoader", "seed", drawn, least=0)
        self.epoch = 0

    def __len__(self) -> int:
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, Array]]:
        epoch = self.epoch
        self.epoch += 1
        return self._batches(epoch)

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Array]]:
        order = np.arange(len(self.dataset))
        if self.shuffle:
            order = self._generator(epoch).permutation(order)
        for index in range(len(self)):
            start = index * self.batch_size
            images, labels = self.dataset.batch(order[start : start + self.batch_size])
            if self.transform is not None:
                images = self.transform(images, self._generator(epoch, index))
            yield Tensor(_batch_innermost(images)), labels

    def _generator(self, *key: int) -> np.random.Generator:
        """The generator of an epoch's order, or of one batch's transform."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def _batch_innermost(images: Array) -> Array:
    """The float32 images as (N, C, H, W) view of a contiguous array (C, H, W, N)."""
    n = len(images)
    result = np.moveaxis(np.empty((*images.shape[1:], n), np.float32), -1, 0)
    for start in range(0, n, _COPY_BLOCK):
        result[start : start + _COPY_BLOCK] = images[start : start + _COPY_BLOCK]
    return result
