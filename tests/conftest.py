"""Fixtures that every test folder uses."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

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
