"""What the tests of the page share."""

from __future__ import annotations

import pytest
from play_clients import Client

import tinygrad_cnn as tc


@pytest.fixture(scope="module")
def playground():
    with tc.play(open_browser=False, block=False) as opened:
        yield opened


@pytest.fixture
def client(playground):
    return Client(playground.url)


@pytest.fixture
def opened(browser):
    """Opens the page of a playground with these arguments."""
    playgrounds = []

    def open_page(*arguments, **options):
        playground = tc.play(*arguments, open_browser=False, block=False, **options)
        playgrounds.append(playground)
        browser.visit(playground.url)
        browser.wait("document.getElementById('status').textContent === 'paused'")
        return browser, playground.session

    yield open_page
    browser.driver.get("about:blank")  # else it would miss its server, and say so
    for playground in playgrounds:
        playground.close()
