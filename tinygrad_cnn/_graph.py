"""A recorded graph, read whole: every array that took part, constants included.

The engine keeps what it needs to differentiate. Who draws, derives or compiles wants more: the
image that the first convolution saw, the constant that a result was scaled by, the edge that
``detach`` cut. ``read`` finds all of it and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from types import FrameType
from typing import Any, Literal

import numpy as np

from ._core.backprop import backpropagate, consumers_first
from ._core.context import Scope
from ._core.node import ArraySpec, Leaf, Node, SourceLine
from ._core.origin import origin
from ._core.tensor import Tensor
from .errors import DtypeError, GraphError
from .typing import Array, Shape

__all__ = ["Gradients", "Recording", "Vertex", "caller_names", "differentiate", "read"]

# What is made once for each result, so that the same object is the same result: a detached one.
_ARRAYS = (np.ndarray, np.inexact)
_ELEMENTS = 100  # of a list or dict that are looked at for names
Kind = Literal["parameter", "variable", "input", "constant", "operation"]


@dataclass(eq=False)
class Vertex:
    """One array of a recorded computation, and how it was made.

    Attributes:
        kind: ``"operation"``; ``"parameter"`` of a module; ``"variable"`` that requires a
            gradient; ``"input"``: an array without gradient that the user handed to a function
            or operation; ``"constant"``: a number, or an array that a function made itself.
        node: the engine's vertex; None for inputs and constants.
        value: the array or number; None where backward has let go of it, or it was changed.
        spec: its shape and dtype.
        operands: for each argument of the operation the vertex it came from. After backward
            those without gradient are not known any more and left out.
        flows: for each operand whether a gradient returns to it. An operand that requires a
            gradient and gets none was detached.
        requires_grad: whether the engine differentiates through this vertex.
        name: the variable or parameter name, or the role in the function it was given to.
        changed: whether a variable was written to in place after it was used: its array, and
            every view of it, has other values now than the results were computed from.
    """

    kind: Kind
    node: Node | None
    value: Any
    spec: ArraySpec
    operands: tuple[Vertex, ...] = ()
    flows: tuple[bool, ...] = ()
    requires_grad: bool = False
    name: str | None = None
    changed: bool = False

    @property
    def shape(self) -> Shape:
        """The shape of the array."""
        return self.spec.shape

    @property
    def scope(self) -> Scope | None:
        """The innermost scope it was computed in."""
        return self.node.scope if self.node else None

    @property
    def operation(self) -> str:
        """The name of the primitive; empty for what was not computed."""
        return self.node.primitive.name if self.node and self.node.primitive else ""

    @property
    def params(self) -> dict[str, Any]:
        """The settings of the operation."""
        return self.node.params if self.node else {}

    @cached_property
    def source(self) -> SourceLine | None:
        """The user's line that recorded it."""
        return self.node.source if self.node else None

    def __repr__(self) -> str:
        return f"<Vertex {self.operation or self.name or self.kind} {list(self.shape)}>"


@dataclass(eq=False)
class Recording:
    """All vertices of a computation, each after its operands, and the last of them.

    Attributes:
        freed: whether backward has let go of the values.
    """

    vertices: tuple[Vertex, ...]
    result: Vertex
    freed: bool
    _by_node: dict[Node, Vertex] = field(repr=False)

    def vertex(self, node: Node) -> Vertex | None:
        """The vertex of one of the engine's, if it took part."""
        return self._by_node.get(node)

    def operand(self, scope: Scope, name: str) -> Vertex | None:
        """What a composition was given as its argument ``name``, if an array and still known."""
        given = scope.operands.get(name)
        if isinstance(given, Node):
            return self._by_node.get(given)
        array = given() if given is not None else None
        return next((v for v in self.vertices if array is not None and v.value is array), None)

    def __iter__(self) -> Iterator[Vertex]:
        return iter(self.vertices)


@dataclass(eq=False)
class Gradients:
    """Every gradient of one backward walk.

    Attributes:
        of: by vertex, the gradient of the result by it.
        contributions: by consumer and number of its operand, what it passed on to it.
    """

    of: dict[Vertex, Array]
    contributions: dict[tuple[Vertex, int], Array]


