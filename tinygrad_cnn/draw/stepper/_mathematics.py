"""What the vertices are called, and the rule of each operation as mathematics."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ..._graph import Recording, Vertex
from ...errors import ArgumentError, GraphError
from ...explain._assigned import assigned_names
from ...explain._symbols import latex_name, number
from ...explain.formulas import in_words, passed, statement
from ...explain.mathml import mathml

__all__ = ["Mathematics"]

_MANY = 600  # operations; beyond, formulas of their own names would fill the page


class Mathematics:
    """Names and formulas of one recording.

    Args:
        recording: whose vertices are named.
        known: the user's names for arrays and vertices, by id.
        steps: by vertex that was computed, the step that computes it.
    """

    def __init__(
        self, recording: Recording, known: Mapping[int, str], steps: Mapping[Vertex, int]
    ) -> None:
        self._steps = steps
        self._assigned = assigned_names(recording)
        self._known = known
        self._markup: dict[str, str] = {}

    def name(self, vertex: Vertex) -> str:
        """What the user calls a vertex; empty where that is not known."""
        if vertex.kind == "constant":
            return ""
        if vertex.name and vertex.requires_grad:
            return vertex.name
        exact = self._known.get(id(vertex.node)) or self._known.get(id(vertex.value))
        return exact or vertex.name or self._assigned.get(vertex, "")

    def forward(self, vertex: Vertex) -> str:
        """How the result is computed, as MathML; empty where no formula is known."""
        names, result = self._letters(vertex)
        return self._mathml(lambda: statement(vertex, names, result))

    def backward(self, vertex: Vertex, index: int, alone: bool) -> str:
        """What is passed on to one operand, as MathML; ``alone``: by no other operation."""
        names, result = self._letters(vertex)

        def formula() -> str:
            right = passed(vertex, index, names, result, _gradient(result))
            if not alone:
                right = rf"\cdots {'' if right.startswith('-') else '+'} {right}"
            return f"{_gradient(names[index])} = {right}"

        return self._mathml(formula)

    def words(self, vertex: Vertex, index: int) -> str:
        """What the rule does where it is no product; empty where nothing is known."""
        return _known(lambda: in_words(vertex, index))

    def _letters(self, vertex: Vertex) -> tuple[list[str], str]:
        """LaTeX for the operands and the result, in braces: it may have an index."""
        if len(self._steps) > _MANY:
            return [f"{{x_{i}}}" for i in range(1, len(vertex.operands) + 1)], "{y}"
        return [self._latex(operand) for operand in vertex.operands], self._latex(vertex)

    def _latex(self, vertex: Vertex) -> str:
        name = self.name(vertex)
        if name:
            return f"{{{latex_name(name)}}}"
        if vertex.kind == "constant" and not vertex.shape:
            return f"{{{number(vertex.value).latex}}}"
        word = re.sub(r"[^A-Za-z0-9]", r"\\_", vertex.operation or vertex.kind)
        step = f"_{{{self._steps[vertex]}}}" if vertex.operation else ""
        return rf"{{\mathrm{{{word}}}{step}}}"

    def _mathml(self, formula: Callable[[], str]) -> str:
        latex = _known(formula)
        if latex not in self._markup:
            self._markup[latex] = _typeset(latex) if latex else ""
        return self._markup[latex]


def _gradient(latex: str) -> str:
    """The gradient of the result by what is written so; a word keeps a distance from the d."""
    space = r"\," if "mathrm" in latex else ""
    return rf"{{\mathrm{{d}}{space}{latex}}}"


def _known(text: Callable[[], str]) -> str:
    try:
        return text()
    except GraphError:  # a primitive of the user's
        return ""


def _typeset(latex: str) -> str:
    """The formula as MathML; empty where a name in it cannot be written so."""
    try:
        return mathml(latex)
    except ArgumentError:
        return ""
