"""What a box says: its name, and what ``show`` asks for."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..._core.context import Scope
from ..._core.node import DISCARD, SourceLine
from ..._core.tensor import raw
from ..._graph import Gradients, Vertex
from ...typing import Shape
from ._fold import Box, Key
from ._measure import flops, memory, seconds
from ._settings import settings

__all__ = [
    "KNOWN",
    "Caption",
    "Captions",
    "cut",
    "module_path",
    "number_text",
    "scope_title",
    "shape_text",
    "short_name",
    "totals",
]

KNOWN = (
    "name", "op", "source", "shape", "dtype", "value", "gradient", "norm", "memory", "time",
    "flops",
)  # fmt: skip
_MOST_OUTPUTS = 3
_WIDTH = 44  # letters in a line


@dataclass
class Caption:
    """The text of a box and the arrays in it.

    Attributes:
        title: the first line.
        lines: what stands below.
        panels: pairs of a heading and an array, or a text in its place.
        hint: where it comes from, shown while the mouse rests on it.
    """

    title: str
    lines: list[str] = field(default_factory=list)
    panels: list[tuple[str, Any]] = field(default_factory=list)
    hint: str = ""


class Captions:
    """Writes captions.

    Args:
        show: what was asked for.
        names: what the caller's variables are called, by the id of their vertex or array.
        gradients: of a backward walk, if there was one.
    """

    def __init__(
        self, show: tuple[str, ...], names: Mapping[int, str], gradients: Gradients | None
    ) -> None:
        self.show, self._names, self._gradients = show, names, gradients

    def name(self, key: Key) -> str:
        """What a box is called; empty where nobody gave a name."""
        if isinstance(key, Scope):
            return key.name if key.kind == "rest" else module_path(key)
        if key.node is not None and key.name:  # the user's word, not that of a function
            return key.name
        called = self._variable(key) or key.name or ""
        if not called and key.kind == "constant" and not key.shape and key.value is not None:
            return number_text(np.asarray(key.value).item(), 4)
        return called

    def caption(self, box: Box, frames: Sequence[Scope] = ()) -> Caption:
        """All that a box shows inside of these frames, which need not be named again."""
        caption = Caption(short_name(self._title(box), frames), hint=_hint(box))
        if cut(box.name) != box.name:
            caption.hint = f"{box.name}: {caption.hint}"
        caption.lines += self._specs(box)
        if "op" in self.show:
            caption.lines += textwrap.wrap(", ".join(settings(box)), _WIDTH)
        if "source" in self.show:
            caption.lines += _sources(box)
        caption.lines += self._measured(box)
        for vertex in box.outputs[:_MOST_OUTPUTS]:
            caption.panels += self._panels(vertex)
        return caption

    def _variable(self, vertex: Vertex) -> str:
        return self._names.get(id(vertex.value if vertex.node is None else vertex.node), "")

    def _title(self, box: Box) -> str:
        neither = not {"name", "op"}.intersection(self.show)  # a box is never nameless
        name = cut(box.name) if "name" in self.show or neither else ""
        op = cut(operation(box)) if "op" in self.show or neither else ""
        if box.scope is None:
            if not box.vertices[0].operation:
                return name or box.kind
            return " = ".join(filter(None, (name, op)))
        named = len(box.outputs) == 1 and ("name" in self.show or neither)
        called = cut(self._variable(box.outputs[0])) if named else ""
        return " = ".join(filter(None, (called, ": ".join(filter(None, (name, op))))))

    def _specs(self, box: Box) -> Iterator[str]:
        """Shapes and dtypes of what leaves the box."""
        if not {"shape", "dtype"}.intersection(self.show):
            return
        for vertex in box.outputs[:_MOST_OUTPUTS]:
            shape = shape_text(vertex.shape) if "shape" in self.show else ""
            dtype = str(vertex.spec.dtype) if "dtype" in self.show else ""
            yield f"{shape} {dtype}".strip()
        if len(box.outputs) > _MOST_OUTPUTS:
            yield f"and {len(box.outputs) - _MOST_OUTPUTS:,} more"

    def _measured(self, box: Box) -> Iterator[str]:
        if not any(vertex.operation for vertex in box.vertices):
            return
        if "memory" in self.show:
            yield f"keeps {bytes_text(memory(box.vertices))}"
        if "flops" in self.show:
            yield flops_text(flops(box.vertices))
        if "time" in self.show:
            yield time_text(seconds(box.vertices))

    def _panels(self, vertex: Vertex) -> Iterator[tuple[str, Any]]:
        if "value" in self.show:
            gone = "changed since" if vertex.changed else "freed"
            yield "value", gone if vertex.value is None else vertex.value
        if "gradient" in self.show and vertex.requires_grad:
            yield "gradient", self._gradient(vertex)

    def _gradient(self, vertex: Vertex) -> Any:
        """The gradient of this walk; else what the vertex has kept from an earlier one."""
        if self._gradients is not None:
            return self._gradients.of.get(vertex, "none")
        kept = vertex.node.grad if vertex.node is not None else None
        if kept is DISCARD:
            return "not kept"
        return "none yet" if kept is None else raw(kept)


def operation(box: Box) -> str:
    """What was called: a primitive, a function, or the type of a module."""
    return box.vertices[0].operation if box.scope is None else _called(box.scope)


def scope_title(scope: Scope) -> str:
    """A call as "conv1: conv2d"."""
    return ": ".join(filter(None, (module_path(scope), _called(scope))))


def short_name(name: str, frames: Sequence[Scope]) -> str:
    """A name without the module of the frame that it is drawn in."""
    module = module_path(frames[-1]) if frames else ""
    if module and name.startswith((f"{module}.", f"{module}: ")):
        return name[len(module) :].lstrip(".: ")
    return name


def _called(scope: Scope) -> str:
    if scope.kind == "module":
        return str(scope.params.get("type", ""))
    return "" if scope.kind == "rest" else scope.name


def module_path(scope: Scope) -> str:
    """The module that a call belongs to, as ``named_modules`` calls it."""
    names: list[str] = []
    inner: Scope | None = scope
    while inner is not None:
        if inner.kind == "module" and (inner.parent or inner.name != inner.params.get("type")):
            names.append(inner.name)
        inner = inner.parent
    return ".".join(reversed(names))


def totals(vertices: Sequence[Vertex], show: tuple[str, ...]) -> str:
    """What all operations together take, as far as it is asked for."""
    said = []
    if "memory" in show:
        said.append(f"kept for backward: {bytes_text(memory(vertices))}")
    if "flops" in show:
        said.append(f"forward: {flops_text(flops(vertices))}")
    return "; ".join(said)


def _sources(box: Box) -> list[str]:
    """The user's lines that a box was recorded at."""
    found = {v.node.source for v in box.vertices if v.operation and v.node is not None}
    lines = sorted(source for source in found if source is not None)
    if not lines:
        return []
    text = _line(lines[0])
    more = [f"and {len(lines) - 1:,} more"] if len(lines) > 1 else []
    return [cut(text), *more]


