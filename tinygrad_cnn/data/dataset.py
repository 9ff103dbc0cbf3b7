"""What a data set is: examples in arrays, read a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, reduce
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .._arguments import is_real, is_whole, listed
from ..errors import ArgumentError, DataError, DtypeError, ShapeError
from ..typing import Array

__all__ = ["ArrayDataset", "Dataset", "stratified_split"]

_STATISTICS_CHUNK = 1024  # images at a time, so that statistics need little memory


@runtime_checkable
class Dataset(Protocol):
    """What a ``DataLoader`` reads from: anything with a length and a way to read a batch.

    Implement these two methods to feed images that do not fit in memory.
    """

    def __len__(self) -> int:
        """The number of examples."""
        ...

    def batch(self, indices: Array) -> tuple[Array, Array]:
        """The examples at ``indices``: float32 images (N, C, H, W), and their N labels."""
        ...


def check_labels(source: str, labels: Array, count: int) -> None:
    """Refuse labels outside of 0 to ``count - 1``, naming their source and the first one.

    Raises:
        DataError: a label is out of range.
    """
    wrong = np.flatnonzero((labels < 0) | (labels >= count))
    if wrong.size:
        index = int(wrong[0])
        raise DataError(
            f"{source}: the label of example {index} is {labels[index]}, expected 0 to {count - 1}"
        )


class ArrayDataset:
    """Examples in memory: images (N, C, H, W), or features (N, F), with a label for each.

    Args:
        images: uint8, kept as it is, or floating point, kept as float32; not copied where it
            has that dtype.
        labels: N integers, the numbers of the classes; or targets in floating point, of any
            shape (N, ...).
        classes: the names of the classes; by default the numbers up to the largest label.
        max_value: the stored value that a batch shows as 1.0; by default 255 for uint8 and 1
            for floating point.

    Raises:
        DtypeError: images or labels of another dtype.
        ShapeError: images without a second axis, another number of labels, or no example.
        DataError: a label that has no class.
        ArgumentError: ``max_value`` is not positive.

    >>> import numpy as np
    >>> from tinygrad_cnn.data import ArrayDataset
    >>> x = np.full((5, 3, 8, 8), 51, np.uint8)
    >>> dataset = ArrayDataset(x, [0, 1, 1, 0, 1], classes=["cat", "dog"])
    >>> dataset
    ArrayDataset(5 examples of shape (3, 8, 8), 2 classes)
    >>> image, label = dataset[1]
    >>> image.shape, float(image.max()), dataset.classes[label]
    ((3, 8, 8), 0.2..., 'dog')
    """

    def __init__(
        self,
        images: Any,
        labels: Any,
        *,
        classes: Sequence[str] | None = None,
        max_value: float | None = None,
    ) -> None:
        images, labels = _numbers(images, "images", "uint8"), _numbers(labels, "labels", "integers")
        if images.ndim < 2 or labels.ndim < 1 or not len(images) == len(labels) > 0:
            raise ShapeError(
                f"images {images.shape} with labels {labels.shape}: expected images (N, C, H, W)"
                " or features (N, F), and N labels, N at least 1"
            )
        if max_value is None:
            max_value = 255.0 if images.dtype == np.uint8 else 1.0
        if not max_value > 0:
            raise ArgumentError(f"max_value={max_value}, expected a number above 0")
        self.images: Array = images
        self.labels: Array = labels
        self.classes: tuple[str, ...] = tuple(listed("a data set", "classes", classes or ()))
        self.max_value = float(max_value)
        if labels.dtype == np.int64:
            if labels.ndim != 1:
                raise ShapeError(f"labels {labels.shape}: expected one number for each example")
            self.classes = self.classes or tuple(map(str, range(max(0, int(labels.max())) + 1)))
            check_labels(type(self).__name__, labels, len(self.classes))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | slice) -> tuple[Array, Any]:
        if isinstance(index, slice):
            return self.batch(index)
        if not is_whole(index, -len(self)):
            raise DtypeError(
                f"{type(self).__name__}[{index!r:.60}]: expected one integer; .batch(indices) gives"
                " several examples, .subset(indices) a data set of them"
            )
        images, labels = self.batch(np.array([index]))
        return images[0], labels[0]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({len(self)} examples of shape {self.images.shape[1:]},"
            f" {len(self.classes)} classes)"
        )

    def batch(self, indices: Array | slice) -> tuple[Array, Array]:
        """The examples at ``indices``: new float32 images with 1.0 for ``max_value``, labels.

        Labels are int64, targets in floating point are float32.
        """
        scale = np.float32(self.max_value)
        return np.divide(self.images[indices], scale, dtype=np.float32), self.labels[indices]

    def subset(self, indices: Array) -> ArrayDataset:
        """A data set of copies of the examples at ``indices``, with the same classes."""
        return ArrayDataset(
            self.images[indices],
            self.labels[indices],
            classes=self.classes,
            max_value=self.max_value,
        )

    @cached_property
    def mean(self) -> Array:
        """The mean of each channel, shape (C,), on the scale of a batch."""
        return self._channel_mean(lambda images: images)

    @cached_property
    def std(self) -> Array:
        """The standard deviation of each channel over all pixels, shape (C,)."""
        mean = by_channel(self.mean, self.images.ndim)
        return np.asarray(np.sqrt(self._channel_mean(lambda images: np.square(images - mean))))

    @cached_property
    def mean_image(self) -> Array:
        """The mean of each pixel, with the shape of one example, on the scale of a batch."""
        return self._sum(lambda images: images.sum(0, dtype=np.float64)) / len(self)

    def _channel_mean(self, f: Callable[[Array], Array]) -> Array:
        """The mean of ``f`` of the pixels, for each channel, in float64."""
        axes = (0, *range(2, self.images.ndim))
        total = self._sum(lambda images: f(images).sum(axes, dtype=np.float64))
        return total * (len(total) / self.images.size)

    def _sum(self, f: Callable[[Array], Array]) -> Array:
        """The sum of ``f`` of the batches that the data set is read in."""
        starts = range(0, len(self), _STATISTICS_CHUNK)
        parts = (f(self.batch(slice(i, i + _STATISTICS_CHUNK))[0]) for i in starts)
        return reduce(np.add, parts)


def by_channel(values: Array, ndim: int) -> Array:
    """Values of the channels shaped so that they broadcast over images with ``ndim`` axes."""
    return values.reshape(-1, *[1] * (ndim - 2))  # (C,) -> (C, 1, 1) for (N, C, H, W)


def _numbers(values: Any, what: str, integers: str) -> Array:
    """``values`` as uint8 (images), int64 (labels) or float32."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ShapeError(f"{what}: the rows differ in length: {error}") from None
    if array.dtype.kind == "f":
        return array.astype(np.float32, copy=False)
    if what == "images" and array.dtype == np.uint8:
        return array
    if what == "labels" and array.dtype.kind in "iu":
        return array.astype(np.int64, copy=False)
    raise DtypeError(
        f"{what} of dtype {array.dtype}: expected {integers} or floating point; convert with"
        " .astype(...)"
    )


