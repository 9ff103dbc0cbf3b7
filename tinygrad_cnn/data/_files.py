"""Files of published data sets: where they lie, whether they are whole, how to fetch them."""

from __future__ import annotations

import os
from typing import TypeAlias

from ..errors import ArgumentError, DataError, MissingExtraError

Path: TypeAlias = str | os.PathLike[str]

ROOT_VARIABLE = "TINYGRAD_CNN_DATA"


def dataset_folder(dataset: str, root: Path | None, folder: str) -> str:
    """The folder of a data set below ``root``, or below the folder that the environment names."""
    root = root or os.environ.get(ROOT_VARIABLE)
    if not root:
        raise ArgumentError(
            f"{dataset}: no folder with data: pass root= or set the environment variable"
            f" {ROOT_VARIABLE}"
        )
    return os.path.join(os.path.expanduser(root), folder)


def read_file(path: Path, md5: str | None = None) -> bytes:
    """The content of a file, checked against its MD5 where one is given.

    MD5 is what the data sets were published with; it tells damage, not malice.

    Raises:
        DataError: the file is missing, can't be read, or has another hash.
    """
    import hashlib

    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file; check root, or pass download=True where a data set has it"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error}") from error
    if md5 is not None:
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != md5:
            raise DataError(
                f"{path}: the MD5 of its {len(content)} bytes is {found}, expected {md5}: the file"
                " is damaged or another one; remove it and fetch it again"
            )
    return content


def download(url: str, path: str, md5: str) -> None:
    """Fetch a file; it appears at ``path`` when it is whole and its hash is right.

    Raises:
        MissingExtraError: pooch is not installed.
        DataError: the file can't be fetched, or has another hash.
    """
    try:
        import pooch
    except ImportError:
        raise MissingExtraError("pooch", "data", f"downloading {url}") from None
    folder, name = os.path.split(path)
    try:
        # Downloads under a temporary name in the same folder, which it removes on any error.
        pooch.retrieve(url, known_hash=f"md5:{md5}", fname=name, path=folder)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: downloading {url} failed: {error}") from error
