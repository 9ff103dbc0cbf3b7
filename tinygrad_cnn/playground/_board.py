"""What a page shows, part by part, each as it is now."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..draw._html.page import _jsonable

_MOST_READERS = 3  # a browser has six connections to a server, for all of its tabs


class Board:
    """The latest value of each part, with a version.

    A reader asks for what is newer than what it has. So a reader that comes late, comes back or
    is slow needs no more than the same question, and there may be many.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: dict[str, tuple[int, str]] = {}
        self._version = 0
        self._readers: list[object] = []

    def post(self, part: str, value: Any) -> None:
        """Replace a part by what JSON can say; see ``page`` for NaN."""
        text = json.dumps(_jsonable(value), allow_nan=False)
        with self._lock:
            self._version += 1
            self._parts[part] = self._version, text

    def since(self, version: int) -> tuple[int, dict[str, str]]:
        """The present version, and the JSON of what changed after ``version``, as it was posted."""
        with self._lock:
            newer = sorted((at, name) for name, (at, _) in self._parts.items() if at > version)
            return self._version, {name: self._parts[name][1] for _, name in newer}

    @contextmanager
    def reading(self) -> Iterator[Callable[[], bool]]:
        """Count a reader for the time of the block.

        It gets a function that says whether it may go on: of many, the latest few may. The others
        end and come back, so that they take turns.
        """
        reader = object()
        with self._lock:
            self._readers.append(reader)
        try:
            yield lambda: reader in self._readers[-_MOST_READERS:]
        finally:
            with self._lock:
                self._readers.remove(reader)

    @property
    def readers(self) -> int:
        """How many read now."""
        return len(self._readers)
