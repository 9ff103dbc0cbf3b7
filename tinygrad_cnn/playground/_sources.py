"""The data that a network learns from and is judged by."""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from .._core.tensor import Tensor, raw
from ..data import (
    CIFAR10,
    MNIST,
    ArrayDataset,
    DataLoader,
    Dataset,
    Digits,
    FashionMNIST,
    Normalize,
)
from ..data._files import ROOT_VARIABLE, Path
from ..errors import ArgumentError
from ..train.evaluation import Batches, check_data
from ..typing import Array, Shape
from ._drawing import Frame, frame_of

BATCH = 32
_JUDGED_BY = 1000  # examples of the validation data, at most
_JUDGED_IN = 1.0  # seconds, about


class Examples(NamedTuple):
    """Some examples: as they are (N, …), as the model gets them, and their targets."""

    seen: Array
    inputs: Array
    targets: Array


@dataclass(frozen=True)
class Source:
    """Data to learn from, and data to judge by if there are any.

    Attributes:
        title: what a page calls it.
        data, validation: loaders of data sets, or other batches.
        classes: their names; empty where there are none.
    """

    title: str
    data: Batches
    validation: Batches | None
    classes: tuple[str, ...]

    def batches(self, size: int | None, epoch: int) -> Batches:
        """The training data in batches of this size, if it can be chosen, from an epoch on."""
        if type(self.data) is not DataLoader or size is None:
            return self.data
        loader = _reloaded(self.data, size, self.data.shuffle)
        loader.epoch = epoch
        return loader

    @property
    def batch_size(self) -> int | None:
        """Of the training data; None where it can't be chosen."""
        return self.data.batch_size if type(self.data) is DataLoader else None

    def judge(self) -> First | None:
        """Up to a thousand examples of the validation data, the same ones each time.

        A network so slow that this would take long sees fewer of them.
        """
        if not isinstance(self.validation, DataLoader):
            return None if self.validation is None else First(self.validation)
        return First(_reloaded(self.validation, self.validation.batch_size, shuffle=True))

    def examples(self, count: int, seed: int) -> Examples:
        """Some examples to look at, of the validation data if there are any."""
        batches = self.data if self.validation is None else self.validation
        if not isinstance(batches, DataLoader):
            all_batches = list(islice(batches, 1 + seed % 8))
            inputs, targets = (np.asarray(raw(part))[:count] for part in all_batches[-1])
            return Examples(inputs, inputs, targets)
        generator = np.random.default_rng(seed)
        total = len(batches.dataset)
        seen, targets = batches.dataset.batch(
            generator.choice(total, min(count, total), replace=False)
        )
        return Examples(seen, self.transformed(seen), np.asarray(targets))

    def transformed(self, images: Array) -> Array:
        """Raw images (N, C, H, W) as the model gets them when it is judged."""
        batches = self.data if self.validation is None else self.validation
        transform = getattr(batches, "transform", None)
        return images if transform is None else transform(images, np.random.default_rng(0))

    @cached_property
    def shape(self) -> Shape:
        """Of one input of the model."""
        shape: Shape = np.shape(raw(self.examples(1, 0).inputs))[1:]
        return shape

    @cached_property
    def frame(self) -> Frame | None:
        """Where a drawing goes; None for images that nobody draws with a pen."""
        seen = self.examples(1000, 0).seen
        grey = seen.ndim == 4 and seen.shape[1] == 1 and min(seen.shape[2:]) > 1
        return frame_of(seen) if grey else None


class First:
    """The first examples of some batches, until there are enough or time is up.

    Attributes:
        count: how many there were the last time.
    """

    def __init__(self, batches: Batches) -> None:
        self.batches, self.count = batches, 0

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        if isinstance(self.batches, DataLoader):
            self.batches.epoch = 0  # the order, too
        self.count, end = 0, time.monotonic() + _JUDGED_IN
        for inputs, targets in self.batches:
            left = _JUDGED_BY - self.count
            self.count += min(len(targets), left)
            yield inputs[:left], targets[:left]
            if self.count >= _JUDGED_BY or time.monotonic() > end:
                return


def _reloaded(loader: DataLoader, batch_size: int, shuffle: bool) -> DataLoader:
    """A loader of the same data in other batches."""
    return DataLoader(
        loader.dataset, batch_size, shuffle, drop_last=loader.drop_last and shuffle,
        transform=loader.transform, seed=loader.seed,
    )  # fmt: skip