def is_held_out(labels: Array, fraction: float, seed: int) -> Array:
    """Which examples ``stratified_split`` holds out."""
    if not is_real(fraction, 0.0) or not 0 < fraction < 1:
        raise ArgumentError(f"fraction={fraction}, expected a number between 0 and 1")
    if labels.dtype != np.int64:
        raise ArgumentError(f"a stratified split needs classes, the labels are {labels.dtype}")
    order = np.random.default_rng(seed).permutation(len(labels))
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        held_out[members[: round(fraction * len(members))]] = True
    return held_out


def stratified_split(
    dataset: ArrayDataset, fraction: float = 0.2, *, seed: int = 0
) -> tuple[ArrayDataset, ArrayDataset]:
    """Two data sets without a common example: the larger rest, and a fraction of each class.

    The examples are put in the order of ``numpy.random.default_rng(seed).permutation(N)``;
    the first ``round(fraction * n)`` of the n examples of each class are held out.

    Raises:
        ArgumentError: ``fraction`` is not between 0 and 1, or the labels are not classes.
        ShapeError: one of the two would be empty.

    >>> from tinygrad_cnn.data import Digits, stratified_split
    >>> train, validation = stratified_split(Digits("train"), 0.1, seed=1)
    >>> len(train), len(validation)
    (1295, 143)
    """
    held_out = is_held_out(dataset.labels, fraction, seed)
    return dataset.subset(np.flatnonzero(~held_out)), dataset.subset(np.flatnonzero(held_out))
