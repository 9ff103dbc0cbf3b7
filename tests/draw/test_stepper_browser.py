# ruff: noqa: RUF001  (shapes are written with a multiplication sign)
"""The stepper in a browser: keys, clicks, links, and numbers that are the tensors'.

The fixture ``browser`` fails a test whose page asked for anything or wrote to the console.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from stepper_pages import TIMES, expression, lenet, perceptron, step_of

import tinygrad_cnn as tc
from tinygrad_cnn import nn

pytestmark = pytest.mark.browser

# Of texts, the contrast with their background: WCAG 2.1, success criterion 1.4.3.
CONTRASTS = """(() => {
  const channel = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3)
    .reduce((sum, v, i) => sum + channel(v / 255) * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    const colour = getComputedStyle(e).backgroundColor;
    return colour === "rgba(0, 0, 0, 0)" ? behind(e.parentElement) : colour;
  };
  const texts = document.querySelectorAll(".box:not(.pending) .title, .phase, .operand .label");
  return [...texts].map((e) => {
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
})()"""


# -- steps ---------------------------------------------------------------------------------


def test_arrow_keys_step_forward_and_back(opened):
    browser = opened(expression())
    seen = [browser.text("#caption")]
    for _ in range(6):
        browser.keys("ArrowRight")
        seen.append(browser.text("#caption"))
    assert seen == [
        "Step 0 of 6 · given · all that is given",
        "Step 1 of 6 · forward · multiply",
        "Step 2 of 6 · forward · result = add",
        "Step 3 of 6 · backward · the gradient starts at result = add",
        "Step 4 of 6 · backward · result = add",
        "Step 5 of 6 · backward · multiply",
        "Step 6 of 6 · gradients · all gradients",
    ]
    browser.keys("ArrowRight", "ArrowLeft", "ArrowLeft")
    assert step_of(browser) == 4
    browser.keys("Home")
    assert step_of(browser) == 0
    browser.keys("End")
    assert step_of(browser) == 6


def test_values_fill_the_boxes_and_gradients_follow(opened):
    browser = opened(expression())
    shown = "[...document.querySelectorAll('#scene > .box')].map(b => b.innerText.split('\\n'))"
    assert browser.js(shown) == [["a", "2"], ["b", "-3"], ["multiply"], ["result = add"]]
    browser.keys("ArrowRight", "ArrowRight")
    assert browser.js(shown) == [
        ["a", "2"],
        ["b", "-3"],
        ["multiply", "-6"],
        ["result = add", "-4"],
    ]
    browser.keys("ArrowRight", "ArrowRight")
    assert browser.js(shown) == [
        ["a", "2", "1 of 2"], ["b", "-3"], ["multiply", "-6", "1"], ["result = add", "-4", "1"],
    ]  # fmt: skip
    browser.keys("ArrowRight")
    assert browser.js(shown)[:2] == [["a", "2", "-2"], ["b", "-3", "2"]]


def test_a_step_back_multiplies_upstream_by_local(opened):
    browser = opened(expression(), "step=5")
    numbers = "[...document.querySelectorAll('#details .pass')].map(p => [...p.querySelectorAll"
    numbers += "('.equation output')].map(o => Number(o.innerText)))"
    assert browser.js(numbers) == [[1, -3, -3], [1, 2, 2]]
    signs = "[...document.querySelectorAll('.pass .operator')].map(e => e.innerText)"
    assert browser.js(signs) == [TIMES, "=", TIMES, "="]
    assert browser.js("document.querySelectorAll('.pass math').length") == 2
    assert "return a * b + a" in browser.text("#details .source")


def test_the_ledger_collects_contributions_one_by_one(opened):
    browser = opened(expression(), "step=4")
    rows = (
        "[...document.querySelectorAll('.ledger tr')].map(r => [...r.cells].map(c => c.innerText))"
    )
    first, second, total = browser.js(rows)
    assert first[0].startswith("result = add step 4")
    assert (first[1], second[1]) == ("1", "not yet")
    assert total == ["sum of 1 of 2", "1"]
    browser.keys("ArrowRight")
    first, second, total = browser.js(rows)
    assert (first[1], second[1]) == ("1", "-3")
    assert total == ["sum: the gradient", "-2"]


def test_shown_gradients_are_the_tensors(opened, rng):
    loss, variables = perceptron(rng)
    browser = opened(loss, "step=999")
    loss.backward()
    for figure, (name, variable) in enumerate(variables.items(), 1):
        operand = f".gallery .operand:nth-child({figure})"
        assert browser.text(f"{operand} .label") == f"{name}, variable"
        cells = browser.js(f"[...document.querySelectorAll('{operand} td')].map(c => c.innerText)")
        shown = np.array([float(cell) for cell in cells]).reshape(variable.shape)
        np.testing.assert_allclose(shown, variable.grad.numpy(), rtol=6e-4, atol=0)


def test_large_arrays_are_heat_maps_with_their_extremes(opened, rng):
    layer = nn.Linear(400, 120, generator=tc.manual_seed(0))
    loss = (layer(rng.random((1, 400)).astype("float32")) ** 2).sum()
    browser = opened(loss, "step=999")
    loss.backward()
    assert browser.js("document.querySelectorAll('.gallery canvas').length") == 2
    caption = browser.text(".gallery .operand figcaption")
    assert caption.startswith("120 × 400 · float32")
    found = re.search(r"min (\S+) · mean (\S+) · max (\S+)", caption).groups()
    g = layer.weight.grad.numpy()
    np.testing.assert_allclose([*map(float, found)], [g.min(), g.mean(), g.max()], rtol=6e-4)


def test_playing_steps_by_itself(opened):
    browser = opened(expression())
    browser.keys(" ")
    assert browser.text("#play") == "Pause"
    browser.wait("document.getElementById('caption').innerText.startsWith('Step 1 ')")
    browser.keys(" ")
    assert browser.text("#play") == "Play"
    browser.keys("End", " ")  # from the end it starts anew
    assert step_of(browser) == 0


# -- clicks, links, search -----------------------------------------------------------------


def test_a_click_shows_the_numbers_and_another_the_way_back(opened):
    browser = opened(expression())
    browser.click("#box-v2")
    assert (step_of(browser), browser.text("#details h2")) == (1, "multiply")
    outputs = "[...document.querySelectorAll('#details .operand output')].map(o => o.innerText)"
    assert browser.js(outputs) == ["2", "-3", "-6"]
    browser.click("#box-v2")
    assert step_of(browser) == 5
    browser.click("#box-v3")  # in the same phase
    assert step_of(browser) == 4
    browser.click("#box-v3")
    assert step_of(browser) == 2


def test_a_click_on_a_variable_shows_its_ledger(opened):
    browser = opened(expression(), "step=6")
    browser.click("#box-v0")
    assert browser.text("#details h2") == "a variable"
    outputs = "[...document.querySelectorAll('#details .equation output')].map(o => o.innerText)"
    assert browser.js(outputs) == ["2", "-2"]
    assert browser.text(".ledger .sum") == "sum: the gradient -2"
    assert step_of(browser) == 6


def test_a_link_opens_a_step_in_the_box_that_it_belongs_to(opened, rng):
    browser = opened(lenet(rng), "step=3")
    assert browser.text("#caption").endswith("LeNet5 / conv1 / conv2d / im2col")
    assert browser.text(".box.current .title") == "conv2d"
    assert browser.js("location.hash").startswith("#step=3")
    browser.js("location.hash = '#step=3&zoom=primitives'")
    browser.wait("document.querySelector('.box.current .title').innerText === 'im2col'")
    browser.js("location.hash = '#step=9'")
    browser.wait("document.getElementById('caption').innerText.startsWith('Step 9 ')")


def test_the_address_follows_the_steps(opened):
    browser = opened(expression())
    browser.keys("ArrowRight")
    browser.wait("location.hash === '#step=1&zoom=functions'")


@pytest.mark.parametrize("fragment", ["step=99999", "step=-1", "step=x&zoom=y", "step=1e3", "%%%"])
def test_an_address_that_means_nothing_opens_the_page(opened, fragment):
    browser = opened(expression(), fragment)
    assert step_of(browser) == (6 if "99999" in fragment else 0)


def test_search_finds_by_name_operation_path_and_shape(opened, rng):
    browser = opened(lenet(rng))
    found = "[...document.querySelectorAll('#found li')].map(li => li.innerText)"
    for words, first in {
        "fc2.bias": "fc2.bias 84",
        "im2col 150x100": f"im2col 150{TIMES}100",
        "maximum 16x10x10": TIMES.join(["maximum 1", "16", "10", "10"]),
        "pool1 gather": TIMES.join(["gather_windows 1", "6", "14", "14"]),
    }.items():
        browser.keys("/", *words)
        assert browser.js(found)[0].startswith(first)
        browser.keys("Escape")
    browser.keys("/", *"im2col", "ArrowDown", "Enter")
    current = "document.querySelector('.box.current .title').innerText"
    assert browser.js(current) == "im2col"  # unfolded
    assert browser.text("#details .crumbs").endswith("LeNet5 / conv2 / conv2d")
    browser.keys("/", *"nonsense")
    assert browser.js(found) == ["nothing has this name, operation, path or shape"]


def test_help_tells_the_keys(opened):
    browser = opened(expression())
    browser.keys("?")
    assert "next and previous step" in browser.text("#help")
    assert "#step=12" in browser.text("#help")
    browser.keys("ArrowRight")
    assert step_of(browser) == 0
    browser.click("#help button")
    browser.keys("ArrowRight")
    assert step_of(browser) == 1


# -- the rest ------------------------------------------------------------------------------


def test_an_edge_without_a_gradient_is_dashed(opened):
    x = tc.tensor([1.0, -2.0], requires_grad=True, name="x")
    browser = opened((x * tc.sign(x)).sum(), "step=999")
    dashed = (
        "[...document.querySelectorAll('path.edge')].map(p => getComputedStyle(p).strokeDasharray)"
    )
    assert sorted(browser.js(dashed)) == ["4px, 4px", "none", "none", "none"]


def test_names_are_text(opened):
    name = "<script>throw 1</script>" * 4
    x = tc.tensor(1.0, requires_grad=True, name=name)
    browser = opened(tc.exp(x), "step=3")
    assert browser.text("#box-v0 .title") == name
    width = "(e => e.offsetWidth < e.scrollWidth && e.parentElement.title.includes('throw 1'))"
    assert browser.js(f"{width}(document.querySelector('#box-v0 .title'))")  # shortened
    assert browser.js("document.querySelectorAll('#details math').length") == 1


def test_odd_numbers_are_shown(opened):
    x = tc.tensor([[np.nan, np.inf, 1.0]], requires_grad=True, name="x")
    browser = opened(x + tc.tensor(np.empty((0, 3))).sum(axis=0), "step=2")
    cells = "[...document.querySelectorAll('#details td')].map(c => c.innerText)"
    assert browser.js(cells)[:3] == ["NaN", "∞", "1"]
    browser.keys("End", "Home")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_both_schemes(opened, rng, scheme):
    browser = opened(lenet(rng), "step=60&zoom=primitives")
    browser.colour_scheme(scheme)
    assert min(browser.js(CONTRASTS)) > 4.5
