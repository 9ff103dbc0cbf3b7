"""LaTeX as MathML, which browsers render without a library and without a network.

The presentation elements of MathML Core (W3C, https://www.w3.org/TR/mathml-core/), which
Chromium, Firefox and Safari share. Spacing follows TeX (Knuth 1986, The TeXbook, chapters 17
and 18): a sign is unary where nothing stands before it, a function keeps a thin space from what
it is applied to.
"""

from __future__ import annotations

import re
from html import escape

from ..errors import ArgumentError, DtypeError
from . import _mathml_elements as elements
from . import _mathml_symbols as symbols
from ._mathml_elements import Atom

__all__ = ["STYLE", "mathml"]

# For the pages that show formulas. Browsers stretch parentheses and roots with fonts that are
# made for mathematics alone; these come with macOS, Windows, TeX and Linux.
STYLE = """\
math {
  font-family: "Latin Modern Math", "STIX Two Math", "Cambria Math", "Libertinus Math",
    "TeX Gyre Termes Math", "DejaVu Math TeX Gyre", "Noto Sans Math", math, serif;
}
math .boxed { padding: 0.2em 0.3em; border: 1px solid; }
"""

_XMLNS = "http://www.w3.org/1998/Math/MathML"
_TOKEN = re.compile(r"\\operatorname\*|\\[A-Za-z]+|\\.|\s+|.", re.DOTALL)
_RELATIONS, _ORDINARY = "=<>:", './?@`"'
_ALPHABETS = {"mathbf": "bf", "mathbb": "bb", "mathcal": "cal"}
_SCRIPTS = ("_", "^", "'")
_ENDS = ("", "}", "&", "\\\\", "\\right", "\\end")


def mathml(latex: str, display: bool = False) -> str:
    r"""A formula as a ``<math>`` element.

    Known are letters, numbers, indices and exponents, Greek, fractions, roots, sums, functions
    such as ``\max`` and ``\ln``, ``\mathrm``, ``\mathbf``, ``\mathbb``, ``\mathcal``, ``\text``,
    ``\operatorname``, ``\underset``, ``\overset``, accents, ``\left( … \right)``, spaces, and
    the environments ``matrix``, ``bmatrix`` (and the like), ``cases`` and ``aligned``. A page can
    style ``\class{name}{…}`` (as MathJax has it) and ``\boxed{…}`` by their classes.

    Args:
        latex: what stands between dollar signs in LaTeX.
        display: on a line of its own: larger, with the limits of sums below and above.

    Raises:
        ArgumentError: an unknown command, or LaTeX that is not well-formed; the message names
            the place.
        DtypeError: no text.

    >>> print(mathml("x_1"))
    <math xmlns="http://www.w3.org/1998/Math/MathML" alttext="x_1"><msub><mi>x</mi><mn>1</mn></msub></math>
    """  # noqa: E501
    if not isinstance(latex, str):
        raise DtypeError(f"mathml: expected LaTeX as a text, got {type(latex).__name__}")
    block = ' display="block"' if display else ""
    try:
        inner = _Parser(latex).formula()
    except RecursionError:
        raise ArgumentError("mathml: nested too deeply") from None
    spoken = re.sub(r"\\class\{[^{}]*\}", "", latex)  # what a page looks like says nothing
    return f'<math xmlns="{_XMLNS}"{block} alttext="{escape(spoken)}">{inner}</math>'