def _line(source: SourceLine | None) -> str:
    return f"{Path(source.file).name}:{source.line}  {source.text}" if source else "no line"


def _hint(box: Box) -> str:
    """Where the box comes from."""
    if box.scope is not None:
        count = sum(bool(vertex.operation) for vertex in box.vertices)
        return f"{box.scope.path}: {count:,} operations"
    vertex = box.vertices[0]
    if not vertex.operation or vertex.node is None:
        return f"{box.kind} {vertex.name or ''} {shape_text(vertex.shape)} {vertex.spec.dtype}"
    return f"{vertex.operation} at {_line(vertex.node.source)}"


def cut(text: str) -> str:
    """As much of it as a line holds."""
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def number_text(x: Any, digits: int) -> str:
    """A Python number, rounded to so many digits."""
    return f"{x:.{digits}g}" if isinstance(x, float | complex) else str(x)


def shape_text(shape: Shape) -> str:
    """A shape as text, such as 3x32x32."""
    return "x".join(map(str, shape)) or "scalar"


def bytes_text(count: int) -> str:
    """A number of bytes, such as 1.2 MiB."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count >= 1024**power:
            return f"{count / 1024**power:,.1f} {unit}"
    return f"{count} B"


def flops_text(count: int | None) -> str:
    """A number of floating-point operations, such as 1.2 MFLOP."""
    if count is None:
        return "FLOPs not known"
    for power, unit in ((3, "GFLOP"), (2, "MFLOP"), (1, "kFLOP")):
        if count >= 1000**power:
            return f"{count / 1000**power:,.1f} {unit}"
    return f"{count} FLOP"


def time_text(times: tuple[float, float] | None) -> str:
    """Forward and backward time in milliseconds."""
    if times is None:
        return "time: freed"
    forward, backward = (f"{1e3 * t:.3g}" for t in times)
    return f"{forward} ms, back {backward} ms"
