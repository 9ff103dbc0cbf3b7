"""Fixtures of the tests that open the stepper's page."""

from __future__ import annotations

import pytest

from tinygrad_cnn.draw import stepper


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the page of a result."""

    def open_page(result, fragment=""):
        browser.open(stepper(result, tmp_path / "page"), fragment)
        return browser

    return open_page
