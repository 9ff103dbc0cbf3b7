"""The playground as a user sees it, in a browser.

The fixture ``browser`` fails a test whose page asked for anything beyond its own address, or wrote
to the console.
"""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.data import Digits

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")
pytestmark = pytest.mark.browser

PATTERN = "INPUT -> [CONV3-16 -> RELU -> POOL]*2 -> FC-48 -> RELU -> FC"
STEPS = "Number(byId('steps').textContent.replace(/\\D/g, ''))"
PATIENCE = 120  # seconds, on a machine with much else to do


def type_pattern(browser, text):
    field = browser.driver.find_element("css selector", "#pattern")
    field.clear()
    field.send_keys(text)


def draw(browser, strokes):
    """Draw lines through points of the pad, whose edge is 1 long."""
    from selenium.webdriver import ActionChains

    pad = browser.driver.find_element("css selector", "#pad")
    side = pad.size["width"]
    for stroke in strokes:
        places = [(round((x - 0.5) * side), round((y - 0.5) * side)) for x, y in stroke]
        pen = ActionChains(browser.driver, duration=0)
        pen.move_to_element_with_offset(pad, *places[0]).click_and_hold()
        for place in places[1:]:
            pen.move_to_element_with_offset(pad, *place)
        pen.release().perform()


def test_a_net_from_a_typed_pattern_learns_while_the_page_answers(opened):
    """More than 95 % of digits that it never saw.

    Responsive: it draws frames between the states that it is told of, about five in a second. A
    page alone on a machine draws more than ten to each; one that is busy longer than they take to
    come falls behind and draws less than one. Commands take effect in the middle of the training.
    """
    browser, session = opened()
    type_pattern(browser, PATTERN)
    browser.driver.execute_script("""
        window.told = 0; window.frames = 0;
        new MutationObserver(() => { told += 1; }).observe(byId("steps"), { childList: true });
        const count = () => { frames += 1; requestAnimationFrame(count); };
        requestAnimationFrame(count);
    """)
    browser.click("#train")  # builds, since what is typed is not built yet
    browser.wait(f"{STEPS} > 5", PATIENCE)
    assert session.learner.model.pattern == PATTERN
    browser.click("#others")  # in the middle of it
    browser.wait("(state.validation?.accuracy ?? 0) > 0.96", PATIENCE)
    browser.js("set('lr', 0.0002)")  # so that what it has learned stays
    browser.wait("state.settings.lr === 0.0002", PATIENCE)
    assert browser.js("state.running")
    browser.wait(f"{STEPS} >= {session.learner.steps + 60}", PATIENCE)
    told, frames = browser.js("[told, frames]")
    assert told > 5
    assert frames > 2 * told
    browser.click("#train")
    browser.wait("byId('status').textContent === 'paused'", PATIENCE)
    session.do("pause")  # judged by now
    found = tc.train.evaluate(session.learner.model, session.learner.source.validation)
    assert found.accuracy > 0.95
    shown = "byId('validation-figures').textContent"
    browser.wait(f"{shown}.startsWith('{100 * found.accuracy:.1f} %')")


def test_a_drawn_digit_is_classified(opened):
    browser, session = opened()
    for _ in range(400):
        session.learner.step(watch=False)
    draw(browser, [[(0.5, 0.15), (0.5, 0.4), (0.5, 0.85)]])
    browser.wait("byId('drawing-hint').textContent.startsWith('it looks like')")
    browser.wait("byId('bars').children.length === 10")
    assert browser.text("#drawing-hint").startswith("it looks like 1")
    bars = browser.js("[...byId('bars').children].map(b => parseFloat(b.firstChild.style.width))")
    assert np.argmax(bars) == 1
    assert browser.text("#activations-of") == "of the drawing"
    browser.click("#clear")
    browser.wait("byId('activations-of').textContent === 'of image 1'")
    circle = [
        (0.5 + 0.24 * np.sin(a), 0.5 - 0.34 * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 30)
    ]
    draw(browser, [circle])
    browser.wait("byId('drawing-hint').textContent.startsWith('it looks like 0')")


