"""Derivations as LaTeX, Markdown and HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from derived_nets import NETS, two_layer

from tinygrad_cnn.explain._lines import Line, Program, Section, Term
from tinygrad_cnn.explain._page import html_of
from tinygrad_cnn.explain._render import latex_of, latex_text, markdown_of, markdown_text
from tinygrad_cnn.explain._symbols import Symbol, latex_name
from tinygrad_cnn.explain._typeset import typeset

HOSTILE = "<script>alert('x')</script> a_b%#&$ { } \\ ^ ~ | `` *c* [d](e) \u2028\n é 权重"

# Commands of LaTeX with amsmath alone that MathJax (base and ams) and KaTeX have too:
# https://katex.org/docs/supported, https://docs.mathjax.org/en/latest/input/tex/macros
KNOWN = r"""
    \begin \end \tag \boxed \text \textbf \textit \texttt \mathrm \mathbf \operatorname \hspace
    \quad \, \; \{ \} \_ \% \# \& \$ \\ \backslash \wedge \sim \underset \overline \hat
    \left \right \frac \sqrt \sum \prod \max \min \arg \exp \ln \log \tanh \sigma \odot \cdot
    \times \top \in \ge \le \ne \neq \mid \mu \beta \gamma \delta \epsilon \varepsilon \pi
    \circ \star \lVert \rVert \lfloor \rfloor
