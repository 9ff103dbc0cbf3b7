"""The seeded generator that initialisers, dropout and shuffling draw from."""

from __future__ import annotations

import threading

import numpy as np

__all__ = ["default_generator", "manual_seed"]


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.generator = np.random.default_rng()


_per_thread = _PerThread()


def manual_seed(seed: int) -> np.random.Generator:
    """Start this thread's default generator anew, so that a run can be repeated to the bit.

    >>> import tinygrad_cnn as tc
    >>> _ = tc.manual_seed(0)
    >>> first = tc.rand(2)
    >>> _ = tc.manual_seed(0)
    >>> bool((tc.rand(2) == first).all())
    True
    """
    _per_thread.generator = np.random.default_rng(seed)
    return _per_thread.generator


def default_generator() -> np.random.Generator:
    """The generator that is used where none is passed."""
    return _per_thread.generator
