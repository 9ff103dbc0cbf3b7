"""What the derivation of a whole function is written with."""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ... import functional
from ..._core.context import Scope
from ..._core.node import Node
from ..._graph import Recording, Vertex
from ...typing import Array, Shape
from .. import _standalone
from .._formula import axes_text, fill, placeholders
from .._lines import Line, Term
from .._symbols import Names, Symbol, number

_CALLED = re.compile(r"(?<![\w.])(\w+)\(")  # functions by their name alone


class Call:
    """One recorded call of a function, while its lines are written.

    Templates use the names of the function's arguments (``$x``, ``$weight``), ``$y`` for the
    result, ``$g`` for the gradient by it, and what ``let``, ``gradient``, ``literal``, ``number``
    and ``given`` introduced.

    Args:
        scope: of the call.
        inside: what was computed in it, in order.
        recording: of the whole computation.
        output: the vertex of the result.
        names: of the whole derivation.
        needed: the vertices that a gradient is passed on to.

    Attributes:
        params: the settings of the call; one that was left out has its default.
        is_root: whether the result is the loss itself.
        lines: what was written.
        passed: what the backward part passes on, and to which vertex.
        helpers: what the code calls of ``_standalone``.
        inputs: arrays that become arguments of the generated function.
    """

    def __init__(
        self,
        scope: Scope,
        inside: Sequence[Vertex],
        recording: Recording,
        output: Vertex,
        names: Names,
        needed: set[Vertex],
    ) -> None:
        self.scope, self.inside, self.output = scope, inside, output
        self._names, self._needed = names, needed
        found = {name: recording.operand(scope, name) for name in scope.operands}
        self._operands = {name: vertex for name, vertex in found.items() if vertex is not None}
        self.params: dict[str, Any] = {**_defaults(scope.name), **scope.params}
        self.is_root = output is recording.result
        self.symbols: dict[str, Symbol] = {"y": names[output]}
        self.symbols.update((name, names[v]) for name, v in self._operands.items())
        self.lines: list[Line] = []
        self.passed: list[tuple[Vertex, Term]] = []
        self.helpers: list[str] = []
        self.inputs: dict[Symbol, Array] = {}

    # -- questions ---------------------------------------------------------------------------

    def has(self, name: str) -> bool:
        """Whether an array was given as this argument, and is known."""
        return name in self._operands

    def unknown(self) -> set[str]:
        """The arguments that no vertex is known of: lists, labels, what was let go of."""
        return {*self.scope.operands} - {*self._operands}

    def vertex(self, name: str) -> Vertex:
        """The operand given as this argument."""
        return self._operands[name]

    def array(self, name: str) -> Array | None:
        """The constant array given as this argument, in the graph or not, if it is still there."""
        reference = self.scope.operands.get(name)
        return None if reference is None or isinstance(reference, Node) else reference()

    def shape(self, name: str) -> Shape:
        """The shape of an operand."""
        return self._operands[name].shape

    def wants(self, name: str) -> bool:
        """Whether a gradient shall be passed on to this argument."""
        return self.has(name) and self._operands[name] in self._needed

    def is_needed(self) -> bool:
        """Whether a gradient shall be passed on to any argument."""
        return any(map(self.wants, self._operands))

    def operands(self) -> set[Vertex]:
        """All operands that are known."""
        return set(self._operands.values())

    def find(self, operation: str) -> Vertex | None:
        """The first operation of that name inside the call."""
        return next((v for v in self.inside if v.operation == operation), None)

    def inner(self, setting: str, default: Any = None) -> Any:
        """A setting of the first operation inside the call that has one of that name."""
        return next((v.params[setting] for v in self.inside if setting in v.params), default)

    # -- writing -----------------------------------------------------------------------------

    def let(
        self,
        name: str,
        latex: str,
        numpy: str,
        *,
        shape: Shape | None = None,
        code: str = "",
        shown: str = "",
        note: str = "",
    ) -> None:
        """``name = …``: the result ``"y"``, or a new value that later templates can use.

        Args:
            name: ``y``, or the placeholder of the new value.
            shape: of the new value.
            code, shown: templates of what to call it, as ``${x}_col``; by default after ``name``.
            note: why, in a few words.
        """
        term = self._term(latex, numpy)
        if name != "y":
            wanted = self._filled(code, "code") or name
            self.symbols[name] = self._names.fresh(
                wanted, shape, self._filled(shown, "latex") or None
            )
        self.lines.append(Line(self.symbols[name], (term,), note))

    def gradient(self, name: str, latex: str, numpy: str, note: str = "") -> None:
        """``d name = …`` for a value that ``let`` introduced; later templates say ``$dname``."""
        of = self.symbols[name]
        shown = rf"\mathrm{{d}}{of.latex}"
        symbol = self._names.fresh(f"d{of.code}", of.shape, shown)
        self.lines.append(Line(symbol, (self._term(latex, numpy),), note))
        self.symbols[f"d{name}"] = symbol

    def below(self, name: str, word: str) -> dict[str, str]:
        """What ``let`` shall call a form of a known value: x, ``col`` becomes ``x_col``."""
        shown = indexed(self.symbols[name].latex, word)
        return {"code": f"${{{name}}}_{word}", "shown": shown}

    def literal(self, name: str, latex: str, numpy: str) -> None:
        """A new placeholder for a text, such as a size."""
        self.symbols[name] = Symbol(numpy, latex)

    def number(self, name: str, value: Any) -> None:
        """A new placeholder for a number that is written out."""
        self.symbols[name] = number(value)

    def given(self, name: str, recorded: Any, argument: str = "") -> None:
        """A new placeholder for an array that becomes an argument of the function: labels.

        Args:
            name: the placeholder; in code it is the user's variable, else called so as well.
            recorded: the array, as the graph has it.
            argument: where the user gave it. The user's own array is taken if it is still equal.
        """
        array = self.array(argument)
        if array is None or not np.array_equal(array, recorded):
            array = np.asarray(recorded)
        self.symbols[name] = self._names.array(array, name)
        self.inputs[self.symbols[name]] = array

    def passes(self, name: str, latex: str, numpy: str) -> None:
        """The gradient by an argument, if it is wanted."""
        if self.wants(name):
            self.passed.append((self.vertex(name), self._term(latex, numpy)))

    def upstream(self, latex: str, numpy: str, gradient: str = "$g") -> tuple[str, str]:
        """Both texts times ``$g``, which is left out where it is 1: at the loss.

        Args:
            latex, numpy: products, which need no parentheses behind a sign of multiplication.
            gradient: the code for ``$g``, where its axes have to be adapted.
        """
        if self.is_root:
            return latex, numpy
        times = r"\odot" if self.output.shape else r"\,"
        return rf"$g {times} {latex}", f"{gradient} * {numpy}"

    def _term(self, latex: str, numpy: str) -> Term:
        used = {*placeholders(latex), *placeholders(numpy)}
        self.helpers.extend(n for n in _CALLED.findall(numpy) if hasattr(_standalone, n))
        if "g" in used and "g" not in self.symbols:
            self.symbols["g"] = self._names.gradient(self.output)
        return Term(latex, numpy, {key: self.symbols[key] for key in used})

    def _filled(self, template: str, attribute: str) -> str:
        return fill(template, {k: getattr(s, attribute) for k, s in self.symbols.items()})


