"""Data sets larger than memory, in tar files that are read from beginning to end.

The format is that of WebDataset (A. Aizman, G. Maltby and T. Breuel, High performance I/O for large
scale deep learning, 2019): files that follow each other and have one name up to the first dot are
one example, and what follows the dot says what each is.

Reading is left to the standard library: files are hostile, and the library webdataset decompresses,
expands sparse members and unpickles what it finds, and takes ``pipe:`` names to the shell.
"""

from __future__ import annotations

import mmap
import os
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from io import BytesIO
from itertools import count, islice
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import numpy as np

from .._arguments import whole
from .._core.tensor import Tensor
from .._files import replacing
from ..errors import ArgumentError, DataError, MissingExtraError, ShapeError
from ..typing import Array
from ._files import Path as AnyPath
from .image_folder import read_picture
from .loader import Epochs, batch_innermost
from .mapped import array_in
from .transforms import Transform

__all__ = ["Shards", "write_shards"]

Sample: TypeAlias = tuple[str, dict[str, bytes]]  # a name for errors, and files by suffix
_PICTURES = {"png", "jpg", "jpeg", "ppm", "webp", "bmp"}
_MOST_DIGITS = 18  # of a label


class Shards(Epochs):
    """The batches of a data set in tar files, epoch after epoch, in little memory.

    With ``shuffle`` the files come in a new order in each epoch, and the examples through a buffer
    of which one is drawn at a time: examples that lie within a buffer's length of each other mix,
    so write them in random order. ``seed`` and ``epoch`` determine everything, as for a
    ``DataLoader``.

    Args:
        paths: the tar files, uncompressed.
        batch_size: the number of examples in a batch; the last one may be smaller.
        shuffle: whether to shuffle.
        buffer: how many examples it holds, as bytes of the files.
        image: the suffix of the images: "npy", arrays (C, H, W) of uint8 or floating point, or a
            format that Pillow reads, such as "jpg".
        label: the suffix of the labels, whole numbers in decimal digits.
        mode: what Pillow converts pictures to: "RGB" or "L".
        transform: applied to the float32 images of each batch.
        seed: by default drawn from the default generator.
        share: rank and size, where several processes share the data: each reads every size-th file
            of the epoch's order, ``batch_size`` examples at a time.

    Raises:
        ArgumentError: an argument outside its domain, or fewer files than ranks.
        DataError: while iterating, a file that is missing, damaged, or not like this.
        MissingExtraError: while iterating, Pillow is needed.

    >>> import tempfile, numpy as np
    >>> from tinygrad_cnn.data import Shards, write_shards
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = write_shards(folder, np.zeros((5, 1, 8, 8), np.uint8), [0, 1, 0, 1, 1], 3)
    ...     [labels.tolist() for _, labels in Shards(paths, batch_size=4)]
    [[0, 1, 0, 1], [1]]
    """

    def __init__(
        self,
        paths: Iterable[AnyPath],
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        buffer: int = 1000,
        image: str = "npy",
        label: str = "cls",
        mode: str = "RGB",
        transform: Transform | None = None,
        seed: int | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.paths = _paths(paths)
        self.batch_size = whole("Shards", "batch_size", batch_size)
        self.shuffle, self.buffer = shuffle, whole("Shards", "buffer", buffer)
        if image != "npy" and image not in _PICTURES:
            raise ArgumentError(f"Shards: image={image!r}, expected npy, {', '.join(_PICTURES)}")
        self.image, self.label, self.mode, self.transform = image, label, mode, transform
        super().__init__(seed, share)
        if self.share[1] > len(self.paths):
            raise ArgumentError(f"Shards: {len(self.paths)} files for {self.share[1]} ranks")

    def _batches(self, epoch: int, first: int) -> Iterator[tuple[Tensor, Array]]:
        samples = self._samples(epoch)
        for index in count():
            chosen = list(islice(samples, self.batch_size))
            if not chosen:
                return
            if index < first:
                continue
            images, labels = self._decoded(chosen)
            if self.transform is not None:
                images = self.transform(images, self._generator(epoch, 1 + index, self.share[0]))
            yield Tensor(batch_innermost(images)), labels

    def _samples(self, epoch: int) -> Iterator[Sample]:
        """The examples of this rank in the order of the epoch."""
        rank, size = self.share
        paths = self.paths
        if self.shuffle:  # the same order on every rank
            paths = [paths[i] for i in self._generator(epoch).permutation(len(paths))]
        samples = (sample for path in paths[rank::size] for sample in read_samples(path))
        if self.shuffle:
            return _mixed(samples, self.buffer, self._generator(epoch, 0, rank))
        return samples

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def _decoded(self, samples: list[Sample]) -> tuple[Array, Array]:
        """Float32 images (N, C, H, W) and their labels."""
        labels = np.array([self._label(sample) for sample in samples], np.int64)
        images: Array = np.empty(0, np.float32)
        for index, sample in enumerate(samples):
            image = self._image(sample)
            if index == 0:
                images = np.empty((len(samples), *image.shape), np.float32)
            if image.shape != images.shape[1:]:
                raise DataError(f"{sample[0]}: shape {image.shape}, others {images.shape[1:]}")
            scale = 255.0 if image.dtype == np.uint8 else 1.0
            np.divide(image, np.float32(scale), out=images[index], casting="same_kind")
        return images, labels

    def _image(self, sample: Sample) -> Array:
        name, content = f"{sample[0]}.{self.image}", _part(sample, self.image)
        if self.image != "npy":
            return read_picture(BytesIO(content), name, self.mode).transpose(2, 0, 1)
        image = array_in(content, name)
        if image.dtype != np.uint8 and image.dtype.kind != "f":
            raise DataError(f"{name}: dtype {image.dtype}, expected uint8 or floating point")
        return image

    def _label(self, sample: Sample) -> int:
        digits = _part(sample, self.label).strip()
        if not digits.isdigit() or len(digits) > _MOST_DIGITS:
            raise DataError(f"{sample[0]}.{self.label}: {digits[:40]!r} is no label: no number")
        return int(digits)


def _paths(paths: Iterable[AnyPath]) -> list[str]:
    if isinstance(paths, (str, os.PathLike)):
        raise ArgumentError(f"Shards: paths={paths!r}, expected a list of files")
    found = [os.fspath(path) for path in paths]
    if not found:
        raise ArgumentError("Shards: no files")
    return found


def _part(sample: Sample, suffix: str) -> bytes:
    name, parts = sample
    if suffix not in parts:
        raise DataError(f"{name}: no .{suffix} among {', '.join(sorted(parts))[:200] or 'nothing'}")
    return parts[suffix]


def _mixed(
    samples: Iterator[Sample], buffer: int, generator: np.random.Generator
) -> Iterator[Sample]:
    """All samples: a random one of the buffer, whose place the next takes."""
    held: list[Sample] = []
    for sample in samples:
        if len(held) < buffer:
            held.append(sample)
            continue
        place = int(generator.integers(buffer))
        held[place], sample = sample, held[place]
        yield sample
    generator.shuffle(held)
    yield from held


def read_samples(path: str) -> Iterator[Sample]:
    """The examples of a tar file, one after the other.

    Raises:
        DataError: it can't be read, is cut off or damaged, or holds anything but files.
    """
    try:
        with open(path, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: it is empty
        raise DataError(f"{path}: can't be read: {error}") from None
    with closing(mapped):
        key: str | None = None
        parts: dict[str, bytes] = {}
        for name, content in _members(path, mapped):
            folder, _, last = name.rpartition("/")
            stem, _, suffix = last.partition(".")
            stem, suffix = f"{folder}/{stem}", suffix.lower()
            if stem != key and parts:
                yield f"{path}: {key}".replace(": /", ": "), parts
                parts = {}
            if suffix in parts:
                raise DataError(f"{path}: {name!r} is there twice")
            key, parts[suffix] = stem, content
        if parts:
            yield f"{path}: {key}".replace(": /", ": "), parts


def _members(path: str, mapped: mmap.mmap) -> Iterator[tuple[str, bytes]]:
    """Name and content of the files in an archive that is whole."""
    size = len(mapped)
    try:
        # A map never reads beyond its end, whatever length a header claims.
        with tarfile.open(fileobj=cast(IO[bytes], mapped), mode="r:") as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # it would keep them all
                end = member.offset_data + member.size
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    raise DataError(f"{path}: {member.name!r:.80} is no plain file")
                if not member.offset <= member.offset_data <= end <= size:
                    raise DataError(f"{path}: {member.name!r:.80} is cut off")
                yield member.name, mapped[member.offset_data : end]
            last = archive.offset
    except (tarfile.TarError, OSError, ValueError, OverflowError, MemoryError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: can't be read as a tar file: {error}") from None
    # tarfile takes a damaged header for the end of the archive
    if mapped[last : last + tarfile.BLOCKSIZE] != tarfile.NUL * tarfile.BLOCKSIZE:
        raise DataError(f"{path}: cut off or damaged after {last} bytes")


def write_shards(
    folder: AnyPath,
    images: Any,
    labels: Any,
    per_shard: int = 1000,
) -> list[str]:
    """Write images and labels as tar files for ``Shards``, and return their paths.

    Args:
        folder: where ``000000.tar`` and so on are written, each whole at every moment.
        images: (N, C, H, W) of uint8 or floating point, which may be mapped from a file.
        labels: N whole numbers from 0 up.
        per_shard: how many examples go into each file.

    Raises:
        MissingExtraError: webdataset is not installed.
        ShapeError: not as many labels as images, or none.
        ArgumentError: a label below 0, or a folder that does not exist.

    >>> import os, tempfile, numpy as np
    >>> from tinygrad_cnn.data import write_shards
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = write_shards(folder, np.zeros((3, 1, 8, 8), np.uint8), [0, 1, 0], 2)
    >>> [os.path.basename(path) for path in paths]
    ['000000.tar', '000001.tar']
    """
    try:
        from webdataset import TarWriter
    except ImportError:
        raise MissingExtraError("webdataset", "data", "writing shards") from None
    labels, paths = np.asarray(labels), []
    whole("write_shards", "per_shard", per_shard)
    if labels.ndim != 1 or not len(images) == len(labels) > 0:
        raise ShapeError(f"write_shards: {len(images)} images with labels {labels.shape}")
    if labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ArgumentError("write_shards: labels are whole numbers from 0 up")
    for start in range(0, len(labels), per_shard):
        path = Path(folder) / f"{start // per_shard:06}.tar"
        with replacing(path) as file, TarWriter(file, mtime=0.0) as tar:
            for index in range(start, min(start + per_shard, len(labels))):
                image = np.ascontiguousarray(images[index])
                tar.write({"__key__": f"{index:09}", "npy": image, "cls": int(labels[index])})
        paths.append(str(path))
    return paths
