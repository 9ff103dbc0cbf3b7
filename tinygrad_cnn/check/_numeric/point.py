"""A function at inputs that are moved, looked at and put back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..._arguments import listed
from ..._core.backprop import consumers_first, gradients
from ..._core.context import enable_grad, no_grad
from ..._core.node import Node
from ..._core.tensor import Tensor, as_tensor
from ...errors import ArgumentError, DtypeError
from ...nn import Module
from ...ops import concatenate, reshape
from ...ops import sum as sum_
from ...transforms import leaves
from ...typing import Array, DTypeLike

T = TypeVar("T")
Index = tuple[int, ...]


class Recording(NamedTuple):
    """A result and the vertices that it came from, oldest first."""

    output: Tensor
    nodes: list[Node]


class Point:
    """A function and the variables that it is differentiated by.

    A model's parameters reach the function through its closure, so that the variables
    themselves are moved; but within ``held`` alone, where they hold copies of their data.

    Attributes:
        names: of all inputs.
        variables: those with a gradient; ``places`` are their positions among the inputs.
        constants: for the position of every other input, why it has none.
    """

    def __init__(self, f: Callable[..., Any], inputs: Any) -> None:
        if not callable(f):
            raise DtypeError(f"gradcheck: expected a function, got {f!r:.60}")
        self.f = f
        single = isinstance(inputs, (Tensor, np.ndarray, np.generic, float, int))
        self.operands: list[Any] = [inputs] if single else listed("gradcheck", "inputs", inputs)
        self.names: list[str] = []
        self.places: list[int] = []
        self.constants: dict[int, str] = {}
        for place, operand in enumerate(self.operands):
            value = as_tensor(operand)
            self.names.append(value.name or f"input {place}")
            if value.dtype.kind != "f":
                self.constants[place] = f"{value.dtype}: has no gradient"
            elif isinstance(operand, Tensor) and not operand.requires_grad:
                self.constants[place] = "detached: requires_grad is False"
            else:
                self.places.append(place)
                if not isinstance(operand, Tensor):
                    self.operands[place] = Tensor(value.data, requires_grad=True)
        if not self.places:
            raise ArgumentError(
                f"gradcheck: none of the {len(self.operands)} inputs has a gradient; pass floating"
                " point (1.0 for 1), and Tensors with requires_grad=True"
            )
        self.variables: list[Tensor] = [self.operands[place] for place in self.places]
        self.copies: list[Array] = []

    @contextmanager
    def held(self, dtype: DTypeLike = None) -> Iterator[None]:
        """Inside the block the variables hold copies, of ``dtype`` or their own."""
        outer, before = self.copies, [variable.data for variable in self.variables]
        self.copies = [np.array(data, dtype) for data in before]
        try:
            self._install()
            yield
        finally:
            for variable, data in zip(self.variables, before, strict=True):
                variable.data = data
            self.copies = outer

    def _install(self) -> None:
        for variable, held in zip(self.variables, self.copies, strict=True):
            variable.data = held[()]

    def call(self) -> Tensor:
        """The result; several results are joined to one vector."""
        result = self.f(*self.operands)
        if isinstance(result, (tuple, list, dict)):
            return concatenate([reshape(as_tensor(part), -1) for part in leaves(result)])
        return as_tensor(result)

    def value(self) -> Array:
        """The result as an array of its own, with nothing recorded."""
        with no_grad():
            return np.array(self.call().data)

    def record(self) -> Recording:
        """The result and its graph."""
        with enable_grad():
            output = self.call()
        return Recording(output, consumers_first([output.node])[::-1] if output.node else [])

    def at(self, which: int, index: Index, amount: Any, look: Callable[[], T]) -> T:
        """What ``look`` sees while one element of a variable is moved by ``amount``."""
        variable, held = self.variables[which], self.copies[which]
        before = held[index]
        held[index] = before + amount
        try:
            variable.data = held[()]  # a variable that is passed twice moves as one
            return look()
        finally:
            held[index] = before
            variable.data = held[()]

    def along(self, directions: Sequence[Array]) -> Array:
        """The result with every variable moved."""
        held = self.copies
        self.copies = [x + u.astype(x.dtype) for x, u in zip(held, directions, strict=True)]
        try:
            self._install()
            return self.value()
        finally:
            self.copies = held
            self._install()

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Put back the running statistics of the modules that the function refers to."""
        before = [
            (module, name, buffer, buffer.data, np.array(buffer.data))
            for root in _modules(self.f)
            for module in root.modules()
            for name, buffer in module.named_buffers(recurse=False)
        ]
        try:
            yield
        finally:
            for module, name, buffer, data, values in before:
                if isinstance(data, np.ndarray):
                    data[...] = values
                buffer.data = data
                setattr(module, name, buffer)


class Slope(Point):
    """The derivative of a point's weighted result in a direction, as a function itself."""

    def __init__(self, point: Point, weights: Array, tangents: Sequence[Array]) -> None:
        vars(self).update(vars(point))
        self.weights, self.tangents = weights, tangents

    def value(self) -> Array:
        """The derivative."""
        return np.array(self._derive(create_graph=False)[1].data)

    def record(self) -> Recording:
        """The derivative, with the graph of the function too: what that decides counts."""
        recorded = self._derive(create_graph=True)
        roots = [part.node for part in recorded if part.node]
        return Recording(recorded[1], consumers_first(roots)[::-1])

    def _derive(self, create_graph: bool) -> tuple[Tensor, Tensor]:
        with enable_grad():
            output = self.call()
            if output.node is None:
                return output, as_tensor(0.0)
            found = gradients(output, self.variables, self.weights, create_graph=create_graph)
            terms = [
                sum_(g * t) for g, t in zip(found, self.tangents, strict=True) if g is not None
            ]
            return output, sum(terms[1:], terms[0]) if terms else as_tensor(0.0)


def _modules(f: Callable[..., Any]) -> list[Module]:
    """The function itself, its object, and what its code names: those that are modules."""
    known = [f, getattr(f, "__self__", None)]
    if inspect.isfunction(f):
        named = inspect.getclosurevars(f)
        known += [*named.nonlocals.values(), *named.globals.values()]
    return [value for value in known if isinstance(value, Module)]


def describe(node: Node) -> str:
    """An operation, its scope and the user's line that recorded it."""
    name = node.primitive.name if node.primitive else "variable"
    scope = f" in {node.scope.path}" if node.scope else ""
    source = node.source
    # an operation that is itself the function was called from here
    where = f", {source}" if source and source.file != __file__ else ""
    return f"{name}{scope}{where}"