def read(y: Tensor, what: str = "read") -> Recording:
    """The graph that ``y`` was computed by; ``what`` is named in the errors.

    Raises:
        DtypeError: ``y`` is no Tensor.
        GraphError: ``y`` was not recorded.
    """
    if not isinstance(y, Tensor):
        raise DtypeError(f"{what}: expected a Tensor, got {type(y).__name__}")
    if y.node is None:
        raise GraphError(
            f"{what}: this Tensor was not recorded: no variable or parameter took part, or it was"
            " computed under no_grad or detached"
        )
    return _Reader(y).recording()


class _Reader:
    """Vertices by what they are found by: the engine's vertex, or the array itself."""

    def __init__(self, y: Tensor) -> None:
        self.nodes = consumers_first([y.node])[::-1]  # type: ignore[list-item]
        self.by_node: dict[Node, Vertex] = {}
        self.by_array: dict[int, Vertex] = {}
        self.vertices: list[Vertex] = []
        self.given = _given_arrays(self.nodes)
        self.values: dict[Node, Any] = {y.node: y.data}  # type: ignore[dict-item]
        self.changed: set[Leaf] = set()
        for node in self.nodes:  # a variable's array is known to who uses it
            for parent, arg in zip(node.parents, node.args or (), strict=False):
                if parent is not None:
                    self.values[parent] = arg
            users = (parent for parent in node.parents if isinstance(parent, Leaf))
            self.changed.update(leaf for leaf in users if leaf.written > node.age)

    def recording(self) -> Recording:
        for node in self.nodes:
            self._recorded(node)
        self._forget_changed()
        freed = any(node.args is None for node in self.nodes)
        result = self.by_node[self.nodes[-1]]
        # A constant stands before its first use; what leads to the result comes in order of age.
        return Recording(tuple(self.vertices), result, freed, self.by_node)

    def _forget_changed(self) -> None:
        """Take away the values of what was written to since, and of what shares its memory."""
        arrays = [value for leaf in self.changed if (value := self.values.get(leaf)) is not None]
        for vertex in self.vertices:
            shared = isinstance(vertex.value, np.ndarray) and any(
                np.may_share_memory(vertex.value, array) for array in arrays
            )
            if shared or vertex.node in self.changed:
                vertex.value, vertex.changed = None, True

    def _add(self, vertex: Vertex) -> Vertex:
        self.vertices.append(vertex)
        if isinstance(vertex.value, _ARRAYS):
            self.by_array.setdefault(id(vertex.value), vertex)
        if vertex.node is not None:
            self.by_node[vertex.node] = vertex
        return vertex

    def _recorded(self, node: Node) -> None:
        value = self.values.get(node)
        if isinstance(node, Leaf):
            kind: Kind = "parameter" if node.is_parameter else "variable"
            if value is None:  # freed
                tensor = node.tensor()
                value = None if tensor is None else tensor.data
            self._add(Vertex(kind, node, value, node.ans, requires_grad=True, name=node.name))
            return
        if value is None and not isinstance(node.ans, ArraySpec):
            value = node.ans
        operands, flows = self._operands(node)
        spec = ArraySpec(np.shape(node.ans), node.ans.dtype)
        if isinstance(node.ans, ArraySpec):
            spec = node.ans
        self._add(Vertex("operation", node, value, spec, operands, flows, requires_grad=True))

    def _operands(self, node: Node) -> tuple[tuple[Vertex, ...], tuple[bool, ...]]:
        operands, flows = [], []
        args = node.args if node.args is not None else (None,) * len(node.parents)
        for index, (parent, arg) in enumerate(zip(node.parents, args, strict=True)):
            if parent is not None:
                operands.append(self.by_node[parent])
                flows.append(node.primitive.rule(index) is not None)  # type: ignore[union-attr]
            elif arg is not None:
                operands.append(self._constant(arg, node.scope))
                flows.append(False)
        return tuple(operands), tuple(flows)

    def _constant(self, value: Any, scope: Scope | None) -> Vertex:
        known = self.by_array.get(id(value)) if isinstance(value, _ARRAYS) else None
        if known is not None:
            return known
        node = origin(value)
        if node is not None:
            operands, flows = self._operands(node)
            spec = ArraySpec(value.shape, value.dtype)
            return self._add(Vertex("operation", node, value, spec, operands, flows))
        array = np.asarray(value)
        role = self.given.get(id(value))
        # A composition knows its operands; what is used in a tc.scope is the user's.
        made_inside = role is None and scope is not None and bool(scope.operands)
        kind: Kind = "constant" if made_inside or not array.ndim else "input"
        return self._add(Vertex(kind, None, value, ArraySpec(array.shape, array.dtype), name=role))


