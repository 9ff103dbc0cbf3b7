"""Folding in the stepper: what the boxes are, where the keys stop, how the graph is laid out."""

from __future__ import annotations

import pytest
from stepper_pages import lenet, perceptron, residual, step_of, titles

import tinygrad_cnn as tc

pytestmark = pytest.mark.browser


# Pairs of boxes that overlap, and edges that run through a box they do not join.
COLLISIONS = """(() => {
  const found = [];
  const boxes = [...document.querySelectorAll("#scene > .box")].map((box) => ({
    name: box.id, left: box.offsetLeft, top: box.offsetTop,
    right: box.offsetLeft + box.offsetWidth, bottom: box.offsetTop + box.offsetHeight }));
  boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => {
    if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom) {
      found.push(`${a.name} overlaps ${b.name}`);
    }
  }));
  for (const path of document.querySelectorAll("path.edge")) {
    const length = path.getTotalLength();
    for (let at = 3; at < length - 3; at += 4) {
      const { x, y } = path.getPointAtLength(at);
      const hit = boxes.find((b) => x > b.left && x < b.right && y > b.top && y < b.bottom);
      if (hit) { found.push(`an edge runs through ${hit.name}`); break; }
    }
  }
  return found;
})()"""


@pytest.fixture
def still(browser):
    """No movement that a click would have to wait for."""
    features = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def double_click(browser, css):
    from selenium.webdriver import ActionChains

    target = browser.driver.find_element("css selector", css)
    ActionChains(browser.driver, duration=0).double_click(target).perform()


# -- folding -------------------------------------------------------------------------------


def test_the_arrow_keys_stop_at_boxes(opened, rng):
    browser = opened(lenet(rng))
    stops = []
    for key in ("1", "2", "3"):
        browser.keys(key, "Home")
        steps = [0]
        while browser.js("!document.getElementById('next').disabled"):
            browser.keys("ArrowRight")
            steps.append(step_of(browser))
        stops.append(steps)
    layers, functions, primitives = stops
    assert set(layers) <= set(functions) <= set(primitives)
    assert primitives == list(range(primitives[-1] + 1))
    # 7 layers, 4 relu, a reshape and the loss, each twice; what is given, the seed, the end
    assert len(layers) == 2 * 13 + 3


def test_zooms_show_layers_functions_primitives(opened, rng):
    browser = opened(lenet(rng))
    browser.keys("1")
    layers = ["conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc3"]
    shown = [title.removeprefix("scores = ") for title in titles(browser)]
    assert [title for title in shown if title in layers] == layers
    browser.keys("2")
    assert {"conv1.weight", "conv2d", "pool1 · max_pool2d", "linear"} <= set(titles(browser))
    assert "matmul" not in titles(browser)
    browser.keys("3")
    assert titles(browser).count("im2col") == 2
    assert browser.js("document.querySelector('[data-zoom=primitives]').ariaPressed") == "true"


def test_one_box_unfolds_and_folds(still, opened, rng):
    browser = opened(lenet(rng))
    before = titles(browser)
    box = browser.js(
        "[...document.querySelectorAll('.box')].find(b => b.innerText.startsWith('conv2d')).id"
    )
    browser.click(f"#{box} .fold")
    assert titles(browser).count("im2col") == 1
    browser.click(".group.function .fold")
    assert titles(browser) == before
    double_click(browser, f"#{box} .title")
    assert titles(browser).count("im2col") == 1
    browser.click(".group.function .fold")
    browser.js(f"document.getElementById('{box}').focus()")
    browser.keys("Enter")
    assert titles(browser).count("im2col") == 1


def test_a_step_inside_a_folded_box_unfolds_it(still, opened, rng):
    browser = opened(lenet(rng), "step=8")
    assert browser.text("#details h3") == "computed inside: 8 steps"
    browser.click(".steps tr:nth-child(4) button")
    assert browser.text(".box.current .title") == "matmul"
    assert step_of(browser) == 4


@pytest.mark.parametrize("make", [lenet, residual, lambda rng: perceptron(rng)[0]])
@pytest.mark.parametrize("zoom", ["layers", "functions", "primitives"])
def test_boxes_do_not_overlap_and_edges_run_between_them(opened, rng, make, zoom):
    browser = opened(make(rng), f"zoom={zoom}")
    assert browser.js("document.querySelectorAll('path.edge').length") > 5
    assert browser.js(COLLISIONS) == []


def test_the_current_box_is_in_view(opened, rng):
    browser = opened(lenet(rng), "zoom=primitives")
    inside = """(() => {
      const box = document.querySelector(".box.current").getBoundingClientRect();
      const frame = document.getElementById("graph").getBoundingClientRect();
      return box.top >= frame.top && box.bottom <= frame.bottom
        && box.left >= frame.left && box.right <= frame.right;
    })()"""
    for step in (1, 20, 41, 43, 60, 80):
        browser.js(f"location.hash = '#step={step}&zoom=primitives'")
        browser.wait(inside)


def test_a_graph_of_thousands_opens_folded(still, opened):
    x = tc.tensor(0.5, requires_grad=True, name="x")
    y = x
    for _ in range(2000):
        y = tc.tanh(y) + x
    browser = opened(y, "step=4000")
    assert len(titles(browser)) < 100
    assert "folded into runs" in browser.text("#notice")
    browser.keys("3")
    assert len(titles(browser)) < 100
    browser.click(".box.current .fold")
    assert "tanh" in titles(browser)
    assert browser.js(COLLISIONS) == []
