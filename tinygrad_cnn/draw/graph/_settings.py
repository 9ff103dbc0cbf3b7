"""The settings of a call, as far as a reader wants to know them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

from ... import functional
from ..._core.context import Scope, enclosing
from ..._graph import Vertex
from ._fold import Box

__all__ = ["settings"]

# Shown by the shape of the result, or of no interest to a reader.
_LEFT_OUT = ("shape", "ties", "switches", "value")


def settings(box: Box) -> Iterator[str]:
    """The settings that differ from the defaults, such as ``padding=2``."""
    if box.scope is None:
        yield from _of_operation(box.vertices[0])
    elif box.scope.kind == "function":
        yield from _of_function(box.scope)
    elif box.scope.kind == "module":
        inner = {scope for v in box.vertices for scope in _directly_below(box.scope, v.scope)}
        if len(inner) == 1:
            yield from _of_function(inner.pop())


def _directly_below(outer: Scope, scope: Scope | None) -> Iterator[Scope]:
    return (inner for inner in enclosing(scope) if inner.parent is outer)


def _of_function(scope: Scope) -> Iterator[str]:
    function = getattr(functional, scope.name, None)
    known = inspect.signature(function).parameters if callable(function) else {}
    for name, value in scope.params.items():
        if name not in known or known[name].default != _once(value):
            yield f"{name}={_text(value)}"


def _of_operation(vertex: Vertex) -> Iterator[str]:
    for name, value in vertex.params.items():
        if name in _LEFT_OUT or value is False or (type(value) is tuple and not value):
            continue
        if hasattr(value, "_asdict"):  # the window of im2col
            yield from (f"{key}={_text(v)}" for key, v in value._asdict().items())
        else:
            yield f"{name}={_text(value)}"


def _once(value: Any) -> Any:
    """Equal numbers for rows and columns as one number."""
    if isinstance(value, tuple) and value and all(type(v) is int for v in value):
        return value[0] if len(set(value)) == 1 else value
    return value


def _text(value: Any) -> str:
    value = _once(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))})"
    if isinstance(value, slice):
        parts = [value.start, value.stop] + [value.step] * (value.step is not None)
        return ":".join("" if part is None else str(part) for part in parts)
    if value is Ellipsis:
        return "…"
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"array of {value.size}"
    return str(value)
