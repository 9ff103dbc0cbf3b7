"""What each array of a computation is called, in mathematics and in code."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

import numpy as np

from .._core.context import Scope, enclosing
from .._graph import Recording, Vertex
from ..typing import Shape
from . import _standalone
from ._assigned import assigned_names

_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "eta", "theta", "kappa", "lambda", "mu", "nu",
    "xi", "pi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega",
}  # fmt: skip
_CAPITALS = (  # what LaTeX writes as a Latin letter, such as a capital alpha, has no command
    "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega",
)  # fmt: skip
_GREEK_LETTERS = {
    unicodedata.lookup(
        f"GREEK {'CAPITAL' if name[0].isupper() else 'SMALL'} LETTER"
        f" {name.upper().replace('LAMBDA', 'LAMDA')}"
    ): f"\\{name}"
    for name in (*_GREEK, *_CAPITALS)
}
_ARITHMETIC = ("add", "subtract", "multiply", "divide", "negative", "power", "matmul")
_ROLES = {"weight": "W", "bias": "b"}
_RESERVED = {*keyword.kwlist, *dir(builtins), *dir(_standalone)}
Zoom = Literal["layers", "primitives"]
_SMALL = 8  # elements of a constant that is written out
_DIGITS = 6  # of each of them


@dataclass(frozen=True)
class Symbol:
    """A name: an identifier (or a literal), LaTeX, and the shape of what it stands for."""

    code: str
    latex: str
    shape: Shape | None = None


def latex_name(name: str) -> str:
    """A variable name as mathematics: ``W1`` is W with index 1, ``fc1.weight`` W with index fc1.

    >>> print(*map(latex_name, ["W1", "fc1.weight", "x_col", "gamma"]))
    W_{1} W_{\\mathrm{fc1}} x_{\\mathrm{col}} \\gamma
    """
    path, _, role = name.rpartition(".")
    if path:
        return rf"{_ROLES.get(role, _word(role))}_{{\mathrm{{{_escaped(path)}}}}}"
    match = re.fullmatch(r"([^\W\d_]+?)_?([0-9]+)", name)
    base, number = match.groups() if match else (name, "")
    first, _, rest = base.partition("_")
    below = [number] if number else []
    if rest and (len(first) == 1 or first in _GREEK):  # x_col; but hinge_loss is one word
        base = first
        below.insert(0, rf"\mathrm{{{_escaped(rest)}}}")
    return _word(base) + (f"_{{{','.join(below)}}}" if below else "")


def _word(text: str) -> str:
    if text in _GREEK:
        return f"\\{text}"
    if len(text) == 1 and text.isascii() and text.isalnum():
        return text
    if len(parts := re.split(f"([{''.join(_GREEK_LETTERS)}])", text)) > 1:  # such as Δw
        shown = [_GREEK_LETTERS.get(part) or _word(part) for part in parts if part]
        return " ".join(shown) if len(shown) == 1 else f"{{{' '.join(shown)}}}"
    return rf"\mathrm{{{_escaped(text)}}}"


def _escaped(text: str) -> str:
    return re.sub(r"[^\w.,' ]|_", lambda m: r"\_" if m[0] == "_" else " ", text)


def identifier(name: str) -> str:
    """A name that Python accepts: ``fc1.weight`` becomes ``fc1_weight``.

    >>> identifier("fc1.weight"), identifier("Δw"), identifier("0.weight")
    ('fc1_weight', 'Δw', 'weight_0')
    """
    path, _, role = name.rpartition(".")
    if path[:1].isdigit():  # the number of a layer
        name = f"{role}_{path}"
    text = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", name)).strip("_") or "value"
    if not text.isidentifier():
        text = f"_{text}"
    if not text.isidentifier():  # a sign that is a word's, but no identifier's
        text = re.sub(r"\W+", "_", text, flags=re.ASCII)
    return f"{text}_" if text in _RESERVED else text


class Names:
    """One symbol for each vertex, each gradient and each helper value; all identifiers differ.

    A vertex is called after the user's variable, else after what the line that computed it
    assigns to, else after its module, its function or its operation.

    Args:
        recording: whose vertices are named.
        known: names by id of an array or of one of the engine's vertices; by id of a vertex of
            the recording what goes before a parameter's own name.
        zoom: among layers what arithmetic makes is called z, among primitives after its
            operation.
        joined: vertices that become part of an expression, whose names nobody reads.
    """

    def __init__(
        self,
        recording: Recording,
        known: Mapping[int, str],
        zoom: Zoom,
        joined: Collection[Vertex] = (),
    ) -> None:
        self._known = known
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}  # the number last tried behind a name
        self._symbols: dict[Vertex, Symbol] = {}
        self._gradients: dict[Vertex, Symbol] = {}
        self._shared: set[Vertex] = set()
        self._arrays: dict[int, Symbol] = {}
        exact = {v: name for v in recording if (name := _exact(v, known))}
        for vertex, name in exact.items():  # before anything made up can take these
            self._symbols[vertex] = self.fresh(name, vertex.shape)
        self._wanted = _wanted(recording, set(exact.values()), zoom)
        self._wanted.update(dict.fromkeys(joined, "part_of_an_expression"))

    def __getitem__(self, vertex: Vertex) -> Symbol:
        if vertex not in self._symbols:
            made = _literal(vertex) or self.fresh(self._wanted[vertex], vertex.shape)
            self._symbols[vertex] = made
        return self._symbols[vertex]

    def has(self, vertex: Vertex) -> bool:
        """Whether a vertex was named, as far as is known now."""
        return vertex in self._symbols

    def gradient(self, vertex: Vertex) -> Symbol:
        """The symbol of the gradient of the loss by a vertex."""
        if vertex not in self._gradients:
            of = self[vertex]
            code = self._unique(f"d{of.code}")
            self._gradients[vertex] = Symbol(code, rf"\mathrm{{d}}{of.latex}", vertex.shape)
        return self._gradients[vertex]

    def gradients(self) -> Iterator[tuple[Vertex, Symbol]]:
        """Each vertex whose gradient has a name of its own, with that name."""
        for vertex, symbol in self._gradients.items():
            if vertex not in self._shared:
                yield vertex, symbol

    def vertices(self) -> dict[Symbol, Vertex]:
        """What each symbol belongs to; of several vertices with one gradient the first named."""
        found = {symbol: vertex for vertex, symbol in self._symbols.items()}
        for vertex, symbol in self._gradients.items():
            found.setdefault(symbol, vertex)
        return found

    def share_gradient(self, vertex: Vertex, symbol: Symbol) -> None:
        """Call the gradient by ``vertex`` what an equal gradient is called."""
        self._gradients[vertex] = symbol
        self._shared.add(vertex)

    def array(self, array: Any, name: str) -> Symbol:
        """The symbol of an array that is no vertex, such as labels: the user's, or ``name``."""
        if id(array) not in self._arrays:
            wanted = self._known.get(id(array), name)
            self._arrays[id(array)] = self.fresh(wanted, np.shape(array))
        return self._arrays[id(array)]

    def fresh(self, name: str, shape: Shape | None = None, latex: str | None = None) -> Symbol:
        """A new symbol after ``name``, with a number behind it where that is taken."""
        wanted = identifier(name)
        code = self._unique(wanted)
        shown = latex_name(name) if latex is None else latex
        suffix = code.removeprefix(wanted).strip("_")
        return Symbol(code, f"{{{{{shown}}}^{{({suffix})}}}}" if suffix else shown, shape)

    def _unique(self, code: str) -> str:
        candidate, number = code, self._last.get(code, 1)
        while candidate in self._taken:
            number += 1
            candidate = f"{code}_{number}" if code[-1].isdigit() else f"{code}{number}"
        self._taken.add(candidate)
        self._last[code] = number
        return candidate