"""

zooms = pytest.mark.parametrize("zoom", ["layers", "primitives"])
nets = pytest.mark.parametrize("net", NETS)


def commands(latex):
    without_comment = re.sub(r"(?m)^%.*$", "", latex)
    return set(re.findall(r"\\(?:[A-Za-z]+|.)", without_comment))


def displays(markdown):
    return re.findall(r"^\$\$\n(.*?)\n\$\$$", markdown, re.DOTALL | re.MULTILINE)


def program(*lines, title="title", source="source", inputs=(), outputs=None):
    sections = [Section("forward", title, list(lines), source)]
    arrays = {symbol: np.zeros(symbol.shape) for symbol in inputs}
    labels = {symbol: symbol.code for symbol in inputs}
    return Program(sections, arrays, labels, Symbol("loss", "L", ()), outputs or {}, ())


def line(*terms, note="", wrt=""):
    symbols = {name: Symbol(name, name, (2, 3)) for name in "abcdefgh"}
    parts = tuple(Term(text, text, symbols) for text in terms)
    return Line(Symbol("y", "y", (2, 3)), parts, note, wrt)


class Text(HTMLParser):
    """The text of each element of a page, by tag and class, as a browser would show it."""

    def __init__(self, page):
        super().__init__()
        self.open, self.found = [], {}
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "link"):
            self.open.append(tag)
            self.found.setdefault(tag, []).append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in set(self.open):
            self.found[tag][-1] += data


# -- what all three have in common ---------------------------------------------------------------


@zooms
@nets
def test_every_step_has_a_number(net, zoom):
    found, _ = NETS[net](zoom)
    expected = [str(n) for n in range(1, len(found.lines()) + 1)]
    assert re.findall(r"\\tag\{(\d+)\}", latex_of(found)) == expected
    assert re.findall(r"\\tag\{(\d+)\}", markdown_of(found)) == expected
    page = html_of(found, code="")
    assert re.findall(r'<div class="line[^"]*" id="line-(\d+)">', page) == expected


@zooms
@nets
def test_what_was_asked_for_is_boxed_and_found_at_its_number(net, zoom):
    found, _ = NETS[net](zoom)
    numbers = {ln.target: n for n, ln in enumerate(found.lines(), 1)}
    places = [numbers[symbol] for symbol in found.outputs.values()]
    assert latex_of(found).count(r"\boxed") == len(set(places))
    assert markdown_of(found).count(r"\boxed") == len(set(places))
    latex, markdown, page = latex_of(found), markdown_of(found), html_of(found, code="")
    for name, place in zip(found.outputs, places, strict=True):
        assert f"{latex_text(name, 'texttt')} \\text{{, equation ({place})}}" in latex
        assert re.search(rf"^- `{re.escape(name)}`: .* equation \({place}\)$", markdown, re.M)
        assert f'<a href="#line-{place}">({place})</a> <code>{name}</code>' in page


def test_sections_are_headed_by_title_and_source():
    found, _ = two_layer()
    latex, markdown, page = latex_of(found), markdown_of(found), html_of(found, code="")
    assert r"\textit{relu} \quad \texttt{h = F.relu(X @ W1 + b1)}" in latex
    assert "### relu\n\n`h = F.relu(X @ W1 + b1)`" in markdown
    assert "<h3><span>relu</span> <code>h = F.relu(X @ W1 + b1)</code></h3>" in page
    for text, forward, backward in (
        (latex, r"\textbf{Forward pass}", r"\textbf{Backward pass}"),
        (markdown, "## Forward pass", "## Backward pass"),
        (page, "<h2>Forward pass", "<h2>Backward pass"),
    ):
        assert text.index(forward) < text.index(backward)


def test_a_title_that_is_the_source_is_not_said_twice():
    found = program(line("$a"), title="y = a", source="y = a")
    for text in (latex_of(found), markdown_of(found), html_of(found, code="")):
        assert text.count("y = a") - text.count('alttext="y = a') == text.count("{y = a}") or (
            text.count("y = a") == 1
        )


def test_the_sum_over_several_paths_is_noted():
    found, _ = NETS["normalised"]()
    assert r"\text{(the sum over 2 paths)}" in latex_of(found)
    assert re.search(r"^\(\d+\): the sum over 2 paths", markdown_of(found), re.M)
    assert '<p class="note">the sum over 2 paths' in html_of(found, code="")


def test_names_and_shapes_of_what_is_given():
    found, _ = NETS["lenet"]()
    latex, markdown, page = latex_of(found), markdown_of(found), html_of(found, code="")
    entry = r"W_{\mathrm{conv1}} & \in \mathbf{R}^{6 \times 1 \times 5 \times 5}"
    assert rf"{entry} \quad \texttt{{conv1.weight}}" in latex
    assert r"& \in \mathbf{Z}^{2} \quad \texttt{labels}" in latex
    assert re.search(r"\| \$.*6 \\times 1 \\times 5 \\times 5.*\$ \| `conv1.weight` \|", markdown)
    assert "<code>conv1.weight</code>" in page


def test_shapes_can_be_left_out():
    found, _ = NETS["two_layer"]()
    shaped = (
        r"\underset{10 \times 5}{{h}^{\top}} \, \underset{5 \times 3}{\mathrm{d}\mathrm{scores}}"
    )
    assert shaped in latex_of(found)
    for text in (latex_of(found, shapes=False), markdown_of(found, shapes=False)):
        assert r"\underset{5" not in text
        assert r"{h}^{\top} \, \mathrm{d}\mathrm{scores}" in re.sub(r"\\thinspace +", r"\\, ", text)
    assert html_of(found, code="", shapes=False).count("<munder>") < 10


# -- text of the user's ----------------------------------------------------------------------------


def hostile():
    X = Symbol("X", latex_name(HOSTILE), (2, 3))
    target = Symbol("y", "y", (2, 3))
    ln = Line(target, (Term("$X", "$X", {"X": X}),), note=HOSTILE, wrt=HOSTILE)
    found = program(ln, title=HOSTILE, source=HOSTILE + "!", inputs=[X], outputs={HOSTILE: target})
    found.labels[X] = HOSTILE
    return found


def test_latex_of_hostile_text_is_sound():
    latex = latex_of(hostile(), title=HOSTILE, task=HOSTILE)
    for word in re.findall(r"\\text(?:bf|it|tt)?\{([^{}]*)\}", latex):
        assert not set(word) & set("\\_%#&$^~<>|"), word
    bare = re.sub(r"\\.", "", latex)
    assert bare.count("{") == bare.count("}")
    assert "#" not in bare
    assert "~" not in bare
    assert bare.count("%") == 1  # the comment
    assert "\u2028" not in latex
    assert commands(latex) <= commands(KNOWN)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fc1: linear", r"\text{fc1: linear}"),
        ("a_b", r"\text{a}\_\text{b}"),
        ("{%}", r"\{\%\}"),
        ("x^2 ~ y\\z", r"\text{x}{\wedge}\text{2 }{\sim}\text{ y}\backslash \text{z}"),
        ("", ""),
        ("a\nb", r"\text{a b}"),
    ],
)
def test_text_in_a_formula(text, expected):
    assert latex_text(text) == expected


def test_markdown_of_hostile_text_is_sound():
    markdown = markdown_of(hostile(), title=HOSTILE, task=HOSTILE, code=f"# {HOSTILE}\n")
    prose = re.sub(r"(`+) ?.*?(?<!`)\1(?!`)", "", markdown.split("## The same in NumPy")[0])
    prose = re.sub(r"\\.", "", prose).replace("<span>$</span>", "")
    prose = re.sub(r"\$\$?[^$]*\$\$?", "", prose)
    assert not re.search(r"[<>*\[\]`]", prose.replace("|---|---|", ""))
    assert len(re.findall(r"(?m)^```[^`]*$", markdown)) == 2  # the fence at the end
    assert "\u2028" not in markdown.split("## The same in NumPy")[0]


def test_code_with_backticks_gets_a_longer_fence():
    markdown = markdown_of(program(line("$a")), code='x = """```"""')
    assert markdown.endswith('````python\nx = """```"""\n````\n')


def test_text_in_markdown():
    assert markdown_text("# a_b <c> [d](e) `f`") == r"\# a\_b \<c\> \[d\](e) \`f\`"
    assert markdown_text("5 $ or 6 $") == "5 <span>$</span> or 6 <span>$</span>"


def test_html_of_hostile_text_is_text():
    page = html_of(hostile(), code=HOSTILE, title=HOSTILE, task=HOSTILE)
    assert "<script>alert" not in page
    text = Text(page).found
    assert text["h1"] == [HOSTILE]
    assert text["span"][0] == HOSTILE
    assert text["pre"] == [HOSTILE]
    assert HOSTILE in text["code"]
    assert text["script"][0].strip() == "null"


@zooms
@nets
def test_the_page_is_well_formed(net, zoom):
    found, _ = NETS[net](zoom)
    page = html_of(found, code="<&>")
    [main] = re.findall(r"<main.*</main>", page, re.DOTALL)
    tree = ElementTree.fromstring(main)
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    links = {a.get("href") for a in tree.iter("a")}
    assert links <= {f"#{name}" for name in ids}
    assert "://" not in re.sub(r' xmlns="[^"]*"', "", page)


# -- what the renderers understand ---------------------------------------------------------------


@zooms
@nets
def test_latex_keeps_to_what_all_renderers_know(net, zoom):
    found, _ = NETS[net](zoom)
    latex = latex_of(found, title="Title")
    assert commands(latex) <= commands(KNOWN)
    assert set(re.findall(r"\\begin\{(.*?)\}", latex)) == {"alignat*"}


@zooms
@nets
def test_no_display_exceeds_the_buffer_of_mathjax(net, zoom):
    found, _ = NETS[net](zoom)
    parts = re.findall(r"\\begin\{alignat\*\}.*?\\end\{alignat\*\}", latex_of(found), re.DOTALL)
    assert "\n".join(parts) == latex_of(found)
    assert max(map(len, parts)) < 5 * 1024
    for part in parts:
        for row in re.split(r"\\\\", part):
            assert len(re.findall(r"(?<!\\)&", row)) in (0, 1, 3)


@zooms
@nets
def test_markdown_takes_nothing_away_from_formulas(net, zoom):
    found, _ = NETS[net](zoom)
    formulas = displays(markdown_of(found))
    assert len(formulas) == len(found.lines())
    for formula in formulas:
        assert "\n" not in formula
        assert not re.search(r"\\[^A-Za-z]", formula)  # Markdown would drop the backslash
        assert not re.search(r"[^ ]_|\*|[<>`]|\]\(", formula)


def test_a_title_too_long_for_one_row_has_two():
    found = program(line("$a"), title="t" * 40, source="s" * 40)
    assert rf"& \textit{{{'t' * 40}}} \hspace{{-50em}} \\" in latex_of(found)
    cut = program(line("$a"), source="s" * 80)
    assert rf"\texttt{{{'s' * 57}...}}" in latex_of(cut)


# -- equations ----------------------------------------------------------------------------------


def test_a_long_sum_is_broken_between_its_terms():
    words = [rf"$a \, {letter * 12}" for letter in "pqrstu"]
    latex = latex_of(program(line(*words)), shapes=False)
    assert r"& \quad & y & = a \, pppppppppppp + a \, qqqqqqqqqqqq" in latex
    assert latex.count(r"\quad {} +") == 1
    assert latex.count(r"\tag") == 1
    for word in words:
        assert word.replace("$", "") in latex
    [formula] = displays(markdown_of(program(line(*words))))
    assert formula.startswith(r"y \begin{aligned} & =".replace("y", r"\underset{2 \times 3}{y}"))
    assert r"\cr" in formula


def test_a_short_sum_is_not():
    latex = latex_of(program(line("$a", "$b", "-$c")), shapes=False)
    assert r"& \quad & y & = a + b - c \tag{1}" in latex


def test_a_long_note_stands_below():
    short, long = "why", "for a reason that takes its time to be told " * 2
    assert r"= a \quad \text{(why)} \tag{1}" in latex_of(
        program(line("$a", note=short)), shapes=False
    )
    latex = latex_of(program(line("$a", note=long)), shapes=False)
    assert "= a \\tag{1} \\\\\n& \\quad &  & \\quad \\text{(for a reason" in latex


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("$W", r"\underset{4 \times 3}{W_{1}}"),
        (r"$W^{\top}", r"\underset{3 \times 4}{{W_{1}}^{\top}}"),
        (
            r"{$W}^{\top} \, $W",
            r"\underset{3 \times 4}{{W_{1}}^{\top}} \, \underset{4 \times 3}{W_{1}}",
        ),
        ("{$W}_{n}", "{(W_{1})}_{n}"),
        ("{$b}_{n}", "{b}_{n}"),
        ("e^{-$W}", "e^{-W_{1}}"),
        (r"\frac{$W}{$n}", r"\frac{\underset{4 \times 3}{W_{1}}}{n}"),
        (r"\sum_{i} {$b}_{$n_{k}}", r"\sum_{i} {b}_{{n}_{k}}"),
        (r"\{$b\}", r"\{\underset{3}{b}\}"),
    ],
)
def test_where_shapes_stand(template, expected):
    symbols = {
        "W": Symbol("W1", "W_{1}", (4, 3)),
        "b": Symbol("b", "b", (3,)),
        "n": Symbol("n", "n", ()),
    }
    assert typeset(template, symbols, True) == expected
