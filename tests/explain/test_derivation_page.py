"""The page of a derivation in a browser."""

from __future__ import annotations

from itertools import pairwise

import pytest
from browser import SIZE
from derived_nets import NETS, two_layer

from tinygrad_cnn.explain._page import html_of
from tinygrad_cnn.explain._source import source_of

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=NETS)
def page(request, tmp_path_factory):
    """A page, and the number of its equations."""
    program, _ = NETS[request.param]()
    path = tmp_path_factory.mktemp("page") / "derivation.html"
    path.write_text(html_of(program, code=source_of(program)), "utf-8")
    return path, len(program.lines())


@pytest.fixture
def opened(browser, tmp_path):
    """The page of the two-layer net, open."""
    program, _ = two_layer()
    (tmp_path / "derivation.html").write_text(html_of(program, code=source_of(program)), "utf-8")
    browser.open(tmp_path / "derivation.html")
    return browser


@pytest.fixture
def window(browser):
    """Sets the width of the window; afterwards it is as it was."""

    def resize(width):
        size = {"width": width, "height": SIZE[1], "deviceScaleFactor": 1, "mobile": False}
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    yield resize
    resize(SIZE[0])


@pytest.mark.parametrize("width", [1280, 420])
def test_every_equation_is_there_and_none_lies_on_another(browser, window, page, width):
    path, count = page
    window(width)
    browser.open(path)
    boxes = browser.js(
        "[...document.querySelectorAll('.line')].map(e => {"
        " const b = e.querySelector('.right math').getBoundingClientRect();"
        " const l = e.querySelector('.left math').getBoundingClientRect();"
        " return [b.left, b.width, b.top, b.bottom, l.right, l.width]; })"
    )
    assert len(boxes) == count
    for left, wide, _, _, end, left_wide in boxes:
        assert wide > 5
        assert left_wide > 5
        assert end <= left
    assert all(a[3] <= b[2] + 1 for a, b in pairwise(boxes))
    assert browser.js("document.documentElement.scrollWidth") <= width


def test_equations_of_a_pass_are_aligned_at_their_sign(opened):
    lefts = opened.js(
        "[...document.querySelectorAll('.pass')].map(p => [...new Set("
        "[...p.querySelectorAll('.right math')].map(e => e.getBoundingClientRect().left))])"
    )
    assert [len(places) for places in lefts] == [1, 1]


def test_code_is_shown_on_demand(opened):
    def shown():
        return opened.js("getComputedStyle(document.querySelector('.numpy')).display")

    assert shown() == "none"
    opened.click("#code")
    assert shown() == "block"
    assert opened.text("#line-14 .numpy") == "dW1 = X.T @ dz"
    assert opened.js("document.getElementById('code').getAttribute('aria-pressed')") == "true"
    opened.click("#code")
    assert shown() == "none"


def test_a_symbol_is_highlighted_wherever_it_stands(opened):
    marked = "[...document.querySelectorAll('.symbol.%s')].map(e => e.textContent)"
    first = "document.querySelector('#line-12 .left .symbol')"
    assert opened.js(f"{first}.textContent") == "dz"
    opened.driver.execute_script(
        f"{first}.dispatchEvent(new PointerEvent('pointerover', {{ bubbles: true }}))"
    )
    found = opened.js(marked % "lit")
    assert set(found) == {"dz"}
    assert found.count("dz") == 6  # of three equations in mathematics and in code
    opened.driver.execute_script(
        "document.querySelector('h1')"
        ".dispatchEvent(new PointerEvent('pointerover', { bubbles: true }))"
    )
    assert opened.js(marked % "lit") == []
    opened.click("#line-12 .left .symbol")
    assert len(opened.js(marked % "kept")) == 6
    opened.click("#line-12 .left .symbol")
    assert opened.js(marked % "kept") == []


def test_the_whole_function_can_be_selected(opened):
    assert not opened.js("document.querySelector('details').open")
    opened.click("summary")
    opened.click("#copy")
    opened.wait("document.getElementById('copy').textContent === 'Copied'")
    program, _ = two_layer()
    assert opened.js("getSelection().toString()").strip() == source_of(program).strip()


def test_a_number_leads_to_its_equation(opened):
    opened.click(".given a")
    target = opened.js("document.querySelector(':target').className")
    assert target == "line asked"


def test_on_paper_it_is_black_on_white_without_buttons(opened):
    opened.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    try:
        style = "getComputedStyle(document.querySelector('%s')).%s"
        assert opened.js(style % ("body", "backgroundColor")) == "rgb(255, 255, 255)"
        assert opened.js(style % ("body", "color")) == "rgb(0, 0, 0)"
        assert opened.js(style % (".controls", "display")) == "none"
        assert opened.js(style % ("details", "display")) == "none"
        assert opened.js(style % (".right", "overflow")) == "visible"
    finally:
        opened.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_page(opened, scheme):
    opened.colour_scheme(scheme)
    colours = opened.js(
        "['.line math', '.note', '.line munder > :last-child', 'h3 code'].map(c =>"
        " getComputedStyle(document.querySelector(c)).color.match(/\\d+/g).map(Number))"
    )
    [background] = opened.js(
        "[getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)]"
    )
    for colour in colours:
        assert contrast(colour, background) >= 4.5  # WCAG 2.2, 1.4.3


def contrast(one, other):
    """The contrast ratio of WCAG 2.2."""

    def luminance(colour):
        parts = [c / 255 for c in colour]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)
