"""Functions that are called around a module's forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Hook = Callable[..., Any]


class RemovableHandle:
    """What registering a hook returns; ``remove()`` undoes it, once or again."""

    def __init__(self, hooks: dict[RemovableHandle, Hook], hook: Hook) -> None:
        self._hooks = hooks
        hooks[self] = hook

    def remove(self) -> None:
        """Call the hook no more."""
        self._hooks.pop(self, None)
