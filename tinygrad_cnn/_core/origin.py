"""Where constants came from that were computed inside a composition.

An operation on constants alone has no vertex in the graph, for nothing is to be differentiated.
But a picture or a derivation of a convolution shall begin with the image, not with ``X_col``. So
what a composition computes from constants leaves a vertex here, found by the array that was
made and gone with it: it lives as long as the graph holds that array.
"""

from __future__ import annotations

import weakref
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from .node import ArraySpec, Node

if TYPE_CHECKING:
    from .context import Scope
    from .primitive import Primitive

__all__ = ["forget", "origin", "remember"]

_origins: dict[int, tuple[weakref.ref[Any], Node]] = {}


def remember(
    made: Any,
    primitive: Primitive,
    args: tuple[Any, ...],
    params: dict[str, Any],
    scope: Scope,
    frame: FrameType,
) -> None:
    """Note how a constant was made; a scalar, or what no composition made, is not noted."""
    if scope.kind != "function" or type(made) is not np.ndarray:
        return
    if any(made is arg for arg in args):  # it would keep itself alive for ever
        return
    key, spec = id(made), ArraySpec(made.shape, made.dtype)  # not the array, for the same reason

    def drop(_: Any, pop: Any = _origins.pop) -> None:
        pop(key, None)

    node = Node(primitive, args, params, spec, (None,) * len(args), scope, frame)
    _origins[key] = weakref.ref(made, drop), node


def origin(array: Any) -> Node | None:
    """The operation that made this constant, if a composition did."""
    reference, node = _origins.get(id(array), (None, None))
    return node if reference is not None and reference() is array else None


def forget(array: Any) -> None:
    """Let go of how ``array`` was made: it left the composition, and may live for long."""
    _origins.pop(id(array), None)
