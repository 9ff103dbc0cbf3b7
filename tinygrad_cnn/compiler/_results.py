"""What a compiled function returns: for each array in its result where that comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .._core.node import Node
from .._core.tensor import Tensor, wrap
from ._numbers import Number
from ._symbols import Symbol, UntraceableError

if TYPE_CHECKING:
    from ._tracer import Tracer


class Given(NamedTuple):
    """An argument itself."""

    number: int


class Itself(NamedTuple):
    """A Tensor or an array from outside of the function."""

    value: Any


class Fresh(NamedTuple):
    """A constant that the function makes in each call."""

    value: Any


class Gradient(NamedTuple):
    """What ``.grad`` of a variable is in the end."""

    node: Node


class Computed(NamedTuple):
    """An output of the program.

    Attributes:
        number: which.
        node: of a Tensor that gradients flow to, its vertex in the trace.
        is_tensor: whether it is a Tensor.
    """

    number: int
    node: Node | None
    is_tensor: bool


class Results:
    """The results of a function.

    Attributes:
        sources: for each array in its result where that comes from.
        symbols: the outputs that the program needs for them.
    """

    def __init__(self, tracer: Tracer, found: Sequence[Any], known: Any) -> None:
        self._tracer, self._known = tracer, known
        self.symbols: list[Any] = []
        self._of_number: dict[Any, int] = {}
        self.sources = [self._source(value) for value in found]
        self._same = [next(i for i, o in enumerate(found) if o is value) for value in found]

    def _source(self, value: Any) -> Any:
        if isinstance(value, Number):
            for symbol in value.sources():
                if isinstance(symbol, Symbol) and symbol not in self._of_number:
                    self._of_number[symbol] = self._output(symbol)
            return value
        for number, given in enumerate(self._tracer.given):
            if value is given:
                return Given(number)
        if isinstance(value, Tensor):
            return self._of_tensor(value)
        if isinstance(value, Symbol):
            return Computed(self._output(value), None, False)
        if id(value) in self._known or isinstance(value, np.generic):
            return Itself(value)
        return Fresh(value)

    def _of_tensor(self, tensor: Tensor) -> Any:
        tracer = self._tracer
        for node, shown in tracer.shown.items():
            if tensor is shown and tracer.gradients.get(node) is tensor.data:
                return Gradient(node)
        if isinstance(tensor.data, Symbol):
            return Computed(self._output(tensor.data), tensor.node, True)
        if id(tensor) in self._known:
            return Itself(tensor)
        if tensor.node is not None or not tracer.is_fixed(tensor.data):
            raise UntraceableError("it returns a Tensor that it makes from an array or variable")
        return Fresh(tensor)

    def _output(self, symbol: Any) -> int:
        self.symbols.append(symbol)
        return len(self.symbols) - 1

    def check_freed(self) -> None:
        """Refuse results that a step leaves with a graph: it could be walked again.

        Raises:
            UntraceableError: there is one.
        """
        for source in self.sources:
            node = source.node if isinstance(source, Computed) else None
            if node is not None and (node.primitive is None or node.args is not None):
                raise UntraceableError(
                    "it calls backward and returns a Tensor that could be differentiated:"
                    " return it detached, or its item()"
                )

    def values(self, outputs: Sequence[Any], leaves: Sequence[Any], tensor_of: Any) -> list[Any]:
        """The results of one call; ``tensor_of(number, source, array)`` makes its Tensors."""
        made: list[Any] = []
        for number, source in enumerate(self.sources):
            first = self._same[number]
            made.append(
                made[first]
                if first < number
                else self._value(number, source, outputs, leaves, tensor_of)
            )
        return made

    def _value(
        self,
        number: int,
        source: Any,
        outputs: Sequence[Any],
        leaves: Sequence[Any],
        tensor_of: Any,
    ) -> Any:
        if isinstance(source, Number):
            return source.evaluate(
                lambda s: outputs[self._of_number[s]].item() if isinstance(s, Symbol) else s.result
            )
        if isinstance(source, Given):
            return leaves[source.number]
        if isinstance(source, Itself):
            return source.value
        if isinstance(source, Gradient):
            grads = {
                node: leaf.node
                for node, leaf in zip(self._given_nodes(), leaves, strict=True)
                if node
            }
            return grads.get(source.node, source.node).grad
        if isinstance(source, Fresh):
            value = source.value
            return (
                wrap(np.array(value.data)[()], None) if isinstance(value, Tensor) else value.copy()
            )
        value = outputs[source.number]
        if isinstance(value, np.ndarray) and not value.shape:
            value = value[()]
        return tensor_of(number, source, value) if source.is_tensor else value

    def _given_nodes(self) -> list[Any]:
        return [getattr(given, "node", None) for given in self._tracer.given]