class _Parser:
    """Reads tokens from left to right; ``at`` is the number of the next one."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        found = list(_TOKEN.finditer(text))
        self.tokens = [match[0] for match in found] + [""]
        self.places = [match.start() for match in found] + [len(text)]

    def formula(self) -> str:
        """The whole text."""
        row = self._row()
        if end := self._peek():
            raise self._error(f"{end} belongs to nothing before it")
        return "".join(row)

    def _error(self, what: str, at: int | None = None) -> ArgumentError:
        place = self.places[self.at if at is None else at]
        near = repr(self.text[max(place - 20, 0) : place + 20]).replace(r"\\", "\\")
        return ArgumentError(f"mathml: {what}: at character {place + 1}, near {near}")

    def _peek(self) -> str:
        """The next token that is no space; "" at the end."""
        while self.tokens[self.at].isspace():
            self.at += 1
        return self.tokens[self.at]

    def _next(self) -> str:
        token = self._peek()
        self.at += token != ""
        return token

    def _expect(self, token: str, for_what: str) -> None:
        if self._peek() != token:
            raise self._error(f"expected {token} {for_what}, found {self._peek() or 'the end'}")
        self.at += 1

    # -- rows ----------------------------------------------------------------------------------

    def _row(self, stop: str = "") -> list[str]:
        """Elements up to what ends a group, a cell or a pair of delimiters."""
        atoms: list[Atom] = []
        while self._peek() not in (*_ENDS, stop):
            atom = self._scripted()
            form = elements.form(atom, atoms)
            atoms.append(atom._replace(xml=atom.xml.replace("<mo", f"<mo{form}", 1)))
        return elements.spaced(atoms)

    def _scripted(self) -> Atom:
        """An atom with its index, exponent and primes."""
        base = Atom("<mrow></mrow>") if self._peek() in _SCRIPTS else self._atom()
        scripts: dict[str, list[str]] = {"_": [], "^": [], "'": []}
        while (token := self._peek()) in _SCRIPTS:
            if token != "'" and scripts[token]:
                raise self._error(f"a second {token}: put braces around what the first belongs to")
            self.at += 1
            scripts[token].append(
                f"<mo>{symbols.PRIME}</mo>" if token == "'" else self._argument(token)
            )
        below, above = scripts["_"], [*scripts["'"], *scripts["^"]]
        if not below and not above:
            return base
        names = ("munder", "mover", "munderover") if base.limits else ("msub", "msup", "msubsup")
        name = names[2 if below and above else 1 if above else 0]
        inner = base.xml + elements.tight("".join(below) + (elements.one(above) if above else ""))
        return base._replace(xml=f"<{name}>{inner}</{name}>", limits=False)

    def _argument(self, of: str) -> str:
        """One element: a group in braces, a command with its own arguments, or one character."""
        token = self._peek()
        if token in _ENDS or token in _SCRIPTS:
            raise self._error(f"{of} lacks its argument")
        if token.isdigit():
            self.at += 1
            return f"<mn>{token}</mn>"
        return self._atom().xml

    # -- atoms ---------------------------------------------------------------------------------

    def _atom(self) -> Atom:
        token = self._next()
        if token == "{":
            return self._group()
        if token.startswith("\\"):
            return self._command(token[1:])
        if token.isdigit():
            return self._number(token)
        if token.isalpha():
            return Atom(f"<mi>{escape(token)}</mi>")
        if token == ",":
            return Atom('<mo separator="true">,</mo>', "comma")
        if token == ";":
            return Atom('<mo separator="true">;</mo>', "comma")
        if token in symbols.SIGNS:
            return Atom(f"<mo>{symbols.SIGNS[token]}</mo>", "binary")
        if token in _RELATIONS:
            return Atom(f"<mo>{escape(token)}</mo>", "relation")
        if token in "()[]|":
            return elements.delimiter(token)
        if token == "!":
            return Atom("<mo>!</mo>", "close")
        if token == "~":
            return Atom('<mspace width="0.25em"/>', "space")
        if token in _ORDINARY:
            return Atom(f'<mo lspace="0" rspace="0">{escape(token)}</mo>')
        raise self._error(f"unexpected {token!r}", self.at - 1)

    def _group(self) -> Atom:
        row = self._row()
        self._expect("}", "after what { began")
        return Atom(elements.one(row))

    def _number(self, first: str) -> Atom:
        digits = first
        while self.tokens[self.at].isdigit() or (
            self.tokens[self.at] == "." and self.tokens[self.at + 1].isdigit()
        ):
            digits += self.tokens[self.at]
            self.at += 1
        return Atom(f"<mn>{digits}</mn>")

    def _command(self, name: str) -> Atom:
        at = self.at - 1
        atom = elements.symbol(name)
        if atom is not None:
            return atom
        if name in ("frac", "dfrac", "tfrac"):
            return Atom(f"<mfrac>{self._argument(name)}{self._argument(name)}</mfrac>")
        if name == "sqrt":
            return self._root()
        if name in ("underset", "overset", "stackrel"):
            return self._stacked(name)
        if name in symbols.ACCENTS:
            sign = f'<mo stretchy="false">{symbols.ACCENTS[name]}</mo>'
            return Atom(f'<mover accent="true">{self._argument(name)}{sign}</mover>')
        if name in symbols.BRACES:
            element, sign = symbols.BRACES[name]
            return Atom(
                f"<{element}>{self._argument(name)}<mo>{sign}</mo></{element}>", limits=True
            )
        if name in ("mathrm", "text", "operatorname", "operatorname*", *_ALPHABETS):
            return self._word(name)
        if name in ("class", "boxed"):
            return self._classed(name)
        if name == "left":
            return self._fenced()
        if name == "begin":
            return self._environment()
        raise self._error(f"unknown command \\{name}", at)

    def _root(self) -> Atom:
        if self._peek() != "[":
            return Atom(f"<msqrt>{self._argument('sqrt')}</msqrt>")
        self.at += 1
        degree = elements.one(self._row(stop="]"))
        self._expect("]", "after the degree of the root")
        return Atom(f"<mroot>{self._argument('sqrt')}{degree}</mroot>")

    def _stacked(self, name: str) -> Atom:
        script = elements.tight(self._argument(name))
        if self._peek() in _ENDS:
            raise self._error(f"\\{name} lacks what to stand at")
        base = self._atom()
        element = "munder" if name == "underset" else "mover"
        return base._replace(xml=f"<{element}>{base.xml}{script}</{element}>", limits=False)

    def _classed(self, name: str) -> Atom:
        """A part that a page styles: ``\\class{name}{…}`` as in MathJax, or ``\\boxed{…}``."""
        style = self._plain(name) if name == "class" else name
        inner = self._argument(name)
        return Atom(f'<mrow class="{escape(style)}">{inner}</mrow>')

    def _word(self, command: str) -> Atom:
        """Text that is set as it is."""
        text = self._plain(command)
        if command == "text":
            # MathML trims spaces at both ends
            return Atom(f"<mtext>{escape(re.sub('^ | $', chr(0xA0), text))}</mtext>")
        if command in _ALPHABETS:
            text = symbols.styled(text, _ALPHABETS[command])
        if command == "operatorname*":
            return Atom(elements.limited(text), "function", limits=True)
        kind = "function" if command == "operatorname" else "ord"
        return Atom(elements.upright(text), kind)

    def _plain(self, command: str) -> str:
        """The characters of an argument; as in LaTeX, mathematics drops its spaces."""
        if (token := self._next()) != "{":
            if token in _ENDS or token.startswith("\\"):
                raise self._error(f"\\{command} has no text", self.at - 1)
            return token
        characters = []
        while (token := self.tokens[self.at]) != "}":
            if token == "" or token in "{^_$&#%" or re.match(r"\\[A-Za-z\\]", token):
                raise self._error(f"\\{command} takes plain text, found {token or 'the end'}")
            characters.append(token.removeprefix("\\"))
            self.at += 1
        self.at += 1
        text = re.sub(r"[\s~]+", " ", "".join(characters))
        return text.replace(" ", "") if command in ("mathrm", *_ALPHABETS) else text

    def _fenced(self) -> Atom:
        opening = self._fence("left")
        inner = "".join(self._row())
        self._expect("\\right", "after what \\left began")
        closing = self._fence("right")
        return elements.fenced(opening, inner, closing)

    def _fence(self, side: str) -> str:
        token = self._next()
        if token == ".":
            return ""
        sign = symbols.DELIMITERS.get(token.removeprefix("\\")) if "\\" in token else token
        if not sign or sign not in "()[]|/{}⌊⌋⌈⌉⟨⟩‖" or token in ("{", "}"):
            raise self._error(
                f"\\{side} needs a delimiter such as ( or \\{{, found {token!r}", self.at - 1
            )
        return sign

    def _environment(self) -> Atom:
        name = self._plain("begin")
        if name not in symbols.ENVIRONMENTS:
            raise self._error(f"unknown environment {name!r}", self.at - 1)
        opening, closing, columns = symbols.ENVIRONMENTS[name]
        rows: list[list[str]] = [["".join(self._row())]]
        while (token := self._next()) in ("&", "\\\\"):
            if token == "\\\\":
                rows.append([])
            rows[-1].append("".join(self._row()))
        if token != "\\end" or self._plain("end") != name:
            raise self._error(f"\\begin{{{name}}} has no \\end{{{name}}}", self.at - 1)
        if rows[-1] == [""]:  # \\ after the last row
            rows.pop()
        body = "".join(f"<mtr>{''.join(elements.cells(row, columns))}</mtr>" for row in rows)
        style = ' displaystyle="true"' if name == "aligned" else ""
        table = f"<mtable{style}>{body}</mtable>"
        return elements.fenced(opening, table, closing)
