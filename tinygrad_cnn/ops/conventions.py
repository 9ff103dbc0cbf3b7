"""Which subgradient is taken at ties and kinks: the defaults, and the others in use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from ..errors import ArgumentError

__all__ = ["Conventions", "conventions", "current_conventions"]


class Conventions(NamedTuple):
    """The choice at ties (``maximum``, ``max``, max-pool) and of relu's derivative at zero."""

    ties: Literal["first", "split"] = "first"
    relu_at_zero: float = 0.0


class _PerThread(threading.local):
    current = Conventions()


_per_thread = _PerThread()


def current_conventions() -> Conventions:
    """The conventions in force on this thread.

    >>> import tinygrad_cnn as tc
    >>> tc.current_conventions()
    Conventions(ties='first', relu_at_zero=0.0)
    """
    return _per_thread.current


@contextmanager
def conventions(
    *, ties: Literal["first", "split"] | None = None, relu_at_zero: float | None = None
) -> Iterator[Conventions]:
    """Record the operations inside the block with other subgradients.

    Args:
        ties: ``"first"`` gives the gradient to the first winner in row-major order,
            ``"split"`` shares it equally among the winners.
        relu_at_zero: the derivative of relu at 0: 0, 0.5 or 1.

    Raises:
        ArgumentError: another value.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([2.0, 2.0], requires_grad=True)
    >>> with tc.conventions(ties="split"):
    ...     x.max().backward()
    >>> x.grad
    tensor([0.5, 0.5])
    """
    if ties not in (None, "first", "split"):
        raise ArgumentError(f"ties={ties!r}: expected 'first' or 'split'")
    if relu_at_zero not in (None, 0, 0.5, 1):
        raise ArgumentError(f"relu_at_zero={relu_at_zero!r}: expected 0, 0.5 or 1")
    before = _per_thread.current
    _per_thread.current = Conventions(
        before.ties if ties is None else ties,
        before.relu_at_zero if relu_at_zero is None else float(relu_at_zero),
    )
    try:
        yield _per_thread.current
    finally:
        _per_thread.current = before
