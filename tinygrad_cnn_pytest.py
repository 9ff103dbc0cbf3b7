"""The pytest plugin of tinygrad_cnn: the fixture ``assert_gradients``.

pytest imports this module in every run wherever tinygrad_cnn is installed, so it imports neither
the package nor NumPy before a test asks for the fixture.
"""

from __future__ import annotations

from typing import Any

import pytest

__all__ = ["assert_gradients"]


@pytest.fixture(scope="session")
def assert_gradients() -> Any:
    """``tinygrad_cnn.check.pytest_plugin.assert_gradients``.

    It fails with the doctor's report unless a hand-derived gradient is right::

        def test_square(assert_gradients):
            x = np.array([1.0, 2.0, 3.0])
            assert_gradients(lambda x: x * x, {"x": x}, lambda dout, x: 2 * x * dout)
    """
    from tinygrad_cnn.check.pytest_plugin import assert_gradients

    return assert_gradients
