"""The line that changes an array, found by looking before and after each line of the user's."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ..._core.node import SourceLine
from ...typing import Array
from .checksum import checksum
from .hooks import is_users


class Tracer:
    """Compares arrays at every line; ``lines`` maps the id of each that changed to the line."""

    def __init__(self, arrays: Iterable[Array]) -> None:
        self.lines: dict[int, SourceLine] = {}
        self._watched = [(array, checksum(array)) for array in arrays]
        self._last: SourceLine | None = None

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Tracer | None:
        """What ``sys.settrace`` calls at the lines, calls and returns of this thread."""
        if not is_users(frame):
            return None
        for array, before in self._watched:
            if self._last and id(array) not in self.lines and checksum(array) != before:
                self.lines[id(array)] = self._last
        if event == "return":  # the caller goes on in the middle of its line
            self._last = _line(frame.f_back) if frame.f_back else None
        else:
            self._last = _line(frame)
        return self


def _line(frame: FrameType) -> SourceLine:
    return SourceLine(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


@contextmanager
def tracing(arrays: list[Array]) -> Iterator[dict[int, SourceLine]]:
    """Find the lines that change ``arrays``; a debugger's tracing rests meanwhile."""
    tracer = Tracer(arrays)
    before = sys.gettrace()
    if arrays:
        sys.settrace(tracer)
    try:
        yield tracer.lines
    finally:
        if arrays:
            sys.settrace(before)