# -- what comes with the package, or lies on disk ------------------------------------------


def _digits(root: Path | None) -> tuple[ArrayDataset, ArrayDataset]:
    return Digits("train"), Digits("test")


def _mnist(root: Path | None) -> tuple[ArrayDataset, ArrayDataset]:
    return MNIST(root), MNIST(root, "test")


def _fashion(root: Path | None) -> tuple[ArrayDataset, ArrayDataset]:
    return FashionMNIST(root), FashionMNIST(root, "test")


def _cifar10(root: Path | None) -> tuple[ArrayDataset, ArrayDataset]:
    """Of the files of images those that are there."""
    folder = _folder(root, "cifar-10-batches-bin")
    batches = [n for n in range(1, 6) if (folder / f"data_batch_{n}.bin").exists()]
    test = "test" if (folder / "test_batch.bin").exists() else "test-first-1000"
    return CIFAR10(root, batches=batches), CIFAR10(root, test)


class _Known(NamedTuple):
    title: str
    load: Callable[[Path | None], tuple[ArrayDataset, ArrayDataset]]
    folder: str
    files: tuple[str, ...]  # patterns of names, for each of which there must be a file


_IDX = ("train-images*", "train-labels*", "t10k-images*", "t10k-labels*")
_KNOWN = {
    "digits": _Known("Digits", _digits, "", ()),
    "mnist": _Known("MNIST", _mnist, "mnist", _IDX),
    "fashion-mnist": _Known("Fashion-MNIST", _fashion, "fashion-mnist", _IDX),
    "cifar10": _Known(
        "CIFAR-10", _cifar10, "cifar-10-batches-bin", ("data_batch_?.bin", "test_batch*.bin")
    ),
}


def available(root: Path | None) -> dict[str, str]:
    """The names of the data sets whose files are there, with their titles."""
    return {
        name: known.title
        for name, known in _KNOWN.items()
        if all(any(_folder(root, known.folder).glob(file)) for file in known.files)
    }


def load(name: str, root: Path | None) -> Source:
    """One of the ``available`` data sets, normalised by its mean and deviation.

    Raises:
        DataError: its files are damaged.
    """
    learn, judge = _KNOWN[name].load(root)
    normalize = Normalize(learn.mean, learn.std)
    return Source(
        _KNOWN[name].title,
        DataLoader(learn, BATCH, shuffle=True, transform=normalize, seed=0),
        DataLoader(judge, BATCH, transform=normalize, seed=0),
        learn.classes,
    )


def _folder(root: Path | None, name: str) -> pathlib.Path:
    """Where a data set lies; without any folder for data, a place where there is nothing."""
    top = root or os.environ.get(ROOT_VARIABLE) or os.devnull
    return pathlib.Path(top).expanduser() / name


# -- the user's own ------------------------------------------------------------------------


def own(data: Any, validation: Any, classes: Sequence[str] | None) -> Source:
    """What ``play`` was given.

    Raises:
        ArgumentError, DtypeError, ShapeError: these are no data to train on.
    """
    batches, judge = _batches("data", data), None
    if validation is not None:
        judge = _batches("validation", validation)
    names = classes if classes is not None else _class_names(batches)
    return Source("your data", batches, judge, tuple(map(str, names)))


def _batches(what: str, data: Any) -> Batches:
    """Batches as they are; a data set or a pair of arrays in a loader."""
    pair = isinstance(data, (tuple, list)) and len(data) == 2
    if pair and isinstance(data[0], (np.ndarray, Tensor)):
        data = ArrayDataset(*(np.asarray(raw(part)) for part in data))
    if isinstance(data, Dataset):
        data = DataLoader(data, BATCH, shuffle=True, seed=0)
    check_data(f"play: {what}", data)
    if not isinstance(data, DataLoader) and not _is_batch(first := next(iter(data), None)):
        raise ArgumentError(
            f"play: {what}: expected batches (inputs, targets), such as a DataLoader gives, or a"
            f" data set, or two arrays; the first batch is {first!r:.60}"
        )
    batches: Batches = data
    return batches


def _is_batch(given: Any) -> bool:
    pair = isinstance(given, (tuple, list)) and len(given) == 2
    return pair and all(isinstance(part, (np.ndarray, Tensor)) for part in given)


def _class_names(batches: Batches) -> Sequence[str]:
    dataset = getattr(batches, "dataset", None)
    return getattr(dataset, "classes", ())
