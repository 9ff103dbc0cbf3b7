"""A data set from pictures in folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO

import numpy as np

from ..errors import ArgumentError, DataError, MissingExtraError
from ..typing import Array, IntPair
from ._files import Path
from .dataset import ArrayDataset

__all__ = ["ImageFolder"]


class ImageFolder(ArrayDataset):
    """Pictures by class: ``root/cat/1.png``, ``root/dog/2.jpg``, and so on, all in memory.

    Each folder in ``root`` is a class, in the order of their names; every file in it is a
    picture. Hidden names, which start with a dot, are left out, and so are files beside the
    class folders. ``paths`` holds the file of each example.

    Args:
        root: the folder of the class folders.
        mode: "RGB" for three channels, "L" for one, grey; pictures are converted to it.
        size: height and width that every picture is resized to, bilinearly; without it all
            must have the same size.

    Raises:
        ArgumentError: another mode, or a size that is not positive.
        MissingExtraError: Pillow is not installed.
        DataError: no class folder, a class without pictures, a file that is no picture of 8
            bits a channel, or pictures of different sizes.

    >>> import os, tempfile
    >>> from PIL import Image
    >>> from tinygrad_cnn.data import ImageFolder
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for name in ("cat", "dog"):
    ...         os.mkdir(os.path.join(root, name))
    ...         Image.new("RGB", (32, 24)).save(os.path.join(root, name, "1.png"))
    ...     dataset = ImageFolder(root)
    >>> dataset, dataset.classes
    (ImageFolder(2 examples of shape (3, 24, 32), 2 classes), ('cat', 'dog'))
    """

    def __init__(self, root: Path, *, mode: str = "RGB", size: IntPair | None = None) -> None:
        if mode not in ("RGB", "L"):
            raise ArgumentError(f"ImageFolder: mode={mode!r}, expected 'RGB' or 'L'")
        size = (size, size) if isinstance(size, int) else size
        if size is not None and min(size) < 1:
            raise ArgumentError(f"ImageFolder: size={size}, expected a height and a width above 0")
        classes, paths, labels = _scan(root)
        images = _stack(paths, decoded(paths, mode, size))
        super().__init__(images, labels, classes=classes)
        self.paths: tuple[str, ...] = tuple(paths)


def _scan(root: Path) -> tuple[list[str], list[str], list[int]]:
    """The names of the classes, the files of all, and the label of each file."""
    classes = [name for name in _visible(root) if os.path.isdir(os.path.join(root, name))]
    if not classes:
        raise DataError(f"{root}: no folder in it, expected one for each class")
    paths, labels = [], []
    for label, name in enumerate(classes):
        folder = os.path.join(root, name)
        files = [os.path.join(folder, file) for file in _visible(folder)]
        if not files:
            raise DataError(f"{folder}: no picture of the class {name!r}; add some or remove it")
        paths += files
        labels += [label] * len(files)
    return classes, paths, labels


def _visible(folder: Path) -> list[str]:
    """The names in a folder that are not hidden, sorted."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise DataError(f"{os.fspath(folder)}: can't be read as a folder: {error}") from error


def decoded(paths: list[str], mode: str, size: tuple[int, int] | None) -> Iterator[Array]:
    """Each picture as uint8 array (H, W, C), resized to ``size`` (height, width) if given.

    Raises:
        MissingExtraError: Pillow is not installed.
        DataError: a file is no picture of 8 bits a channel.
    """
    for path in paths:
        yield read_picture(path, path, mode, size)


def read_picture(
    file: str | IO[bytes], name: str, mode: str, size: tuple[int, int] | None = None
) -> Array:
    """One picture, which errors call ``name``; as ``decoded``."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("pillow", "images", "reading pictures") from None
    try:
        with Image.open(file) as found:
            stored_mode, converted = found.mode, found.convert(mode)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{name}: can't be read as a picture: {error}") from error
    if stored_mode.startswith(("I", "F")):  # 16 or 32 bits, which convert has clipped
        raise DataError(f"{name}: pixels of mode {stored_mode}, expected 8 bits a channel")
    if size is not None:
        converted = converted.resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(converted).reshape(*converted.size[::-1], -1)


def _stack(paths: list[str], pictures: Iterator[Array]) -> Array:
    """All pictures in one array (N, C, H, W)."""
    stacked: Array = np.empty(0, np.uint8)
    for index, (path, picture) in enumerate(zip(paths, pictures, strict=True)):
        picture = picture.transpose(2, 0, 1)  # (H, W, C) -> (C, H, W)
        if index == 0:
            stacked = np.empty((len(paths), *picture.shape), np.uint8)
        if picture.shape != stacked.shape[1:]:
            raise DataError(
                f"{path}: height and width {picture.shape[1:]}, expected {stacked.shape[2:]} as in"
                f" {paths[0]}; pass size=(height, width) to resize all"
            )
        stacked[index] = picture
    return stacked