def test_pause_step_reset_and_settings(opened):
    browser, session = opened()
    browser.click("#step")
    browser.wait(f"{STEPS} === 1")
    browser.click("#step")
    browser.wait(f"{STEPS} === 2")
    assert session.learner.steps == 2
    assert browser.js("byId('gradients').rows.length") == 9
    browser.click("#train")
    browser.wait("byId('train').textContent === 'Pause'")
    browser.wait(f"{STEPS} > 4", PATIENCE)
    browser.click("#train")
    browser.wait("byId('train').textContent === 'Train'", PATIENCE)
    steps = session.learner.steps
    browser.js("set('lr', 0.01)")
    browser.wait("state.settings.lr === 0.01")
    assert session.learner.steps == steps
    browser.js(
        "(byId('optimizer').value = 'SGD', byId('optimizer').dispatchEvent(new Event('change')))"
    )
    browser.wait("!byId('momentum').closest('label').hidden")
    assert session.learner.settings["momentum"] == 0.0
    browser.js("(byId('lr').value = '1000', byId('lr').dispatchEvent(new Event('change')))")
    browser.wait("!byId('failure').hidden")
    assert "lr 1000: expected 1e-08 to 100" in browser.text("#failure")
    browser.click("#reset")
    browser.wait(f"{STEPS} === 0")
    browser.wait("byId('failure').hidden")


def test_the_place_of_a_pattern_error_is_marked(opened):
    browser, session = opened()
    kept = session.learner
    type_pattern(browser, "INPUT -> CONV -> [POOL")
    browser.click("#build-button")
    browser.wait("!byId('problem').hidden")
    assert browser.text("#problem p") == "this bracket is never closed"
    assert browser.text("#problem mark") == "["
    assert browser.js("byId('pattern').selectionStart") == 17
    assert browser.js("byId('pattern').getAttribute('aria-invalid')") == "true"
    assert session.learner is kept
    type_pattern(browser, "INPUT -> FC-1000000 -> FC")
    browser.click("#train")
    browser.wait("byId('problem').textContent.includes('too large')")
    assert browser.js("state.running") is False
    type_pattern(browser, "INPUT -> FC")
    browser.click("#build-button")
    browser.wait("byId('problem').hidden")
    browser.wait("byId('filters-title').textContent.startsWith('Templates')")


def test_two_tabs_show_the_same_and_one_that_comes_late_has_missed_nothing(opened):
    browser, session = opened()
    session.do("step")
    browser.wait(f"{STEPS} === 1")
    first = browser.driver.current_window_handle
    address = browser.driver.current_url
    browser.driver.switch_to.new_window("tab")
    browser.visit(address)
    browser.wait(f"{STEPS} === 1")
    browser.click("#step")
    browser.wait(f"{STEPS} === 2")
    browser.wait("curves[0].data.training.length === 2")
    browser.driver.close()
    browser.driver.switch_to.window(first)
    browser.wait(f"{STEPS} === 2")
    browser.wait("curves[0].data.training.length === 2")


class Named(nn.Module):
    """The user's own model, whose second call in training breaks."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 3)
        self.calls = 0

    def forward(self, x):
        self.calls += self.training
        if self.calls > 1:
            raise ValueError("<b>broken</b>")
        return self.fc(F.flatten(x, 1))


def test_names_and_errors_are_text_and_an_error_ends_only_the_training(opened, capsys):
    images, labels = Digits("train").batch(slice(60))
    data = images, labels % 3
    names = ["<script>alert(1)</script>", "<img src=x>", "&amp;"]
    browser, session = opened(Named(), data, validation=data, classes=names)
    assert browser.text("#cards .label") in names
    browser.click("#train")
    browser.wait("byId('status').textContent === 'stopped by an error'")
    assert browser.text("#failure pre") == "ValueError: <b>broken</b>"
    assert "test_play_browser.py" in browser.text("#failure p")
    assert browser.js("document.querySelectorAll('#cards b, #failure b, #cards img').length") == 0
    browser.js("(byId('network').value = 'pattern', byId('pattern').value = 'INPUT -> FC')")
    browser.js("followForm()")
    browser.click("#step")  # of the model that is built, which is broken still
    browser.wait("state.error !== null && state.steps === 1")
    browser.click("#build-button")
    browser.wait("state.error === null && state.steps === 0")
    session.do("step")
    browser.wait(f"{STEPS} === 1")
    assert "broken" in capsys.readouterr().err


def test_the_weights_are_those_of_the_model(opened):
    browser, session = opened()
    fetched = browser.driver.execute_async_script("""
        const done = arguments[0];
        fetch(byId("save").href).then((r) => r.arrayBuffer()).then((b) => {
            done(btoa(String.fromCharCode(...new Uint8Array(b))));
        });
    """)
    with np.load(io.BytesIO(base64.b64decode(fetched))) as saved:
        for name, value in session.learner.model.state_dict().items():
            np.testing.assert_array_equal(saved[name], value)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 800, 1280])
def test_nothing_is_wider_than_the_window(opened, width, scheme):
    browser, session = opened()
    browser.colour_scheme(scheme)
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    session.do("step")
    browser.wait(f"{STEPS} === 1")
    assert browser.js("document.documentElement.scrollWidth") == width
    size["width"] = 1280
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