def _exact(vertex: Vertex, known: Mapping[int, str]) -> str | None:
    """The name that the user gave to a vertex, first of all the one told to ``derive``."""
    if told := known.get(id(vertex)):
        return told
    if vertex.kind in ("parameter", "variable") and vertex.name:
        return vertex.name
    if vertex.kind == "constant":
        return None
    return known.get(id(vertex.node)) or known.get(id(vertex.value)) or vertex.name


def number(value: Any) -> Symbol:
    """A number written out.

    >>> number(0.5).code, number(-1e-5).code, number(-1e-5).latex
    ('0.5', '(-1e-05)', '(-10^{-5})')
    """
    value = value.item() if isinstance(value, np.generic | np.ndarray) else value
    if not np.isfinite(value):
        names = {np.inf: r"\infty", -np.inf: r"-\infty"}
        return Symbol(f"float('{value}')", names.get(value, r"\text{NaN}"))
    code = repr(value)
    latex = f"{value:g}" if isinstance(value, float) else code
    if isinstance(value, bool):
        return Symbol(f"({value})", str(int(value)))  # in parentheses: True would be a name
    if "e" in latex:
        mantissa, exponent = latex.split("e")
        factor = {"1": "", "-1": "-"}.get(mantissa, rf"{mantissa} \cdot ")
        latex = f"{factor}10^{{{int(exponent)}}}"
    return Symbol(f"({code})", f"({latex})") if value < 0 else Symbol(code, latex)


def _literal(vertex: Vertex) -> Symbol | None:
    """A constant number, or a small array that a function made, is written out."""
    if vertex.kind != "constant" or np.size(vertex.value) > _SMALL:
        return None
    value: Any = vertex.value
    if np.ndim(value) == 0:
        return number(value)
    if any(len(repr(number)) > _DIGITS for number in value.ravel().tolist()):
        return None  # computed in this run: an argument
    listed = f"np.array({np.asarray(value).tolist()!r}, dtype=np.{value.dtype.name})"
    return Symbol(listed, "c", vertex.shape)


def _wanted(recording: Recording, taken: set[str], zoom: Zoom) -> dict[Vertex, str]:
    """What a vertex without a name of its own would like to be called."""
    last_of_module: dict[Scope, Vertex] = {}
    last_of_call: dict[Scope, Vertex] = {}
    for vertex in recording:
        if (module := _module(vertex.scope)) is not None:
            last_of_module[module] = vertex
        last_of_call.update(dict.fromkeys(_calls(vertex.scope), vertex))
    assigned = {v: name for v, name in assigned_names(recording).items() if name not in taken}
    # The number of a layer in a Sequential names nothing.
    modules = {v: s.name for s, v in last_of_module.items() if s.parent and not s.name.isdigit()}
    plain = dict.fromkeys(_ARITHMETIC, "z") if zoom == "layers" else {}
    return {
        v: assigned.get(v)
        or modules.get(v)
        or _result_of(v, last_of_call)
        or plain.get(v.operation, v.operation)
        or v.kind
        for v in recording
    }


def _module(scope: Scope | None) -> Scope | None:
    return next((outer for outer in enclosing(scope) if outer.kind == "module"), None)


def _calls(scope: Scope | None) -> list[Scope]:
    """The calls of functions that a vertex was computed in, the innermost first."""
    return list(takewhile(lambda outer: outer.kind == "function", enclosing(scope)))


def _result_of(vertex: Vertex, last_of_call: Mapping[Scope, Vertex]) -> str:
    """The outermost function whose result this is, else the innermost that computed it."""
    calls = _calls(vertex.scope)
    results = [call for call in calls if last_of_call[call] is vertex] or calls[:1]
    return results[-1].name if results else ""
