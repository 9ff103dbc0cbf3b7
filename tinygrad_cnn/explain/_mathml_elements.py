"""The elements that ``mathml`` writes, and the spaces between them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from . import _mathml_symbols as symbols

_THIN = '<mspace width="0.1667em"/>'


class Atom(NamedTuple):
    """One element, and what TeX calls its class.

    Attributes:
        kind: ord, function, large, binary, relation, open, close, comma or space.
        limits: whether scripts stand below and above it.
    """

    xml: str
    kind: str = "ord"
    limits: bool = False


def symbol(name: str) -> Atom | None:
    """A command without arguments."""
    if name in symbols.GREEK:
        return Atom(f"<mi>{symbols.GREEK[name]}</mi>")
    if name in symbols.UPRIGHT:
        return Atom(upright(symbols.UPRIGHT[name]))
    if name in symbols.BINARY:
        return Atom(f"<mo>{symbols.BINARY[name]}</mo>", "binary")
    if name in symbols.RELATIONS:
        return Atom(f"<mo>{escape(symbols.RELATIONS[name])}</mo>", "relation")
    if name in symbols.DELIMITERS:
        return delimiter(symbols.DELIMITERS[name], name)
    if name in symbols.LARGE:
        return Atom(f"<mo>{symbols.LARGE[name]}</mo>", "large", limits=True)
    if name in symbols.INTEGRALS:
        return Atom(f"<mo>{symbols.INTEGRALS[name]}</mo>", "large")
    if name in symbols.LIMITS:
        return Atom(limited(symbols.LIMITS[name]), "function", limits=True)
    if name in symbols.FUNCTIONS:
        return Atom(upright(name), "function")
    if name in symbols.SPACES:
        return Atom(f'<mspace width="{symbols.SPACES[name]:.4g}em"/>', "space")
    return None


def delimiter(sign: str, name: str = "") -> Atom:
    """A delimiter of the height of the line."""
    if sign in symbols.OPENING or name.startswith("l"):
        kind = "open"
    elif sign in symbols.CLOSING or name.startswith("r"):
        kind = "close"
    else:  # a bar opens or closes: let it stand without spaces
        kind = "ord"
    return Atom(f'<mo stretchy="false" lspace="0" rspace="0">{sign}</mo>', kind)


def fenced(opening: str, inner: str, closing: str) -> Atom:
    """Something between delimiters that grow with it; each may be missing."""
    attributes = 'fence="true" stretchy="true"'
    before = f'<mo form="prefix" {attributes}>{opening}</mo>' if opening else ""
    after = f'<mo form="postfix" {attributes}>{closing}</mo>' if closing else ""
    return Atom(f"<mrow>{before}{inner}{after}</mrow>")


def upright(text: str) -> str:
    """An identifier that is not slanted: one letter alone would be."""
    variant = ' mathvariant="normal"' if len(text) == 1 else ""
    return f"<mi{variant}>{escape(text)}</mi>"


def limited(text: str) -> str:
    """A function whose limits go below it where the formula is displayed."""
    return f'<mo movablelimits="true" lspace="0" rspace="0">{escape(text)}</mo>'


def one(elements: list[str]) -> str:
    """Elements as one."""
    return elements[0] if len(elements) == 1 else f"<mrow>{''.join(elements)}</mrow>"


def tight(script: str) -> str:
    """A script: as in TeX its operators keep no spaces."""
    return re.sub(r"<mo(?=[ >])(?![^>]*lspace)", '<mo lspace="0" rspace="0"', script)


def cells(row: list[str], columns: Sequence[str]) -> list[str]:
    """The cells of a table; ``columns`` are the styles of its columns, which take turns."""
    return [
        f'<mtd style="{columns[i % len(columns)]}">{cell}</mtd>'
        if columns
        else f"<mtd>{cell}</mtd>"
        for i, cell in enumerate(row)
    ]


def form(atom: Atom, before: list[Atom]) -> str:
    """The attribute that says how a sign stands, where its place alone would mislead."""
    kinds = [other.kind for other in before if other.kind != "space"]
    if atom.kind == "relation" and not kinds:  # in the second column of aligned equations
        return ' form="infix"'
    if atom.kind == "binary" and (not kinds or kinds[-1] not in ("ord", "close")):
        return ' form="prefix"'
    return ""


def spaced(atoms: list[Atom]) -> list[str]:
    """The elements, with a thin space beside the name of a function."""
    elements: list[str] = []
    for i, atom in enumerate(atoms):
        before = atoms[i - 1].kind if i else ""
        if (before == "function" and atom.kind in ("ord", "function", "large")) or (
            atom.kind == "function" and before in ("ord", "close")
        ):
            elements.append(_THIN)
        elements.append(atom.xml)
    return elements
