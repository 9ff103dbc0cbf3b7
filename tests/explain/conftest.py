"""What the tests of exercises share."""

from __future__ import annotations

import pytest
from derived_nets import two_layer

from tinygrad_cnn.explain._source import source_of
from tinygrad_cnn.explain.exercise import Exercise


@pytest.fixture(scope="session")
def solved():
    """The exercise of the two-layer net, and its solution."""
    program, recording = two_layer()
    return Exercise(program, recording), source_of(program)
