"""The vertex of a compiled call in the graph: gradients flow through it as through a primitive."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

from .._core.backprop import backpropagate, consumers_first
from .._core.backprop import gradients as gradients_of
from .._core.context import per_thread
from .._core.node import Leaf, Node
from .._core.primitive import Primitive, every
from .._core.symbol import replaying
from .._core.tensor import Tensor
from ._program import Program, Runner
from ._results import Computed
from ._signature import flatten, rebuild
from ._symbols import Symbol

if TYPE_CHECKING:
    from ._entry import Entry
    from ._trace import Trace


class Derivative:
    """How one result depends on variables.

    Attributes:
        leaves: the vertices of the variables.
        gradients: the symbols of their gradients.
        seed: the symbol of the result's own gradient, None where that is 1.
        program: of the gradients, from the inputs and the seed, where there is one; it computes
            anew what it needs of the results.
    """

    def __init__(self, trace: Trace, source: Computed, seed: Any = None) -> None:
        assert source.node is not None
        known = {tensor.node for tensor in trace.tracer.parameters.values()}
        known.update(trace.given_nodes)
        leaves = [n for n in consumers_first([source.node]) if n.primitive is None and n in known]
        ans: Any = source.node.ans
        self.seed: Any = Symbol(ans.shape, ans.dtype, trace.tracer) if seed is None else None
        start = self.seed if seed is None else seed
        found = backpropagate({source.node: start}, set(leaves), retain_graph=True)
        self.leaves: list[Node] = [leaf for leaf in leaves if leaf in found]
        self.gradients = [found[leaf] for leaf in self.leaves]
        self.program: Program | None = None
        self._runner: Runner | None = None
        self._lock = threading.Lock()

    def __call__(self, entry: Entry, arrays: Sequence[Any], seed: Any) -> list[Any]:
        """The gradients, from the inputs of the call and the gradient of its result."""
        with self._lock:
            if self._runner is None:
                self._runner = self._built(entry)
            return self._runner([*arrays, seed])

    def _built(self, entry: Entry) -> Runner:
        from ._executors import EXECUTORS, UnsupportedError

        program = self.program
        assert program is not None
        view = copy(entry.trace)
        view.program, view.arguments = program, [*entry.trace.arguments, self.seed]
        view.leaves, view.counts = self.leaves, (0, len(self.leaves))
        view.assigned, view.aliases = [], {}
        try:
            return EXECUTORS[entry.executor].build(view, entry.compiled)
        except UnsupportedError:
            return lambda arrays: program(*arrays)


def vertex(
    entry: Entry,
    number: int,
    value: Any,
    gradients: Sequence[Any] | None,
    arrays: Sequence[Any],
    leaves: Sequence[Any],
    structure: Any,
) -> Node:
    """The vertex of one result.

    A single number was differentiated when it was computed; for other results a second program
    runs; for derivatives of higher order the function runs again as it is written.

    Args:
        number: of the result.
        gradients: where they were computed with it.
        arrays: the inputs of the program.
        leaves, structure: the arguments.
    """
    derivative = entry.trace.derivatives[number]
    inputs = [tensor_of(node, entry.trace, leaves) for node in derivative.leaves]
    latest: list[Any] = [None, []]  # a gradient, and what follows from it

    def rule(index: int, g: Any, ans: Any, *saved: Any) -> Any:
        again = isinstance(ans, Tensor)
        if gradients is not None and not again:
            return gradients[index] if g == 1 else g * gradients[index]
        if latest[0] is not g:
            found = recorded(g) if again else derivative(entry, arrays, g)
            latest[:] = g, found
        return latest[1][index]

    def recorded(g: Any) -> list[Any]:
        with _as_it_was(entry.trace, arrays):
            args, kwargs = rebuild(structure, leaves.__getitem__)
            results: list[Any] = []
            flatten(entry.function(*args, **kwargs), results)
        return gradients_of(results[number], inputs, g, create_graph=True)

    name = getattr(entry.function, "__name__", "compiled")
    primitive = Primitive(name, lambda *xs: value, every(rule))
    parents = tuple(tensor.node for tensor in inputs)
    given = tuple(tensor.data for tensor in inputs)
    return Node(primitive, given, {}, value, parents, per_thread.context.scope, None)


def freed(trace: Trace, source: Computed, value: Any, leaves: Sequence[Any]) -> Node:
    """The vertex of a result that a step has called ``backward`` on."""
    parents = tuple(tensor_of(node, trace, leaves).node for node in trace.leaves)
    assert source.node is not None
    node = Node(
        source.node.primitive, (), {}, value, parents or (None,), per_thread.context.scope, None
    )
    node.release()
    return node


def tensor_of(node: Node, trace: Trace, leaves: Sequence[Any]) -> Tensor:
    """The Tensor of a variable: an argument, or one from outside."""
    for leaf, given in zip(leaves, trace.given_nodes, strict=True):
        if given is node:
            return leaf  # type: ignore[no-any-return]
    return next(t for t in trace.tracer.parameters.values() if t.node is node)


@contextmanager
def _as_it_was(trace: Trace, arrays: Sequence[Any]) -> Iterator[None]:
    """Draw the random numbers of a call again, and let buffers be as they were."""
    given = dict(zip(trace.inputs, arrays, strict=True))
    buffers = [
        (tensor, tensor.data, given[symbol])
        for symbol, tensor in trace.tracer.parameters.items()
        if not isinstance(tensor.node, Leaf)
    ]
    try:
        for tensor, _, before in buffers:
            tensor.data = before
        with replaying([given[symbol] for symbol in trace.tracer.draws]):
            yield
    finally:
        for tensor, now, _ in buffers:
            tensor.data = now
