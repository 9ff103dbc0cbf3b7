# ruff: noqa: E501, RUF001  (a formula on a line, and signs that look like others)
"""LaTeX to MathML: structure, escaping, errors, and how a browser lays it out."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from browser import Browser

from tinygrad_cnn.errors import ArgumentError, DtypeError
from tinygrad_cnn.explain import _mathml_symbols as symbols
from tinygrad_cnn.explain.mathml import STYLE, mathml

_NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"
# The elements of MathML Core that are used: what is none of them, a browser shows as text.
_CORE = {"math", "mi", "mn", "mo", "mtext", "mspace", "mrow", "mfrac", "msqrt", "mroot", "msub", "msup",
         "msubsup", "munder", "mover", "munderover", "mtable", "mtr", "mtd"}  # fmt: skip
_CHILDREN = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "msubsup": 3, "munderover": 3}  # fmt: skip


def _tree(latex: str) -> Any:
    return ElementTree.fromstring(mathml(latex))


def _outline(element: Any) -> str:
    """An element as ``msup(x 2)``: names, texts and order, without attributes."""
    name = element.tag.removeprefix(_NAMESPACE)
    inner = " ".join(map(_outline, element))
    if name == "mspace":
        return "_"
    return f"{name}({inner})" if len(element) or element.text is None else element.text


def _said(latex: str) -> str:
    return _outline(_tree(latex)).removeprefix("math(").removesuffix(")")


@pytest.mark.parametrize(
    ("latex", "structure"),
    [
        ("x", "x"),
        ("xy", "x y"),
        ("10.25 x", "10.25 x"),
        ("1.", "1 ."),
        ("x_1", "msub(x 1)"),
        ("x_12", "msub(x 1) 2"),
        ("x_{12}", "msub(x 12)"),
        ("x^2_i", "msubsup(x i 2)"),
        ("x_i^2", "msubsup(x i 2)"),
        ("x'", "msup(x ′)"),
        ("x''_1", "msubsup(x 1 mrow(′ ′))"),
        ("x'^2", "msup(x mrow(′ 2))"),
        ("{}^2", "msup(mrow() 2)"),
        (r"x^\top", "msup(x ⊤)"),
        (r"e^{-x}", "msup(e mrow(− x))"),
        (r"\frac{a}{b}", "mfrac(a b)"),
        (r"\frac12", "mfrac(1 2)"),
        (r"\frac{a + b}{\sqrt{c}}", "mfrac(mrow(a + b) msqrt(c))"),
        (r"\sqrt[3]{x}", "mroot(x 3)"),
        (r"\mathrm{d}W_{1}", "d msub(W 1)"),
        (r"\mathrm{fc 1}", "fc1"),
        (r"\mathrm{x\_col}", "x_col"),
        (r"\text{axis 0}", "axis 0"),
        (r"\text{ if }", "\xa0if\xa0"),
        (r"\text{\{\$\}}", "{$}"),
        (r"\mathbf{1}", "𝟏"),
        (r"\mathbb{R}", "ℝ"),
        (r"\mathcal{L}", "ℒ"),
        (r"\alpha \Gamma \infty \nabla \partial", "α Γ ∞ ∇ ∂"),
        (r"a \odot b \cdot c \times d", "a ⊙ b ⋅ c × d"),
        (r"a \le b \ge c \ne d \in e \leftarrow f", "a ≤ b ≥ c ≠ d ∈ e ← f"),
        ("a<b", "a < b"),
        ("f(x)[y]", "f ( x ) [ y ]"),
        (r"\sum_{i=1}^{N} x", "munderover(∑ mrow(i = 1) N) x"),
        (r"\prod_i x", "munder(∏ i) x"),
        (r"\int_0^1 x", "msubsup(∫ 0 1) x"),
        (r"\max(a, b)", "max ( a , b )"),
        (r"\max_{i} x", "munder(max i) _ x"),
        (r"2 \ln x", "2 _ ln _ x"),
        (r"\sin^2 x", "msup(sin 2) _ x"),
        (r"\operatorname{relu}(x)", "relu ( x )"),
        (r"\operatorname*{argmax}_k x", "munder(argmax k) _ x"),
        (r"\underset{5 \times 3}{W}^{\top}", "msup(munder(W mrow(5 × 3)) ⊤)"),
        (r"\overset{!}{=}", "mover(= !)"),
        (r"\hat{x} \bar y", "mover(x ^) mover(y ¯)"),
        (r"\underbrace{a}_{b}", "munder(munder(a ⏟) b)"),
        (r"\left( a \right]", "mrow(( a ])"),
        (r"\left\{ a \right.", "mrow({ a)"),
        (r"\left\lfloor a \right\rfloor", "mrow(⌊ a ⌋)"),
        (r"a \, b \quad c", "a _ b _ c"),
        (r"\begin{cases} a & b \\ c & d \end{cases}", "mrow({ mtable(mtr(mtd(a) mtd(b)) mtr(mtd(c) mtd(d))))"),
        (r"\begin{bmatrix} 1 \\ 2 \\ \end{bmatrix}", "mrow([ mtable(mtr(mtd(1)) mtr(mtd(2))) ])"),
        (r"\begin{aligned} a &= b \end{aligned}", "mrow(mtable(mtr(mtd(a) mtd(= b))))"),
        (r"\class{blank}{x}", "mrow(x)"),
        ("", ""),
    ],
)  # fmt: skip
def test_structure(latex: str, structure: str) -> None:
    assert _said(latex) == structure


@pytest.mark.parametrize(
    ("latex", "signs"),
    [
        ("-x", "prefix"),
        ("a - b", ""),
        ("(-x)", "prefix"),
        ("a = -b", "prefix"),
        ("a, -b", "prefix"),
        (r"a \quad - b", ""),
        (r"a \cdot -b", "prefix"),
        ("f(x) - 1", ""),
        (r"\sum -x", "prefix"),
        ("x^2 - 1", ""),
    ],
)
def test_a_sign_is_unary_where_nothing_stands_before_it(latex: str, signs: str) -> None:
    [minus] = [e for e in _tree(latex).iter(f"{_NAMESPACE}mo") if e.text == "−"]
    assert minus.get("form", "") == signs


def test_letters_slant_and_words_do_not() -> None:
    def variants(latex: str) -> list[str | None]:
        return [e.get("mathvariant") for e in _tree(latex).iter(f"{_NAMESPACE}mi")]

    assert variants(r"d \mathrm{d} \mathrm{relu} \nabla") == [None, "normal", None, "normal"]


def test_operators_in_a_script_keep_no_space() -> None:
    inner, outer = _tree("x^{a+b} + c").iter(f"{_NAMESPACE}mo")
    assert inner.get("lspace") == inner.get("rspace") == "0"
    assert outer.get("lspace") is None


def test_display_asks_for_the_large_form() -> None:
    assert 'display="block"' in mathml("x", display=True)
    assert "display" not in mathml("x")


def test_text_is_escaped_everywhere() -> None:
    latex = r'\text{<script>alert("1")</script>} \mathrm{<b>} \class{"><b>}{x} <'
    markup = mathml(latex)
    assert "<script" not in markup
    assert "<b>" not in markup
    [math] = ElementTree.fromstring(f"<p>{markup}</p>")
    assert math.get("alttext", "").startswith(r'\text{<script>alert("1")</script>}')
    assert "".join(math.itertext()) == '<script>alert("1")</script><b>x<'


@pytest.mark.parametrize(
    "name", [n for table in (symbols.GREEK, symbols.UPRIGHT, symbols.BINARY, symbols.RELATIONS, symbols.DELIMITERS, symbols.LARGE, symbols.INTEGRALS, symbols.LIMITS, symbols.FUNCTIONS, symbols.SPACES) for n in sorted(table)]
)  # fmt: skip
def test_every_command_is_one_element(name: str) -> None:
    tree = _tree(rf"\{name}")
    assert len(tree) == 1
    assert tree[0].tag.removeprefix(_NAMESPACE) in _CORE
    between = _tree(rf"a \{name} b")
    assert all(child.tag.removeprefix(_NAMESPACE) in _CORE for child in between)


@pytest.mark.parametrize(
    ("latex", "message"),
    [
        (r"x + \foo y", r"unknown command \\foo: at character 5, near 'x \+ \\foo y'"),
        ("{x", "expected } after what { began, found the end: at character 3"),
        ("x}", "} belongs to nothing before it: at character 2"),
        ("x^", r"\^ lacks its argument"),
        ("x^}", r"\^ lacks its argument"),
        ("x_1_2", "a second _: put braces around what the first belongs to: at character 4"),
        ("x^1^2", r"a second \^"),
        ("x^^2", r"\^ lacks its argument"),
        (r"\frac{1}", "frac lacks its argument"),
        (r"\sqrt[3{x}", "expected ] after the degree"),
        (r"\left( x", r"expected \\right after what \\left began, found the end"),
        (r"\left x \right)", "needs a delimiter such as"),
        (r"\right)", r"\\right belongs to nothing"),
        (r"\begin{foo} x \end{foo}", "unknown environment 'foo'"),
        (r"\begin{cases} x", r"\\begin{cases} has no \\end{cases}"),
        (r"\begin{cases} x \end{matrix}", r"\\begin{cases} has no \\end{cases}"),
        ("a & b", "& belongs to nothing"),
        ("#", "unexpected '#'"),
        ("$x$", r"unexpected '\$'"),
        ("100%", "unexpected '%'"),
        (r"\text{a_b}", "text takes plain text, found _"),
        (r"\mathrm{\alpha}", r"mathrm takes plain text, found \\alpha"),
        (r"\text{a", "plain text, found the end"),
        (r"\text", "text has no text"),
        (r"\underset{a}", "underset lacks what to stand at"),
        ("\\", "unknown command"),
        ("{" * 5000, "nested too deeply"),
    ],
)
def test_what_is_not_understood_is_named_with_its_place(latex: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        mathml(latex)


@pytest.mark.parametrize("latex", [None, 3, ["x"], b"x"])
def test_what_is_no_text_is_refused(latex: Any) -> None:
    with pytest.raises(DtypeError, match="expected LaTeX as a text"):
        mathml(latex)


FORTY = [
    r"\mathrm{d}W_{1} = X^{\top} \, \mathrm{d}h",
    r"\underset{5 \times 3}{Y} = \underset{5 \times 4}{X} \, \underset{3 \times 4}{W_{1}}^{\top} + \underset{3}{b_{1}}",
    r"-\frac{g \odot y}{x_{2}}",
    r"\max(0, x) \odot \mathbf{1}[x > 0]",
    r"\sum_{n=1}^{N} -\ln p_{n,y_{n}}",
    r"\prod_{i \ne k} x_{i}",
    r"L = -\frac{1}{N} \sum_{n} \ln \frac{e^{s_{n,y_n}}}{\sum_{k} e^{s_{n,k}}}",
    r"\sqrt{x^{2} + \epsilon} \ge \sqrt[3]{y}",
    r"\begin{cases} x & \text{if } x > 0 \\ \alpha\,(e^{x} - 1) & \text{otherwise} \end{cases}",
    r"\begin{bmatrix} 1 & 0 \\ -1 & x_{12} \end{bmatrix} \begin{pmatrix} a \\ b \end{pmatrix}",
    r"\left( \frac{x - \mu}{\sqrt{\sigma^{2} + \epsilon}} \right) \odot \gamma + \beta",
    r"\left[ x \right]_{0:2,\, :} \quad \left\lfloor x \right\rfloor \quad \left| x \right|",
    r"\frac{\partial L}{\partial W_{ij}} = \nabla_{W} L",
    r"\hat{x} = \bar{x} + \tilde{x}",
    r"\operatorname{softmax}(s)_{k} = \frac{e^{s_{k}}}{\sum_{j} e^{s_{j}}}",
    r"W_{\mathrm{fc1}} \leftarrow W_{\mathrm{fc1}} - \eta \, \mathrm{d}W_{\mathrm{fc1}}",
    r"{z}^{(2)} = f'(x) \cdot x_{1}'^{2}",
    r"W \in \mathbb{R}^{n \times m},\; \mathcal{L}: \mathbb{R} \to \mathbb{R}",
    r"\max_{i} x_{i} \ge 2 \ln x - \min_{j \in J} \exp(-y_{j})",
    r"x \le \infty, \; y \ne 0,\; a \ll b",
    r"\sum_{\text{axes 0, 2}} \left( g \odot x \right)",
    r"\operatorname{col2im}(W_{\mathrm{row}}^{\top} \, \mathrm{d}Y)",
    r"\mathrm{x\_col} = \mathrm{im2col}(x)",
    r"\frac{2}{\sqrt{\pi}} \, e^{-x^{2}}",
    r"1 - \tanh^{2} x",
    r"\sigma(x) \, (1 - \sigma(x))",
    r"\begin{aligned} a &= b + c \\ &= \frac{d}{e} \end{aligned}",
    r"10.25 \cdot 10^{-3} + (-2) - -x",
    r"\bar{x} + \underbrace{a + b}_{\text{twice}}",
    r"\overset{!}{=}\; \stackrel{?}{\ge}",
    r"x^{T} \neq x^{\top},\ \sin^{2} x + \cos^{2} x = 1",
    r"\sum_{i,j} x_{i j} \, y_{j k} \to (x y)_{i k}",
    r"\left\{ x \;\mid y \right\}",
    r"\int_{0}^{x} e^{-t^{2}} \, dt",
    r"\operatorname*{argmax}_{k} s_{k}",
    r"\Delta x \, \Sigma \, \Omega \, \theta \, \lambda",
    r"\lVert x \rVert_{2}^{2} = \sum_i \lvert x_i \rvert^2",
    r"\text{<script>alert(1)</script> \& \{x\}}",
    r"\boxed{\frac12} \, x_12",
    r"e^{-\frac{(x-\mu)^2}{2\sigma^2}}",
]  # fmt: skip


@pytest.mark.parametrize("latex", FORTY)
def test_only_elements_that_browsers_share_with_the_children_they_take(latex: str) -> None:
    for element in _tree(latex).iter():
        name = element.tag.removeprefix(_NAMESPACE)
        assert name in _CORE
        assert len(element) == _CHILDREN.get(name, len(element))
        assert name not in ("mi", "mn", "mo", "mtext") or (element.text and not len(element))


@pytest.mark.browser
def test_a_browser_lays_formulas_out_as_mathematics(browser: Browser, tmp_path: Path) -> None:
    rows = "".join(f"<p>{mathml(latex, display=True)}</p><p>{mathml(latex)}</p>" for latex in FORTY)
    page = tmp_path / "forty.html"
    page.write_text(f"<!DOCTYPE html><meta charset='utf-8'><style>{STYLE}</style>{rows}", "utf-8")
    browser.open(page)
    assert browser.js("document.querySelectorAll('math').length") == 2 * len(FORTY)
    # every element is known to the browser as MathML, and takes some room
    assert browser.js(
        "[...document.querySelectorAll('math *')].every(e => e instanceof MathMLElement)"
    )
    assert browser.js(
        "[...document.querySelectorAll('math')].every(m => m.getBoundingClientRect().width > 3)"
    )

    def box(number: int, css: str) -> Any:
        """Where an element of formula ``number`` of the page lies."""
        element = f"document.querySelectorAll('math')[{number}].querySelector({css!r})"
        return browser.js(f"{element}.getBoundingClientRect().toJSON()")

    def of(start: str, display: bool) -> int:
        [number] = [i for i, latex in enumerate(FORTY) if latex.startswith(start)]
        return 2 * number + (not display)

    fraction = of(r"-\frac", True)
    above, below = box(fraction, "mfrac > :first-child"), box(fraction, "mfrac > :last-child")
    assert above["bottom"] <= below["top"]
    large, small = of(r"\sum_{n=1}", True), of(r"\sum_{n=1}", False)
    assert (
        box(large, "munderover > :nth-child(2)")["top"]
        >= box(large, "munderover > mo")["bottom"] - 4
    )
    assert (
        box(small, "munderover > :nth-child(2)")["left"]
        >= box(small, "munderover > mo")["right"] - 1
    )
    shapes = of(r"\underset{5", True)
    assert (
        box(shapes, "munder > :last-child")["top"]
        >= box(shapes, "munder > :first-child")["bottom"] - 4
    )
    cases = of(r"\begin{cases}", True)
    assert box(cases, "mtr:first-child > mtd:last-child")["left"] == pytest.approx(
        box(cases, "mtr:last-child > mtd:last-child")["left"]
    )
    aligned = of(r"\begin{aligned}", True)
    assert box(aligned, "mtr:first-child > mtd:last-child > mo")["left"] == pytest.approx(
        box(aligned, "mtr:last-child > mtd:last-child > mo")["left"]
    )


def test_the_source_can_be_read_out() -> None:
    assert f'alttext="{html.escape("a < b")}"' in mathml("a < b")
