"""Files that are whole at every moment."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .errors import ArgumentError

__all__ = ["file_path", "replacing", "write_text"]

_PAGES = (".html", ".htm")


def file_path(path: str | os.PathLike[str], suffix: str = "") -> Path:
    """The path of a file that may be written, though it need not exist yet.

    Args:
        path: as the user gave it.
        suffix: of this kind of file; it is added to a name that has none, and another is refused.

    Raises:
        ArgumentError: this is no path, the folder does not exist, ``path`` is a folder, or it has
            the suffix of another kind of file.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"expected the path of a file, got {type(path).__name__} {path!r:.60}")
    found, shown = Path(path), repr(os.fspath(path))
    try:
        found.stat()
        usable = not found.is_dir()
    except FileNotFoundError:
        usable = found.parent.is_dir()
    except (OSError, ValueError) as error:
        raise _refused(path, error) from None
    if not usable:
        raise ArgumentError(f"{shown}: expected the name of a file in an existing folder")
    if suffix and not found.suffix:
        return found.with_suffix(suffix)
    allowed = _PAGES if suffix in _PAGES else (suffix,)
    if suffix and found.suffix.lower() not in allowed:
        raise ArgumentError(
            f"{shown}: a {suffix} file is written, expected a name that ends in"
            f" {' or '.join(allowed)}"
        )
    return found


@contextmanager
def replacing(path: str | os.PathLike[str], *, durable: bool = True) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of ``path`` when it is whole and on disk.

    An error, or the end of the process, leaves an earlier file as it was. Without ``durable``,
    for files that are checked when they are read, it does not wait for the disk.

    Raises:
        ArgumentError: the folder does not exist, ``path`` is one, or it may not be written.
    """
    target = file_path(path)
    # The start of the name tells what a killed process left; whole, it could get too long.
    marks = f"{os.getpid()}.{threading.get_ident()}"
    temporary = target.with_name(f".{target.name[:40]}.{marks}")
    try:
        file = open(temporary, "wb")  # noqa: SIM115 (entered below, apart from this error)
    except OSError as error:
        raise _refused(path, error) from None
    try:
        with file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        try:
            os.replace(temporary, target)
        except OSError as error:
            raise _refused(path, error) from None
        if durable and os.name == "posix":  # elsewhere a folder can't be opened
            _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def write_text(path: str | os.PathLike[str], text: str, suffix: str = "") -> Path:
    """Write a text, as ``file_path`` says where.

    Raises:
        ArgumentError: ``path`` is none of a file that may be written.
    """
    target = file_path(path, suffix)
    with replacing(target) as file:
        file.write(text.encode("utf-8"))
    return target


def _refused(path: str | os.PathLike[str], error: OSError | ValueError) -> ArgumentError:
    """The error about the path that the user gave, whichever was tried."""
    reason = error.strerror if isinstance(error, OSError) else error
    return ArgumentError(f"{os.fspath(path)!r}: no file can be written there: {reason}")
