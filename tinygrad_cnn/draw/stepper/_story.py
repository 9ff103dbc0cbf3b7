"""A recorded computation and its gradients as the page tells them, in the types of JSON.

The keys are short, for a graph may have thousands of vertices; ``model.js`` names them.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..._graph import Gradients, Recording, Vertex
from ...typing import Shape
from ._arrays import ArrayTable
from ._local import passage
from ._mathematics import Mathematics
from ._tree import Group, Tree

__all__ = ["story"]

_LONG = 60  # characters of a setting


def story(recording: Recording, gradients: Gradients, known: Mapping[int, str]) -> dict[str, Any]:
    """Everything that the page shows.

    Args:
        recording: of the result.
        gradients: of one walk over it.
        known: the user's names for arrays and vertices, by id.

    Returns:
        ``groups``, ``vertices`` in the order of computation, ``walk`` (the vertices in the order
        in which backprop passes their gradients on), ``arrays``, ``texts`` and ``left_out``, the
        number of arrays for which there was no room.
    """
    return _Teller(recording, gradients, known).story()


class _Teller:
    def __init__(
        self, recording: Recording, gradients: Gradients, known: Mapping[int, str]
    ) -> None:
        self.recording, self.gradients = recording, gradients
        self.number = {vertex: i for i, vertex in enumerate(recording)}
        self.arrays = ArrayTable(_shapes(recording, gradients))
        computed = (vertex for vertex in recording if vertex.operation)
        steps = {vertex: step for step, vertex in enumerate(computed, 1)}
        self.mathematics = Mathematics(recording, known, steps)
        targets = (vertex.operands[index] for vertex, index in gradients.contributions)
        self.contributions = Counter(targets)
        self.texts: dict[Any, int] = {}

    def story(self) -> dict[str, Any]:
        tree = Tree(self.recording)
        position: dict[Group | None, int] = {group: i for i, group in enumerate(tree.groups)}
        vertices = [self._vertex(v) | {"in": position.get(tree.place[v], -1)} for v in self.number]
        groups = [
            {
                "kind": g.kind,
                "name": g.name,
                "in": position.get(g.parent, -1),
                "set": _settings({k: v for k, v in g.params.items() if k != "type"}),
                "type": g.params.get("type", ""),
            }
            for g in tree.groups
        ]
        walk = [v for v in self.gradients.of if v.operation]
        for vertex in walk:  # after all values and gradients, should there be room for less
            vertices[self.number[vertex]]["back"] = list(self._passed(vertex))
        return {
            "groups": groups,
            "vertices": vertices,
            "walk": [self.number[vertex] for vertex in walk],
            "arrays": self.arrays.payloads,
            "texts": list(self.texts),
            "left_out": self.arrays.left_out,
        }

    def _vertex(self, vertex: Vertex) -> dict[str, Any]:
        told: dict[str, Any] = {
            "kind": vertex.kind,
            "shape": vertex.shape,
            "type": str(vertex.spec.dtype),
            "value": self.arrays.add(vertex.value),
        }
        if name := self.mathematics.name(vertex):
            told["name"] = name
        if vertex in self.gradients.of:
            told["grad"] = self.arrays.add(self.gradients.of[vertex])
        if vertex.operation:
            told["op"] = vertex.operation
            told["of"] = [self.number[operand] for operand in vertex.operands]
            told["flows"] = [int(flow) for flow in vertex.flows]
            told["set"] = _settings(vertex.params)
            told["math"] = self._text(self.mathematics.forward(vertex))
            source = vertex.node.source if vertex.node else None
            if source is not None:
                told["line"] = self._text(
                    (os.path.basename(source.file), source.line, source.function, source.text)
                )
        return told

    def _passed(self, vertex: Vertex) -> Iterator[dict[str, Any]]:
        """What an operation passes on to each of its operands."""
        upstream = self.gradients.of[vertex]
        for index in range(len(vertex.operands)):
            downstream = self.gradients.contributions.get((vertex, index))
            if downstream is None:
                continue
            found = passage(vertex, index, upstream)
            alone = self.contributions[vertex.operands[index]] == 1
            told: dict[str, Any] = {
                "to": index,
                "form": found.form,
                "down": self.arrays.add(downstream),
                "math": self._text(self.mathematics.backward(vertex, index, alone)),
                "words": self._text(self.mathematics.words(vertex, index)),
            }
            if found.factor is not None:
                told["factor"] = self.arrays.add(found.factor)
            if found.whole is not None:
                told["whole"] = self.arrays.add(found.whole)
            if found.axes:
                told["axes"] = found.axes
            yield told

    def _text(self, text: Any) -> int:
        """The number of a text in the table of texts; -1 for none."""
        return self.texts.setdefault(text, len(self.texts)) if text else -1


def _shapes(recording: Recording, gradients: Gradients) -> Iterator[Shape]:
    """The shapes of what will be shown: values, gradients, local gradients, contributions."""
    for vertex in recording:
        yield vertex.shape
        if vertex in gradients.of:
            yield vertex.shape
    for (vertex, index), contribution in gradients.contributions.items():
        yield vertex.shape
        if vertex.operands[index].shape != vertex.shape:
            yield contribution.shape


def _settings(params: Mapping[str, Any]) -> str:
    """The settings of an operation or a call, arrays by their shape alone."""
    return ", ".join(f"{name}={_short(value)}" for name, value in params.items())


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        text = f"array of shape {value.shape}"
    elif isinstance(value, tuple) and type(value) is tuple:
        text = f"({', '.join(map(_short, value))}{',' * (len(value) == 1)})"
    elif isinstance(value, tuple):  # a named one
        text = f"{type(value).__name__}({_settings(value._asdict())})"  # type: ignore[attr-defined]
    elif isinstance(value, slice):
        text = ":".join("" if i is None else str(i) for i in (value.start, value.stop))
        text += f":{value.step}" if value.step is not None else ""
    elif isinstance(value, float) and math.isfinite(value):
        text = f"{value:.6g}"
    else:
        text = repr(value)
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
