"""A drawn graph as files and in notebooks, with every renderer and without one."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.resources import files
from types import SimpleNamespace

import numpy as np
import pytest
from graphs_to_draw import lenet, square
from resnet18 import resnet18_loss

import tinygrad_cnn as tc
from tinygrad_cnn.errors import ArgumentError, GraphError

HOSTILE = ["<script>document.title = 'broken'</script>", 'a|b{c}"\\N', "&amp;\x00\n\ud800</TD>"]
needs_dot = pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz's dot is not installed")


def hostile():
    """The product of variables whose names are no one's friends, in a scope that is none either."""
    x = [tc.tensor(1.0, requires_grad=True, name=name) for name in HOSTILE]
    with tc.scope("<b>\\N"):
        y = x[0] * x[1]
    with tc.scope("<b>|"):
        return (y * x[2]).sum()


def drawn_texts(svg):
    return [element.text for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture
def without_graphviz(monkeypatch):
    """Neither the program nor pygraphviz."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "pygraphviz", None)  # its import fails


# -- with Graphviz ---------------------------------------------------------------------------


@needs_dot
def test_files(tmp_path):
    view = tc.draw.graph(lenet())
    assert view.svg(tmp_path / "a.svg") == tmp_path / "a.svg"
    assert view.png(tmp_path / "b") == tmp_path / "b.png"
    assert view.html(str(tmp_path / "c")) == tmp_path / "c.html"
    assert (tmp_path / "a.svg").read_text("utf-8") == view.svg()
    assert (tmp_path / "b.png").read_bytes() == view.png()
    assert view.png().startswith(b"\x89PNG\r\n")
    assert "conv1: conv2d" in drawn_texts(view.svg())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.svg", "b.png", "c.html"]


@needs_dot
def test_a_page_holds_the_picture_and_no_renderer():
    page = tc.draw.graph(lenet()).html()
    assert page.count("<svg") == 1
    assert "Graphviz" in page  # the comment that names it
    assert len(page) < 100_000
    assert "wasm" not in page


@needs_dot
def test_notebooks_show_the_picture():
    view = tc.draw.graph(lenet())
    bundle = view._repr_mimebundle_(include=None, exclude=None)
    assert bundle == {"image/svg+xml": view.svg(), "text/plain": repr(view)}
    assert repr(view) == "<GraphView of 24 boxes and 23 edges>"


@needs_dot
@pytest.mark.parametrize("zoom", ["functions", "primitives", "numbers"])
def test_names_are_text(zoom):
    view = tc.draw.graph(hostile(), zoom, show=["name", "op", "source"])
    svg = view.svg()
    found = " ".join(filter(None, drawn_texts(svg)))
    assert HOSTILE[0] in found
    assert HOSTILE[1] in found
    assert "&amp;���</TD>" in found
    assert "<b>" in found
    assert "<script" not in svg
    assert "<script>document" not in view.html()


@needs_dot
@pytest.mark.parametrize("zoom", ["layers", "functions", "primitives"])
def test_graphviz_draws_a_residual_net(zoom):
    svg = tc.draw.graph(resnet18_loss(), zoom, backward=True, show=["value", "gradient"]).svg()
    frames = {text for text in drawn_texts(svg) if text and ":" in text}
    assert {"layer1: Sequential", "0: Block"} <= frames


@needs_dot
def test_a_layout_that_takes_too_long_is_made_simpler(monkeypatch):
    asked = []

    def run(command, *, input, **settings):
        asked.append(input.decode())
        if "splines=line" not in asked[-1]:
            raise subprocess.TimeoutExpired(command, settings["timeout"])
        return real(command, input=input, **settings)

    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", run)
    view = tc.draw.graph(lenet(), show=["name", "memory"])
    assert any("layout took too long" in (text or "") for text in drawn_texts(view.svg()))
    assert "layout took too long" in view.note
    assert "kept for backward" in view.note
    view.png()
    assert len(asked) == 3  # it does not wait twice
    assert asked[1:] == [view.dot] * 2


def test_a_layout_that_is_never_done_is_an_error_and_left_to_the_page(monkeypatch):
    def run(command, **settings):
        raise subprocess.TimeoutExpired(command, settings["timeout"])

    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", run)
    view = tc.draw.graph(lenet())
    with pytest.raises(GraphError, match="choose a coarser zoom"):
        view.png()
    assert "wasm" in view.html()


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("#!/bin/sh\necho out of memory >&2; exit 1", "dot failed: out of memory"),
        ("#!/bin/sh\nexit 3", "dot failed: exit 3"),
        ("#!/bin/sh\nexit 0", "dot failed: exit 0"),
        ("#!/nowhere/sh\n", "dot does not run"),
    ],
)
def test_a_broken_graphviz_is_told_and_pages_do_without(tmp_path, monkeypatch, script, message):
    program = tmp_path / "dot"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    view = tc.draw.graph(square())
    with pytest.raises(GraphError, match=message):
        view.svg()
    assert "wasm" in view.html()
    bundle = view._repr_mimebundle_()
    assert bundle["text/html"].startswith("<iframe")
    assert message in bundle["text/plain"]


# -- with pygraphviz alone -------------------------------------------------------------------


def test_pygraphviz_draws_where_there_is_no_program(monkeypatch):
    class AGraph:
        def __init__(self, string):
            self.dot = string

        def draw(self, format, prog):
            return f"<svg>{format} by {prog} of {len(self.dot)}</svg>".encode()

    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "pygraphviz", SimpleNamespace(AGraph=AGraph))
    view = tc.draw.graph(lenet())
    assert view.svg() == f"<svg>svg by dot of {len(view.dot)}</svg>"
    assert view.png().startswith(b"<svg>png")
    assert view.svg() in view.html()


def test_pygraphviz_itself(monkeypatch):
    pytest.importorskip("pygraphviz")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert HOSTILE[0] in drawn_texts(tc.draw.graph(hostile()).svg())


# -- without either --------------------------------------------------------------------------


@pytest.mark.usefixtures("without_graphviz")
def test_without_graphviz_the_remedy_is_named(tmp_path):
    view = tc.draw.graph(lenet())
    for draw in (view.svg, view.png):
        with pytest.raises(GraphError, match=r"install Graphviz.*or pip install pygraphviz"):
            draw(tmp_path / draw.__name__)
    assert not list(tmp_path.iterdir())
    assert view.dot.startswith("digraph computation {")


@pytest.mark.usefixtures("without_graphviz")
def test_without_graphviz_notebooks_get_a_page_and_terminals_the_text():
    view = tc.draw.graph(lenet())
    bundle = view._repr_mimebundle_()
    assert bundle["text/plain"].startswith(f"{view.dot}\ndraw.graph: ")
    assert "install Graphviz" in bundle["text/plain"]
    assert bundle["text/html"].startswith('<iframe sandbox="allow-scripts"')
    assert bundle["text/html"].count("<") == 2


def test_what_is_brought_along_is_what_its_licences_say():
    folder = files("tinygrad_cnn.draw._vendor")
    said = (folder / "LICENSES.txt").read_text("utf-8")
    digest = hashlib.sha256((folder / "viz-global.js").read_bytes()).hexdigest()
    assert f"SHA-256: {digest}" in said
    for name in ("Viz.js 3.31.0", "Graphviz 16.1.0", "Expat 2.8.5", "Emscripten 6.0.10"):
        assert name in said
    assert "Eclipse Public License - v 2.0" in said


# -- mistakes ----------------------------------------------------------------------------------


def test_wrong_paths(tmp_path):
    view = tc.draw.graph(lenet())
    with pytest.raises(ArgumentError, match=r"graph\.png: svg\(\) writes files .* end in \.svg"):
        view.svg(tmp_path / "graph.png")
    with pytest.raises(ArgumentError, match=r"html\(\) writes files whose names end in \.html"):
        view.html(tmp_path / "graph.svg")
    for draw in (view.svg, view.png, view.html):
        with pytest.raises(ArgumentError, match="existing folder"):
            draw(tmp_path / "nowhere" / "graph")
    assert not list(tmp_path.iterdir())
    (tmp_path / "folder").mkdir()
    for draw in (view.svg, view.png, view.html):
        with pytest.raises(ArgumentError, match="this is a folder"):
            draw(tmp_path / "folder")
        for path in (3, "", b"graph", True):
            with pytest.raises(ArgumentError, match="expected the name of a file"):
                draw(path)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


# -- in a browser ----------------------------------------------------------------------------


def shown_texts(browser):
    return browser.js("[...document.querySelectorAll('#graph svg text')].map(t => t.textContent)")


def points_per_pixel(browser):
    return browser.js(
        "document.querySelector('#graph svg').viewBox.baseVal.width"
        " / document.querySelector('#graph').clientWidth"
    )


@pytest.mark.browser
@pytest.mark.usefixtures("without_graphviz")
def test_a_page_draws_without_graphviz(browser, tmp_path):
    browser.open(tc.draw.graph(lenet(), backward=True).html(tmp_path / "graph"))
    browser.wait("document.querySelector('#graph svg') !== null")
    texts = shown_texts(browser)
    assert "conv1: conv2d" in texts
    assert "cross_entropy" in texts
    # all of it is seen
    assert browser.js(
        "(() => { const inner = document.querySelector('#graph svg g').getBoundingClientRect(),"
        " outer = document.querySelector('#graph').getBoundingClientRect();"
        " return inner.top >= outer.top && inner.bottom <= outer.bottom"
        " && inner.height > 0.9 * outer.height; })()"
    )


@pytest.mark.browser
@pytest.mark.parametrize("renderer", [pytest.param("dot", marks=needs_dot), "viz.js"])
def test_a_script_in_a_name_is_text_in_the_page(browser, tmp_path, renderer, request):
    if renderer == "viz.js":
        request.getfixturevalue("without_graphviz")
    browser.open(tc.draw.graph(hostile(), "primitives").html(tmp_path / "graph"))
    browser.wait("document.querySelector('#graph svg') !== null")
    texts = " ".join(shown_texts(browser))
    assert HOSTILE[0] in texts
    assert HOSTILE[1] in texts
    assert browser.js("document.title") == "Computation graph"
    assert browser.js("document.querySelectorAll('svg script').length") == 0


@pytest.mark.browser
@needs_dot
def test_the_picture_moves_and_zooms(browser, tmp_path):
    from selenium.webdriver import ActionChains

    browser.open(tc.draw.graph(lenet()).html(tmp_path / "graph"))
    browser.wait(
        "document.querySelector('#graph svg').getAttribute('preserveAspectRatio') === null"
    )
    start = points_per_pixel(browser)
    browser.keys("+")
    assert points_per_pixel(browser) == pytest.approx(start / 1.25)
    box = "document.querySelector('#graph svg g').getBoundingClientRect()"
    left = browser.js(f"{box}.left")
    browser.keys("ArrowRight")
    assert browser.js(f"{box}.left") == pytest.approx(left - 60, abs=0.5)
    browser.click("#farther")
    browser.click("#farther")
    assert points_per_pixel(browser) == pytest.approx(start * 1.25)
    browser.click("#fit")
    assert points_per_pixel(browser) == pytest.approx(start)
    frame = browser.driver.find_element("css selector", "#graph")
    left = browser.js(f"{box}.left")
    ActionChains(browser.driver).drag_and_drop_by_offset(frame, 40, 30).perform()
    assert browser.js(f"{box}.left") == pytest.approx(left + 40, abs=0.5)
    # the wheel zooms around the mouse: the place under it stays
    browser.js(
        "document.querySelector('#graph').dispatchEvent(new WheelEvent('wheel',"
        " {deltaY: -500, clientX: 300, clientY: 200, cancelable: true}))"
    )
    assert points_per_pixel(browser) == pytest.approx(start / np.e)


@pytest.mark.browser
@needs_dot
def test_a_tall_graph_begins_where_it_can_be_read(browser, tmp_path):
    browser.open(tc.draw.graph(resnet18_loss()).html(tmp_path / "graph"))
    browser.wait("document.querySelector('#graph svg').hasAttribute('viewBox')")
    assert points_per_pixel(browser) < 2
    assert browser.js("document.querySelector('#graph svg').viewBox.baseVal.y") == 0
    browser.keys("0")
    assert points_per_pixel(browser) > 2


@pytest.mark.browser
@pytest.mark.usefixtures("without_graphviz")
def test_the_page_works_in_the_frame_of_a_notebook(browser, tmp_path):
    frame = tc.draw.graph(lenet())._repr_mimebundle_()["text/html"]
    (tmp_path / "notebook.html").write_text(
        f'<!DOCTYPE html><meta charset="utf-8">{frame}', "utf-8"
    )
    browser.open(tmp_path / "notebook.html")
    browser.driver.switch_to.frame(0)
    browser.wait("document.querySelector('#graph svg') !== null")
    assert "conv1: conv2d" in shown_texts(browser)
    browser.driver.switch_to.default_content()
