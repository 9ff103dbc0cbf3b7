r"""Where an expression needs parentheses when it takes the place of a symbol.

Templates of LaTeX are read as far as that takes: what stands in braces or brackets is closed, and
outside of them the operator that binds weakest decides.

>>> print(inserted(r"$x \odot $y", "x", "$a + $b"))
\left( $a + $b \right) \odot $y
>>> print(inserted(r"\frac{$x}{$y}", "x", "$a + $b"))
\frac{$a + $b}{$y}
"""

from __future__ import annotations

import re
from enum import IntEnum
from itertools import pairwise

__all__ = ["inserted"]

_TOKEN = re.compile(r"\\(?:[A-Za-z]+|.)|\$(?:\w+|\{\w+\})|\S")
_OPENING = {"{", "(", "[", r"\left", r"\begin"}
_CLOSING = {"}", ")", "]", r"\right", r"\end"}
_BARS = {"|", r"\lfloor"}  # which \left makes one
_SUM = {"+", "-"}
_PRODUCT = {r"\odot", r"\cdot", r"\,", r"\times"}
_MIXED = {r"\odot", r"\,"}  # of an elementwise product and a matrix product the order matters
_LARGE = {r"\sum", r"\prod", r"\max", r"\min"}
_SEPARATORS = {"=", "<", ">", r"\le", r"\ge", r"\lor", ",", "&", r"\\"}
_SCRIPTS = {"^", "_", "'"}


class _Binding(IntEnum):
    """How strongly the parts of an expression hold together."""

    SUM = 0
    LARGE = 1  # a sum, product or maximum over indices: it reaches as far right as it can
    PRODUCT = 2
    POWER = 3  # and functions, fractions, indices
    SINGLE = 4


def inserted(outer: str, key: str, inner: str) -> str:
    """A template with the placeholder ``key`` replaced by an expression.

    Args:
        outer: the template.
        key: the name of the placeholder.
        inner: the expression, a template too; in parentheses where ``outer`` needs them.
    """
    pieces: list[str] = []
    end = 0
    for match in re.finditer(rf"\$(?:{key}(?!\w)|\{{{key}\}})", outer):
        before, after = outer[: match.start()], outer[match.end() :]
        fits = _fits(_TOKEN.findall(before), _TOKEN.findall(after), _TOKEN.findall(inner))
        pieces += [outer[end : match.start()], inner if fits else rf"\left( {inner} \right)"]
        end = match.end()
    return "".join([*pieces, outer[end:]])


def _fits(before: list[str], after: list[str], inner: list[str]) -> bool:
    """Whether an expression may stand there as it is."""
    binding, products = _binding(inner)
    left, right = before[-1] if before else "{", after[0] if after else "}"
    ends = right in _CLOSING | _SEPARATORS
    if left == "{" and right == "}" and after[1:2] and after[1] in _SCRIPTS:
        return binding is _Binding.SINGLE
    if right in _SCRIPTS or after[:2] == [r"\left", "["]:
        return binding is _Binding.SINGLE
    if binding is _Binding.LARGE and not ends:
        return False
    if left in _OPENING | _BARS | _SEPARATORS and (ends or right in _SUM):
        return True
    if left == "+" and (ends or right in _SUM):
        return inner[0] != "-"
    around = {left, right} & _PRODUCT
    return binding >= _Binding.LARGE and not products | around >= _MIXED


def _binding(tokens: list[str]) -> tuple[_Binding, set[str]]:
    """How an expression binds, and which signs of products stand in it."""
    outside: list[str] = []
    depth = 0
    for token in tokens:
        depth -= token in _CLOSING
        if depth == 0:
            outside.append(token)
        depth += token in _OPENING
    signs = set(outside)
    products = signs & _PRODUCT
    if signs & _SUM:
        return _Binding.SUM, products
    if any(sign in _LARGE and after == "_" for sign, after in pairwise(outside)):
        return _Binding.LARGE, products
    if products:
        return _Binding.PRODUCT, products
    return (_Binding.SINGLE if len(tokens) == 1 else _Binding.POWER), products
