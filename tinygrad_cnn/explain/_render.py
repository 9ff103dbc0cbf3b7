"""A derivation as LaTeX and as Markdown: one numbered line for each step.

What is written is understood by LaTeX with amsmath, by MathJax (Jupyter, GitHub) and by KaTeX
(VS Code) alike. They differ in what ``\\text`` takes: MathJax shows ``\\_`` in it as it stands,
the others refuse a bare ``_``. So characters with a meaning in TeX stand outside of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np

from ..typing import Array
from ._lines import Line, Phase, Program, Section, added
from ._symbols import Symbol
from ._typeset import shape_text, shown

__all__ = ["latex_of", "markdown_of"]

TITLE = "Derivation"
PHASES: dict[Phase, str] = {"forward": "Forward pass", "backward": "Backward pass"}
_WIDTH = 64  # characters of an equation on one line, roughly
_SOURCE_WIDTH = 60  # of the user's line, in characters as wide as code has them
_DISPLAY = 4000  # characters of LaTeX in one display
# A row that gives every display the same width, so that all begin at the same place.
_EQUALLY_WIDE = r"& \quad & \hspace{7em} & \hspace{23em} \\[-2ex]" + "\n"
_SIGNS = {
    "\\": r"\backslash ", "{": r"\{", "}": r"\}", "_": r"\_", "%": r"\%", "#": r"\#", "&": r"\&",
    "$": r"\$", "^": r"{\wedge}", "~": r"{\sim}", "<": "{<}", ">": "{>}", "|": "{|}",
}  # fmt: skip
# Markdown takes a backslash before punctuation away, an underscore for emphasis, ``<`` for HTML
# and ``](`` for a link, also inside of $$.
_MARKDOWN_SAFE = [
    (r"\\,", r"\\thinspace "), (r"\\[:>]", r"\\medspace "), (r"\\;", r"\\thickspace "),
    (r"\\!", r"\\negthinspace "), (r"\\\{", r"\\lbrace "), (r"\\\}", r"\\rbrace "),
    (r"\\\|", r"\\Vert "), (r"\\_", r"\\underline{\\hspace{0.5em}}"), (r"\\\\", r"\\cr "),
    ("_", " _"), ("<", r"\\lt "), (">", r"\\gt "), (r"\]\(", "] ("), (r"\*", r"{\\ast}"),
]  # fmt: skip
_MARKDOWN_SIGNS = re.compile(r"([\\`*_{}\[\]<>#|~&])")


class Numbered(NamedTuple):
    """A section, and its lines with their numbers."""

    section: Section
    lines: list[tuple[int, Line]]


def numbered(program: Program) -> list[Numbered]:
    """The sections of a derivation; numbers run from 1 through forward and backward."""
    found, number = [], 0
    for section in program.sections:
        lines = [(number + i, line) for i, line in enumerate(section.lines, 1)]
        number += len(lines)
        found.append(Numbered(section, lines))
    return found


def by_phase(program: Program) -> Iterator[tuple[Phase, list[Numbered]]]:
    """The forward sections, then the backward ones."""
    for phase, sections in groupby(numbered(program), lambda item: item.section.phase):
        yield phase, list(sections)


def results(program: Program) -> list[tuple[str, Symbol, int]]:
    """The gradients asked for: the user's name, the symbol, and the line that gives it."""
    lines = enumerate(program.lines(), 1)
    last = {line.target: number for number, line in lines}
    return [(name, symbol, last[symbol]) for name, symbol in program.outputs.items()]


def given(program: Program) -> list[tuple[str, str, str]]:
    """What the derivation starts from: symbol and set as LaTeX, and the user's name.

    >>> from tinygrad_cnn.explain._symbols import Symbol
    >>> W = Symbol("W1", "W_{1}", (4, 3))
    >>> given(Program([], {W: np.ones((4, 3))}, {W: "W1"}, W, {}, ()))
    [('W_{1}', '\\\\mathbf{R}^{4 \\\\times 3}', 'W1')]
    """
    return [
        (symbol.latex, _set(array), program.labels.get(symbol, symbol.code))
        for symbol, array in program.inputs.items()
    ]


def _set(array: Array) -> str:
    """The set that an array is an element of."""
    array = np.asarray(array)
    numbers = {"i": r"\mathbf{Z}", "u": r"\mathbf{Z}", "b": r"\{0, 1\}"}
    base = numbers.get(array.dtype.kind, r"\mathbf{R}")
    return f"{base}^{{{shape_text(array.shape)}}}" if array.ndim else base