def _defaults(function: str) -> dict[str, Any]:
    """What the arguments of a function of ``functional`` are, where they are left out."""
    parameters = inspect.signature(getattr(functional, function)).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}


class Layer(ABC):
    """The derivation of one function of ``functional``.

    Forward and backward of a call are written with one ``Call`` object: what forward introduces
    is known to backward.

    Attributes:
        needs: the arguments whose arrays have to be known.
        spares: those that may be unknown, as the text does without them, or finds them inside.
    """

    needs: ClassVar[tuple[str, ...]] = ("x",)
    spares: ClassVar[tuple[str, ...]] = ()

    def applies(self, call: Call) -> bool:
        """Whether this call is of the kind that is written here; else primitives are shown."""
        return all(map(call.has, self.needs)) and call.unknown() <= {*self.spares}

    def title(self, call: Call) -> str:
        """What stands behind the name: settings worth telling."""
        return ""

    @abstractmethod
    def forward(self, call: Call) -> None:
        """Write how the result is computed."""

    @abstractmethod
    def backward(self, call: Call) -> None:
        """Write how its gradient is passed on."""


def indexed(latex: str, word: str) -> str:
    """A symbol with one more word below it.

    >>> indexed("x", "col"), indexed(r"W_{\\mathrm{fc1}}", "row")
    ('x_{\\\\mathrm{col}}', 'W_{\\\\mathrm{fc1},\\\\mathrm{row}}')
    """
    base, below, end = latex.partition("_{")
    if below and end.endswith("}") and not base.startswith("{"):
        return rf"{base}_{{{end[:-1]},\mathrm{{{word}}}}}"
    return rf"{latex if len(latex) == 1 else f'{{{latex}}}'}_{{\mathrm{{{word}}}}}"


def summed(operand: str, axes: Sequence[int], ndim: int, power: str = "") -> str:
    """The sum of an operand, or of its power, over axes as LaTeX: by indices where it is over all.

    >>> summed("$x", (0, 1), 2, "^{2}"), summed("$x", (1,), 2)
    ('\\\\sum_{i,j} {$x}_{i,j}^{2}', '\\\\sum_{\\\\text{axis 1}} {$x}')
    """
    if not axes:
        return f"{{{operand}}}{power}"
    if len(axes) < ndim or ndim > 4:
        return rf"\sum_{{\text{{{axes_text(axes)}}}}} {{{operand}}}{power}"
    indices = ",".join("ijkl"[:ndim])
    return rf"\sum_{{{indices}}} {{{operand}}}_{{{indices}}}{power}"


def axes_code(axes: Sequence[int]) -> str:
    """An ``axis=`` argument of NumPy: one number, or several."""
    return f"axis={axes[0] if len(axes) == 1 else tuple(axes)}"
