"""The recorded graph as a picture, folded to layers, to functions, or not at all."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Hashable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .. import functional
from .._core.backprop import consumers_first
from .._core.context import Scope
from .._core.node import Leaf, Node
from .._core.tensor import Tensor
from ..errors import ArgumentError, DtypeError, GraphError
from ..typing import Shape

if TYPE_CHECKING:
    import graphviz

__all__ = ["GraphView", "graph"]

Kind = Literal["variable", "operation", "result"]
Zoom = Literal["layers", "functions", "primitives"]
_ZOOMS = ("layers", "functions", "primitives")
_COLORS: dict[Kind, str] = {"variable": "#fdf0d5", "operation": "#e3eef9", "result": "#dcf2e0"}


class Box(NamedTuple):
    """One box of the picture: its caption, and which kind it is."""

    lines: tuple[str, ...]
    kind: Kind


class GraphView:
    """A folded graph, as DOT text or as a picture.

    Attributes:
        boxes: by key, in the order of computation.
        edges: (from, to) -> shape of the array that flows there.
    """

    def __init__(self, boxes: dict[Hashable, Box], edges: dict[tuple[Any, Any], Shape]) -> None:
        self.boxes, self.edges = boxes, edges

    @property
    def dot(self) -> str:
        """The DOT text, which every Graphviz tool reads."""
        return str(self._digraph().source)

    def save(self, path: str | Path) -> Path:
        """Write the DOT text, and a picture beside it where Graphviz's ``dot`` is installed.

        Returns:
            The best that could be written: ``path`` with the suffix .svg, or .dot.

        >>> import tempfile, tinygrad_cnn as tc
        >>> x = tc.tensor(2.0, requires_grad=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tc.draw.graph(x * x).save(f"{folder}/square").stem
        'square'
        """
        text = Path(path).with_suffix(".dot")
        text.write_text(self.dot, encoding="utf-8")
        if shutil.which("dot") is None:
            return text
        picture = text.with_suffix(".svg")
        picture.write_bytes(self._digraph().pipe(format="svg"))
        return picture

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        if shutil.which("dot") is None:
            return {"text/plain": self.dot}
        return {"image/svg+xml": self._digraph().pipe(format="svg").decode()}

    def _digraph(self) -> graphviz.Digraph:
        import graphviz

        picture = graphviz.Digraph(
            graph_attr={"rankdir": "TB", "nodesep": "0.25", "ranksep": "0.3"},
            node_attr={"shape": "box", "style": "filled,rounded", "fontname": "Helvetica"},
            edge_attr={"fontname": "Helvetica", "fontsize": "9", "color": "#5b6770"},
        )
        names = {key: f"n{number}" for number, key in enumerate(self.boxes)}
        for key, box in self.boxes.items():
            caption = "\n".join(graphviz.escape(line) for line in box.lines)
            picture.node(names[key], caption, fillcolor=_COLORS[box.kind], color="#5b6770")
        for (start, end), shape in self.edges.items():
            picture.edge(names[start], names[end], _shape_text(shape))
        return picture


def graph(y: Tensor, zoom: Zoom = "functions") -> GraphView:
    """The graph that ``y`` was computed by.

    Args:
        y: a recorded result, before or after ``backward``.
        zoom: ``"layers"`` folds modules, ``"functions"`` folds conv2d, cross_entropy and the
            like, ``"primitives"`` shows every recorded operation.

    Raises:
        DtypeError: ``y`` is no Tensor.
        GraphError: ``y`` was not recorded.
        ArgumentError: another zoom.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> view = tc.draw.graph((x * x).sum())
    >>> [box.lines[0] for box in view.boxes.values()]
    ['x', 'multiply', 'sum']
    """
    if zoom not in _ZOOMS:
        raise ArgumentError(f"zoom={zoom!r}: expected one of {', '.join(_ZOOMS)}")
    if not isinstance(y, Tensor):
        raise DtypeError(f"draw.graph: expected a Tensor, got {type(y).__name__}")
    if y.node is None:
        raise GraphError("draw.graph: this Tensor was not recorded: nothing requires a gradient")
    nodes = consumers_first([y.node])[::-1]
    containers = _containers(nodes)
    keys = {node: _fold(node, zoom, containers) for node in nodes}
    boxes: dict[Hashable, Box] = {}
    edges: dict[tuple[Any, Any], Shape] = {}
    for node in nodes:
        key = keys[node]
        if key not in boxes:
            kind: Kind = "variable" if isinstance(node, Leaf) else "operation"
            boxes[key] = Box(_caption(node, key), kind)
        for parent in node.parents:
            if parent is not None and keys[parent] != key:
                edges[keys[parent], key] = parent.ans.shape
    last = keys[y.node]
    boxes[last] = Box((*boxes[last].lines, _shape_text(y.shape)), "result")
    return GraphView(boxes, edges)


def _fold(node: Node, zoom: Zoom, containers: set[Scope]) -> Hashable:
    """The box that a vertex belongs to: itself, or the scope that it is folded into.

    Functions fold to the outermost function below the innermost module; layers to that module,
    unless it contains other modules, which its box would have to surround.
    """
    if zoom == "primitives":
        return node
    function, scope = None, node.scope
    while scope is not None and scope.kind != "module":
        function, scope = scope, scope.parent
    if zoom == "layers" and scope is not None and scope not in containers:
        return scope
    return function or node


def _containers(nodes: Iterable[Node]) -> set[Scope]:
    """The modules that called other modules."""
    found = set()
    for node in nodes:
        scope, inside = node.scope, False
        while scope is not None:
            if inside and scope.kind == "module":
                found.add(scope)
            inside = inside or scope.kind == "module"
            scope = scope.parent
    return found


def _caption(node: Node, key: Hashable) -> tuple[str, ...]:
    if isinstance(node, Leaf):
        return (node.name or "variable", _shape_text(node.ans.shape))
    if isinstance(key, Scope):
        where = f"{key.parent.name}: " if key.parent and key.parent.parent else ""
        settings = ", ".join(_settings(key))
        return (f"{where}{key.name}", settings) if settings else (f"{where}{key.name}",)
    return (node.primitive.name,)  # type: ignore[union-attr]


def _settings(scope: Scope) -> Iterator[str]:
    """The settings of a call that differ from the defaults, equal pairs as one number."""
    if scope.kind == "module":
        yield str(scope.params.get("type", ""))
        return
    function = getattr(functional, scope.name, None)
    known = inspect.signature(function).parameters if callable(function) else {}
    for name, value in scope.params.items():
        if isinstance(value, tuple) and len(set(value)) == 1:
            value = value[0]
        if name not in known or known[name].default != value:
            yield f"{name}={value}"


def _shape_text(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "scalar"