def rows(line: Line, shapes: bool) -> tuple[str, list[str]]:
    """The left side of an equation, and its right side, in several rows where it is long."""
    left = shown(line.target, shapes)
    first, *others = [term.to_latex(shapes) for term in line.terms]
    right = [first]
    for text in map(added, others):
        if _width(f"{left} {right[-1]} {text}") > _WIDTH:
            right.append(text)
        else:
            right[-1] += f" {text}"
    return left, right


def stacked(first: str, others: list[str]) -> str:
    """The rows of a right side below each other, if there are several."""
    if not others:
        return first
    lines = r" \\ & \quad {} ".join([f"& {first}", *others])
    return rf"\begin{{aligned}} {lines} \end{{aligned}}"


def _width(latex: str) -> int:
    """About how many characters wide a formula is; a shape below a symbol counts by half."""
    plain = re.sub(r"\\class\{[^{}]*\}", "", latex)
    plain = re.sub(r"\\underset\{([^{}]*)\}", lambda m: "x" * (len(m[1]) // 5), plain)
    return len(re.sub(r"[{}_^\s]", "", re.sub(r"\\[A-Za-z]+", "x", plain)))


# -- LaTeX ---------------------------------------------------------------------------------------


def latex_of(program: Program, *, shapes: bool = True, title: str = "", task: str = "") -> str:
    """A derivation to paste into a document, or for Jupyter to show.

    Args:
        shapes: whether the shape stands below every array.
        title: a first line in bold.
        task: a sentence after the introduction.
    """
    parts = _displays(list(_latex_parts(program, shapes, title, task)))
    several = len(parts) > 1
    texts = []
    for number, part in enumerate(parts):
        body = " \\\\[1ex]\n".join(" \\\\\n".join(rows) for rows in part)
        comment = "% Needs \\usepackage{amsmath}.\n" if not number else ""
        body = f"{_EQUALLY_WIDE if several else ''}{body}"
        texts.append(f"\\begin{{alignat*}}{{2}}\n{comment}{body}\n\\end{{alignat*}}")
    return "\n".join(texts)


def _displays(parts: list[list[str]]) -> list[list[list[str]]]:
    """Parts grouped into displays: MathJax takes 5 kB for one, and LaTeX breaks none over pages."""
    displays: list[list[list[str]]] = []
    room = 0
    for part in parts:
        if sum(map(len, part)) > room:
            displays.append([])
            room = _DISPLAY
        displays[-1].append([])
        for row in part:
            if len(row) > room and displays[-1][-1]:  # a part that is too long by itself
                displays.append([[]])
                room = _DISPLAY
            displays[-1][-1].append(row)
            room -= len(row)
    return displays


def _latex_parts(program: Program, shapes: bool, title: str, task: str) -> Iterator[list[str]]:
    """Rows that belong together."""
    introduction = (
        rf"\mathrm{{d}}X \text{{ stands for the gradient of }} {program.loss.latex}"
        r" \text{ by } X \text{, and has the shape of } X"
    )
    lines = (latex_text(title, "textbf"), introduction, latex_text(task))
    yield [_heading(text) for text in lines if text]
    yield [
        _equation(symbol, rf"\in {numbers} \quad {latex_text(name, 'texttt')}")
        for symbol, numbers, name in given(program)
    ]
    for phase, sections in by_phase(program):
        head = [_heading(latex_text(PHASES[phase], "textbf"))]
        for section, numbers in sections:
            titles = [_heading(text) for text in _latex_title(section)]
            equations = (row for n, line in numbers for row in _latex_line(n, line, shapes))
            yield [*head, *titles, *equations]
            head = []
    if program.outputs:
        head = [_heading(r"\textbf{The gradients asked for}")]
        yield [*head, *(_latex_result(*result) for result in results(program))]


def _heading(text: str) -> str:
    # As wide as nothing, so that the equations below begin at the left. \rlap would do it, but
    # MathJax reads what is in it as mathematics, LaTeX and KaTeX as text.
    return rf"& {text} \hspace{{-50em}}"


def _equation(left: str, right: str) -> str:
    return rf"& \quad & {left} & {right}"


def _latex_title(section: Section) -> list[str]:
    """Title and source, on one row if they fit."""
    title = "" if section.title == section.source else section.title
    source = _cut(section.source, _SOURCE_WIDTH)
    texts = [latex_text(title, "textit"), latex_text(source, "texttt")]
    texts = [text for text in texts if text]
    return [r" \quad ".join(texts)] if len(title) + len(source) < _SOURCE_WIDTH else texts


def _latex_line(number: int, line: Line, shapes: bool) -> Iterator[str]:
    left, right = rows(line, shapes)
    note = latex_text(f"({line.note})") if line.note else ""
    below = _width(left + right[-1]) + len(line.note) > _WIDTH
    if note and not below:
        right[-1] += rf" \quad {note}"
    right[-1] += rf" \tag{{{number}}}"
    yield _equation(rf"\boxed{{{left}}}" if line.wrt else left, f"= {right[0]}")
    for row in right[1:]:
        yield _equation("", rf"\quad {{}} {row}")
    if note and below:
        yield _equation("", rf"\quad {note}")


def _latex_result(name: str, symbol: Symbol, number: int) -> str:
    text = rf": \quad {latex_text(name, 'texttt')} \text{{, equation ({number})}}"
    return _equation(symbol.latex, text)


def latex_text(text: str, command: str = "text") -> str:
    r"""A user's text in a formula, whatever characters are in it.

    >>> print(latex_text("a_b"))
    \text{a}\_\text{b}
    """
    parts = re.split(r"([\\{}_%#&$^~<>|])", _one_line(text))
    return "".join(_SIGNS.get(part, rf"\{command}{{{part}}}") for part in parts if part)


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


# -- Markdown ------------------------------------------------------------------------------------


def markdown_of(
    program: Program, *, shapes: bool = True, title: str = TITLE, task: str = "", code: str = ""
) -> str:
    """A derivation as Markdown with formulas between dollar signs, as GitHub and Jupyter read it.

    Args:
        shapes: whether the shape stands below every array.
        title: of the page; empty for none.
        task: a sentence after the introduction.
        code: what stands at the end, as Python.
    """
    return "\n\n".join(_markdown_blocks(program, shapes, title, task, code)) + "\n"


def _markdown_blocks(
    program: Program, shapes: bool, title: str, task: str, code: str
) -> Iterator[str]:
    if title:
        yield f"# {markdown_text(title)}"
    loss = _inline(program.loss.latex)
    x = _inline(r"\mathrm{d}X")
    yield f"{x} stands for the gradient of {loss} by $X$, and has the shape of $X$."
    if task:
        yield markdown_text(task)
    table = ["| symbol | in the code |", "|---|---|"]
    for symbol, numbers, name in given(program):
        element = _inline(rf"{symbol} \in {numbers}")
        table.append(f"| {element} | {_code(name, in_table=True)} |")
    yield "\n".join(table)
    for phase, sections in by_phase(program):
        yield f"## {PHASES[phase]}"
        for section, lines in sections:
            yield from _markdown_section(section, lines, shapes)
    if program.outputs:
        yield "## The gradients asked for"
        yield "\n".join(
            f"- {_code(name)}: {_inline(symbol.latex)}, equation ({number})"
            for name, symbol, number in results(program)
        )
    if code:
        yield "## The same in NumPy"
        fence = "`" * max(3, 1 + _longest_run(code))
        yield f"{fence}python\n{code.rstrip()}\n{fence}"


def _markdown_section(
    section: Section, lines: list[tuple[int, Line]], shapes: bool
) -> Iterator[str]:
    if section.title and section.title != section.source:
        yield f"### {markdown_text(section.title)}"
    if section.source:
        yield _code(section.source)
    for number, line in lines:
        yield _display(number, line, shapes)
        if line.note:
            yield f"({number}): {markdown_text(line.note)}"


def _display(number: int, line: Line, shapes: bool) -> str:
    left, right = rows(line, shapes)
    left = rf"\boxed{{{left}}}" if line.wrt else left
    text = _markdown_safe(f"{left} {stacked(f'= {right[0]}', right[1:])}")
    return f"$$\n{text} \\tag{{{number}}}\n$$"


def _inline(latex: str) -> str:
    return f"${_markdown_safe(latex).strip()}$"


def _markdown_safe(latex: str) -> str:
    """The same formula without what Markdown would take for its own."""
    for pattern, replacement in _MARKDOWN_SAFE:
        latex = re.sub(pattern, replacement, latex)
    return latex


def markdown_text(text: str) -> str:
    r"""A user's text in Markdown, with nothing of it taken for markup.

    >>> print(markdown_text("a_b <c>"))
    a\_b \<c\>
    """
    escaped = _MARKDOWN_SIGNS.sub(r"\\\1", _one_line(text))
    return escaped.replace("$", "<span>$</span>")  # GitHub's way to a dollar that is no formula


def _code(text: str, in_table: bool = False) -> str:
    """A code span; more backticks around it than in it."""
    ticks = "`" * (1 + _longest_run(text))
    pad = " " if text[:1] == "`" or text[-1:] == "`" else ""
    text = f"{ticks}{pad}{_one_line(text)}{pad}{ticks}"
    return text.replace("|", r"\|") if in_table else text


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
