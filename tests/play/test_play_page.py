"""The page when much happens at once: many tabs, broken streams, hasty clicks, strange names."""

from __future__ import annotations

import pytest
from play_clients import Client, Events
from play_sessions import until

import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.data import Digits

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")
pytestmark = pytest.mark.browser

TABS = 10  # a browser has six connections to one server


def test_ten_tabs_take_turns(opened):
    browser, _ = opened()
    driver, address = browser.driver, browser.driver.current_url
    first = driver.current_window_handle
    for _ in range(TABS - 1):
        driver.switch_to.new_window("tab")
        browser.visit(address)
        browser.wait("byId('status').textContent === 'paused'", 30)
    driver.switch_to.window(first)
    browser.click("#step")
    for tab in reversed(driver.window_handles):
        driver.switch_to.window(tab)
        browser.wait("state.steps === 1", 60)
        if tab != first:
            driver.close()
    driver.switch_to.window(first)
    assert browser.text("#status") == "paused"


def test_what_is_typed_survives_a_break_of_the_stream(opened):
    browser, session = opened()
    field = browser.driver.find_element("css selector", "#pattern")
    field.clear()
    field.send_keys("INPUT -> FC-5")
    client = Client(browser.driver.current_url)
    others = [Events(client) for _ in range(3)]  # they take the place of the page's stream
    until(lambda: session.board.readers == 3)
    session.do("step")
    browser.wait("state.steps === 1")  # it has come back
    assert browser.js("byId('pattern').value") == "INPUT -> FC-5"
    assert browser.text("#status") == "paused"
    for events in others:
        events.close()


def test_hasty_clicks(opened):
    """Whatever comes first, in the end nothing runs that the page does not tell."""
    browser, session = opened()
    for ids in (["train", "train", "train"], ["step"] * 3, ["train", "reset", "train"],
                ["train", "build-button", "reset", "step"]):  # fmt: skip
        browser.driver.execute_script("arguments[0].forEach((id) => byId(id).click())", ids)
    browser.driver.execute_script(
        "for (let i = 0; i < 200; i++) { byId('lr').previousElementSibling.value = -3 + i / 100;"
        " byId('lr').previousElementSibling.dispatchEvent(new Event('input')); }"
    )
    browser.wait("state.settings.lr === 0.1")
    session.do("pause")
    browser.wait("!state.running && byId('train').textContent === 'Train'")
    assert session.learner.settings["lr"] == 0.1
    assert browser.js(f"state.steps === {session.learner.steps}")


class Strange(nn.Module):
    """A model whose layers have names that are no text for a page."""

    def __init__(self):
        super().__init__()
        conv, fc = nn.Conv2d(1, 4, 3), nn.Linear(144, 10)
        self.body = nn.Sequential(
            {"<img src=x onerror=alert(1)>": conv, "f": nn.Flatten(), "&lt;": fc}
        )

    def forward(self, x):
        return self.body(F.relu(x))


def test_names_of_layers_are_text(opened):
    browser, _ = opened(Strange(), Digits("test"))
    browser.click("#step")
    browser.wait("byId('gradients').rows.length === 5")
    assert browser.text("#gradients th[scope=row]") == "body.<img src=x onerror=alert(1)>.weight"
    assert "body.<img" in browser.text("#filters-title")
    assert browser.js("document.querySelectorAll('img').length") == 0


def test_all_that_can_be_reached_by_keyboard_has_a_name(opened):
    browser, _ = opened()
    browser.click("#step")
    browser.wait("state.steps === 1")
    nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    focusable = [
        node for node in nodes
        if any(p["name"] == "focusable" and p["value"]["value"] for p in node.get("properties", ()))
        and node["role"]["value"] != "RootWebArea"
    ]  # fmt: skip
    names = [(node["role"]["value"], node["name"]["value"]) for node in focusable]
    assert len(names) > 30
    assert [role for role, name in names if not name] == []


def test_a_network_is_built_and_trained_by_keyboard_alone(opened):
    browser, session = opened()
    browser.driver.execute_script("byId('pattern').focus(); byId('pattern').select()")
    for key in "INPUT -> FC":
        browser.keys(key)
    browser.keys("Enter")
    until(lambda: getattr(session.learner.model, "pattern", "") == "INPUT -> FC")
    browser.wait("!byId('build-button').disabled && state.steps === 0")
    while browser.js("document.activeElement.id") != "step":
        browser.keys("Tab")
    browser.keys(" ")
    browser.wait("state.steps === 1")
