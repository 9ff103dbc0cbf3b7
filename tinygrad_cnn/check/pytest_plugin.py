"""An assertion for tests: a hand-derived gradient is right, or the doctor says why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .diagnose import diagnose

__all__ = ["assert_gradients"]


def assert_gradients(
    reference: Callable[..., Any],
    inputs: Mapping[str, Any] | Sequence[Any],
    hand: Any,
    forward: Callable[..., Any] | None = None,
    upstream: Any = None,
) -> None:
    """Fail with the doctor's report unless every gradient is right; arguments as in ``diagnose``.

    Tests get it as a fixture of this name, from the plugin ``tinygrad_cnn_pytest``.

    Raises:
        AssertionError: a gradient is wrong; its message is the report.

    >>> import numpy as np, tinygrad_cnn as tc
    >>> def square(x): return x * x
    >>> tc.check.assert_gradients(square, {"x": np.ones(3)}, lambda dout, x: 2 * x * dout)
    """
    __tracebackhide__ = True  # pytest shows the test's line, not this one
    report = diagnose(reference, inputs, hand, forward, upstream)
    if not report.ok:
        raise AssertionError(f"\n{report}")
