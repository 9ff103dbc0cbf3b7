"""Object code on disk, found by what it was made from, and checked whenever it is read."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..._files import replacing
from ...errors import ArgumentError

VARIABLE = "TINYGRAD_CNN_CACHE"
MAX_BYTES = 256 << 20
# Entries, and what a killed process left of one; nothing else in the folder is ever removed.
_OURS = re.compile(r"\.?[0-9a-f]{32}\.kernel(\.\d+)*")


@dataclass(frozen=True)
class Cache:
    """A folder of object code; one that cannot be used holds nothing.

    The code is run as it is: whoever may write to the folder is trusted.

    Attributes:
        folder: which need not exist yet; None for a cache that is switched off.
    """

    folder: Path | None

    def load(self, key: str) -> bytes | None:
        """The content for a key; None where there is none, or where it is damaged."""
        if self.folder is None:
            return None
        try:
            entry = self._path(key).read_bytes()
        except OSError:
            return None
        checksum, content = entry[:32], entry[32:]
        return content if checksum == _checksum(key, content) else None

    def save(self, key: str, content: bytes) -> None:
        """Keep a content, where the folder allows it."""
        if self.folder is None:
            return
        with suppress(OSError, ArgumentError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(self._path(key), durable=False) as file:
                file.write(_checksum(key, content) + content)

    def prune(self, limit: int = MAX_BYTES) -> None:
        """Remove the oldest entries until a quarter of the limit is free, if it was reached."""
        if self.folder is None:
            return
        with suppress(OSError), os.scandir(self.folder) as found:
            ours = [(entry.stat(), entry.path) for entry in found if _OURS.fullmatch(entry.name)]
            size = sum(stat.st_size for stat, _ in ours)
            if size <= limit:
                return
            for stat, path in sorted(ours, key=lambda one: one[0].st_mtime):
                with suppress(OSError):
                    os.unlink(path)
                size -= stat.st_size
                if size <= limit - limit // 4:
                    return

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{key[:32]}.kernel"


def standard() -> Cache:
    """The cache of this user: ``kernels`` in the folder that TINYGRAD_CNN_CACHE names.

    Without the variable it is in the platform's folder of caches; an empty one switches it off.
    """
    named = os.environ.get(VARIABLE)
    if named == "":
        return Cache(None)
    try:
        root = Path(named).expanduser() if named else _user_caches() / "tinygrad_cnn"
    except RuntimeError:  # there is no home
        return Cache(None)
    return Cache(root / "kernels")


def _user_caches() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    named = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification: a path that is not absolute is to be ignored.
    return Path(named) if os.path.isabs(named) else Path.home() / ".cache"


def _checksum(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()
