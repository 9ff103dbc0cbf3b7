"""One recorded operation on its own: its formula with given names, and its local gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..._graph import Vertex
from ...errors import ArgumentError, GraphError
from .._formula import Formula, Operation, Rule, fill
from .._symbols import latex_name
from ._table import FORMULAS

__all__ = ["in_words", "local_factor", "passed", "statement"]


def statement(vertex: Vertex, names: Sequence[str], result: str) -> str:
    r"""How a recorded operation computes its result, as LaTeX: ``result = …``.

    Args:
        vertex: an operation of ``_graph.read``.
        names: LaTeX for each operand.
        result: LaTeX for the result.

    Raises:
        ArgumentError: not one name for each operand.
        GraphError: the vertex is no operation with a formula, or backward has freed it.

    >>> import tinygrad_cnn as tc
    >>> from tinygrad_cnn._graph import read
    >>> x = tc.tensor([[1.0, 2.0]], requires_grad=True)
    >>> vertex = read(x.exp()).result
    >>> statement(vertex, ["x"], "y")
    'y = e^{x}'
    """
    op = _Named(vertex, names, result)
    return f"{result} = {op.fill(op.text(op.formula.latex))}"


def passed(vertex: Vertex, index: int, names: Sequence[str], result: str, upstream: str) -> str:
    r"""What a recorded operation passes on to one operand, as LaTeX.

    The sum over the axes along which the operand was broadcast included.

    Args:
        vertex, names, result: as in ``statement``.
        index: the number of the operand.
        upstream: LaTeX for the gradient of the loss by the result.

    Raises:
        ArgumentError, GraphError: as in ``statement``; no gradient passes to this operand.

    >>> import tinygrad_cnn as tc
    >>> from tinygrad_cnn._graph import read
    >>> x = tc.tensor([[1.0, 2.0]], requires_grad=True)
    >>> vertex = read(x.exp()).result
    >>> passed(vertex, 0, ["x"], "y", r"\mathrm{d}y")
    '\\mathrm{d}y \\odot y'
    """
    op = _Named(vertex, names, result, upstream)
    op.rule(index)
    return op.fill(op.passed(op.formula, index)[0])


def local_factor(vertex: Vertex, index: int, names: Sequence[str], result: str) -> str:
    """The factor that upstream is multiplied by element for element, as LaTeX.

    Empty where the rule is no such product. The arguments, and what is raised, are those of
    ``passed``.
    """
    op = _Named(vertex, names, result)
    return op.fill(op.text(op.rule(index).local))


def in_words(vertex: Vertex, index: int) -> str:
    """What happens to upstream where the rule is no product: "added back by col2im".

    Empty where it is one. The arguments, and what is raised, are those of ``passed``.
    """
    op = _Named(vertex, [""] * len(vertex.operands), "")
    return op.text(op.rule(index).name)


class _Named(Operation):
    """An operation whose operands and result have been given names."""

    def __init__(
        self, vertex: Vertex, names: Sequence[str], result: str, upstream: str = ""
    ) -> None:
        super().__init__(vertex)
        name = vertex.operation or f"a {vertex.kind}"
        formula = FORMULAS.get(vertex.operation)
        if formula is None:
            raise GraphError(f"{name} has no formula")
        if vertex.node is None or len(vertex.operands) != len(vertex.node.parents):
            raise GraphError(
                f"{name}: backward has let go of the operands: look before it, or use"
                " backward(retain_graph=True)"
            )
        if isinstance(names, str) or len(names) != len(vertex.operands):
            raise ArgumentError(f"{name}: expected {len(vertex.operands)} names, got {names!r}")
        self.formula: Formula = formula
        self._name = name
        self._texts = {key: str(value) for key, value in vertex.params.items()}
        self._texts.update((str(i), name) for i, name in enumerate(names))
        self._texts.update(y=result, g=upstream)

    def given(self, name: str, value: Any) -> str:
        """A placeholder for an array that the operation was given as a setting."""
        self._texts[f"given_{name}"] = latex_name(name)
        return f"${{given_{name}}}"

    def rule(self, index: int) -> Rule:
        """The rule of one operand."""
        known = 0 <= index < len(self.shapes)
        rule = self.formula.rules[index] if known else None
        if rule is None:
            raise GraphError(f"{self._name} passes no gradient on to operand {index}")
        return rule

    def fill(self, template: str) -> str:
        """The template with the names in it."""
        return fill(template, self._texts)