def _given_arrays(nodes: list[Node]) -> dict[int, str]:
    """The constants that were handed to compositions, with the name of the argument."""
    given: dict[int, str] = {}
    seen: set[Scope] = set()
    for node in nodes:
        scope = node.scope
        while scope is not None and scope not in seen:
            seen.add(scope)
            if scope.parent is None or scope.parent.kind != "function":
                for name, operand in scope.operands.items():
                    array = None if isinstance(operand, Node) else operand()
                    if array is not None:
                        given.setdefault(id(array), name)
            scope = scope.parent
    return given


def differentiate(recording: Recording, upstream: Any = None) -> Gradients:
    """All gradients of the recorded result, and who contributed what to them.

    Args:
        recording: of a graph whose values are still there.
        upstream: the gradient to start from, of the result's shape; ones by default, that is
            the gradient of the sum of the result.

    Raises:
        GraphError: backward has let go of the values, or a variable was changed in place since.
    """
    result = recording.result
    seed = np.ones(result.shape, result.spec.dtype)[()] if upstream is None else upstream
    of: dict[Vertex, Array] = {}
    contributions: dict[tuple[Vertex, int], Array] = {}

    def visit(node: Node, g: Any, passed: list[tuple[int, Any]]) -> None:
        vertex = recording._by_node[node]
        of[vertex] = np.asarray(g)
        for index, gradient in passed:
            # a copy: a rule may hand out a view of what the graph has saved
            contributions[vertex, index] = np.array(gradient)

    backpropagate({result.node: seed}, retain_graph=True, visit=visit)  # type: ignore[dict-item]
    for vertex in recording:
        if (
            vertex.changed
        ):  # where no gradient arrived: those found hold, but not what is shown beside
            name = vertex.name or vertex.operation or vertex.kind
            raise GraphError(f"{name} was changed in place after it was used: compute anew")
    return Gradients(of, contributions)


def caller_names(frame: FrameType | None) -> dict[int, str]:
    """What the variables of a frame call their arrays: by id of the array or of its vertex.

    Of two names for one thing the shorter holds; names with a leading underscore do not count.
    What has no variable of its own is called after the list, tuple or dict it is an element of,
    ``Ws_0``, or after the attribute of ``self``.
    """
    found: dict[int, str] = {}
    if frame is None:
        return found
    variables = [
        (name, value)
        for name, value in sorted({**frame.f_globals, **frame.f_locals}.items(), key=_by_length)
        if not name.startswith("_") and name.isidentifier()
    ]
    parts = [part for name, value in variables for part in _parts(name, value)]
    for name, value in (*variables, *parts):
        if isinstance(value, Tensor):
            found.setdefault(id(value.node if value.node is not None else value.data), name)
        elif isinstance(value, np.ndarray):
            found.setdefault(id(value), name)
    return found


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The elements of a variable, the first few, with names."""
    pairs: Iterable[tuple[Any, Any]] = ()
    if name == "self":
        pairs = getattr(value, "__dict__", {}).items()
    elif isinstance(value, list | tuple):
        pairs = enumerate(value)
    elif isinstance(value, dict) and name != "Out":  # what notebooks keep
        pairs = value.items()
    for key, part in islice(pairs, _ELEMENTS):
        called = str(key) if name == "self" else f"{name}_{key}"
        if called.isidentifier() and not str(key).startswith("_"):
            yield called, part


def _by_length(pair: tuple[str, Any]) -> tuple[int, str]:
    return len(pair[0]), pair[0]
