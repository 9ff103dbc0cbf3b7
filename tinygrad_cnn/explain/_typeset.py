"""Templates as LaTeX: what a symbol looks like where it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..typing import Shape
from ._symbols import Symbol

__all__ = ["shape_text", "shown", "typeset"]

_GROUP = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
# A placeholder, in braces or not, with its index and exponent; else a brace that counts.
_TOKEN = re.compile(
    rf"(?P<brace>\{{)?\$(?:([A-Za-z0-9]+)|\{{(\w+)\}})(?(brace)\}})(?P<scripts>(?:[_^]{_GROUP})*)"
    r"|(?P<open>(?P<script>[_^])?(?<!\\)\{)|(?P<close>(?<!\\)\})"
)


def shape_text(shape: Shape) -> str:
    """A shape as LaTeX: 4 x 3."""
    return r" \times ".join(map(str, shape)) or r"\text{scalar}"


def shown(symbol: Symbol, shapes: bool, scripts: str = "") -> str:
    r"""A symbol with index and exponent, its shape below: of X^T that of the transpose.

    >>> print(shown(Symbol("X", "X", (5, 4)), True, r"^{\top}"))
    \underset{4 \times 5}{{X}^{\top}}
    """
    base = symbol.latex
    if "_" in base and scripts.startswith("_"):  # else it would be one index with two parts
        base = f"({base})"
    latex = f"{{{base}}}{scripts}" if scripts else base
    part = scripts.startswith("_")  # elements have another shape
    if not shapes or not symbol.shape or part:
        return latex
    transposed = scripts == r"^{\top}" and len(symbol.shape) == 2
    shape = symbol.shape[::-1] if transposed else symbol.shape
    return rf"\underset{{{shape_text(shape)}}}{{{latex}}}"


def typeset(template: str, symbols: Mapping[str, Symbol], shapes: bool) -> str:
    r"""A template with its symbols in place.

    Shapes stand below the whole arrays of the line itself, not of its indices and exponents.

    >>> symbols = {"0": Symbol("X", "X", (5, 4)), "n": Symbol("n", "n", (5,))}
    >>> print(typeset("e^{$0} + {$0}_{$n}", symbols, True))
    e^{X} + {X}_{n}
    """
    inside = [False]  # for each open brace whether it belongs to an index or exponent

    def token(match: re.Match[str]) -> str:
        if match["open"]:
            inside.append(inside[-1] or match["script"] is not None)
        elif match["close"]:
            inside.pop()
        else:
            scripts = typeset(match["scripts"], symbols, shapes)
            text = shown(symbols[match[2] or match[3]], shapes and not inside[-1], scripts)
            return f"{{{text}}}" if match["brace"] and not scripts else text
        return match[0]

    return _TOKEN.sub(token, template)
