"""A graph too large for one picture is folded further, and says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from ..._core.context import Scope
from ..._graph import Recording, Vertex
from ._fold import Key, Scopes, fold

__all__ = ["MOST", "folded"]

MOST = 500  # boxes that a picture has at most
_ENDS = 25  # boxes that are kept at each end of a graph that no call divides
_ZOOMS = ("primitives", "functions", "layers")
_OWNED = ("constant", "parameter")
_GIVEN = (*_OWNED, "variable", "input")


class _Fold(NamedTuple):
    keys: dict[Vertex, Key]
    said: str

    @property
    def boxes(self) -> list[Key]:
        return list(dict.fromkeys(self.keys.values()))


def folded(
    recording: Recording, zoom: str, scopes: Scopes, opened: set[Scope], depth: int | None
) -> tuple[dict[Vertex, Key], str]:
    """The box of every vertex, and what is to be said of it: nothing if it is as asked for."""
    tried = []
    for candidate in _coarser(recording, zoom, scopes, opened, depth):
        tried.append(candidate)
        if len(candidate.boxes) <= MOST:
            break
    else:
        tried.append(_ends(recording, tried[-1]))
    asked, taken = tried[0], tried[-1]
    if taken is asked:
        return asked.keys, ""
    count = len(asked.boxes)
    return taken.keys, f"{count:,} boxes at the zoom {zoom!r}, more than {MOST}: {taken.said}"


def _coarser(
    recording: Recording, zoom: str, scopes: Scopes, opened: set[Scope], depth: int | None
) -> Iterator[_Fold]:
    """What was asked for, then coarser and coarser."""
    by_name: dict[str, Callable[[Vertex], Key]] = {
        "primitives": lambda vertex: vertex,
        "functions": scopes.function,
        "layers": scopes.module,
    }

    def key(vertex: Vertex, inner: Callable[[Vertex], Key]) -> Key:
        return vertex if opened.intersection(scopes.path(vertex.scope)) else inner(vertex)

    if depth is None:
        start = _ZOOMS.index(zoom) if zoom in _ZOOMS else 0
        for name in _ZOOMS[start:]:
            yield _Fold(fold(recording, partial(key, inner=by_name[name])), f"folded to {name}")
        layers = fold(recording, scopes.module, _OWNED)
        yield _Fold(layers, "folded to layers with their parameters")
        depth = scopes.depth - 1
    for level in range(depth, 0, -1):
        inner = partial(scopes.module, depth=level)
        calls = fold(recording, partial(key, inner=inner), _OWNED)
        yield _Fold(calls, f"folded to calls {level} deep")


def _ends(recording: Recording, fine: _Fold) -> _Fold:
    """The first and last boxes of what was computed, and all between in one.

    A stretch of the order of computation: nothing that leaves it comes back.
    """
    computed = list(dict.fromkeys(fine.keys[v] for v in recording if v.operation))
    between = _in_one(computed[_ENDS:-_ENDS])
    keys = fold(recording, lambda v: between.get(fine.keys[v], fine.keys[v]), _GIVEN)
    given = [keys[v] for v in recording if not v.operation and keys[v] is v]
    if len(given) > MOST // 2:
        rest = _in_one(given[_ENDS:])
        keys = {v: rest.get(key, key) for v, key in keys.items()}
    return _Fold(keys, f"of those in a row the first and last {_ENDS} are shown")


def _in_one(keys: Iterable[Key]) -> dict[Key, Key]:
    keys = list(keys)
    rest = Scope(f"… {len(keys):,} more", {}, None, "rest")
    return dict.fromkeys(keys, rest)
