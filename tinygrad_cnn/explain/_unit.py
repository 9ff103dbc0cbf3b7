"""What one step of a derivation is about: an operation, or the call of a whole function."""

from __future__ import annotations

import ast
import builtins
from functools import lru_cache
from typing import Any

import numpy as np

from .._core.context import layer_path
from .._graph import Vertex
from ..errors import ArgumentError, GraphError
from ..typing import Array
from ._formula import Formula, Operation, fill, placeholders
from ._lines import Line, Term
from ._symbols import Names, Symbol
from .formulas import FORMULAS
from .layers import Call, Layer

_KNOWN = {"np", *dir(builtins)}
Passed = list[tuple[Vertex, Term]]


class LayerUnit:
    """The call of a function that has a derivation of its own."""

    def __init__(self, layer: Layer, call: Call) -> None:
        self._layer, self._call = layer, call
        self.output, self.inputs, self.helpers = call.output, call.inputs, call.helpers
        settings = layer.title(call)
        path = layer_path(call.scope)
        module = f"{path}: " if path else ""
        self.title = f"{module}{call.scope.name}{f' ({settings})' if settings else ''}"

    def forward(self) -> list[Line]:
        """How the result is computed."""
        self._layer.forward(self._call)
        lines = list(self._call.lines)
        self._call.lines.clear()
        return lines

    def backward(self) -> tuple[list[Line], Passed]:
        """Helper values, and what is passed on to each operand."""
        if self._call.is_needed():
            self._layer.backward(self._call)
        return self._call.lines, self._call.passed


class Unit(Operation):
    """One operation, written by the table of formulas; its ``Operation`` for texts that ask.

    Raises:
        GraphError: the table does not know the operation.
    """

    def __init__(self, vertex: Vertex, names: Names, needed: set[Vertex]) -> None:
        super().__init__(vertex)
        self.output, self._names, self._needed = vertex, names, needed
        formula = FORMULAS.get(vertex.operation)
        if formula is None:
            raise GraphError(
                f"derive: {vertex.operation!r} has no formula: add one with"
                f" tinygrad_cnn.explain.formula({vertex.operation!r}, latex=…, numpy=…, rules=…)"
            )
        self._formula: Formula = formula
        self.title = vertex.operation
        self.inputs: dict[Symbol, Array] = {}
        self.helpers: list[str] = []
        self.symbols: dict[str, Symbol] = {"y": names[vertex]}
        self.symbols.update((str(i), names[v]) for i, v in enumerate(vertex.operands))
        settings = ((key, value) for key, value in vertex.params.items() if _is_plain(value))
        self.symbols.update((key, Symbol(repr(v), str(v))) for key, v in settings)

    def given(self, name: str, value: Any) -> str:
        """A placeholder for an array that becomes an argument of the generated function."""
        symbol = self._names.array(value, name)
        self.inputs[symbol] = np.asarray(value)
        key = f"given_{symbol.code}"  # which may be y, as the result is called
        self.symbols[key] = symbol
        return f"${{{key}}}"

    # -- lines -------------------------------------------------------------------------------

    def forward(self) -> list[Line]:
        """The one line of the result."""
        texts = self.text(self._formula.latex), self.text(self._formula.numpy)
        fixed = [
            self._names[v].code
            for v in self.output.operands
            if v.kind == "constant" and self._names[v].code.isidentifier()
        ]
        note = f"{', '.join(fixed)}: as computed in this run" if fixed else ""
        return [Line(self._names[self.output], (self._term(*texts),), note)]

    def backward(self) -> tuple[list[Line], Passed]:
        """What is passed on to each operand that leads to a variable asked for."""
        passed: Passed = []
        vertex = self.output
        for index, operand in enumerate(vertex.operands):
            if operand not in self._needed or not vertex.flows[index]:
                continue
            if self._formula.rules[index] is not None:
                passed.append((operand, self._term(*self.passed(self._formula, index))))
        return [], passed

    def _term(self, latex: str, numpy: str) -> Term:
        used = {*placeholders(latex), *placeholders(numpy)}
        if "g" in used:
            self.symbols["g"] = self._names.gradient(self.output)
        self.helpers.extend(name for name in self._formula.helpers if f"{name}(" in numpy)
        if missing := used - self.symbols.keys():
            raise ArgumentError(f"formula of {self.title}: ${min(missing)} stands for nothing")
        if unknown := _names_in(numpy) - _KNOWN - {*self._formula.helpers}:
            raise GraphError(
                f"derive: the formula of {self.title!r}: {min(unknown)} is not defined: write it"
                " with NumPy (np) and placeholders such as $0"
            )
        return Term(latex, numpy, {key: self.symbols[key] for key in used})


@lru_cache(1024)
def _names_in(template: str) -> frozenset[str]:
    """The names that a NumPy text reads; none if it can't be read before it is filled in."""
    try:
        tree = ast.parse(fill(template, dict.fromkeys(placeholders(template), "_")), mode="eval")
    except SyntaxError:
        return frozenset()
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)} | {"_"}
    own.update(node.arg for node in ast.walk(tree) if isinstance(node, ast.arg))
    return frozenset({node.id for node in names} - own)


def _is_plain(value: Any) -> bool:
    """Whether a setting can be written out."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (int, float, str))
