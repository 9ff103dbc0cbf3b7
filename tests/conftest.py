"""Fixtures that every test folder uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser, chromium

SHARED = Path(os.environ.get("TINYGRAD_CNN_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture
def shared() -> Path:
    """The folder of data sets, weights and published values beside the project."""
    if not (SHARED / "fixtures").is_dir():
        pytest.skip(f"no shared folder with data and fixtures at {SHARED}")
    return SHARED


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator: the same numbers in every run."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def _chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def browser(_chromium: Any) -> Iterator[Browser]:
    """A headless Chromium; the test fails if a page was not clean. Mark such tests ``browser``."""
    opened = Browser(_chromium)
    yield opened
    opened.assert_clean()
