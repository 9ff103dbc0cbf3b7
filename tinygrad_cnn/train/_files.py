"""Files that are whole at every moment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import ArgumentError
from ..typing import Array

PathLike: TypeAlias = str | os.PathLike[str]


def check_folder(what: str, path: PathLike) -> None:
    """Refuse a file that can't be made.

    Raises:
        ArgumentError: its folder does not exist, or it is a folder itself.
    """
    if not Path(path).parent.is_dir() or Path(path).is_dir():
        raise ArgumentError(f"fit: {what}={os.fspath(path)!r} is no file in an existing folder")


def append_line(path: PathLike, record: Mapping[str, Any]) -> None:
    """Append a record to a JSONL file, in one write, so that no reader sees half a line."""
    import json

    line = json.dumps(record, allow_nan=False) + "\n"
    with open(path, "ab", buffering=0) as file:
        file.write(line.encode())


def save_arrays(path: PathLike, arrays: Mapping[str, Array]) -> None:
    """Write an .npz file that replaces an earlier one at once, when it is safely on the disk."""
    final = Path(path)
    temporary = final.with_name(f".{final.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)
