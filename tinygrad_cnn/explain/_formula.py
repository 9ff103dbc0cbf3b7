"""How an operation reads, as mathematics and as NumPy: the form of the table in ``formulas``.

Texts are templates. ``$0``, ``$1`` … stand for the operands, ``$y`` for the result, ``$g`` for the
gradient of the loss by the result, ``$axis`` (say) for a setting of that name; ``${x_col}`` is the
form for a name with an underscore, or where a letter follows. A text may be a function of the
``Operation`` where it depends on shapes or settings; it returns such a template.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .._graph import Vertex
from ..errors import ArgumentError
from ..typing import Shape

__all__ = [
    "Formula",
    "Operation",
    "Rule",
    "axes_text",
    "broadcast_sum",
    "every",
    "fill",
    "placeholders",
]


class Operation:
    """What a text that is a function may ask about the recorded operation."""

    def __init__(self, vertex: Vertex) -> None:
        self._vertex = vertex

    @property
    def shapes(self) -> Sequence[Shape]:
        """The shapes of the operands."""
        return [operand.shape for operand in self._vertex.operands]

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        return self._vertex.shape

    @property
    def params(self) -> Mapping[str, Any]:
        """The settings."""
        return self._vertex.params

    @property
    def values(self) -> Sequence[Any]:
        """The operands themselves; None where backward has let go of one."""
        return [operand.value for operand in self._vertex.operands]

    def number(self, index: int) -> float | None:
        """The number that an operand is; None for an array, and for what is differentiated by."""
        operand = self._vertex.operands[index]
        if operand.kind != "constant" or operand.shape:
            return None
        value: float = np.asarray(operand.value).item()
        return value

    def given(self, name: str, value: Any) -> str:
        """A placeholder for an array that the operation was given as a setting.

        It becomes an argument of the generated function, such as the labels of an index.
        """
        raise NotImplementedError

    def text(self, text: Text) -> str:
        """A template as it reads for this operation."""
        return text if isinstance(text, str) else text(self)

    def passed(self, formula: Formula, index: int) -> tuple[str, str]:
        """Templates, LaTeX and NumPy, of what is passed on to an operand.

        This is the rule, summed over the axes along which the operand was broadcast.
        """
        rule = formula.rules[index]
        assert rule is not None
        latex, numpy = self.text(rule.latex), self.text(rule.numpy)
        primitive = self._vertex.node.primitive if self._vertex.node else None
        if not formula.broadcasts or primitive is None or primitive.unbroadcast is None:
            return latex, numpy
        before, after = broadcast_sum(self.shape, self.shapes[index])
        if after and numpy != "$g":
            latex, numpy = rf"\left( {latex} \right)", f"({numpy})"
        return before + latex, numpy + after


Text = str | Callable[[Operation], str]


class Rule(NamedTuple):
    """The gradient by one argument, before the sum over axes that were broadcast.

    Attributes:
        latex, numpy: what is passed on, with ``$g`` in it.
        local: the factor that ``$g`` is multiplied by element for element, as LaTeX; empty where
            the rule is no elementwise product.
        name: what the rule does in words, where it is no product: "added back by col2im".
    """

    latex: Text
    numpy: Text
    local: Text = ""
    name: Text = ""


class every:
    """One rule for all arguments of an operation that takes any number of them."""

    def __init__(self, rule: Callable[[int], Rule]) -> None:
        self.rule = rule

    def __getitem__(self, index: int) -> Rule | None:
        return self.rule(index)


@dataclass(frozen=True)
class Formula:
    """A primitive in mathematics and in NumPy.

    Attributes:
        latex, numpy: the result, without ``$y =``.
        rules: for each argument; None where no gradient is passed on.
        helpers: the functions of ``_standalone`` that the NumPy texts call.
        broadcasts: whether the rules have the shape of the result, so that a sum over the axes
            along which an operand was broadcast is to follow.
    """

    latex: Text
    numpy: Text
    rules: Sequence[Rule | None] | every = field(default=())
    helpers: tuple[str, ...] = ()
    broadcasts: bool = True


def broadcast_sum(broadcast: Shape, shape: Shape) -> tuple[str, str]:
    """The sum that undoes broadcasting: what stands before it in LaTeX, behind it in NumPy.

    >>> broadcast_sum((5, 3), (3,))
    ('\\\\sum_{\\\\text{axis 0}} ', '.sum(axis=0)')
    """
    added = len(broadcast) - len(shape)
    stretched = [i for i, n in enumerate(shape) if n != broadcast[i + added]]
    axes = (*range(added), *(i + added for i in stretched))
    if not axes:
        return "", ""
    after = f".sum(axis={_axis(range(added))})" if added else ""
    if stretched:
        after += f".sum(axis={_axis(stretched)}, keepdims=True)"
    before = rf"\sum_{{\text{{{axes_text(axes)}}}}} "
    return before, after if shape else ".sum()"


def _axis(axes: Sequence[int]) -> int | tuple[int, ...]:
    return axes[0] if len(axes) == 1 else tuple(axes)


def axes_text(axes: Sequence[int]) -> str:
    """Axes in words.

    >>> axes_text((0, 2))
    'axes 0, 2'
    """
    return f"{'axis' if len(axes) == 1 else 'axes'} {', '.join(map(str, axes))}"


_PLACEHOLDER = re.compile(r"\$(?:([A-Za-z0-9]+)|\{(\w+)\})")


def fill(template: str, texts: Mapping[str, str]) -> str:
    """A template with its placeholders replaced.

    Raises:
        ArgumentError: a placeholder stands for nothing.

    >>> fill("$0 + ${axis}", {"0": "x", "axis": "1"})
    'x + 1'
    """
    for name in placeholders(template):
        if name not in texts:
            raise ArgumentError(f"formula: ${name} in {template!r} stands for nothing")
    return _PLACEHOLDER.sub(lambda match: texts[match[1] or match[2]], template)


def placeholders(template: str) -> list[str]:
    """The names that a template uses, in order, each as often as it occurs."""
    return [first or second for first, second in _PLACEHOLDER.findall(template)]
