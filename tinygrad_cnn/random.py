"""The seeded generator that initialisers, dropout and shuffling draw from."""

from __future__ import annotations

import threading

import numpy as np

from .errors import ArgumentError

__all__ = ["default_generator", "manual_seed"]


class _PerThread(threading.local):
    generator: np.random.Generator | None = None


_per_thread = _PerThread()


def manual_seed(seed: int) -> np.random.Generator:
    """Start this thread's default generator anew, so that a run can be repeated to the bit.

    Raises:
        ArgumentError: the seed is no integer from 0 up.

    >>> import tinygrad_cnn as tc
    >>> _ = tc.manual_seed(0)
    >>> first = tc.rand(2)
    >>> _ = tc.manual_seed(0)
    >>> bool((tc.rand(2) == first).all())
    True
    """
    try:
        _per_thread.generator = np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ArgumentError(f"manual_seed: {seed!r}, expected an integer from 0 up") from None
    return _per_thread.generator


def generator_or_default(generator: np.random.Generator | None) -> np.random.Generator:
    """The generator that was passed, or the thread's.

    Raises:
        ArgumentError: something else was passed, such as a seed.
    """
    if generator is None:
        return default_generator()
    if not isinstance(generator, np.random.Generator):
        raise ArgumentError(
            f"generator={generator!r}: expected a np.random.Generator, such as"
            " np.random.default_rng(0), or None for the thread's, which manual_seed starts anew"
        )
    return generator


def default_generator() -> np.random.Generator:
    """The generator that is used where none is passed.

    >>> import tinygrad_cnn as tc
    >>> tc.manual_seed(0) is tc.default_generator()
    True
    """
    if _per_thread.generator is None:  # NumPy imports its generators at their first use
        _per_thread.generator = np.random.default_rng()
    return _per_thread.generator
