"""What ``draw.graph`` is asked for, checked and put together."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, get_args

from ... import nn
from ..._arguments import whole
from ..._core.context import Scope
from ..._core.tensor import Tensor
from ..._graph import Recording, Vertex, caller_names, differentiate, read
from ...errors import ArgumentError, DtypeError, ShapeError
from ._captions import KNOWN, Captions, module_path, totals
from ._fold import Key, Scopes, boxes_of, edges_between
from ._frames import frames_of
from ._limit import folded
from ._picture import dot
from ._view import GraphView

__all__ = ["graph"]

Zoom = Literal["layers", "functions", "primitives", "numbers"]
_DEFAULT = ("name", "op", "shape")
_NUMBERS = ("name", "op", "value", "gradient")  # the last where there are any


def graph(
    y: Tensor,
    zoom: Zoom = "functions",
    *,
    show: Sequence[str] | None = None,
    backward: bool | None = None,
    open: Sequence[str] = (),
    depth: int | None = None,
    legend: bool = True,
) -> GraphView:
    """The graph that ``y`` was computed by, as a picture. Nothing is changed by drawing it.

    What is folded is not lost: each edge knows all arrays that flow along it. Above 500 boxes a
    picture is folded further, and says so.

    Args:
        y: a recorded result. ``backward`` frees values and constants: draw before it, or call it
            with ``retain_graph=True``.
        zoom: ``"layers"`` folds modules that call no further ones, and functions outside of them;
            ``"functions"`` folds conv2d and the like, and every ``tc.scope``; ``"primitives"``
            shows every operation; ``"numbers"`` the values of a graph of single numbers.
        show: what stands in a box: ``"name"``, ``"op"`` with its settings, ``"source"`` (the
            user's line), ``"shape"``, ``"dtype"``, ``"value"`` and ``"gradient"`` (up to six
            numbers in full, more as a map of colours), ``"memory"`` (bytes saved for backward;
            what operations share counts once), ``"flops"`` (forward, see ``ops.flops``),
            ``"time"`` (forward functions and gradient rules, run anew now on what was saved, the
            fastest of three runs); ``"norm"`` stands on the edges back in the place of shapes.
        backward: draw for every edge the gradient that returns, with its shape. True finds the
            gradients of the sum of ``y`` by a walk of its own; by default they are drawn after
            ``backward``, and leaves show what it left in ``grad``.
        open: calls to show down to the primitives, by the name of a function or module, such as
            ``["conv1"]``, or the path of a module.
        depth: at the zoom ``"layers"``, how many nested calls are open; 1 is one box for the
            model. Boxes then hold their parameters, too.
        legend: draw one.

    Raises:
        DtypeError, GraphError: ``y`` is no Tensor, was not recorded, or depends on a variable
            that was changed in place since.
        ShapeError: ``"numbers"`` of a graph with larger arrays.
        ArgumentError: another zoom, or unknown names in ``show`` or ``open``.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([1.0, 2.0], requires_grad=True)
    >>> view = tc.draw.graph((x * x).sum(), backward=True)
    >>> [box.kind for box in view.boxes]
    ['variable', 'operation', 'result']
    >>> view.edges[0].gradients
    {<Vertex variable [2]>: array([2., 4.])}
    """
    _check(y, zoom, backward, depth, legend)
    recording = read(y, "draw.graph")
    if zoom == "numbers":
        _check_numbers(recording)
    backward = recording.freed if backward is None else backward
    shown = _shown(show, zoom, backward)
    scopes = Scopes(recording)
    keys, note = folded(recording, zoom, scopes, _opened(scopes, _names("open", open)), depth)
    names = caller_names(sys._getframe(1))
    return _view(recording, scopes, keys, note, names, shown, backward, legend)


def _view(
    recording: Recording,
    scopes: Scopes,
    keys: dict[Vertex, Key],
    folding: str,
    names: dict[int, str],
    show: tuple[str, ...],
    backward: bool,
    legend: bool,
) -> GraphView:
    walked = differentiate(recording) if backward and not recording.freed else None
    captions = Captions(show, names, walked)
    by_key = boxes_of(recording, keys, captions.name)
    edges = edges_between(recording, keys, by_key, walked)
    boxes = tuple(by_key.values())
    said = (folding, *_said(recording, show, walked is not None), totals(recording.vertices, show))
    note = "\n".join(filter(None, said))
    frames = frames_of(boxes, edges, scopes)
    text = dot(boxes, edges, frames, captions, backward=backward, legend=legend, note=note)
    return GraphView(text, boxes, tuple(edges), note)


def _check(y: Any, zoom: Any, backward: Any, depth: Any, legend: Any) -> None:
    if isinstance(y, nn.Module):
        raise DtypeError(
            f"draw.graph: expected a Tensor, got the module {type(y).__name__}: pass what it"
            " returns for a batch"
        )
    if not isinstance(zoom, str) or zoom not in get_args(Zoom):
        raise ArgumentError(f"draw.graph: zoom={zoom!r}, expected one of {_or(get_args(Zoom))}")
    if not isinstance(backward, bool | None):
        raise ArgumentError(f"draw.graph: backward={backward!r}, expected True, False or None")
    if not isinstance(legend, bool):
        raise ArgumentError(f"draw.graph: legend={legend!r}, expected True or False")
    if depth is not None:
        if isinstance(depth, bool):
            raise ArgumentError(f"draw.graph: depth={depth!r}, expected an integer of at least 1")
        whole("draw.graph", "depth", depth)
        if zoom != "layers":
            raise ArgumentError(f"draw.graph: depth folds layers, not zoom={zoom!r}")


def _names(argument: str, given: Any) -> tuple[str, ...]:
    """One name or several, as a tuple."""
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise ArgumentError(f"draw.graph: {argument}={given!r}, expected names such as ['value']")
    return tuple(names)


def _shown(given: Any, zoom: str, backward: bool) -> tuple[str, ...]:
    """What stands in the boxes."""
    if given is None:
        return _NUMBERS[: 3 + backward] if zoom == "numbers" else _DEFAULT
    names = _names("show", given)
    for name in names:
        if name not in KNOWN:
            raise ArgumentError(f"draw.graph: show has {name!r}, it knows {_or(KNOWN)}")
    return names


def _or(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _check_numbers(recording: Recording) -> None:
    for vertex in recording:
        if math.prod(vertex.shape) != 1:
            called = vertex.name or vertex.operation or vertex.kind
            raise ShapeError(
                f"draw.graph: {called!r} has the shape {vertex.shape}, zoom='numbers' draws single"
                " numbers: use another zoom with show=('value',)"
            )


def _opened(scopes: Scopes, names: tuple[str, ...]) -> set[Scope]:
    """The calls that the names mean: of a function or module, or the path of a module."""
    by_name: dict[str, set[Scope]] = {}
    for scope in scopes.calls:
        for name in {scope.name, module_path(scope), scope.path}:
            by_name.setdefault(name, set()).add(scope)
    for name in names:
        if name not in by_name:
            known = sorted({scope.name for scope in scopes.calls})
            there = f"no call of {_or(known)}" if known else "and no call was recorded to open"
            raise ArgumentError(f"draw.graph: open has {name!r}, {there}")
    return {scope for name in names for scope in by_name[name]}


def _said(recording: Recording, show: tuple[str, ...], walked: bool) -> Iterator[str]:
    """What a reader has to know besides."""
    if "value" in show and any(vertex.changed for vertex in recording):
        yield "what was changed in place since shows no value: the results are of the one before"
    if recording.freed:
        yield (
            "after backward: inputs, constants and inner gradients are gone;"
            " draw before it, or call backward(retain_graph=True)"
        )
    if walked and math.prod(recording.result.shape) != 1:
        yield "gradients of the sum of the result"
