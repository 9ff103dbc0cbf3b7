"""Files that are whole at every moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .errors import ArgumentError

__all__ = ["replacing", "write_text"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of ``path`` when it is whole and on disk.

    An error, or the end of the process, leaves an earlier file as it was.

    Raises:
        ArgumentError: the folder does not exist, or ``path`` is one.
    """
    path = Path(path)
    if path.is_dir() or not path.parent.is_dir():
        raise ArgumentError(f"{path}: expected the name of a file in an existing folder")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str, suffix: str = "") -> Path:
    """Write a text; ``suffix`` is added to a name that has none.

    Raises:
        ArgumentError: the folder does not exist, or ``path`` is one.
    """
    path = Path(path)
    if suffix and not path.suffix and not path.is_dir():
        path = path.with_suffix(suffix)
    with replacing(path) as file:
        file.write(text.encode("utf-8"))
    return path
